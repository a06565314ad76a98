#include "import/data_recipe.h"

#include <gtest/gtest.h>

#include <fstream>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

std::vector<DataRecipe> Recipes(const std::string& yaml) {
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const fs::path path = fs::temp_directory_path() / ("bitlaw_" + test + "_recipes.yaml");
  std::ofstream(path) << yaml;
  return ReadDataRecipes(path);
}

std::string Made(const std::string& fields, const std::string& row) {
  const auto recipes = Recipes("f.jsonl:\n  dataset: a/b\n  split: test\n  fields: " + fields + "\n");
  Value value = ParseJson(row, "row");
  value.set_mark({"rows.jsonl", 3, 1});
  return MakeDataFile(recipes.at(0), {value});
}

template <typename Body>
std::string ErrorOf(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    const std::string text = error.what();
    return text.substr(text.rfind("recipes.yaml:") == std::string::npos ? 0 : text.rfind("recipes.yaml:"));
  }
  return "(no error)";
}

TEST(DataRecipe, TakesQuotedCellsOfTsvAsPandasWritesThem) {
  // The first row of PopQA as the README of AlexTMallen/adaptive-retrieval (955749a) shows it, less some columns.
  const auto recipes = Recipes(
      "f.jsonl:\n  dataset: a/b\n  split: test\n  quoted: true\n  fields: {q: \"{{question}}\", a: {json: "
      "\"{{possible_answers}}\"}}\n");
  Value row = Value::Map{{"question", "What is George Rankin's occupation?"},
                         {"possible_answers", R"("[""politician"", ""political leader"", ""pol""]")"}};
  row.set_mark({"popQA/test.tsv", 2, 1});
  EXPECT_EQ(
      MakeDataFile(recipes.at(0), {row}),
      "{\"q\": \"What is George Rankin's occupation?\", \"a\": [\"politician\", \"political leader\", \"pol\"]}\n");
  row.Set("possible_answers", R"(["pol"])");
  row.Set("question", "\"Who?\"");
  EXPECT_EQ(MakeDataFile(recipes.at(0), {row}), "{\"q\": \"Who?\", \"a\": [\"pol\"]}\n");
  row.set_mark({"popQA/test.parquet", 2, 1});
  EXPECT_EQ(MakeDataFile(recipes.at(0), {row}), "{\"q\": \"\\\"Who?\\\"\", \"a\": [\"pol\"]}\n") << "there it is text";
}

TEST(DataRecipe, MakesEveryFormOfField) {
  EXPECT_EQ(
      Made("{q: \"{{a}}?\", c: {copy: d.e}, l: {list: [\"{{a}}\", \"no\"]}}", R"({"a": "x", "d": {"e": [1, null]}})"),
      "{\"q\": \"x?\", \"c\": [1, null], \"l\": [\"x\", \"no\"]}\n");
  EXPECT_EQ(Made("{i: {text: \"{{k}}\", among: labels}}", R"({"k": "C", "labels": ["A", "B", "C"]})"), "{\"i\": 2}\n");
  EXPECT_EQ(Made("{w: {whole: \"{{k}}\", minus: 1}, m: {marked: labels}}", R"({"k": " 2", "labels": [0, 0, 1, 0]})"),
            "{\"w\": 1, \"m\": 2}\n");
  EXPECT_EQ(Made("{j: {json: \"{{k}}\"}}", R"({"k": "[\"a\", 2]"})"), "{\"j\": [\"a\", 2]}\n");
  EXPECT_EQ(Made("{e: {each: l, clean: [[\" [title]\", \". \"], '\\[.*?\\]', [\"  \", \" \"]]}}",
                 R"({"l": [" one [title] two [step] three "]})"),
            "{\"e\": [\"one. two three\"]}\n");
}

TEST(DataRecipe, NamesTheRowThatDoesNotFit) {
  EXPECT_EQ(ErrorOf([] { Made("{i: {text: \"{{k}}\", among: labels}}", R"({"k": "D", "labels": ["A"]})"); }),
            "rows.jsonl:3:1: 'D' is none of 'labels' (field 'i').");
  EXPECT_EQ(ErrorOf([] { Made("{m: {marked: labels}}", R"({"labels": [1, 1]})"); }),
            "rows.jsonl:3:1: 'labels' marks 2 entries, where one is needed (field 'm').");
  EXPECT_EQ(ErrorOf([] { Made("{w: {whole: \"{{k}}\"}}", R"({"k": "two"})"); }),
            "rows.jsonl:3:1: 'two' is no whole number (field 'w').");
}

TEST(DataRecipe, RefusesWhatIsNoRecipeWithItsPlace) {
  EXPECT_EQ(ErrorOf([] { Made("{c: {kopy: d}}", "{}"); }),
            "recipes.yaml:4:22: 'kopy' is no part of a field. Did you mean 'copy'? Forms: copy, list, text, "
            "whole, marked, "
            "each, json; among, minus and clean beside them.");
  EXPECT_EQ(ErrorOf([] { Recipes("f.jsonl: {dataset: a/b, split: test}\n"); }),
            "recipes.yaml:1:10: 'f.jsonl' needs either fields or lines.");
}

TEST(DataRecipe, TheShippedOnesAreRead) {
  const auto recipes = ReadDataRecipes(std::string(BITLAW_SOURCE_DIR) + "/configs/sources.yaml");
  EXPECT_GE(recipes.size(), 20u);
}

TEST(DataRecipe, MakesLinesOfAText) {
  const auto recipes = Recipes("t.txt: {dataset: a/b, split: test, lines: \"{{text}}\"}\n");
  EXPECT_EQ(MakeDataFile(recipes.at(0), {Value(Value::Map{{"text", " = T = \n"}}), Value(Value::Map{{"text", ""}})}),
            " = T = \n\n");
}

}  // namespace
}  // namespace bitlaw
