#include "sdk/data/parquet/column.h"

#include <bit>
#include <cstring>

#include "bitlaw/base/error.h"
#include "sdk/data/parquet/thrift_compact.h"

namespace bitlaw {

namespace {

using Field = ThriftReader::Field;

constexpr int64_t kMaxPageBytes = int64_t{256} << 20;

struct PageHeader {
  int64_t type = -1, unpacked_bytes = -1, packed_bytes = -1;
  int64_t values = -1, encoding = -1, definition_encoding = 3, repetition_encoding = 3;
  // Version 2: levels stand before the values and are never packed.
  int64_t definition_bytes = 0, repetition_bytes = 0;
  bool is_packed = true;
};
enum : int64_t { kDataPage = 0, kIndexPage = 1, kDictionaryPage = 2, kDataPageV2 = 3 };

PageHeader ReadHeader(ThriftReader& reader) {
  PageHeader header;
  reader.Struct([&](const Field& field) {
    switch (field.id) {
      case 1: header.type = reader.Int(field); return true;
      case 2: header.unpacked_bytes = reader.Int(field); return true;
      case 3: header.packed_bytes = reader.Int(field); return true;
      case 5:
      case 7:  // A data page or a dictionary
        reader.SubStruct(field, [&](const Field& part) {
          switch (part.id) {
            case 1: header.values = reader.Int(part); return true;
            case 2: header.encoding = reader.Int(part); return true;
            case 3:
              if (field.id == 7) return false;
              header.definition_encoding = reader.Int(part);
              return true;
            case 4: header.repetition_encoding = reader.Int(part); return true;
            default: return false;
          }
        });
        return true;
      case 8:
        reader.SubStruct(field, [&](const Field& part) {
          switch (part.id) {
            case 1: header.values = reader.Int(part); return true;
            case 4: header.encoding = reader.Int(part); return true;
            case 5: header.definition_bytes = reader.Int(part); return true;
            case 6: header.repetition_bytes = reader.Int(part); return true;
            case 7: header.is_packed = reader.Bool(part); return true;
            default: return false;
          }
        });
        return true;
      default: return false;
    }
  });
  return header;
}

// A page's values with levels, from its unpacked parts.
class ColumnReader {
 public:
  ColumnReader(const ParquetLeaf& leaf, const std::string& where, ParquetBudget& budget)
      : leaf_(leaf), where_(where), budget_(budget) {}

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorKind::kIo, where_ + ": " + what + " The file is damaged.");
  }

  void TakeDictionary(const PageHeader& header, std::string_view page) {
    if (has_dictionary_) Fail("the column has a second dictionary.");
    has_dictionary_ = true;
    const auto encoding = static_cast<ParquetEncoding>(header.encoding);
    const bool is_plain = encoding == ParquetEncoding::kPlain || encoding == ParquetEncoding::kPlainDictionary;
    DecodeValues(page, is_plain ? ParquetEncoding::kPlain : encoding, header.values, leaf_, where_, budget_,
                 dictionary_);
  }

  // Version 1: levels with their length in front, packed together with the values.
  void TakeData(const PageHeader& header, std::string_view page) {
    const auto level_bytes = [&](int max, int64_t encoding) {
      if (max == 0) return std::string_view();
      if (encoding != static_cast<int64_t>(ParquetEncoding::kRle)) {
        throw Error(ErrorKind::kUnsupported,
                    where_ + ": its levels are bit-packed as writers before 2014 did. Write the file anew.");
      }
      uint32_t size = 0;
      if (page.size() < sizeof size) Fail("a page ends before its levels.");
      std::memcpy(&size, page.data(), sizeof size);
      page.remove_prefix(sizeof size);
      if (size > page.size()) Fail("levels of " + std::to_string(size) + " bytes do not fit into their page.");
      const std::string_view levels = page.substr(0, size);
      page.remove_prefix(size);
      return levels;
    };
    const std::string_view repetitions = level_bytes(leaf_.max_repetition, header.repetition_encoding);
    const std::string_view definitions = level_bytes(leaf_.max_definition, header.definition_encoding);
    Take(header, repetitions, definitions, page);
  }

  void Take(const PageHeader& header, std::string_view repetitions, std::string_view definitions,
            std::string_view page) {
    AddLevels(repetitions, leaf_.max_repetition, header.values, column_.repetitions);
    const size_t before = column_.definitions.size();
    AddLevels(definitions, leaf_.max_definition, header.values, column_.definitions);
    int64_t there = 0;
    for (size_t i = before; i < column_.definitions.size(); ++i)
      there += column_.definitions[i] == leaf_.max_definition;
    const auto encoding = static_cast<ParquetEncoding>(header.encoding);
    if (encoding != ParquetEncoding::kDictionary && encoding != ParquetEncoding::kPlainDictionary) {
      DecodeValues(page, encoding, there, leaf_, where_, budget_, column_.values);
      return;
    }
    if (!has_dictionary_) Fail("a page takes its values from a dictionary that is not there.");
    if (there == 0) return;
    if (page.empty()) Fail("a page ends before its values.");
    HybridReader indices(page.substr(1), static_cast<uint8_t>(page[0]), where_);
    for (int64_t i = 0; i < there; ++i) {
      const uint32_t index = indices.Next();
      if (index >= dictionary_.size()) {
        Fail("entry " + std::to_string(index) + " is asked of a dictionary of " + std::to_string(dictionary_.size()) +
             ".");
      }
      Spend(dictionary_[index], where_, budget_);
      column_.values.push_back(dictionary_[index]);
    }
  }

