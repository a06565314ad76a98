// Points of laws that start from what the unquantized model measures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "fit/output/prediction_output.h"
#include "fit/predict/point_answer.h"
#include "laws_for_tests.h"
#include "support/law_world.h"

namespace bitlaw {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Pair;

// World() by a law that starts from 16 bits: log2(16) = 4.
std::unique_ptr<FormulaLaw> AnchoredWorld() {
  return MakeFormula("baseline_acc_adj * exp(-exp(c) * N^a * (log2(B)^-b - 4^-b))",
                     {{"c", {0, 0}}, {"a", {0, 0}}, {"b", {0.01, 3}}}, "acc_adj");
}

FitSettings Quick() {
  FitSettings settings;
  settings.nulls = false;
  settings.random_starts = 8;
  return settings;
}

PointAnswer Answer(const Table& table, const std::string& point) {
  const PredictedStudy study(AnchoredWorld(), table, Quick());
  return AnswerPoint(study, ParsePoints(point).front());
}

std::string Refused(const Table& table, const std::string& point) {
  try {
    Answer(table, point);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSpec);
    return error.what();
  }
  return "";
}

TEST(AnchoredPoints, StartFromTheModelsOwnSixteenBitsInEachStratum) {
  // Of e only 16 bits are recorded: a new model to the law, which has its anchors all the same.
  const Table table = World([](const std::string& model, double bits) { return model != "e" || bits == 16; });
  for (const std::string point : {"model=e, B=3", "N=16e6, B=3"}) {
    const PointAnswer answer = Answer(table, point);
    EXPECT_EQ(answer.unit, "e");
    ASSERT_EQ(answer.strata.size(), 3u);
    for (const StratumAnswer& one : answer.strata) {
      if (one.stratum == "general") continue;
      EXPECT_THAT(one.anchors, ElementsAre(Pair("baseline_acc_adj", Truth(one.stratum, 16e6, 16)))) << point;
      EXPECT_NEAR(one.value(), Truth(one.stratum, 16e6, 3), 1e-6) << point;
      EXPECT_FALSE(one.prediction.is_known_unit);
      EXPECT_EQ(one.source, StratumAnswer::Source::kExtrapolated);  // N is above that of the others.
    }
  }
  const PointAnswer known = Answer(table, "model=b, B=5");
  EXPECT_TRUE(known.strata[0].prediction.is_known_unit);
  EXPECT_NEAR(known.strata[0].value(), Truth("KM", 2e6, 5), 1e-6);
  EXPECT_EQ(known.strata[0].source, StratumAnswer::Source::kInterpolated);
  const PointAnswer measured = Answer(table, "model=b, B=4");
  ASSERT_EQ(measured.strata[0].measured.size(), 1u);
  EXPECT_EQ(measured.strata[0].measured[0].label, "b bits=4");
}

TEST(AnchoredPoints, MayBringTheAccuracyOfAModelThatWasNotMeasured) {
  const Table table = World(All);
  const PointAnswer answer = Answer(table, "N=3e6, B=3, baseline_acc_adj=0.5");
  EXPECT_EQ(answer.unit, "");
  const double loss = std::log(Truth("KM", 3e6, 16) / Truth("KM", 3e6, 3));
  EXPECT_NEAR(answer.strata[0].value(), 0.5 * std::exp(-loss), 1e-6);
}

TEST(AnchoredPoints, AreRefusedWithoutAnUnquantizedModel) {
  EXPECT_EQ(Refused(World(All), "N=3e6, B=3"),
            "--at 'N=3e+06, B=3': law 'test' starts from what the unquantized model measures (baseline_acc_adj), and "
            "the point is of no recorded model. Run it, 'bitlaw run STUDY.yaml --only \"NAME none\"', or give "
            "baseline_acc_adj=VALUE. Recorded unquantized: a, b, c, d, e.");
  Table without = World([](const std::string& model, double bits) { return model != "c" || bits != 16; });
  std::vector<double> baseline = without.Numbers("baseline_value");
  for (size_t row = 0; row < baseline.size(); ++row) {
    if (without.TextAt("model", row) == "c") baseline[row] = std::nan("");
  }
  Table table("world");
  for (const TableColumn& column : without.columns()) {
    if (column.name != "baseline_value") table.Add(column);
  }
  table.AddNumbers("baseline_value", baseline);
  EXPECT_THAT(Refused(table, "model=c, B=5"),
              AllOf(HasSubstr("model 'c' is not recorded unquantized. Run it, 'bitlaw run STUDY.yaml --only \"c "
                              "none\"'"),
                    HasSubstr("Recorded unquantized: a, b, d, e.")));
}

TEST(AnchoredPoints, HaveNoValueWhereTheUnquantizedModelGuesses) {
  Table table = World(All);
  std::vector<double> baseline = table.Numbers("baseline_value");
  for (size_t row = 0; row < baseline.size(); ++row) {
    if (table.TextAt("model", row) == "a" && table.TextAt("stratum", row) == "KR") baseline[row] = 0;
  }
  Table guessing("world");
  for (const TableColumn& column : table.columns()) {
    if (column.name != "baseline_value") guessing.Add(column);
  }
  guessing.AddNumbers("baseline_value", baseline);
  const PointAnswer answer = Answer(guessing, "model=a, B=5");
  EXPECT_NEAR(answer.strata[0].value(), Truth("KM", 1e6, 5), 1e-6);
  EXPECT_EQ(answer.strata[1].why_none, "the unquantized model is at or below chance: baseline_acc_adj = 0");
  EXPECT_EQ(answer.strata[1].source, StratumAnswer::Source::kNone);
}

