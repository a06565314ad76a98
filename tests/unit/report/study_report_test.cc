#include "report/study_report.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/table/column_map.h"
#include "report/law_tables.h"
#include "report/pictures/study_figures.h"
#include "sample_report.h"

namespace bitlaw {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(StudyResults, SaysWhatItsReaderMustKnow) {
  const std::string text = RenderText(StudyDocument(SampleReport()));
  EXPECT_THAT(text, HasSubstr("Study sample\n============\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "- 16 of 16 scores recorded (a trial on a task), of 8 trials\n- 1 trial failed\n- 1 grid cell skipped\n"));
  EXPECT_THAT(text, HasSubstr("a: weights were stored as Q4_1 and are dequantized.\n"));
  EXPECT_THAT(text, HasSubstr("- Baseline of a: weights were stored as Q4_1 and are dequantized.\n"));
  EXPECT_THAT(text, HasSubstr("- arc: only the first 500 items were scored.\n"));
  EXPECT_THAT(
      text, HasSubstr("- Failed: b gptq bits=2, at quantize model.layers.3 (numerical): the Hessian is indefinite.\n"));
  EXPECT_THAT(text, HasSubstr("- one file is no record.\n"));
  EXPECT_THAT(text, HasSubstr("b gptq bits=5  group_size 96 does not divide C_in = 64\n"));
}

TEST(StudyResults, PrintsLawsWithNullsAndCountsExclusions) {
  const std::string text = RenderText(StudyDocument(SampleReport()));
  EXPECT_THAT(
      text,
      HasSubstr("-log(acc_adj) = A * N^alpha * log2(B)^beta\n- KA: 8 of 8 rows usable.\n- KM: 7 of 8 rows usable.\n"));
  EXPECT_THAT(text, HasSubstr("f(N)"));
  EXPECT_THAT(text, HasSubstr("Rule for accuracies at or below chance: likelihood."));
  EXPECT_THAT(text, testing::ContainsRegex("power_n_b +KM +fit +1  accuracy at or below chance \\(acc_adj <= 0\\) +b gptq "
                                           "bits=3: acc_adj = 0\n"));
  EXPECT_THAT(text, testing::ContainsRegex("power_n_b, loss against 16 bits +KA +fit +2  the unquantized model itself, "
                                           "whose loss is 0 by definition +a none bits=16\n"));
  // The baselines have no Cb.
  EXPECT_THAT(text, testing::ContainsRegex("four +KA +fit +2  no value of Cb"));
  // Cb is 32 everywhere, so the four-factor law cannot be fitted, and its nulls stand all the same.
  EXPECT_THAT(text, HasSubstr("- KA: 6 of 8 rows usable.\n- KA: not fitted: Cb does not vary: it is 32 in all 6 rows"));
}

// One line a stratum, then where accuracy is lost and the warnings; the tables are in the files.
TEST(StudyResults, SummaryIsShortAndCountsTheWarnings) {
  const std::vector<std::string> lines = SummaryLines(SampleReport());
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0], "KA: power_n_b");
  EXPECT_EQ(lines[1], "KM: power_n_b");
  EXPECT_EQ(lines[2], "general: power_n_b");
  EXPECT_THAT(lines[3], HasSubstr("warnings, listed in the report"));
}

// The sample follows acc_adj = exp(-30 N^-0.15 / log2(B)) in KA without noise, and so does the curve.
TEST(LawPictures, AreTheLawBetweenItsRows) {
  const StudyResults report = SampleReport();
  ASSERT_FALSE(report.pictures.empty());
  const LawPicture& picture = report.pictures.front();
  EXPECT_EQ(picture.law + " " + picture.stratum + " " + picture.scale + " " + picture.precision, "power_n_b KA N B");
  EXPECT_TRUE(picture.of_accuracy);
  ASSERT_EQ(picture.curves.size(), 4u);  // 3, 4, 8 and 16 bits.
  for (const LawCurve& curve : picture.curves) {
    EXPECT_EQ(curve.x.front(), 1e9);
    EXPECT_EQ(curve.x.back(), 2e9);
    for (size_t i = 0; i < curve.x.size(); ++i)
      EXPECT_NEAR(curve.value[i], std::exp(-30 * std::pow(curve.x[i], -0.15) / std::log2(curve.precision)), 1e-5);
  }
  ASSERT_EQ(picture.surfaces.size(), 1u);
  const LawSurface& surface = picture.surfaces.front();
  EXPECT_EQ(surface.x_column + " " + surface.y_column, "B N");
  const size_t i = 3, j = 7;
  EXPECT_NEAR(surface.value[i * surface.x.size() + j],
              std::exp(-30 * std::pow(surface.y[i], -0.15) / std::log2(surface.x[j])), 1e-5);
}

TEST(StudyFigures, AreThoseThatTheDataAllowAndASentenceForEachOther) {
  const StudyFigures figures = MakeStudyFigures(SampleReport());
  std::vector<std::string> names;
  for (const Figure& figure : figures.figures) {
    CheckFigure(figure);
    names.push_back(figure.name);
  }
  EXPECT_THAT(names, ElementsAre("accuracy_by_size", "measured_against_predicted", "residuals_by_factor_power_n_b",
                                 "equal_accuracy_bits_size", "kept_accuracy"));
  EXPECT_THAT(
      figures.left_out,
      ElementsAre(HasSubstr("Exponents: the fits of power_n_b were not examined"), HasSubstr("Exponents at few bits"),
                  HasSubstr("Equal accuracy over group size and calibration: the best laws have not both"),
                  "Size against accuracy: it needs accuracies and the column size_bytes.",
                  "Time: the folder has no timings of its records (it may be a copy without them)."));
  // At 3 bits a has exp(-30 N^-0.15 / log2(3)); its baseline, 0.5 at a chance of 0.25, is 1/3 beyond guessing.
  const FigureGrid& kept = *figures.figures.back().panels.front().grid;
  EXPECT_NEAR(kept.z[0], 3 * std::exp(-30 * std::pow(1e9, -0.15) / std::log2(3)), 1e-9);
}

// Few enough that the numbers on them do not touch: nine lines from 0.1 to 0.9 would.
TEST(StudyFigures, HaveFewLinesOfEqualAccuracy) {
  StudyResults report = SampleReport();
  std::vector<double>& values = report.pictures.front().surfaces.front().value;
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = 0.02 + 0.96 * static_cast<double>(i) / static_cast<double>(values.size() - 1);
  const StudyFigures figures = MakeStudyFigures(report);
  const auto figure = std::find_if(figures.figures.begin(), figures.figures.end(),
                                   [](const Figure& one) { return one.name == "equal_accuracy_bits_size"; });
  ASSERT_NE(figure, figures.figures.end());
  EXPECT_THAT(figure->panels.front().grid->levels,
              ElementsAre(testing::DoubleNear(0.2, 1e-9), testing::DoubleNear(0.4, 1e-9),
                          testing::DoubleNear(0.6, 1e-9), testing::DoubleNear(0.8, 1e-9)));
}

// By its name, beside figures of others; one that could not be fitted is said to have none.
TEST(StudyFigures, AreOfALawThatWasChosen) {
  const StudyFigures figures = MakeStudyFigures(SampleReport(), {"power_n_b", "four"});
  std::vector<std::string> names;
  for (const Figure& figure : figures.figures) names.push_back(figure.name);
  EXPECT_THAT(names,
              ElementsAre("accuracy_by_size_power_n_b", "measured_against_predicted_power_n_b",
                          "residuals_by_factor_power_n_b", "equal_accuracy_bits_size_power_n_b", "kept_accuracy"));
  EXPECT_THAT(figures.left_out, Contains("Figures of four: it was not fitted."));
  EXPECT_EQ(FigureOfLaw("few_bits", "A_N_0.5 x"), "few_bits_A_N_0-5-x");
}

// Eight trials: two models at 16, 3, 4 and 8 bits, each in two strata and their mean.
TEST(OwnFigures, HaveTheRowsPanelsAndColoursThatTheStudyAsksFor) {
  StudyResults report = SampleReport();
  const auto entry = [](const std::string& name, const std::string& x, const std::string& y) {
    return Value(Value::Map{{"name", name}, {"x", x}, {"y", y}});
  };
  Value strata = entry("strata", "N / 1e9", "acc_adj"), tasks = entry("tasks", "B", "value");
  strata.Set("x_scale", "log10"), strata.Set("colour", "B"), strata.Set("facet", "stratum");
  strata.Set("where", "B < 16");
  tasks.Set("points", "tasks"), tasks.Set("colour", "model"), tasks.Set("title", "By task");
  report.description.figures =
      Value(Value::List{strata, tasks, entry("nothing", "B", "log(-N)"), entry("unknown", "B", "nowhere")});
  StudyFigures figures;
  AddOwnFigures(report, figures);
  ASSERT_EQ(figures.figures.size(), 2u);
  const Figure& of_strata = figures.figures[0];
  CheckFigure(of_strata);
  EXPECT_EQ(of_strata.name + ": " + of_strata.title, "own_strata: acc_adj over N / 1e9");
  std::vector<std::string> panels, series;
  for (const FigurePanel& panel : of_strata.panels) panels.push_back(panel.title);
  EXPECT_THAT(panels, ElementsAre("KA", "KM", "general"));
  for (const FigureSeries& one : of_strata.panels[0].series) series.push_back(one.name);
  EXPECT_THAT(series, ElementsAre("B = 3", "B = 4", "B = 8"));
  EXPECT_EQ(of_strata.panels[0].x.scale, FigureAxis::Scale::kLog10);
  EXPECT_EQ(figures.figures[1].panels[0].x.unit, "bits");
  EXPECT_THAT(of_strata.panels[0].series[1].x, ElementsAre(1, 2));
  EXPECT_NEAR(of_strata.panels[0].series[1].y[0], std::exp(-30 * std::pow(1e9, -0.15) / 2), 1e-9);
  EXPECT_EQ(of_strata.caption, "18 points, each a trial in a stratum, where B < 16.");
  const Figure& of_tasks = figures.figures[1];
  EXPECT_EQ(of_tasks.title + ": " + of_tasks.caption, "By task: 16 points, each a trial on a task.");
  ASSERT_EQ(of_tasks.panels.size(), 1u);
  EXPECT_THAT(of_tasks.panels[0].series[0].x, ElementsAre(16, 16, 3, 3, 4, 4, 8, 8));
  EXPECT_THAT(figures.left_out,
              ElementsAre("figure 'nothing' of the study: no row has a value of both x and y.",
                          HasSubstr("figure 'unknown' of the study: ")));
}

// Of three strata of eight rows B - 8 is above 0 at 16 bits alone.
TEST(OwnFigures, SayWhatTheyDoNotShow) {
  StudyResults report = SampleReport();
  const auto entry = [](const char* name, const char* x, const char* key, const char* value) {
    return Value(Value::Map{{"name", name}, {"x", x}, {"y", "acc_adj"}, {key, value}});
  };
  report.description.map = {{"more_bits", Value("B + 1")}};
  report.description.figures = Value(Value::List{entry("logarithmic", "B - 8", "x_scale", "log10"),
                                                 entry("mapped", "more_bits", "x_scale", "log2"),
                                                 entry("facets", "B", "facet", "acc_adj")});
  StudyFigures figures;
  AddOwnFigures(report, figures);
  ASSERT_EQ(figures.figures.size(), 2u);
  EXPECT_EQ(figures.figures[0].caption,
            "6 points, each a trial in a stratum. 18 rows without a value, or without one above 0, are not shown.");
  EXPECT_EQ(figures.figures[1].panels[0].x.scale, FigureAxis::Scale::kLog2);
  EXPECT_THAT(figures.figures[1].panels[0].series[0].x, Each(AnyOf(17, 4, 5, 9)));
  EXPECT_EQ(figures.figures[1].panels[0].x.unit, "");
  ASSERT_EQ(figures.left_out.size(), 1u);
  EXPECT_THAT(figures.left_out[0],
              ContainsRegex("^figure 'facets' of the study: facet has [0-9]+ values; a figure shows 12 at most. Narrow "
                            "it by where.$"));
}

TEST(OwnFigures, ShowThirtyColoursAtMost) {
  StudyResults report;
  std::string csv = "trial,label,model,quantizer,N,B,task,stratum,metric,metric_kind,primary,value,acc_adj\n";
  for (int i = 1; i <= 31; ++i)
    csv += fmt::format("{0},{0},m{0},rtn,{0},4,arc,KA,acc,accuracy,1,0.5,0.5\n", i);
  report.observations = ParseCsv(csv, "observations.csv", {ObservationTextColumns()});
  Value figure = Value::Map{{"name", "many"}, {"x", "B"}, {"y", "value"}, {"colour", "model"}, {"points", "tasks"}};
  report.description.figures = Value(Value::List{figure});
  StudyFigures figures;
  AddOwnFigures(report, figures);
  EXPECT_THAT(figures.left_out, ElementsAre("figure 'many' of the study: colour has 31 values; a figure shows 30 at "
                                            "most. Narrow it by where."));
  figure.Set("where", "N < 31");
  report.description.figures = Value(Value::List{figure});
  StudyFigures fewer;
  AddOwnFigures(report, fewer);
  EXPECT_THAT(fewer.left_out, ElementsAre());
}

TEST(RSquares, FarBelowZeroAreCalledThat) {
  EXPECT_EQ(RSquared(-23477.1).text, "below zero");
  EXPECT_EQ(RSquared(-23477.1).number, -23477.1);
  EXPECT_EQ(RSquared(-0.05, 2).text, "-0.05");
  EXPECT_EQ(RSquared(0.87231, 3).text, "0.872");
  EXPECT_EQ(RSquared(NAN).text, "-");
}

TEST(StudyResults, FitsNothingWhereOneModelIsAllThereIs) {
  const std::string text = RenderText(StudyDocument(SampleReport(1e9)));
  EXPECT_THAT(text, HasSubstr("not fitted: N does not vary: it is 1e+09 in all 8 rows"));
  EXPECT_THAT(text, HasSubstr("f(B)"));
}

TEST(StudyResults, IsTheSameEachTime) {
  EXPECT_EQ(RenderMarkdown(StudyDocument(SampleReport())), RenderMarkdown(StudyDocument(SampleReport())));
}

std::vector<std::string> TextsOf(const std::vector<ReportCell>& cells) {
  std::vector<std::string> texts;
  for (const ReportCell& cell : cells) texts.push_back(cell.text);
  return texts;
}

// N_active of dense models says what N says; a column that one model has is there, empty for the other.
TEST(StudyResults, NamesModelsSizesByTheirColumns) {
  StudyResults report;
  report.description.models = {{"a", "f", "llama", "float32", "", false, {{"N", 100}, {"N_active", 100}, {"layers", 2}}},
                               {"b", "f", "llama", "float32", "", true, {{"N", 300}, {"N_active", 300}, {"D", 9e9}}}};
  const auto models_of = [&] { return StudyDocument(report).sections[1].tables[0]; };
  EXPECT_THAT(models_of().header, ElementsAre("model", "family", "architecture", "N", "layers", "D", "stored as", "held out"));
  EXPECT_THAT(TextsOf(models_of().rows[0]), ElementsAre("a", "f", "llama", "100", "2", Whole(NAN).text, "float32", "no"));
  EXPECT_THAT(TextsOf(models_of().rows[1]),
              ElementsAre("b", "f", "llama", "300", Whole(NAN).text, "9,000,000,000", "float32", "yes"));
  EXPECT_THAT(models_of().notes[0], HasSubstr("N: Parameters without input embedding and untied output head."));
  // Of experts fewer work than there are.
  report.description.models[1].scale[1].second = 120;
  EXPECT_THAT(models_of().header, ElementsAre("model", "family", "architecture", "N", "N_active", "layers", "D", "stored as",
                                              "held out"));
}

TEST(StudyResults, SaysThatNothingIsRecorded) {
  StudyResults report;
  report.description.study = "empty";
  EXPECT_THAT(RenderText(StudyDocument(report)), HasSubstr("Nothing is recorded yet.\n"));
}

TEST(StudyDescription, ReadsBackWhatItWrote) {
  StudyDescription description = SampleReport().description;
  LawSpec law;
  law.name = "mine";
  law.component = "formula";
  law.given.Set("formula", "A * N^a");
  description.laws.push_back(law);
  description.fit.Set("seed", 7);
  const std::string text = WriteStudyDescription(description);
  const StudyDescription again = ReadStudyDescription(text, "study.json");
  EXPECT_EQ(WriteStudyDescription(again), text);
  EXPECT_EQ(again.laws[0].given.Find("formula")->AsString(), "A * N^a");
  EXPECT_EQ(again.models[1].scale, (std::vector<std::pair<std::string, double>>{
                                       {"N", 2e9}, {"N_active", 2e9}, {"parameters_total", 2.2e9}}));
  try {
    ReadStudyDescription("{\"format\": 1}", "study.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "study.json: 'study' is missing. The file is written by 'bitlaw run' and 'bitlaw report'; make it again "
        "from the study.");
  }
}

TEST(StudyDescription, CountsTrialsInWholeNumbers) {
  for (const char* count : {"null", "1e300", "2.5", "\"8\""}) {
    const std::string text = std::string("{\"format\": 1, \"study\": \"s\", \"planned_trials\": ") + count + "}";
    try {
      ReadStudyDescription(text, "study.json");
      ADD_FAILURE() << count;
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "study.json: 'planned_trials' is not an integer. The file is written by 'bitlaw run' and 'bitlaw "
                   "report'; make it again from the study.");
    }
  }
}

