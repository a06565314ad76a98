#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "study_fixture.h"
#include "support/law_world.h"
#include "support/markup_check.h"

// `bitlaw predict` and `bitlaw recommend` as a user calls them, on tables whose truth is a law.

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

class LawVerbs : public StudyFolder {
 protected:
  // Writes a world as a table; all of it but what is named "MODEL BITS".
  std::string Data(const std::string& without = "") const {
    const auto path = folder_ / "world.csv";
    std::ofstream(path) << WriteCsv(World([&](const std::string& model, double bits) {
      return model + " " + std::to_string(static_cast<int>(bits)) != without;
    }));
    return path;
  }
  ProgramEnd Call(std::vector<std::string> words, const std::vector<std::string>& more) const {
    words.insert(words.end(), more.begin(), more.end());
    return StartedProgram(words, folder_).Wait();
  }
  Json JsonOf(const std::string& name) const { return Json::parse(StartedProgram::Text(folder_ / name)); }
  std::string Path(const std::string& name) const { return folder_ / name; }
  const std::string law_ = "A * N^alpha * log2(B)^beta";
};

// The point was taken out of the table and is what the law says; one that was measured keeps its value.
TEST_F(LawVerbs, PredictGivesTheLawWhereNothingWasMeasured) {
  const ProgramEnd end =
      Call({"predict", "--data", Data("d 4"), "--law", law_},
           {"--at", "model=d, B=4", "--at", "model=c, B=4", "--at", "model=e, B=1.5", "--json", Path("points.json")});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const Json points = JsonOf("points.json").at("points");
  ASSERT_EQ(points.size(), 3u);
  const auto stratum = [&](size_t point, const std::string& name) {
    for (const Json& one : points[point].at("strata")) {
      if (one.at("stratum") == name) return one;
    }
    return Json();
  };
  EXPECT_EQ(stratum(0, "KR").at("source"), "interpolated");
  EXPECT_NEAR(stratum(0, "KR").at("value").get<double>(), Truth("KR", 8e6, 4), 1e-4);
  // Rows that are the law leave next to no interval.
  EXPECT_LE(stratum(0, "KR").at("low").get<double>(), Truth("KR", 8e6, 4) + 1e-6);
  EXPECT_GE(stratum(0, "KR").at("high").get<double>(), Truth("KR", 8e6, 4) - 1e-6);
  EXPECT_EQ(stratum(1, "KM").at("source"), "measured");
  EXPECT_DOUBLE_EQ(stratum(1, "KM").at("value").get<double>(), Truth("KM", 4e6, 4));
  EXPECT_EQ(stratum(2, "KM").at("source"), "extrapolated");
  EXPECT_THAT(end.out, AllOf(HasSubstr("model=d, B=4"), HasSubstr("B = 1.5 is below 2 to 16")));
}

TEST_F(LawVerbs, PredictRefusesWhatItCannotAnswer) {
  const ProgramEnd no_model = Call({"predict", "--data", Data(), "--law", law_}, {"--at", "model=f, B=4"});
  EXPECT_EQ(no_model.exit_code, 2);
  EXPECT_THAT(no_model.err, HasSubstr("--at: no row has model = 'f'. Recorded: a, b, c, d, e."));
  const ProgramEnd no_law = Call({"predict", "--data", Data()}, {"--at", "model=a, B=4"});
  EXPECT_EQ(no_law.exit_code, 2);
  EXPECT_THAT(no_law.err, HasSubstr("--law"));
}

TEST_F(LawVerbs, RecommendReturnsTheKnownOptimum) {
  for (const char* most : {"300kB", "1MB", "2.2MB", "4.3MB"}) {
    const double bytes = std::string(most) == "300kB" ? 3e5 : std::stod(most) * 1e6;
    const ProgramEnd end =
        Call({"recommend", "--data", Data()}, {"--max-weights", most, "--json", Path("answer.json")});
    ASSERT_EQ(end.exit_code, 0) << end.err;
    const std::string best = BestByTruth(bytes, 0.5, 0.5);
    EXPECT_THAT(end.out, HasSubstr("Take " + best + "\n")) << most;
    EXPECT_EQ(JsonOf("answer.json").at("measured")[0].at("label"), best) << most;
  }
}

TEST_F(LawVerbs, RecommendTakesLawsOfAccuracies) {
  const std::string law = Path("value.yaml");
  std::ofstream(law) << "response: size_bytes\nformula: A * N^a\n";
  const ProgramEnd end = Call({"recommend", "--data", Data("d 4"), "--law", law}, {"--at", "model=d, B=4"});
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.err, HasSubstr("recommend: law 'value' is of size_bytes, from which no accuracy follows, and "
                                 "configurations are compared by theirs. Give a law of acc_adj."));
}