  ParquetColumn& column() { return column_; }

 private:
  void AddLevels(std::string_view bytes, int max, int64_t count, std::vector<uint8_t>& levels) {
    if (max == 0) {
      levels.resize(levels.size() + static_cast<size_t>(count), 0);
      return;
    }
    HybridReader reader(bytes, std::bit_width(static_cast<unsigned>(max)), where_);
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t level = reader.Next();
      if (level > static_cast<uint32_t>(max)) {
        Fail("a level is " + std::to_string(level) + ", and the schema has " + std::to_string(max) + ".");
      }
      levels.push_back(static_cast<uint8_t>(level));
    }
  }

  const ParquetLeaf& leaf_;
  const std::string& where_;
  ParquetBudget& budget_;
  std::vector<Value> dictionary_;
  bool has_dictionary_ = false;
  ParquetColumn column_;
};

}  // namespace

ParquetColumn ReadParquetColumn(std::string_view bytes, const ParquetChunk& chunk, const ParquetLeaf& leaf,
                                const std::string& where, ParquetBudget& budget) {
  if (chunk.values == 0) return {};
  std::string_view rest = bytes.substr(static_cast<size_t>(chunk.begin), static_cast<size_t>(chunk.size_bytes));
  ColumnReader column(leaf, where, budget);
  if (chunk.type != leaf.type) column.Fail("the row group gives it another type than the schema.");
  for (int64_t left = chunk.values; left > 0;) {
    ThriftReader reader(rest, where + ": page header");
    const PageHeader header = ReadHeader(reader);
    rest.remove_prefix(reader.at());
    if (header.packed_bytes < 0 || header.packed_bytes > static_cast<int64_t>(rest.size())) {
      column.Fail("a page of " + std::to_string(header.packed_bytes) + " bytes does not fit into its column.");
    }
    if (header.unpacked_bytes < 0 || header.unpacked_bytes > kMaxPageBytes) {
      throw Error(ErrorKind::kBudget, where + ": a page has " + std::to_string(header.unpacked_bytes) +
                                          " bytes unpacked. At most " + std::to_string(kMaxPageBytes) +
                                          " are accepted.");
    }
    const std::string_view packed = rest.substr(0, static_cast<size_t>(header.packed_bytes));
    rest.remove_prefix(packed.size());
    if (header.type == kIndexPage) continue;
    if (header.type != kDataPage && header.type != kDataPageV2 && header.type != kDictionaryPage) {
      column.Fail("there is no page of type " + std::to_string(header.type) + ".");
    }
    if (header.values < 0 || header.values > budget.values) {
      throw Error(header.values < 0 ? ErrorKind::kIo : ErrorKind::kBudget,
                  where + ": a page says that it has " + std::to_string(header.values) +
                      " values, far more than a file of this size holds. The file is damaged or hostile.");
    }
    budget.values -= header.values;
    const auto unpacked_bytes = static_cast<size_t>(header.unpacked_bytes);
    if (header.type == kDictionaryPage) {
      column.TakeDictionary(header, Unpack(chunk.codec, packed, unpacked_bytes, where));
      continue;
    }
    if (header.values > left) {
      column.Fail("its pages have more values than the " + std::to_string(chunk.values) + " of the row group.");
    }
    left -= header.values;
    if (header.type == kDataPage) {
      column.TakeData(header, Unpack(chunk.codec, packed, unpacked_bytes, where));
      continue;
    }
    const int64_t size = static_cast<int64_t>(packed.size()),
                  of_levels = header.repetition_bytes + header.definition_bytes;
    if (header.repetition_bytes < 0 || header.definition_bytes < 0 || header.repetition_bytes > size ||
        header.definition_bytes > size - header.repetition_bytes || of_levels > header.unpacked_bytes) {
      column.Fail("levels do not fit into their page.");
    }
    const auto begin = static_cast<size_t>(of_levels), of_repetition = static_cast<size_t>(header.repetition_bytes);
    const std::string_view values = packed.substr(begin);
    // Nothing is packed to nothing by some writers, whatever the codec.
    const bool is_packed = header.is_packed && !(values.empty() && unpacked_bytes == begin);
    column.Take(header, packed.substr(0, of_repetition), packed.substr(of_repetition, begin - of_repetition),
                Unpack(is_packed ? chunk.codec : ParquetCodec::kNone, values, unpacked_bytes - begin, where));
  }
  return std::move(column.column());
}

}  // namespace bitlaw
