#include "fit/study/study_laws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/fixture_study.h"

namespace bitlaw {
namespace {

LawSpec SpecOf(const std::string& name, const std::string& formula) {
  LawSpec spec;
  spec.name = name;
  spec.component = "formula";
  spec.given.Set("formula", formula);
  return spec;
}

const PluginHost& FormulaHost() {
  static const PluginHost* const kHost = [] {
    auto* host = new PluginHost(OwnFingerprint());
    host->LoadFile(BITLAW_TEST_PLUGIN_DIR "/bitlaw_law_formula.so");
    return host;
  }();
  return *kHost;
}

std::vector<std::string> FormulasOf(const OpenedLaws& opened) {
  std::vector<std::string> formulas;
  for (const auto& law : opened.laws) formulas.push_back(law->formula_text());
  return formulas;
}

std::vector<std::string> FaultsOf(const OpenedLaws& opened) {
  std::vector<std::string> faults;
  for (const auto& fault : opened.faults) faults.push_back(fault.law + ": " + fault.error.what());
  return faults;
}

TEST(StudyLaws, AreOpenedEachByItself) {
  const std::vector<LawSpec> specs = {SpecOf("size", "A * N^alpha"), SpecOf("broken", "A * ("), SpecOf("bits", "A * B^beta")};
  const OpenedLaws opened = OpenStudyLaws(specs, FormulaHost(), {});
  EXPECT_THAT(FormulasOf(opened), testing::ElementsAre("A * N^alpha", "A * B^beta"));
  EXPECT_THAT(FaultsOf(opened), testing::ElementsAre(testing::StartsWith("broken: ")));
}

TEST(StudyLaws, AreHeldWhereOneHasTheParameter) {
  const std::vector<LawSpec> specs = {SpecOf("size", "A * N^alpha"), SpecOf("bits", "A * B^beta")};
  const std::vector<HeldValue> fix = {{"beta", -1, ""}};
  const OpenedLaws opened = OpenStudyLaws(specs, FormulaHost(), fix);
  EXPECT_THAT(FormulasOf(opened), testing::ElementsAre("A * N^alpha", "A * B^beta with beta = -1"));
  EXPECT_THAT(FaultsOf(opened), testing::IsEmpty());
}

TEST(StudyLaws, AreNoneWhereANameToHoldIsOfNoLaw) {
  const std::vector<HeldValue> fix = {{"gamma", -1, ""}};
  const OpenedLaws opened = OpenStudyLaws({SpecOf("size", "A * N^alpha")}, FormulaHost(), fix);
  EXPECT_THAT(FormulasOf(opened), testing::IsEmpty());
  EXPECT_THAT(FaultsOf(opened), testing::ElementsAre(": fix: no law has a parameter 'gamma'. Parameters: A, alpha."));
  // It may be that of a law that cannot be opened: only that is said.
  const OpenedLaws other = OpenStudyLaws({SpecOf("size", "A * N^alpha"), SpecOf("broken", "gamma * (")}, FormulaHost(), fix);
  EXPECT_THAT(FormulasOf(other), testing::ElementsAre("A * N^alpha"));
  EXPECT_THAT(FaultsOf(other), testing::ElementsAre(testing::StartsWith("broken: ")));
}

TEST(StudyLaws, PassOverOtherNamesThatNoLawHas) {
  const std::vector<HeldValue> others = {{"gamma", 1, ""}, {"alpha", -0.5, ""}}, fix = {{"alpha", -0.3, ""}};
  const OpenedLaws opened = OpenStudyLaws({SpecOf("size", "A * N^alpha")}, FormulaHost(), fix, others);
  EXPECT_THAT(FormulasOf(opened), testing::ElementsAre("A * N^alpha with alpha = -0.3"));  // `fix` counts more.
  EXPECT_THAT(FaultsOf(opened), testing::IsEmpty());
}

TEST(StudyLaws, AreFaultedByNameWhereTheValueIsOutOfBounds) {
  LawSpec bounded = SpecOf("size", "A * N^alpha");
  bounded.given.Set("parameters", Value::Map{{"A", Value::Map{{"min", 0}, {"max", 10}}}, {"alpha", Value::Map{}}});
  const std::vector<HeldValue> fix = {{"A", 11, ""}};
  const OpenedLaws opened = OpenStudyLaws({bounded, SpecOf("bits", "A * B^beta")}, FormulaHost(), fix);
  EXPECT_THAT(FormulasOf(opened), testing::ElementsAre("A * B^beta with A = 11"));
  EXPECT_THAT(FaultsOf(opened), testing::ElementsAre("size: fix: A = 11 is outside the bounds [0, 10] of law 'size'. Give a "
                                                     "value within them."));
}

}  // namespace
}  // namespace bitlaw
