// The studies of the knowledge lab have the configurations that their heads promise.
#include <gtest/gtest.h>

#include <map>

#include "bitlaw/base/value.h"
#include "study_fixture.h"

namespace bitlaw {
namespace {

class LabStudies : public StudyFolder {
 protected:
  // Trials of each quantizer, as `plan` lists them.
  std::map<std::string, size_t> Trials(const std::string& study) const {
    const ProgramEnd end =
        StartedProgram({"plan", BITLAW_SOURCE_DIR "/configs/studies/" + study + ".yaml", "--json"}, folder_).Wait();
    EXPECT_EQ(end.exit_code, 0) << end.err;
    std::map<std::string, size_t> counts;
    if (end.exit_code != 0) return counts;
    const Value plan = ParseJson(end.out, "plan");
    for (const Value& trial : plan.Find("trials")->AsList()) ++counts[trial.Find("quantizer")->AsString()];
    return counts;
  }
};

using Counts = std::map<std::string, size_t>;

TEST_F(LabStudies, TheMainOneHas293ConfigurationsOfSixSizes) {
  EXPECT_EQ(Trials("lab-293"), (Counts{{"none", 6}, {"gptq", 293}, {"rtn", 72}}));
}

TEST_F(LabStudies, ThatOfArchitecturesHas42OfEachFamily) {
  EXPECT_EQ(Trials("lab-architectures"), (Counts{{"none", 6}, {"gptq", 84}}));
}

TEST_F(LabStudies, TheQuickstartIsASweepOfSixSizes) {
  EXPECT_EQ(Trials("quickstart"), (Counts{{"none", 6}, {"gptq", 96}, {"rtn", 24}}));
}

}  // namespace
}  // namespace bitlaw