// What was not measured is in a table of its own; with --check the first choice is left out and predicted.
TEST_F(LawVerbs, RecommendSaysWhatIsWorthMeasuring) {
  ASSERT_EQ(BestByTruth(4.3e6, 0.5, 0.5), "d bits=4");
  const ProgramEnd end =
      Call({"recommend", "--data", Data("d 4"), "--law", law_},
           {"--max-weights", "4.3MB", "--at", "model=d, B=4", "--check", "--json", Path("answer.json")});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const Json answer = JsonOf("answer.json");
  EXPECT_EQ(answer.at("predicted")[0].at("label"), "model=d, B=4");
  EXPECT_GT(answer.at("predicted")[0].at("score").get<double>(), answer.at("measured")[0].at("score").get<double>());
  EXPECT_NEAR(answer.at("predicted")[0].at("score").get<double>(), (Truth("KM", 8e6, 4) + Truth("KR", 8e6, 4)) / 2,
              1e-3);
  EXPECT_THAT(end.out, AllOf(HasSubstr("worth measuring, by law"), HasSubstr("Measure before use"),
                             HasSubstr("The first choice, left out and predicted by law")));
  ASSERT_FALSE(answer.at("check").empty());  // A stratum whose rows leave no interval has none.
  for (const Json& one : answer.at("check")) {
    EXPECT_EQ(one.at("is_inside").get<bool>(),
              one.at("low") <= one.at("measured") && one.at("measured") <= one.at("high"));
    EXPECT_NEAR(one.at("predicted").get<double>(), one.at("measured").get<double>(), 0.01) << one;
  }
}

// The figure has each configuration once beside the front's own marks, and the front is that of the JSON.
TEST_F(LawVerbs, RecommendDrawsTheFrontWithTheChoice) {
  const std::vector<std::string> words = {"recommend", "--data",           Data(), "--max-weights", "1MB",
                                          "--json",    Path("answer.json")};
  const ProgramEnd end = Call(words, {"--figure", Path("front.csv")});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const auto rows = RowsOf(StartedProgram::Text(folder_ / "front.csv"));
  const Json answer = JsonOf("answer.json");
  std::map<std::string, size_t> counts;
  std::map<std::string, std::string> chosen;
  for (const auto& row : rows) {
    ++counts[row.at("series")];
    if (row.at("series") == "the first choice") chosen = row;
  }
  EXPECT_EQ(counts["the first choice"], 1u);
  EXPECT_NEAR(std::stod(chosen.at("x")), answer.at("measured")[0].at("memory_bytes").get<double>() / 1e6, 1e-9);
  EXPECT_NEAR(std::stod(chosen.at("y")), answer.at("measured")[0].at("score").get<double>(), 1e-9);
  EXPECT_NEAR(std::stod(chosen.at("y_low")), answer.at("measured")[0].at("score_low").get<double>(), 1e-9);
  EXPECT_EQ(counts["measured and meets the constraints"] + 1, answer.at("measured").size());
  EXPECT_EQ(counts["measured but does not"], answer.at("others").size());
  EXPECT_EQ(counts["at most 1 MB"], 2u);
  size_t on_front = 0;
  for (const char* list : {"measured", "others"}) {
    for (const Json& one : answer.at(list)) on_front += one.at("is_on_front").get<bool>() ? 1 : 0;
  }
  // Stairs: two corners a point beyond the first, and the end.
  EXPECT_EQ(counts["front of what was measured"], 2 * on_front);

  const ProgramEnd wrong = Call(words, {"--figure", Path("front.png")});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("front.png: its name ends with .svg, .pdf or .csv (the points)."));
  const ProgramEnd drawn = Call(words, {"--figure", Path("front.svg")});
  if (drawn.err.find("is not installed") != std::string::npos) GTEST_SKIP() << "no figure was looked at: " << drawn.err;
  ASSERT_EQ(drawn.exit_code, 0) << drawn.err;
  const std::string svg = StartedProgram::Text(folder_ / "front.svg");
  EXPECT_EQ(ExplainMarkup(svg), "");
  EXPECT_THAT(svg, AllOf(HasSubstr("weights [MB]"), HasSubstr("the first choice"), Not(HasSubstr(" color='white'"))));
  EXPECT_EQ(Call(words, {"--figure", Path("front.pdf")}).exit_code, 0);
  EXPECT_TRUE(StartedProgram::Text(folder_ / "front.pdf").starts_with("%PDF"));
}

TEST_F(LawVerbs, RecommendRefusesWhatIsNotThere) {
  const ProgramEnd stratum = Call({"recommend", "--data", Data()}, {"--floor", "KX >= 0.4"});
  EXPECT_EQ(stratum.exit_code, 2);
  EXPECT_THAT(stratum.err, HasSubstr("'KX' is no stratum. Did you mean 'KM'?"));
  const ProgramEnd context = Call({"recommend", "--data", Data()}, {"--max-memory", "1MB"});
  EXPECT_EQ(context.exit_code, 2);
  EXPECT_THAT(context.err, HasSubstr("Give --context TOKENS (and --batch N)."));
}

}  // namespace
}  // namespace bitlaw