TEST(AnchoredPoints, AreWrittenWithTheirAnchors) {
  const PredictedStudy study(AnchoredWorld(), World(All), Quick());
  const Value json = PredictionsJson(study, {AnswerPoint(study, ParsePoints("model=b, B=5").front())}, 0.9);
  const Value& point = json.Find("points")->AsList().front();
  EXPECT_TRUE(point.Find("at")->Find("baseline_acc_adj")->is_null());
  EXPECT_EQ(point.Find("strata")->AsList().front().Find("baseline_acc_adj")->AsReal(), Truth("KM", 2e6, 16));
  EXPECT_NE(PrettyJson(json).find("\"baseline_acc_adj\": null"), std::string::npos);
}

// Nine models, each 15 % off in its noise, on 400 items that all trials of a model answer: an item that is right at 16
// bits stays right with probability 1 / (1 + noise). With `own_items` the 16 bits are measured on so many other items,
// and all rows of a model are off by that error.
Table Sampled(Rng& rng, int own_items) {
  constexpr int kItems = 400;
  std::vector<LawRow> rows;
  std::vector<std::string> quantizer;
  for (int m = 0; m < 9; ++m) {
    const std::string name = "m" + std::to_string(m);
    const double size = 1e6 * std::pow(1.7, m), off = std::exp(0.15 * rng.Normal()), right = 0.35 + 0.06 * m;
    std::vector<double> item;  // Below `right`: right at 16 bits.
    for (int i = 0; i < kItems; ++i) item.push_back(rng.Uniform());
    const auto add = [&](double bits, double noise, const std::string& how) {
      int correct = 0;
      for (const double one : item) correct += one < right && rng.Uniform() < 1 / (1 + noise) ? 1 : 0;
      const double share = static_cast<double>(correct) / kItems;
      rows.push_back({name, size, bits, share, std::sqrt(share * (1 - share) / kItems), kItems});
      quantizer.push_back(how);
    };
    add(16, 0, "none");
    if (own_items > 0) {
      int correct = 0;
      for (int i = 0; i < own_items; ++i) correct += rng.Uniform() < right ? 1 : 0;
      rows.back().acc_adj = static_cast<double>(correct) / own_items;
    }
    for (const double bits : {2.0, 2.5, 3.0, 3.5, 4.0, 6.0})
      add(bits, off * std::exp(6) * std::pow(size, -0.3) * std::pow(std::pow(2, bits) - 1, -2), "gptq");
  }
  Table table("sampled");
  AddLawRows(rows, table);
  table.AddTexts("quantizer", quantizer);
  return table;
}

// How often intervals hold what is measured at 3 bits: of a model of which only 16 bits are known, and of one of which
// all other bits are.
std::pair<int, int> Held(int studies, int own_items) {
  std::pair<int, int> held;
  for (int study = 0; study < studies; ++study) {
    Rng rng(40 + static_cast<uint64_t>(study));
    const Table all = Sampled(rng, own_items);
    const Table kept = all.Rows(
        all.Where(Expression::Parse("not (model == 'm8' and B < 16) and not (model == 'm3' and B == 3)")));
    auto law = MakeFormula("baseline_acc_adj / (1 + exp(c) * N^a * (2^B - 1)^-k)",
                           {{"c", {0, 0}}, {"a", {0, 0}}, {"k", {0, 0}}}, "acc_adj");
    FitSettings settings = Quick();
    settings.random_starts = 2;
    const PredictedStudy predicted(std::move(law), kept, settings);
    const auto holds = [&](const std::string& model) {
      const PointAnswer answer = AnswerPoint(predicted, ParsePoints("model=" + model + ", B=3").front());
      const Interval interval = answer.strata[0].interval();
      EXPECT_THAT(answer.strata[0].measured, IsEmpty());
      const size_t row = all.Where(Expression::Parse("model == '" + model + "' and B == 3")).front();
      const double measured = all.NumberAt("acc_adj", row);
      return measured >= interval.low && measured <= interval.high ? 1 : 0;
    };
    held.first += holds("m8");
    held.second += holds("m3");
  }
  return held;
}

// 0.9 of 150 is 135, with a standard error of 3.7.
TEST(AnchoredPoints, HaveIntervalsThatHoldNineOfTenOnTheSameItems) {
  const auto [held_new, held_known] = Held(150, 0);
  EXPECT_THAT(held_new, AllOf(Ge(124), Le(146)));
  EXPECT_THAT(held_known, AllOf(Ge(124), Le(146)));
}

TEST(AnchoredPoints, HaveIntervalsThatHoldNineOfTenWithTheAnchorsOwnError) {
  const auto [held_new, held_known] = Held(150, 100);
  EXPECT_THAT(held_new, AllOf(Ge(124), Le(146)));
  EXPECT_THAT(held_known, AllOf(Ge(124), Le(146)));
}

}  // namespace
}  // namespace bitlaw
