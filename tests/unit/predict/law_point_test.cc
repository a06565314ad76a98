#include "fit/predict/law_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
#include "fit/predict/point_answer.h"
#include "laws_for_tests.h"
#include "report/prediction_table.h"
#include "support/law_world.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Texts(const std::vector<LawPoint>& points) {
  std::vector<std::string> texts;
  for (const LawPoint& point : points) texts.push_back(point.Text());
  return texts;
}

std::string Refused(auto&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ParsePoints, ReadsNumbersListsAndRanges) {
  EXPECT_THAT(Texts(ParsePoints("N=1.7e9, B=3")), ElementsAre("N=1.7e+09, B=3"));
  EXPECT_THAT(Texts(ParsePoints("B=2|4,G=32|64")), ElementsAre("B=2, G=32", "B=2, G=64", "B=4, G=32", "B=4, G=64"));
  EXPECT_THAT(Texts(ParsePoints("B=2..4")), ElementsAre("B=2", "B=3", "B=4"));
  EXPECT_THAT(Texts(ParsePoints("B=1..2..0.5")), ElementsAre("B=1", "B=1.5", "B=2"));
  EXPECT_THAT(Texts(ParsePoints("G=32..130*2")), ElementsAre("G=32", "G=64", "G=128"));
  EXPECT_THAT(Texts(ParsePoints("model=small-2|'7',B=3")), ElementsAre("model=small-2, B=3", "model=7, B=3"));
}

TEST(ParsePoints, ShowsThePartThatCannotBeRead) {
  const std::string advice =
      " Write numbers, lists and ranges: 'N=1.7e9, B=2|3|4, G=32..128*2, Cb=128', or the name of a model: model=NAME.";
  EXPECT_EQ(Refused([] { ParsePoints("B"); }), "--at: 'B' is not NAME=VALUE." + advice);
  EXPECT_EQ(Refused([] { ParsePoints("B=4..2"); }), "--at: 'B=4..2' is a range that does not rise." + advice);
  EXPECT_EQ(Refused([] { ParsePoints("B=2|x"); }), "--at: 'B=2|x' mixes numbers and words." + advice);
  EXPECT_EQ(Refused([] { ParsePoints("B=2,B=3"); }), "--at: 'B=3' gives 'B' a second time." + advice);
  EXPECT_EQ(Refused([] { ParsePoints("B=2||3"); }), "--at: 'B=2||3' has an empty value." + advice);
  EXPECT_EQ(Refused([] { ParsePoints("B=1..1e9"); }), "--at: 'B=1..1e9' has more than 10000 values." + advice);
  EXPECT_EQ(Refused([] { ParsePoints(" "); }), "--at: ' ' names no factor." + advice);
}

// Four models x 2, 3, 4 bits; of d nothing but 4 bits.
Table Study() {
  std::vector<LawRow> rows;
  double off = 0.03;
  for (const auto& [name, size] :
       {std::pair("a", 1e6), std::pair("b", 2e6), std::pair("c", 4e6), std::pair("d", 8e6)}) {
    for (const double bits : {2.0, 3.0, 4.0}) {
      if (std::string(name) == "d" && bits < 4) continue;
      rows.push_back({name, size, bits, std::exp(-200 * std::pow(size, -0.4) / std::log2(bits)) + off, 0.02, 500});
      off = -off;
    }
  }
  Table table("t");
  AddLawRows(rows, table);
  return table;
}

TEST(CovariatesAt, FollowFromTheModel) {
  const auto law = TwoFactors();
  const Table table = Study();
  EXPECT_THAT(CovariatesAt(ParsePoints("model=b,B=3")[0], *law, table), ElementsAre(2e6, 3));
  EXPECT_THAT(CovariatesAt(ParsePoints("model=d")[0], *law, table), ElementsAre(8e6, 4));  // All that d has.
  EXPECT_EQ(Refused([&] { CovariatesAt(ParsePoints("B=3")[0], *law, table); }),
            "--at 'B=3': law 'test' needs N (recorded: 1e+06, 2e+06, 4e+06, 8e+06) too. Add NAME=VALUE for each.");
  EXPECT_EQ(Refused([&] { CovariatesAt(ParsePoints("model=e,B=3")[0], *law, table); }),
            "--at: no row has model = 'e'. Recorded: a, b, c, d.");
  EXPECT_THAT(Refused([&] { CovariatesAt(ParsePoints("bits=3,N=2")[0], *law, table); }),
              HasSubstr("--at: 'bits' is no column of the table."));
}

