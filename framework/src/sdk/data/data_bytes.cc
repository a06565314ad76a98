#include "sdk/data/data_bytes.h"

#include "bitlaw/base/regular_file.h"
#include "sdk/data/parquet/compression.h"

namespace bitlaw {

std::string ReadDataBytes(const std::filesystem::path& path, uint64_t max_bytes) {
  std::string bytes = ReadRegularFile(path, max_bytes);
  return path.extension() == ".gz" ? Gunzip(bytes, max_bytes, path.string()) : bytes;
}

}  // namespace bitlaw
