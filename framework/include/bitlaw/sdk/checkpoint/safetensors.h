#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/sdk/checkpoint/mapped_file.h"

namespace bitlaw {

/// One tensor of a safetensors file.
struct BITLAW_EXPORT SafetensorsEntry {
  std::string name;
  std::string dtype;             ///< "F32", "BF16", ...: as the file spells it.
  std::vector<int64_t> shape;
  uint64_t offset_bytes = 0;     ///< From the start of the file.
  uint64_t size_bytes = 0;
};

/// Header length beyond which a file is refused, as the public safetensors library does.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

/// Reads the header of a safetensors file; no byte of a weight is touched. Entries come in the order of their data.
///
/// Format   uint64 little-endian header length, JSON header, data. Every tensor names dtype, shape and its half-open
///          byte range; the ranges follow each other without overlap or gap and end where the file ends.
/// Memory   That of the entries: whatever else a header holds is read and forgotten.
/// Errors   Error(kIo) with the file's name and the first broken rule: a length beyond the file or the limit, JSON
///          that is malformed or names a tensor twice, an unknown dtype, a negative or overflowing shape, a range
///          that lies outside, overlaps, leaves a gap or disagrees with dtype and shape.
/// Source   https://github.com/huggingface/safetensors, section Format.
BITLAW_EXPORT std::vector<SafetensorsEntry> ReadSafetensorsHeader(const MappedFile& file);

/// Bits an element of `dtype`, or 0 for a dtype that is not known.
BITLAW_EXPORT int SafetensorsBits(const std::string& dtype);

}  // namespace bitlaw
