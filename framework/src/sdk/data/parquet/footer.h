#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/data/parquet/compression.h"

namespace bitlaw {

/// The physical types of Parquet, by the numbers of the format.
enum class ParquetType : int64_t {
  kBool = 0,
  kInt32 = 1,
  kInt64 = 2,
  kInt96 = 3,
  kFloat = 4,
  kDouble = 5,
  kBytes = 6,
  kFixed = 7
};

/// What a value of a leaf stands for.
enum class ParquetMeaning { kPlain, kText, kUnsigned, kDate, kMillis, kMicros, kNanos, kOther };

/// One entry of the schema, which the footer has as a list in depth-first order.
struct ParquetElement {
  enum class Repetition : int64_t { kRequired = 0, kOptional = 1, kRepeated = 2 };
  std::string name;
  bool is_group = false, is_list = false;
  Repetition repetition = Repetition::kRequired;
  int64_t children = 0, type_length = 0;
  ParquetType type = ParquetType::kBool;
  ParquetMeaning meaning = ParquetMeaning::kPlain;
  std::string annotation;  ///< Of kOther, for errors: "DECIMAL".
};

/// Where the values of one leaf are in one row group. Offsets are in bytes from the beginning of the file.
struct ParquetChunk {
  ParquetType type = ParquetType::kBool;
  ParquetCodec codec = ParquetCodec::kNone;
  int64_t values = 0, begin = 0, size_bytes = 0;
};

struct ParquetGroup {
  int64_t rows = 0;
  std::vector<ParquetChunk> chunks;  ///< One a leaf, in the order of the schema.
};

struct ParquetFooter {
  int64_t rows = 0;
  std::vector<ParquetElement> schema;  ///< The first is the root.
  std::vector<ParquetGroup> groups;
};

/// The footer at the end of a Parquet file. `bytes` is the whole file, `path` its name in errors.
///
/// Errors   Error(kIo) for a file that is not Parquet, is cut off, or names places outside itself; Error(kUnsupported)
///          for an encrypted one and for columns in other files.
/// Source   Apache Parquet, parquet-format 2.10, parquet.thrift.
ParquetFooter ReadParquetFooter(std::string_view bytes, const std::string& path);

}  // namespace bitlaw
