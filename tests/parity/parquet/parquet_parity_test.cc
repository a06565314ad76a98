// Parquet files of public writers against the rows that public readers give for them (make_goldens.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/data/data_rows.h"
#include "sdk/data/parquet/rows.h"

namespace bitlaw {
namespace {

using ::testing::HasSubstr;

const std::string kFolder = std::string(BITLAW_SOURCE_DIR) + "/tests/parity/parquet/";

std::string BytesOf(const std::string& name) {
  std::ifstream file(kFolder + name, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

std::string ErrorOf(std::string_view bytes) {
  try {
    ParseParquet(bytes, "t.parquet");
  } catch (const Error& error) {
    return std::string(Name(error.kind())) + ": " + error.what();
  }
  return "(no error)";
}

TEST(ParquetParity, RowsAreThoseOfPublicReaders) {
  std::ifstream file(kFolder + "goldens.json");
  const nlohmann::json goldens = nlohmann::json::parse(file);
  ASSERT_GE(goldens.at("files").size(), 15u);
  size_t compared = 0;
  for (const auto& [name, golden] : goldens.at("files").items()) {
    SCOPED_TRACE(name + ", " + golden.at("what").get<std::string>());
    const std::vector<Value> rows = ReadRows(kFolder + name);
    ASSERT_EQ(rows.size(), golden.at("rows").size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].CanonicalJson(), ParseJson(golden.at("rows")[i].dump(), "golden").CanonicalJson())
          << "row " << i;
      EXPECT_EQ(rows[i].mark().line, static_cast<int>(i) + 1);
      ++compared;
    }
  }
  EXPECT_GT(compared, 1000u);
}

TEST(ParquetParity, RefusesWhatItDoesNotReadByNameAndColumn) {
  EXPECT_EQ(
      ErrorOf(BytesOf("brotli.parquet")),
      "unsupported: t.parquet: row group 0, column 'a': is packed by Brotli. Read are Snappy, gzip and Zstandard. "
      "Write the file anew with one of them.");
  EXPECT_EQ(
      ErrorOf(BytesOf("decimal.parquet")),
      "unsupported: t.parquet: row group 0, column 'a': its type is DECIMAL, which is not read. Convert the column or "
      "leave it out of the file.");
  EXPECT_EQ(ErrorOf(BytesOf("map.parquet")),
            "unsupported: t.parquet: column 'a' is a MAP, which is not read. Make structs or lists of it.");
  EXPECT_EQ(
      ErrorOf(BytesOf("bytes.parquet")),
      "unsupported: t.parquet: row group 0, column 'image.bytes': a value is not UTF-8 text: images, sounds and other "
      "bytes are not read. Leave the column out of the file.");
  EXPECT_EQ(ErrorOf(BytesOf("split.parquet")),
            "unsupported: t.parquet: row group 0, column 'a': its values are encoded by number 9 of Parquet's "
            "encodings, which "
            "is not read for this type. Write the file anew with the default encodings.");
}

TEST(Parquet, SaysWhatIsWrongWithAFileThatIsNone) {
  EXPECT_EQ(ErrorOf("question,answer\n"), "io: t.parquet: is not Parquet: it does not begin with 'PAR1'.");
  const std::string whole = BytesOf("arc.parquet");
  EXPECT_EQ(ErrorOf(whole.substr(0, whole.size() - 100)),
            "io: t.parquet: is cut off: it does not end with 'PAR1', as Parquet does. Get it anew.");
  std::string longer = whole;
  longer.replace(longer.size() - 8, 4, "\xFF\xFF\xFF\x7F");
  EXPECT_THAT(ErrorOf(longer), HasSubstr("says that its footer has 2147483647 bytes, and the whole file has "));
}

TEST(Parquet, NamesRowGroupAndColumnOfADamagedPage) {
  std::string bytes = BytesOf("plain.parquet");
  const size_t text = bytes.find(std::string("\6\0\0\0word 0", 10));  // The first of column 'text', after its length.
  ASSERT_NE(text, std::string::npos);
  bytes.replace(text, 4, "\xFF\xFF\xFF\x7F");
  EXPECT_EQ(ErrorOf(bytes),
            "io: t.parquet: row group 0, column 'text': the values end too early. The file is damaged.");
}

// Every byte of a file in turn: rows or an Error, never anything else.
TEST(Parquet, AnyChangedByteGivesRowsOrAnError) {
  size_t refused = 0;
  for (const char* name : {"arc.parquet", "nested_v2.parquet", "delta_pages.parquet"}) {
    const std::string whole = BytesOf(name);
    ASSERT_GT(whole.size(), 1000u);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
      refused += ErrorOf(bytes) != "(no error)";
    }
  }
  EXPECT_GT(refused, 1000u);
}

}  // namespace
}  // namespace bitlaw
