#include <array>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

struct Entry {
  InputFormat format;
  std::string_view name;
  int64_t block_size;
  int bits;
};

constexpr std::array<Entry, 5> kFormats = {{{InputFormat::kInteger, "int", 0, 0},
                                            {InputFormat::kFp8E4m3, "fp8_e4m3", 0, 8},
                                            {InputFormat::kMxfp4, "mxfp4", 32, 4},
                                            {InputFormat::kMxfp8, "mxfp8", 32, 8},
                                            {InputFormat::kNvfp4, "nvfp4", 16, 4}}};

const Entry& EntryOf(InputFormat format) {
  for (const Entry& entry : kFormats) {
    if (entry.format == format) return entry;
  }
  throw InternalError("InputFormat out of range");
}

}  // namespace

std::string_view Name(MxScale rule) {
  switch (rule) {
    case MxScale::kFloor: return "floor";
    case MxScale::kRound: return "round";
    case MxScale::kCeil: return "ceil";
  }
  throw InternalError("MxScale out of range");
}

MxScale MxScaleOf(std::string_view name) {
  for (const MxScale rule : {MxScale::kFloor, MxScale::kRound, MxScale::kCeil}) {
    if (Name(rule) == name) return rule;
  }
  throw Error(ErrorKind::kSpec,
              "'" + std::string(name) + "' is no rule of a block's scale. It must be floor, round or ceil.");
}

std::string_view Name(InputFormat format) { return EntryOf(format).name; }
int64_t BlockSizeOf(InputFormat format) { return EntryOf(format).block_size; }
int BitsOf(InputFormat format) { return EntryOf(format).bits; }

InputFormat InputFormatOf(std::string_view name) {
  for (const Entry& entry : kFormats) {
    if (entry.name == name) return entry.format;
  }
  throw Error(ErrorKind::kSpec, "'" + std::string(name) +
                                    "' is no format of inputs. It must be int, fp8_e4m3, mxfp4, mxfp8 or nvfp4.");
}

}  // namespace bitlaw
