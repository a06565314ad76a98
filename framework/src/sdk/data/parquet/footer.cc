#include "sdk/data/parquet/footer.h"

#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sdk/data/parquet/thrift_compact.h"

namespace bitlaw {

namespace {

using Field = ThriftReader::Field;

// ConvertedType of parquet.thrift.
void TakeConverted(int64_t number, ParquetElement& element) {
  switch (number) {
    case 0:
    case 4:
    case 19: element.meaning = ParquetMeaning::kText; return;  // UTF8, ENUM, JSON
    case 3: element.is_list = true; return;
    case 6: element.meaning = ParquetMeaning::kDate; return;
    case 9: element.meaning = ParquetMeaning::kMillis; return;
    case 10: element.meaning = ParquetMeaning::kMicros; return;
    case 11:
    case 12:
    case 13:
    case 14: element.meaning = ParquetMeaning::kUnsigned; return;
    case 15:
    case 16:
    case 17:
    case 18: return;  // INT_8 to INT_64
    default: break;
  }
  static const std::map<int64_t, const char*> kNames = {{1, "MAP"},  {2, "MAP_KEY_VALUE"}, {5, "DECIMAL"},  {7, "TIME"},
                                                        {8, "TIME"}, {20, "BSON"},         {21, "INTERVAL"}};
  const auto name = kNames.find(number);
  element.meaning = ParquetMeaning::kOther;
  element.annotation = name == kNames.end() ? "converted type " + std::to_string(number) : name->second;
}

// LogicalType, which says the same in newer files, and what has no converted type: nanoseconds.
void TakeLogical(ThriftReader& reader, const Field& field, ParquetElement& element) {
  const auto other = [&](const char* name) {
    element.meaning = ParquetMeaning::kOther;
    element.annotation = name;
    return false;
  };
  reader.SubStruct(field, [&](const Field& kind) {
    switch (kind.id) {
      case 1:
      case 4:
      case 12: element.meaning = ParquetMeaning::kText; return false;
      case 3: element.is_list = true; return false;
      case 6: element.meaning = ParquetMeaning::kDate; return false;
      case 8:
        reader.SubStruct(kind, [&](const Field& part) {
          if (part.id != 2) return false;
          reader.SubStruct(part, [&](const Field& unit) {
            element.meaning = unit.id == 1   ? ParquetMeaning::kMillis
                              : unit.id == 2 ? ParquetMeaning::kMicros
                                             : ParquetMeaning::kNanos;
            return false;
          });
          return true;
        });
        return true;
      case 10:
        reader.SubStruct(kind, [&](const Field& part) {
          if (part.id != 2) return false;
          element.meaning = reader.Bool(part) ? ParquetMeaning::kPlain : ParquetMeaning::kUnsigned;
          return true;
        });
        return true;
      case 2: return other("MAP");
      case 5: return other("DECIMAL");
      case 7: return other("TIME");
      case 13: return other("BSON");
      case 14: return other("UUID");
      case 15: return other("FLOAT16");
      default: return false;  // 11, UNKNOWN: a column of nulls
    }
  });
}

ParquetElement ReadElement(ThriftReader& reader, const Field& field) {
  ParquetElement element;
  element.is_group = true;  // A leaf has a type.
  reader.SubStruct(field, [&](const Field& part) {
    switch (part.id) {
      case 1: {
        const int64_t type = reader.Int(part);
        if (type < 0 || type > 7)
          reader.Fail("a column has the type " + std::to_string(type) + ", which Parquet lacks");
        element.type = static_cast<ParquetType>(type);
        element.is_group = false;
        return true;
      }
      case 2: element.type_length = reader.Int(part); return true;
      case 3: {
        const int64_t repetition = reader.Int(part);
        if (repetition < 0 || repetition > 2) reader.Fail("a column has the repetition " + std::to_string(repetition));
        element.repetition = static_cast<ParquetElement::Repetition>(repetition);
        return true;
      }
      case 4: element.name = reader.Binary(part); return true;
      case 5: element.children = reader.Int(part); return true;
      case 6: TakeConverted(reader.Int(part), element); return true;
      case 10: TakeLogical(reader, part, element); return true;
      default: return false;
    }
  });
  if (FindInvalidUtf8(element.name) != std::string::npos) reader.Fail("the name of a column is not UTF-8");
  return element;
}

ParquetChunk ReadChunk(ThriftReader& reader, const Field& field, const std::string& path) {
  ParquetChunk chunk;
  int64_t data = -1, dictionary = -1;
  bool has_metadata = false;
  reader.SubStruct(field, [&](const Field& part) {
    if (part.id == 1) {
      throw Error(ErrorKind::kUnsupported, path + ": keeps columns in another file, '" +
                                               std::string(reader.Binary(part)) + "'. Write it as one file.");
    }
    if (part.id == 8 || part.id == 9) {
      throw Error(ErrorKind::kUnsupported, path + ": has encrypted columns. Write it without encryption.");
    }
    if (part.id != 3) return false;
    has_metadata = true;
    reader.SubStruct(part, [&](const Field& entry) {
      switch (entry.id) {
        case 1: chunk.type = static_cast<ParquetType>(reader.Int(entry)); return true;
        case 4: chunk.codec = static_cast<ParquetCodec>(reader.Int(entry)); return true;
        case 5: chunk.values = reader.Int(entry); return true;
        case 7: chunk.size_bytes = reader.Int(entry); return true;
        case 9: data = reader.Int(entry); return true;
        case 11: dictionary = reader.Int(entry); return true;
        default: return false;
      }
    });
    return true;
  });
  if (!has_metadata) reader.Fail("a column has no description");
  chunk.begin = dictionary > 0 && dictionary < data ? dictionary : data;
  return chunk;
}

ParquetGroup ReadGroup(ThriftReader& reader, const Field& field, const std::string& path) {
  ParquetGroup group;
  reader.SubStruct(field, [&](const Field& part) {
    if (part.id == 1) {
      reader.List(part, [&](const Field& column) { group.chunks.push_back(ReadChunk(reader, column, path)); });
      return true;
    }
    if (part.id != 3) return false;
    group.rows = reader.Int(part);
    return true;
  });
  return group;
}

}  // namespace

ParquetFooter ReadParquetFooter(std::string_view bytes, const std::string& path) {
  if (bytes.substr(0, 4) == "PARE") {
    throw Error(ErrorKind::kUnsupported, path + ": is encrypted. Write it without encryption.");
  }
  if (bytes.size() < 12 || bytes.substr(0, 4) != "PAR1") {
    throw Error(ErrorKind::kIo, path + ": is not Parquet: it does not begin with 'PAR1'.");
  }
  if (bytes.substr(bytes.size() - 4) != "PAR1") {
    throw Error(ErrorKind::kIo, path + ": is cut off: it does not end with 'PAR1', as Parquet does. Get it anew.");
  }
  uint32_t size = 0;
  for (size_t i = 0; i < 4; ++i) {
    size |= static_cast<uint32_t>(static_cast<uint8_t>(bytes[bytes.size() - 8 + i])) << (8 * i);
  }
  if (size > bytes.size() - 12) {
    throw Error(ErrorKind::kIo, path + ": says that its footer has " + std::to_string(size) +
                                    " bytes, and the whole file has " + std::to_string(bytes.size()) +
                                    ". The file is cut off or damaged.");
  }
  ThriftReader reader(bytes.substr(bytes.size() - 8 - size, size), path + ": footer");
  ParquetFooter footer;
  reader.Struct([&](const Field& field) {
    switch (field.id) {
      case 2:
        reader.List(field, [&](const Field& element) { footer.schema.push_back(ReadElement(reader, element)); });
        return true;
      case 3: footer.rows = reader.Int(field); return true;
      case 4:
        reader.List(field, [&](const Field& group) { footer.groups.push_back(ReadGroup(reader, group, path)); });
        return true;
      default: return false;
    }
  });
  const auto data_end = static_cast<int64_t>(bytes.size()) - 8 - size;
  int64_t rows = 0;
  for (size_t g = 0; g < footer.groups.size(); ++g) {
    const ParquetGroup& group = footer.groups[g];
    for (const ParquetChunk& chunk : group.chunks) {
      if (chunk.values == 0) continue;  // Without pages it has no place.
      if (chunk.begin < 4 || chunk.size_bytes < 0 || chunk.begin > data_end ||
          chunk.size_bytes > data_end - chunk.begin || chunk.values < 0) {
        throw Error(ErrorKind::kIo, path + ": row group " + std::to_string(g) + ": a column of " +
                                        std::to_string(chunk.size_bytes) + " bytes at byte " +
                                        std::to_string(chunk.begin) +
                                        " does not lie in the file. The file is damaged.");
      }
    }
    if (group.rows < 0 || group.rows > footer.rows - rows) {
      throw Error(ErrorKind::kIo, path + ": has " + std::to_string(footer.rows) +
                                      " rows by its footer, and more by its row groups. The file is damaged.");
    }
    rows += group.rows;
  }
  if (rows != footer.rows) {
    throw Error(ErrorKind::kIo, path + ": has " + std::to_string(footer.rows) + " rows by its footer, and " +
                                    std::to_string(rows) + " by its row groups. The file is damaged.");
  }
  return footer;
}

}  // namespace bitlaw
