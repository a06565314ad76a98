// What a law's number comes with: outside of its rows, in a zone where accuracy was lost, of a model that it never saw.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fit/predict/point_answer.h"
#include "laws_for_tests.h"
#include "support/law_world.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

double Accuracy(double size, double bits) { return std::exp(-200 * std::pow(size, -0.4) / std::log2(bits)); }

StratumAnswer Answer(const PredictedStudy& study, const std::string& point) {
  return AnswerPoint(study, ParsePoints(point)[0]).strata.at(0);
}

// Eight models at 2, 3 and 4 bits; at 2 bits what is left has nothing to do with their size.
Table Collapsed() {
  std::vector<LawRow> rows;
  for (int m = 0; m < 8; ++m) {
    const double size = 1e6 * std::pow(2, m), lost = m % 2 == 0 ? 0.05 : 0.02;
    rows.push_back({std::string(1, static_cast<char>('a' + m)), size, 2, lost, 0.01, 500});
    for (const double bits : {3.0, 4.0})
      rows.push_back({rows.back().model, size, bits, Accuracy(size, bits), 0.02, 500});
  }
  Table table("t");
  AddLawRows(rows, table);
  return table;
}

TEST(PredictionWarnings, SayThatAPointIsInAZoneOrNextToOne) {
  const PredictedStudy study(TwoFactors(), Collapsed(), {});
  EXPECT_THAT(Answer(study, "N=3e6, B=2").Warning(), StartsWith("B == 2: structural collapse"));
  EXPECT_THAT(Answer(study, "N=3e6, B=2.5").Warning(), StartsWith("B = 2.5 is next to B == 2: structural collapse"));
  EXPECT_EQ(Answer(study, "N=3e6, B=3.5").Warning(), "");
  EXPECT_EQ(Name(Answer(study, "N=3e6, B=3.5").source), "interpolated");
  EXPECT_THAT(Answer(study, "N=3e6, B=1").Warning(), StartsWith("B = 1 is below 2 to 4"));
  // What was measured needs no warning.
  EXPECT_EQ(Answer(study, "model=a, B=2").Warning(), "");
}

// Larger models have more bits: each of 7 bits and a million weights is there, the two together are not.
TEST(PredictionWarnings, SayThatNoRowIsNearACombination) {
  std::vector<LawRow> rows;
  double off = 0.004;
  for (int m = 0; m < 5; ++m) {
    const double size = 1e6 * std::pow(2, m);
    for (const double bits : {2.0 + m, 3.0 + m}) {
      rows.push_back({std::string(1, static_cast<char>('a' + m)), size, bits, Accuracy(size, bits) + off, 0.02, 500});
      off = -off;
    }
  }
  Table table("t");
  AddLawRows(rows, table);
  const PredictedStudy study(TwoFactors(), std::move(table), {});
  const StratumAnswer far = Answer(study, "N=1e6, B=7");
  EXPECT_THAT(far.place.outside, IsEmpty());
  EXPECT_EQ(Name(far.source), "extrapolated");
  EXPECT_THAT(far.Warning(), StartsWith("each factor is within its range, but no row is near this combination"));
  EXPECT_EQ(Name(Answer(study, "N=3e6, B=4").source), "interpolated");
}

TEST(PredictionWarnings, SayWhyThereIsNoInterval) {
  std::vector<LawRow> rows;
  double off = 0.004;
  for (const auto& [model, size] : {std::pair("a", 1e6), std::pair("b", 4e6)}) {
    for (const double bits : {2.0, 3.0, 4.0, 8.0}) {
      rows.push_back({model, size, bits, Accuracy(size, bits) + off, 0.02, 500});
      off = -off;
    }
  }
  Table table("t");
  AddLawRows(rows, table);
  const PredictedStudy study(TwoFactors(), std::move(table), {});
  EXPECT_THAT(Answer(study, "N=2e6, B=3").Warning(), HasSubstr("no interval: 2 models are too few"));
  EXPECT_THAT(Answer(study, "model=a, B=3.5").Warning(), Not(HasSubstr("no interval")));
}

TEST(PredictionWarnings, SayWhichModelsTheLawNeverSaw) {
  std::vector<LawRow> rows;
  double off = 0.01;
  for (int m = 0; m < 5; ++m) {
    const double size = 1e6 * std::pow(2, m);
    for (const double bits : {2.0, 3.0, 4.0}) {
      rows.push_back({std::string(1, static_cast<char>('a' + m)), size, bits, Accuracy(size, bits) + off, 0.02, 500});
      off = -off;
    }
  }
  Table table("t");
  AddLawRows(rows, table);
  std::vector<double> held_out(rows.size(), 0);
  for (size_t row = 0; row < rows.size(); ++row) held_out[row] = rows[row].model == "e" ? 1 : 0;
  table.AddNumbers("hold_out", held_out);
  const PredictedStudy without(TwoFactors(), table, {}), with(TwoFactors(), table, {}, true);
  EXPECT_THAT(without.notes(),
              ElementsAre("Held out of the fit, so a new model to the law: e. --with-held-out fits it too."));
  EXPECT_THAT(with.notes(), IsEmpty());
  EXPECT_FALSE(Answer(without, "model=e, B=3.5").prediction.is_known_unit);
  EXPECT_TRUE(Answer(with, "model=e, B=3.5").prediction.is_known_unit);
  EXPECT_TRUE(Answer(without, "model=d, B=3.5").prediction.is_known_unit);
}

// Two models at one point of the law: what was measured is that of the one that is asked for.
TEST(AnswerPoint, TakesTheMeasurementOfTheModelThatIsNamed) {
  std::vector<LawRow> rows;
  for (const auto& [model, size] :
       {std::pair("a", 1e6), std::pair("b", 2e6), std::pair("c", 2e6), std::pair("d", 4e6)}) {
    for (const double bits : {2.0, 3.0, 4.0})
      rows.push_back({model, size, bits, Accuracy(size, bits) + (*model == 'c' ? 0.05 : 0), 0.02, 500});
  }
  Table table("t");
  AddLawRows(rows, table);
  const PredictedStudy study(TwoFactors(), std::move(table), {});
  EXPECT_DOUBLE_EQ(Answer(study, "model=b, B=3").value(), Accuracy(2e6, 3));
  EXPECT_DOUBLE_EQ(Answer(study, "model=c, B=3").value(), Accuracy(2e6, 3) + 0.05);
  EXPECT_EQ(Answer(study, "N=2e6, B=3").measured.size(), 2u);
}

}  // namespace
}  // namespace bitlaw
