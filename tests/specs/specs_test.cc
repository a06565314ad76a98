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

// A copy of the folder outside the source tree, where no other configs/ is found above it.
const ScratchFolder& Copy() {
  static const ScratchFolder* const kCopy = [] {
    auto* folder = new ScratchFolder;
    fs::copy(fs::path(BITLAW_SOURCE_DIR) / "tests/specs", folder->path(), fs::copy_options::recursive);
    std::atexit([] { fs::remove_all(Copy().path()); });
    return folder;
  }();
  return *kCopy;
}

// What bitlaw says of a study: its faults, or the labels of its plan, with paths relative to tests/specs.
std::string Reading(const std::string& folder, const std::string& name) {
  const fs::path home = Copy().path();
  fs::current_path(home / folder);
  std::string text;
  try {
    const Plan plan = MakePlan(ReadStudy(home / folder / (name + ".yaml"), FixtureHost(), {home}), FixtureHost());
    for (const Trial& trial : plan.trials) text += trial.label + "\n";
    for (const SkippedCell& cell : plan.skipped) text += "skipped " + cell.label + ": " + cell.reason + "\n";
    for (const std::string& note : plan.notes) text += "note: " + note + "\n";
  } catch (const Error& error) {
    text = std::string(error.what()) + "\n";
  }
  for (size_t at; (at = text.find(home.string() + "/")) != std::string::npos;) text.erase(at, home.string().size() + 1);
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
  const std::string found = Reading("bad", GetParam());
  ExpectText(fs::path(BITLAW_SOURCE_DIR) / "tests/specs/bad" / (GetParam() + ".txt"), found);
}

TEST_P(GoodSpec, MeansTheTrialsBesideIt) {
  if (!HasFixtureQuantizers()) GTEST_SKIP() << "the fixture quantizers need a build with libtorch";
  const std::string found = Reading("good", GetParam());
  ExpectText(fs::path(BITLAW_SOURCE_DIR) / "tests/specs/good" / (GetParam() + ".txt"), found);
}

INSTANTIATE_TEST_SUITE_P(Files, BadSpec, ::testing::ValuesIn(SpecsIn("bad")),
                         [](const auto& test) { return test.param; });
INSTANTIATE_TEST_SUITE_P(Files, GoodSpec, ::testing::ValuesIn(SpecsIn("good")),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace bitlaw
