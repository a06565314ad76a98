#include "bitlaw/sdk/data/data_rows.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "base/json_text.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/csv_scanner.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sdk/data/data_bytes.h"
#include "sdk/data/parquet/rows.h"

namespace bitlaw {

namespace {

// Fields between tabs as they stand; a line without anything is no record.
std::vector<std::vector<CsvCell>> SplitTsv(std::string_view text) {
  std::vector<std::vector<CsvCell>> records;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view row = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (row.empty()) continue;
    records.emplace_back();
    for (size_t at = 0; at <= row.size();) {
      const size_t tab = std::min(row.find('\t', at), row.size());
      records.back().push_back({std::string(row.substr(at, tab - at)), line, static_cast<int>(at) + 1});
      at = tab + 1;
    }
  }
  return records;
}

std::vector<std::vector<CsvCell>> SplitCsv(CsvScanner& scanner) {
  std::vector<std::vector<CsvCell>> records;
  while (!scanner.AtEnd()) {
    std::vector<CsvCell> record = scanner.ReadRecord();
    const bool blank = record.size() == 1 && record[0].text.empty() && !record[0].is_quoted;
    if (!blank) records.push_back(std::move(record));
  }
  return records;
}

Value CellValue(const std::string& cell) {
  int64_t number = 0;
  const auto [end, status] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  // Only a text that the number gives back: "007" and "-0" stay texts.
  const bool whole = status == std::errc() && end == cell.data() + cell.size() && std::to_string(number) == cell;
  return whole ? Value(number) : Value(cell);
}

// The ending that says what a file holds, "" if it has none: of "a.json.gz" it is ".json".
std::string EndingOf(const std::filesystem::path& path) {
  const std::string ending = path.extension().string();
  return ending == ".gz" ? path.stem().extension().string() : ending;
}

// A .json file is a list of objects or, as often, JSON lines under another name.
std::vector<Value> ReadJsonFile(const std::filesystem::path& path) {
  const std::string text = ReadTextFile(path);
  if (!TrimLeft(text).starts_with('[')) return ReadJsonl(path);
  Value list = ParseJson(text, path.string(), LargeIntegers::kText);
  std::vector<Value> rows = std::move(list.AsList());
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string where = path.string() + ":" + std::to_string(i + 1);
    if (!rows[i].is_map()) {
      throw Error(ErrorKind::kIo, where + ": the entry of the list is " + std::string(Article(rows[i].type())) +
                                      ". Each entry is a JSON object: {\"field\": value, ...}.");
    }
    rows[i].set_mark({path.string(), static_cast<int>(i) + 1, 1});
  }
  return rows;
}

}  // namespace

std::vector<Value> ReadRows(const std::filesystem::path& path) {
  const std::string ending = EndingOf(path);
  if (ending == ".parquet") return ReadParquet(path);
  if (ending == ".arrow") {
    throw Error(ErrorKind::kIo, path.string() +
                                    ": Arrow files are not read. Write Parquet of it: python3 -c \"from datasets "
                                    "import Dataset; Dataset.from_file('" +
                                    path.string() + "').to_parquet('" + path.stem().string() + ".parquet')\"");
  }
  if (ending == ".json") return ReadJsonFile(path);
  if (ending != ".csv" && ending != ".tsv") return ReadJsonl(path);
  const std::string text = ReadTextFile(path);
  const std::string origin = path.string();
  CsvScanner scanner(text, origin);
  const std::vector<std::vector<CsvCell>> records = ending == ".csv" ? SplitCsv(scanner) : SplitTsv(text);
  std::vector<Value> rows;
  if (records.empty()) return rows;
  const std::vector<CsvCell>& header = records.front();
  const std::vector<std::string> names = CsvColumnNames(scanner, header);
  for (size_t r = 1; r < records.size(); ++r) {
    std::vector<CsvCell> record = records[r];
    FitCsvWidth(scanner, header, record);
    Value::Map row;
    for (size_t i = 0; i < names.size(); ++i) row.emplace_back(names[i], CellValue(record[i].text));
    rows.emplace_back(std::move(row));
    rows.back().set_mark({origin, record[0].line, 1});
  }
  return rows;
}

}  // namespace bitlaw