TEST(ColumnMap, CopiesRenamesAndComputes) {
  const Table table = ParseCsv("params_b,name,N\n1.5,x,9\n2,y,9\n", "t.csv");
  const Table mapped = MapColumns(table, "N = params_b*1e9, M=max(params_b, 1.75),model=name");
  EXPECT_THAT(mapped.Numbers("N"), ElementsAre(1.5e9, 2e9));
  EXPECT_THAT(mapped.Numbers("M"), ElementsAre(1.75, 2));
  EXPECT_THAT(mapped.At("model").texts, ElementsAre("x", "y"));
  const auto fault_of = [&](const std::string& map) {
    try {
      MapColumns(table, map);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("(no error)");
  };
  EXPECT_EQ(fault_of("N"),
            "--map: 'N' is not of the form name=column or name=expression. A name with a comma stands in backquotes: "
            "name=`a,b`.");
  EXPECT_EQ(fault_of("B=1,B=2"), "--map: 'B' is given twice.");
  EXPECT_EQ(fault_of("B=parms_b"),
            "--map B: 'parms_b' at character 1 of 'parms_b': 'parms_b' is not a column of t.csv. Did you mean "
            "'params_b'? Columns: params_b, name, N.");
  EXPECT_EQ(fault_of("D=C/6,C=params_b"),
            "--map D: 'C' at character 1 of 'C/6' is made by this entry or a later one. Entries are read from left to "
            "right: put 'C' before.");
}

TEST(ColumnMap, ReadsNamesWithSpacesCommasAndSignsInBackquotes) {
  const Table table = ParseCsv("Model Size,Training FLOP,\"acc,none\",100%,a=b\n2,24,0.5,7,8\n", "t.csv");
  const Table mapped =
      MapColumns(table, "N=Model Size,C=`Training FLOP`,D=C/(6*N),acc=`acc,none`,`p %`=`100%`*2,x=`a=b`,y=`a=b`+`p %`");
  EXPECT_THAT(mapped.Numbers("D"), ElementsAre(2));  // 24 / (6 * 2)
  EXPECT_THAT(mapped.Numbers("acc"), ElementsAre(0.5));
  EXPECT_THAT(MapColumns(table, "acc=acc,none,N=Model Size").Numbers("acc"), ElementsAre(0.5));
  EXPECT_THAT(mapped.Numbers("p %"), ElementsAre(14));
  EXPECT_THAT(mapped.Numbers("x"), ElementsAre(8));
  EXPECT_THAT(mapped.Numbers("y"), ElementsAre(22));
  // Under a replaced name later entries see the new column.
  EXPECT_THAT(MapColumns(table, "`100%`=`100%`/7,z=`100%`").Numbers("z"), ElementsAre(1));
}

TEST(ColumnMap, MakesIndicatorsOfTexts) {
  const Table table = ParseCsv("method,N\ngptq,1e9\n\"r,t\",8e9\n", "t.csv");
  const Table mapped =
      MapColumns(table, "gptq=method == 'gptq',other=if(method == 'r,t', 5, 0),hold_out=N > 5e9 and method != 'gptq'");
  EXPECT_THAT(mapped.Numbers("gptq"), ElementsAre(1, 0));
  EXPECT_THAT(mapped.Numbers("other"), ElementsAre(0, 5));
  EXPECT_THAT(mapped.Numbers("hold_out"), ElementsAre(0, 1));
}

}  // namespace
}  // namespace bitlaw
