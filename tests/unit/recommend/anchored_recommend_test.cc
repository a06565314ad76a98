// Recommendations by a law that starts from what the unquantized model measures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "laws_for_tests.h"
#include "recommend/recommend.h"
#include "support/law_world.h"

namespace bitlaw {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::unique_ptr<FormulaLaw> AnchoredWorld() {
  return MakeFormula("baseline_acc_adj * exp(-exp(c) * N^a * (log2(B)^-b - 4^-b))",
                     {{"c", {0, 0}}, {"a", {0, 0}}, {"b", {0.01, 3}}}, "acc_adj");
}

FitSettings Quick() {
  FitSettings settings;
  settings.random_starts = 8;
  return settings;
}

TEST(RecommendByAnAnchoredLaw, FindsAnOptimumThatWasNotMeasured) {
  const double most = 4.3e6;
  ASSERT_EQ(BestByTruth(most, 0.5, 0.5), "d bits=4");
  // Of d only 16 bits are recorded.
  const Table table = World([](const std::string& model, double bits) { return model != "d" || bits == 16; });
  CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  AddPoints(ParsePoints("model=d, B=4|8, size_bytes=4251000"), candidates);
  AddPoints(ParsePoints("model=c, B=6"), candidates);
  const PredictedStudy study(AnchoredWorld(), table, Quick(), true);
  Constraints constraints;
  constraints.most_weight_bytes = most;
  const Recommendation found = Recommend({candidates, table, &study}, constraints);
  ASSERT_EQ(found.predicted.size(), 3u);
  const auto of = [&](const std::string& label) {
    for (const Standing& one : found.predicted)
      if (one.label.starts_with(label)) return one;
    return Standing();
  };
  EXPECT_NEAR(of("model=d, B=4").score, (Truth("KM", 8e6, 4) + Truth("KR", 8e6, 4)) / 2, 1e-5);
  EXPECT_NEAR(of("model=d, B=4").Of("KR")->kept, Truth("KR", 8e6, 4) / Truth("KR", 8e6, 16), 1e-5);
  EXPECT_NEAR(of("model=c, B=6").score, (Truth("KM", 4e6, 6) + Truth("KR", 4e6, 6)) / 2, 1e-5);
  EXPECT_THAT(of("model=c, B=6").Of("KR")->beside, HasSubstr("measured at B = 4"));
}

TEST(RecommendByAnAnchoredLaw, SaysOfWhichModelItPredictsNothing) {
  const Table whole = World([](const std::string& model, double bits) { return model != "d" || bits < 16; });
  Table table("world");
  for (const TableColumn& column : whole.columns()) {
    if (column.name != "baseline_value") table.Add(column);
  }
  std::vector<double> baseline = whole.Numbers("baseline_value");
  for (size_t row = 0; row < baseline.size(); ++row) {
    if (table.TextAt("model", row) == "d") baseline[row] = std::nan("");
  }
  table.AddNumbers("baseline_value", baseline);
  CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  AddPoints(ParsePoints("model=d, B=5|6"), candidates);
  const PredictedStudy study(AnchoredWorld(), table, Quick(), true);
  const Recommendation found = Recommend({candidates, table, &study}, {});
  EXPECT_TRUE(found.predicted.empty());
  EXPECT_THAT(found.notes, Contains("Law 'test' predicts nothing of model 'd' in KM: no baseline_acc_adj of the model is "
                                    "recorded. It starts from what 'bitlaw run STUDY.yaml --only \"d none\"' measures."));
  EXPECT_EQ(found.notes.size(), 3u);  // KM, KR and general, once each.
}

}  // namespace
}  // namespace bitlaw
