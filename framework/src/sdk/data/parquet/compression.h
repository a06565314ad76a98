#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// How a page of a Parquet file is packed, by the numbers of the format.
enum class ParquetCodec : int64_t {
  kNone = 0,
  kSnappy = 1,
  kGzip = 2,
  kLzo = 3,
  kBrotli = 4,
  kLz4 = 5,
  kZstd = 6,
  kLz4Raw = 7
};

/// The `size_bytes` bytes that `packed` stands for. Errors: Error(kIo) "where: what" for bytes that are not packed so
/// or give another number of bytes; Error(kUnsupported) for a codec other than none, Snappy, gzip and Zstandard.
std::string Unpack(ParquetCodec codec, std::string_view packed, size_t size_bytes, const std::string& where);

/// The bytes of a whole .gz file, all its members one after the other. Errors: Error(kIo) with `where` for what is not
/// gzip or is cut off; Error(kBudget) above `max_bytes`.
BITLAW_EXPORT std::string Gunzip(std::string_view packed, size_t max_bytes, const std::string& where);

}  // namespace bitlaw
