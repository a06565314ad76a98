#include "conformance/include_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

namespace bitlaw {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(IncludeRules, HoldInTheWholeProject) {
  const SourceTree sources = ReadSources(BITLAW_SOURCE_DIR);
  ASSERT_GT(sources.size(), 50u);
  ASSERT_TRUE(sources.contains("framework/src/plugin/host.cc"));
  EXPECT_THAT(IncludeFaults(sources), IsEmpty());
}

// Results are handed to a report; it makes none.
TEST(Report, CallsNoFit) {
  const std::regex call(R"(\b(FitLaws?|FitMethod|FitStudy|Analyze|Bootstrap|Validate|CompareLaws|Chow|Refitter)\()");
  for (const auto& [path, text] : ReadSources(BITLAW_SOURCE_DIR)) {
    if (!path.starts_with("framework/src/report/")) continue;
    EXPECT_FALSE(std::regex_search(text, call)) << path;
  }
}

// The faults of one file in a small project that is otherwise sound.
std::vector<std::string> FaultsOf(const std::string& path, const std::string& text) {
  SourceTree sources = {
      {"framework/include/bitlaw/base/error.h", "#include <string>\n"},
      {"framework/include/bitlaw/api/law.h", "#include \"bitlaw/base/error.h\"\n"},
      {"framework/include/bitlaw/api/model.h", "#include <ATen/core/Tensor.h>\n"},
      {"framework/include/bitlaw/sdk/grid.h", "#include \"bitlaw/api/model.h\"\n"},
      {"framework/src/plugin/host.h", "#include \"bitlaw/api/law.h\"\n"},
      {"framework/src/records/table.h", "#include \"plan/plan.h\"\n"},
      {"framework/src/plan/plan.h", "#include \"plugin/host.h\"\n"},
      {"framework/src/fit/estimate/law_fit.h", "#include \"records/table.h\"\n"},
      {"framework/src/fit/solve/line.h", "#include \"records/table.h\"\n"},
      {"framework/src/cli/session.h", "#include \"fit/estimate/law_fit.h\"\n"},
      {"plugins/laws/formula/formula_law.h", "#include \"bitlaw/api/law.h\"\n"},
      {"plugins/laws/other/other.h", "#include <bitlaw/api/law.h>\n"},
  };
  EXPECT_THAT(IncludeFaults(sources), IsEmpty());
  sources[path] = text;
  return IncludeFaults(sources);
}

TEST(IncludeRules, CatchAStepAgainstTheFlow) {
  EXPECT_THAT(
      FaultsOf("framework/src/plan/make.cc", "#include \"plan/plan.h\"\n\n#include \"records/table.h\"\n"),
      ElementsAre("framework/src/plan/make.cc:3: framework/src/plan may not include framework/src/records/table.h."));
  EXPECT_THAT(FaultsOf("framework/src/report/tables.cc", "#include \"cli/session.h\"\n"),
              ElementsAre("framework/src/report/tables.cc:1: framework/src/report may not include "
                          "framework/src/cli/session.h."));
}

TEST(IncludeRules, CatchARoomOfTheFitsThatLooksAhead) {
  EXPECT_THAT(FaultsOf("framework/src/fit/solve/line.cc", "#include \"fit/estimate/law_fit.h\"\n"),
              ElementsAre("framework/src/fit/solve/line.cc:1: framework/src/fit/solve may not include "
                          "framework/src/fit/estimate/law_fit.h."));
  EXPECT_THAT(FaultsOf("framework/src/fit/refit/kernels/lanes.cc", "#include \"fit/estimate/law_fit.h\"\n"), IsEmpty());
}

TEST(IncludeRules, CatchAReportThatFits) {
  EXPECT_THAT(FaultsOf("framework/src/report/tables.cc", "#include \"fit/solve/line.h\"\n"),
              ElementsAre("framework/src/report/tables.cc:1: framework/src/report may not include "
                          "framework/src/fit/solve/line.h."));
  EXPECT_THAT(FaultsOf("framework/src/report/tables.cc", "#include \"fit/estimate/law_fit.h\"\n"), IsEmpty());
}

TEST(IncludeRules, CatchAPublicHeaderThatLooksInside) {
  EXPECT_THAT(FaultsOf("framework/include/bitlaw/sdk/peek.h", "#include \"plugin/host.h\"\n"),
              ElementsAre("framework/include/bitlaw/sdk/peek.h:1: framework/include/bitlaw/sdk may not include "
                          "framework/src/plugin/host.h."));
  EXPECT_THAT(FaultsOf("framework/include/bitlaw/base/up.h", "#include \"bitlaw/api/law.h\"\n"),
              ElementsAre("framework/include/bitlaw/base/up.h:1: framework/include/bitlaw/base may not include "
                          "framework/include/bitlaw/api/law.h."));
}

TEST(IncludeRules, CatchAPluginThatLooksInsideOrAtAnother) {
  EXPECT_THAT(
      FaultsOf("plugins/laws/other/other.cc", "#include \"other.h\"\n#include \"fit/estimate/law_fit.h\"\n"),
      ElementsAre("plugins/laws/other/other.cc:2: plugins/laws/other may not include "
                  "framework/src/fit/estimate/law_fit.h."));
  EXPECT_THAT(FaultsOf("plugins/laws/other/other.cc", "#include \"../formula/formula_law.h\"\n"),
              ElementsAre("plugins/laws/other/other.cc:1: plugins/laws/other may not include "
                          "plugins/laws/formula/formula_law.h."));
}

TEST(IncludeRules, CatchALibraryAwayFromHome) {
  EXPECT_THAT(FaultsOf("framework/src/plan/make.cc", "#include <yaml-cpp/yaml.h>\n"),
              ElementsAre("framework/src/plan/make.cc:1: 'yaml-cpp/yaml.h' may not be included here."));
  EXPECT_THAT(FaultsOf("framework/src/records/json.h", "#include <nlohmann/json.hpp>\n"),
              ElementsAre("framework/src/records/json.h:1: 'nlohmann/json.hpp' may not be included here."));
  EXPECT_THAT(FaultsOf("framework/src/records/json.cc", "#include <nlohmann/json.hpp>\n"), IsEmpty());
  EXPECT_THAT(
      FaultsOf("framework/src/fit/solve/line.cc", "#include <gsl/gsl_fit.h>\n"),
      ElementsAre("framework/src/fit/solve/line.cc:1: 'gsl/gsl_fit.h' has no home in the table of include rules."));
  EXPECT_THAT(FaultsOf("framework/src/run/all.cc", "#include <torch/torch.h>\n"),
              ElementsAre("framework/src/run/all.cc:1: 'torch/torch.h' may not be included here."));
}

TEST(IncludeRules, CatchTorchBehindAHeader) {
  EXPECT_THAT(
      FaultsOf("framework/src/fit/solve/line.cc", "#include \"bitlaw/sdk/grid.h\"\n"),
      ElementsAre("framework/src/fit/solve/line.cc: builds without libtorch but includes bitlaw/sdk/grid.h, which "
                  "includes bitlaw/api/model.h, which includes ATen/core/Tensor.h."));
  EXPECT_THAT(FaultsOf("framework/src/quantize/walk.cc", "#include \"bitlaw/sdk/grid.h\"\n"), IsEmpty());
}

TEST(IncludeRules, CatchAHeaderThatIsNotThere) {
  EXPECT_THAT(FaultsOf("framework/src/fit/solve/line.cc", "#include <bitlaw/api/lawx.h>\n"),
              ElementsAre("framework/src/fit/solve/line.cc:1: <bitlaw/api/lawx.h> is no header of the project."));
}

TEST(IncludeRules, SeeIncludesHoweverTheyAreWritten) {
  EXPECT_THAT(FaultsOf("framework/src/plan/make.cc", "  #  include <CLI/CLI.hpp>  // why\n#include\"cli/session.h\""),
              testing::SizeIs(2));
}

}  // namespace
}  // namespace bitlaw