TEST(UnitAt, IsTheModelOfThatSize) {
  const auto law = TwoFactors();
  const Table table = Study();
  EXPECT_EQ(UnitAt(ParsePoints("N=2e6,B=3")[0], *law, table, "model", {2e6, 3}), "b");
  EXPECT_EQ(UnitAt(ParsePoints("N=3e6,B=3")[0], *law, table, "model", {3e6, 3}), "");
}

TEST(UnitAt, IsTakenFromWhatIsOneNumberOfEachModelAlone) {
  // B is measured in another order of b: its first value tells nothing of the model.
  const auto law = TwoFactors();
  Table table;
  table.AddTexts("model", {"a", "a", "b", "b"});
  table.AddNumbers("N", {1e6, 1e6, 2e6, 2e6});
  table.AddNumbers("B", {2, 3, 3, 2});
  EXPECT_EQ(UnitAt(ParsePoints("N=2e6,B=2")[0], *law, table, "model", {2e6, 2}), "b");
  // Likewise where the first model has one number of it and the second has not.
  Table one;
  one.AddTexts("model", {"a", "a", "b", "b"});
  one.AddNumbers("N", {1e6, 1e6, 2e6, 2e6});
  one.AddNumbers("B", {2, 2, 3, 2});
  EXPECT_EQ(UnitAt(ParsePoints("N=2e6,B=2")[0], *law, one, "model", {2e6, 2}), "b");
  // A study of one model tells nothing of a size that it does not have.
  Table alone;
  alone.AddTexts("model", {"a", "a"});
  alone.AddNumbers("N", {1e6, 1e6});
  alone.AddNumbers("B", {2, 3});
  EXPECT_EQ(UnitAt(ParsePoints("N=5e6,B=2")[0], *law, alone, "model", {5e6, 2}), "");
  // Two models of one size: neither.
  Table same;
  same.AddTexts("model", {"a", "b", "c"});
  same.AddNumbers("N", {1e6, 2e6, 2e6});
  same.AddNumbers("B", {2, 2, 2});
  EXPECT_EQ(UnitAt(ParsePoints("N=2e6,B=2")[0], *law, same, "model", {2e6, 2}), "");
  EXPECT_EQ(UnitAt(ParsePoints("model=c,B=2")[0], *law, same, "model", {2e6, 2}), "c") << "named";
  EXPECT_EQ(UnitAt(ParsePoints("N=1e6,B=2")[0], *law, same, "model", {1e6, 2}), "a");
  EXPECT_EQ(UnitAt(ParsePoints("N=1e6,B=2")[0], *law, same, "family", {1e6, 2}), "") << "no such column";
}

TEST(AnswerPoint, GivesTheMeasurementWhereThereIsOne) {
  const PredictedStudy study(TwoFactors(), Study(), {});
  ASSERT_EQ(study.strata().size(), 1u);
  const PointAnswer measured = AnswerPoint(study, ParsePoints("model=b,B=3")[0]);
  EXPECT_EQ(Name(measured.strata[0].source), "measured");
  EXPECT_EQ(measured.strata[0].value(), study.table().NumberAt("acc_adj", 4));
  EXPECT_NE(measured.strata[0].value(), measured.strata[0].prediction.value);
  // Wilson's, of as many items as have a standard error of 0.02.
  EXPECT_EQ(measured.strata[0].interval().low, MeasuredInterval(measured.strata[0].value(), 0, 0.02, 500, 0.9).low);
  const PointAnswer between = AnswerPoint(study, ParsePoints("model=b,B=3.5")[0]);
  EXPECT_EQ(Name(between.strata[0].source), "interpolated");
  EXPECT_TRUE(between.strata[0].prediction.is_known_unit);
  const PointAnswer outside = AnswerPoint(study, ParsePoints("N=1e9,B=8")[0]);
  EXPECT_EQ(Name(outside.strata[0].source), "extrapolated");
  EXPECT_EQ(outside.strata[0].Warning(), "N = 1e+09 is above 1e+06 to 8e+06; B = 8 is above 2 to 4");
}

TEST(PredictionTable, SaysWhatEachNumberIs) {
  const PredictedStudy study(TwoFactors(), Study(), {});
  std::vector<PointAnswer> answers;
  for (const char* text : {"model=b,B=3", "model=d,B=2"}) answers.push_back(AnswerPoint(study, ParsePoints(text)[0]));
  const std::string text = RenderText(PredictionTable(study, answers, 0.9));
  EXPECT_THAT(text, HasSubstr("measured: the recorded value"));
  EXPECT_THAT(text, HasSubstr("interpolated or extrapolated, of a model that was fitted"));
  EXPECT_THAT(text, HasSubstr("90 % interval"));
}

}  // namespace
}  // namespace bitlaw
