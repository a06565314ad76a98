// Patterns of task files against Python's re (goldens.jsonl, made by make_goldens.py).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/text_pattern.h"

namespace bitlaw {
namespace {

std::vector<nlohmann::json> Goldens() {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/patterns/goldens.jsonl");
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(nlohmann::json::parse(line));
  if (!lines.empty()) lines.erase(lines.begin());  // Provenance.
  return lines;
}

TEST(PatternParity, FindsWhatPythonFindsOrRefuses) {
  const auto goldens = Goldens();
  ASSERT_GT(goldens.size(), 800u);
  size_t compared = 0, refused = 0;
  for (const nlohmann::json& golden : goldens) {
    const std::string text = golden.at("pattern").get<std::string>();
    SCOPED_TRACE("pattern " + golden.at("pattern").dump());
    if (golden.contains("refused") || golden.at("found").is_null()) {
      EXPECT_THROW(TextPattern(text, {}), Error);
      ++refused;
      continue;
    }
    try {
      const TextPattern pattern(text, {});
      for (size_t i = 0; i < golden.at("texts").size(); ++i) {
        SCOPED_TRACE("text " + golden.at("texts")[i].dump());
        const std::string subject = golden.at("texts")[i].get<std::string>();
        EXPECT_EQ(pattern.FindAll(subject), golden.at("found")[i].get<std::vector<std::vector<std::string>>>());
        EXPECT_EQ(pattern.RemoveFrom(subject), golden.at("kept")[i].get<std::string>());
        ++compared;
      }
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
  }
  EXPECT_GT(compared, 4000u);
  EXPECT_GT(refused, 100u);
}

}  // namespace
}  // namespace bitlaw
