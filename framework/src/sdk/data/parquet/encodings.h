#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/value.h"
#include "sdk/data/parquet/footer.h"

namespace bitlaw {

/// Numbers of `bit_width` bits in runs, each of one value or packed bit by bit: levels, indices of dictionaries,
/// booleans. Error(kIo) "where: what" where the bytes end before the numbers asked for.
/// Source   parquet-format 2.10, Encodings.md, RLE/bit-packing hybrid.
class HybridReader {
 public:
  /// `bytes` must outlive it. 0 to 32 bits.
  HybridReader(std::string_view bytes, int bit_width, std::string where);
  uint32_t Next();

 private:
  void BeginRun();

  std::string_view bytes_;
  int bit_width_;
  std::string where_;
  size_t at_ = 0;
  uint64_t repeated_ = 0, packed_ = 0;  ///< What is left of the run.
  uint32_t value_ = 0;
  size_t bit_ = 0;  ///< Of the packed run, from byte at_.
};

/// What a leaf's values are, and how errors name it.
struct ParquetLeaf {
  ParquetType type = ParquetType::kBool;
  ParquetMeaning meaning = ParquetMeaning::kPlain;
  int64_t type_length = 0;
  std::string annotation, name;
  int max_definition = 0, max_repetition = 0;
};

/// How the values of a page are written, by the numbers of the format.
enum class ParquetEncoding : int64_t {
  kPlain = 0,
  kPlainDictionary = 2,
  kRle = 3,
  kBitPacked = 4,
  kDeltaBinary = 5,
  kDeltaLength = 6,
  kDeltaBytes = 7,
  kDictionary = 8,
  kByteStreamSplit = 9
};

/// Values that take more memory than a true file of this size has: counted over a whole file.
struct ParquetBudget {
  int64_t values = 0, text_bytes = 0;
};

/// Appends `count` values of a page, encoded in any way but by dictionary, as JSON has them: texts, integers, reals,
/// true and false; NaN and infinities as null, unsigned integers above int64 as their digits, moments as milliseconds
/// since 1970.
///
/// Errors   Error(kIo) "where: what" for bytes that end too early or are no such encoding, and text that is not UTF-8;
///          Error(kUnsupported) for encodings and types without a place in JSON; Error(kBudget) above `budget`.
void DecodeValues(std::string_view bytes, ParquetEncoding encoding, int64_t count, const ParquetLeaf& leaf,
                  const std::string& where, ParquetBudget& budget, std::vector<Value>& values);

/// Takes the bytes of a value off the budget. Error(kBudget) if it is spent.
void Spend(const Value& value, const std::string& where, ParquetBudget& budget);

}  // namespace bitlaw
