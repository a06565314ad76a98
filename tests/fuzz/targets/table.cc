// Tables of observations: CSV, column maps, and the rows of benchmarks.
#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/data_rows.h"
#include "fit/table/column_map.h"
#include "fit/table/strata_data.h"
#include "fuzz/target.h"
#include "records/table.h"
#include "sdk/data/parquet/rows.h"

namespace bitlaw::fuzz {
namespace {

bool Same(const Table& a, const Table& b) {
  if (a.names() != b.names() || a.rows() != b.rows()) return false;
  for (size_t c = 0; c < a.columns().size(); ++c) {
    for (size_t row = 0; row < a.rows(); ++row) {
      if (a.CellText(a.columns()[c], row) != b.CellText(b.columns()[c], row)) return false;
    }
  }
  return true;
}

void Csv(std::string_view input) {
  const Table table = ParseCsv(input, "input.csv");
  const std::string text = WriteCsv(table);
  const Table again = ParseCsv(text, "written.csv");
  Require(Same(table, again), "CSV: what is written reads back to the same cells");
  Require(WriteCsv(again) == text, "CSV: what is read and written again is the same text");
  if (table.columns().empty()) return;
  const std::string first[] = {table.columns()[0].name};
  table.GroupBy(first);
  SplitStrata(WithAccuracy(table));
}

// Input: a CSV, %%%%, a map such as "N=params*1e9".
void ColumnMap(std::string_view input) {
  const auto parts = Parts(input, 2);
  const Table table = ParseCsv(parts[0], "input.csv");
  const Table mapped = MapColumns(table, std::string(parts[1]));
  Require(mapped.rows() == table.rows(), "map: rows stay");
  Require(mapped.columns().size() >= table.columns().size(), "map: columns are added or replaced");
}

// Input: the first letter of the file's ending (c, t; J: .json, z: .jsonl.gz; else jsonl), then the file.
void DataRows(std::string_view input) {
  if (input.empty()) return;
  const char* name = input[0] == 'c' ? "rows.csv" : input[0] == 't' ? "rows.tsv" : input[0] == 'J' ? "rows.json" : input[0] == 'z' ? "rows.jsonl.gz" : "rows.jsonl";
  for (const Value& row : ReadRows(WriteScratch(name, input.substr(1)))) {
    Require(row.is_map() && row.mark().line > 0, "data: each row is a map with a place");
  }
}

// Input: a Parquet file.
void Parquet(std::string_view input) {
  for (const Value& row : ParseParquet(input, "input.parquet")) {
    Require(row.is_map() && row.mark().line > 0, "parquet: each row is a map with a place");
    Require(ParseJson(row.CanonicalJson(), "row") == row, "parquet: a row is JSON");
  }
}

const Register kCsv("csv", Csv);
const Register kColumnMap("column_map", ColumnMap);
const Register kDataRows("data_rows", DataRows);
const Register kParquet("parquet", Parquet);

}  // namespace
}  // namespace bitlaw::fuzz
