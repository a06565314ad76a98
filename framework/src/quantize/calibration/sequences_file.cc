#include "quantize/calibration/sequences_file.h"

#include <cstddef>
#include <limits>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

void WriteSequences(const std::filesystem::path& file, const TokenSequences& sequences) {
  Value::List ids;
  for (const int32_t id : sequences.ids) ids.emplace_back(static_cast<int64_t>(id));
  const Value all = Value::Map{{"count", sequences.count},
                               {"length_tokens", sequences.length_tokens},
                               {"digest", sequences.digest()},
                               {"ids", std::move(ids)}};
  WriteDurably(file, all.CanonicalJson());
}

TokenSequences ReadSequences(const std::filesystem::path& file, int64_t count, int64_t length_tokens) {
  const Value all = ParseJson(ReadWholeFile(file), file.string());
  const Value* ids = all.Find("ids");
  const Value* digest = all.Find("digest");
  TokenSequences sequences;
  sequences.count = count;
  sequences.length_tokens = length_tokens;
  if (ids != nullptr && ids->is_list()) {
    for (const Value& id : ids->AsList()) {
      const bool is_id = id.is_int() && id.AsInt() >= 0 && id.AsInt() <= std::numeric_limits<int32_t>::max();
      sequences.ids.push_back(is_id ? static_cast<int32_t>(id.AsInt()) : -1);
    }
  }
  if (static_cast<int64_t>(sequences.ids.size()) != count * length_tokens || digest == nullptr ||
      !(*digest == Value(sequences.digest()))) {
    throw Error(ErrorKind::kIo, file.string() + ": holds no " + std::to_string(count) + " sequences of " +
                                    std::to_string(length_tokens) + " tokens with the digest that stands in it.");
  }
  return sequences;
}

}  // namespace bitlaw
