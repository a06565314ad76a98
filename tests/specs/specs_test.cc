#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "bitlaw/base/error.h"
#include "plan/plan.h"
#include "support/fixture_study.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> SpecsIn(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fs::path(BITLAW_SOURCE_DIR) / "tests/specs" / folder)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// What bitlaw says of a study: its faults, or the labels of its plan. Paths below tests/specs are relative.
std::string Reading(const fs::path& file) {
  fs::current_path(fs::path(BITLAW_SOURCE_DIR) / "tests/specs");
  std::string text;
  try {
    const Plan plan = MakePlan(ReadStudy(file, FixtureHost(), {}), FixtureHost());
    for (const Trial& trial : plan.trials) text += trial.label + "\n";
    for (const SkippedCell& cell : plan.skipped) text += "skipped " + cell.label + ": " + cell.reason + "\n";
    for (const std::string& note : plan.notes) text += "note: " + note + "\n";
  } catch (const Error& error) {
    text = std::string(error.what()) + "\n";
  }
  const std::string here = fs::current_path().string();
  for (size_t at; (at = text.find(here + "/")) != std::string::npos;) text.erase(at, here.size() + 1);
  for (size_t at; (at = text.find(here)) != std::string::npos;) text.replace(at, here.size(), "tests/specs");
  return text;
}

void ExpectText(const fs::path& file, const std::string& found) {
  if (std::getenv("BITLAW_UPDATE_EXPECTED") != nullptr) std::ofstream(file, std::ios::binary) << found;
  std::ifstream stream(file, std::ios::binary);
  ASSERT_TRUE(stream) << file << " is missing";
  std::ostringstream expected;
  expected << stream.rdbuf();
  EXPECT_EQ(found, expected.str());
}

class BadSpec : public ::testing::TestWithParam<std::string> {};
class GoodSpec : public ::testing::TestWithParam<std::string> {};

TEST_P(BadSpec, IsRefusedWithTheTextBesideIt) {
  if (!HasFixtureQuantizers()) GTEST_SKIP() << "the fixture quantizers need a build with libtorch";
  const std::string found = Reading("bad/" + GetParam() + ".yaml");
  ExpectText("bad/" + GetParam() + ".txt", found);
}

TEST_P(GoodSpec, MeansTheTrialsBesideIt) {
  if (!HasFixtureQuantizers()) GTEST_SKIP() << "the fixture quantizers need a build with libtorch";
  const std::string found = Reading("good/" + GetParam() + ".yaml");
  ExpectText("good/" + GetParam() + ".txt", found);
}

INSTANTIATE_TEST_SUITE_P(Files, BadSpec, ::testing::ValuesIn(SpecsIn("bad")),
                         [](const auto& test) { return test.param; });
INSTANTIATE_TEST_SUITE_P(Files, GoodSpec, ::testing::ValuesIn(SpecsIn("good")),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bitlaw
