#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/testing/law_conformance.h"
#include "fit/data/controls.h"
#include "fit/examine/analysis.h"
#include "fit/output/fit_output.h"
#include "fit/table/regroup.h"
#include "laws_for_tests.h"
#include "report/law_tables.h"
#include "support/planted_study.h"
#include "unit/records/sample_record.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::vector<Configuration>& SmallGrid() {
  static const auto grid = FullGrid({6e8, 4e9, 1.4e10}, {3, 4, 8}, {8, 128}, {32, 128});
  return grid;
}

std::string ErrorOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSpec);
    return error.what();
  }
  return "no error";
}

TEST(ParseControl, ReadsColumnsExpressionsAndNumbersByTask) {
  EXPECT_EQ(ParseControl(" items ").expression, "items");
  const Control expression = ParseControl("log_items = log(items)");
  EXPECT_EQ(expression.name, "log_items");
  EXPECT_EQ(expression.expression, "log(items)");
  const Control by_task = ParseControl("answer_length: arc = 3.5, gsm8k=140");
  EXPECT_THAT(by_task.of_task,
              ElementsAre(std::pair<std::string, double>{"arc", 3.5}, std::pair<std::string, double>{"gsm8k", 140}));
}

TEST(ParseControl, RefusesOtherTexts) {
  EXPECT_EQ(ErrorOf([] { ParseControl("2 * items"); }),
            "control '2 * items' is not a column, name = expression, or name: task = number, ... A name has letters, "
            "digits and _, or stands in backquotes.");
  const Control quoted = ParseControl("`acc,none`");
  EXPECT_EQ(quoted.name, "acc,none");
  EXPECT_EQ(quoted.expression, "`acc,none`");
  EXPECT_EQ(ParseControl("is_gptq = method == 'a:b=c'").expression, "method == 'a:b=c'");
  EXPECT_EQ(ErrorOf([] { ParseControl("length: arc = long"); }),
            "control 'length': 'long' of task 'arc' is not a number.");
  EXPECT_EQ(ErrorOf([] { ParseControl("length: arc"); }), "control 'length': 'arc' is not of the form name = value.");
}

TEST(ControlledLaw, KeepsThePromisesOfALaw) {
  Control control = ParseControl("length");
  control.mean = 10;
  const auto powers = FourFactorLaw();
  const ControlledLaw factor(*powers, {control});
  const testing::LawDomain domain = {{500, -0.4, -1.3, -0.1, 0, -0.05},
                                     {900, -0.3, -0.9, 0, 0.1, 0.05},
                                     {1e8, 2.5, 4, 16, 2},
                                     {1e10, 8, 1024, 1024, 30}};
  EXPECT_THAT(testing::LawFaults(factor, domain), ElementsAre());
  EXPECT_THAT(testing::RecoveryFaults(factor, domain), ElementsAre());
  EXPECT_EQ(factor.formula_text(),
            "(A * N^alpha * log2(B)^beta * log2(Cb)^gamma * G^delta) * exp(c_length * (length - 10))");
  const auto line = MakeFormula("a + b * log(N)", {{"a", {0, 0}}, {"b", {0, 0}}}, "loss");
  const ControlledLaw sum(*line, {control});
  EXPECT_THAT(testing::LawFaults(sum, {{1, -1, -1}, {2, 1, 1}, {1e8, 2}, {1e10, 30}}), ElementsAre());
  EXPECT_EQ(sum.formula_text(), "a + b * log(N) + c_length * (length - 10)");
}

TEST(ControlledLaw, RefusesAFactorOfTheLawAndATakenName) {
  const auto law = MakeFormula("A * N^c_items", {{"A", {0, 0}}, {"c_items", {0, 0}}});
  EXPECT_EQ(ErrorOf([&] { ControlledLaw(*law, {ParseControl("N")}); }),
            "control 'N': law 'test' has it already, as a factor or another control.");
  EXPECT_EQ(ErrorOf([&] { ControlledLaw(*law, {ParseControl("items")}); }),
            "control 'items': law 'test' has a parameter 'c_items'. Give the control another name.");
}

// Longer answers go with larger models here and raise the response by themselves: without the control their effect is
// taken for one of size.
TEST(Controls, ClearTheExponentsOfWhatGoesWithAFactor) {
  const std::vector<double> theta = {900, -0.31, -0.96, -0.04, 0.06};
  Rng rng(1);
  Table table = PlantedTable(*FourFactorLaw(), theta, SmallGrid(), 0, rng);
  std::vector<double> length, accuracy;
  double mean = 0;
  for (const Configuration& one : SmallGrid()) {
    length.push_back(std::log10(one.size) + rng.Normal());
    mean += length.back() / 36;
  }
  for (size_t i = 0; i < 36; ++i)
    accuracy.push_back(std::exp(std::log(table.Numbers("acc_adj")[i]) * std::exp(0.2 * (length[i] - mean))));
  Table controlled("controlled");
  for (const TableColumn& column : table.columns()) {
    if (column.name != "acc_adj") controlled.Add(column);
  }
  controlled.AddNumbers("acc_adj", accuracy);
  controlled.AddNumbers("raw_length", length);
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  FitSettings settings;
  settings.random_starts = 0;
  const FitReport without = FitLaws(laws, controlled, settings);
  settings.controls = {ParseControl("length = raw_length")};
  settings.bootstrap = 50;
  const FitReport with = FitLaws(laws, controlled, settings);
  EXPECT_GT(std::fabs(without.fits[0].ols->parameters[1].value + 0.31), 0.02);
  for (const auto* method : {&with.fits[0].ols, &with.fits[0].least_squares}) {
    ASSERT_TRUE(method->has_value());
    const auto& parameters = (*method)->parameters;
    ASSERT_EQ(parameters.size(), 6u);
    for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(parameters[j].value / theta[j], 1, 1e-6) << j;
    EXPECT_EQ(parameters[5].name, "c_length");
    EXPECT_NEAR(parameters[5].value, 0.2, 1e-7);
  }
  // The nulls beside it are cleared of it too.
  EXPECT_EQ(with.fits[0].nulls[0].ols->parameters.back().name, "c_length");
  const AnalysisReport analysis = Analyze(laws, controlled, settings, with);
  EXPECT_EQ(analysis.laws[0].uncertainty.quantities.back().name, "c_length");
  const std::string text = RenderText(FitDocument(with, analysis, "t"));
  EXPECT_THAT(text, HasSubstr("Controlled for: length = raw_length (mean "));
  EXPECT_THAT(FitReportJson(with).CanonicalJson(), HasSubstr("\"controls\":[{\"expression\":\"raw_length\""));
}

// One law for two tasks, of which the one with long answers has e^0.5 times the response.
TEST(Controls, OfTasksNeedARowATask) {
  const std::vector<double> theta = {900, -0.31, -0.96, -0.04, 0.06};
  std::vector<double> harder = theta;
  harder[0] *= std::exp(0.5);
  Rng rng(2);
  const auto law = FourFactorLaw();
  const Table table = ObservationsOf(*law, {{"KM", 1, theta}, {"KR", 1, harder}}, SmallGrid(), {}, rng);
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  FitSettings settings;
  settings.random_starts = 0;
  settings.controls = {ParseControl("length: KM0 = 10, KR0 = 20")};
  const FitReport means = FitLaws(laws, table, settings);
  EXPECT_EQ(means.fits[2].stratum, "general");
  EXPECT_THAT(means.fits[2].why_no_ols, HasSubstr("length does not vary: it is 15 in all 36 rows"));
  settings.average_tasks = false;
  const FitReport rows = FitLaws(laws, table, settings);
  const LawFit& general = rows.fits[2];
  ASSERT_TRUE(general.ols.has_value()) << general.why_no_ols;
  EXPECT_EQ(general.ols->rows, 72u);
  for (size_t j = 1; j < 5; ++j) EXPECT_NEAR(general.ols->parameters[j].value / theta[j], 1, 1e-8) << j;
  EXPECT_NEAR(general.ols->parameters[5].value, 0.05, 1e-9);
  EXPECT_NEAR(general.ols->parameters[0].value, 900 * std::exp(0.25), 1e-5);  // At a length of 15.
  ASSERT_TRUE(general.binomial.has_value()) << general.why_no_binomial;
  EXPECT_NEAR(general.binomial->parameters[5].value, 0.05, 1e-6);
  settings.controls = {ParseControl("length: KM0 = 10, KX = 20")};
  EXPECT_EQ(ErrorOf([&] { FitLaws(laws, table, settings); }),
            "control 'length' names the task 'KX', which the table does not have. Tasks: KM0, KR0.");
}

// A trial is one draw, however many of its tasks are rows.
TEST(Controls, RowsOfOneTrialAreDrawnTogether) {
  Rng rng(3);
  const auto law = FourFactorLaw();
  PlantedObservations planted;
  planted.noise = 0.05;
  const Table table = ObservationsOf(*law, {{"KM", 2, {900, -0.31, -0.96, -0.04, 0.06}}}, SmallGrid(), planted, rng);
  const Table rows = SplitStrata(table, false).strata[0].table;
  ASSERT_EQ(rows.rows(), 72u);
  const LawFit fit = FitLaw(*law, rows, FitSettings());
  const Refitter refitter(*law, rows, FitSettings(), *fit.ols);
  BootstrapOptions options;
  options.replicates = 50;
  EXPECT_EQ(Bootstrap(refitter, rows, *fit.ols, options).units, 36u);
}

TEST(Strata, AverageNumbersThatBelongToTasks) {
  const Table table = ParseCsv(
      "trial,task,stratum,N,length,value,chance,items,standard_error,acc_adj\n"
      "a,arc,KA,100,2,0.4,0.25,10,0.1,0.2\na,boolq,KA,100,4,0.7,0.5,10,0.1,0.4\n",
      "obs.csv");
  const Table mean = SplitStrata(table).strata[0].table;
  EXPECT_EQ(mean.Numbers("length")[0], 3);
  EXPECT_EQ(mean.Numbers("N")[0], 100);
  const Table rows = SplitStrata(table, false).strata[0].table;
  EXPECT_EQ(rows.rows(), 2u);
  EXPECT_EQ(rows.Numbers("tasks")[1], 1);
  EXPECT_DOUBLE_EQ(rows.Numbers("standard_error")[1], 0.2);  // Of acc_adj: 0.1 / (1 - 0.5).
}

TEST(ParseGrouping, ReadsListsAndColumnsAndRefusesOtherTexts) {
  const Grouping lists = ParseGrouping("by_format: choice = arc, boolq; free = gsm8k");
  EXPECT_EQ(lists.name, "by_format");
  ASSERT_EQ(lists.strata.size(), 2u);
  EXPECT_EQ(lists.strata[0].first, "choice");
  EXPECT_THAT(lists.strata[0].second, ElementsAre("arc", "boolq"));
  EXPECT_TRUE(ParseGrouping("format").strata.empty());
  EXPECT_EQ(ErrorOf([] { ParseGrouping("a = b"); }),
            "grouping 'a = b' is neither a column nor of the form name: stratum = task, task; stratum = task.");
  EXPECT_EQ(ErrorOf([] { ParseGrouping("g: a = arc; b = arc"); }), "grouping 'g': task 'arc' is named twice.");
  EXPECT_EQ(ErrorOf([] { ParseGrouping("g:"); }), "grouping 'g' has no stratum.");
  EXPECT_EQ(ErrorOf([] { ParseGrouping("g: a = arc; all = boolq"); }),
            "grouping 'g': stratum 'all' is a word of the reports: 'general' is the mean over all tasks, 'all' has all rows. "
            "Call it otherwise.");
  const Table table = ParseCsv("task,acc_adj\narc,0.1\n", "t.csv");
  EXPECT_EQ(ErrorOf([&] { Regroup(table, ParseGrouping("g: a = arcs")); }),
            "grouping 'g' names the task 'arcs', which the table does not have. Did you mean 'arc'? Tasks: arc.");
}

TEST(Groupings, AreFittedBesideTheStudysOwnStrata) {
  Rng rng(4);
  PlantedObservations planted;
  planted.noise = 0.02;
  const Table table = ObservationsOf(
      *FourFactorLaw(), {{"KM", 3, {900, -0.31, -0.96, -0.04, 0.06}}, {"KR", 3, {900, -0.31, -1.5, -0.04, 0.06}}},
      SmallGrid(), planted, rng);
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  FitSettings settings;
  settings.random_starts = 0;
  settings.bootstrap = 60;
  settings.permutations = 99;
  settings.groupings = {ParseGrouping("same: first = KM0, KM1, KM2; second = KR0, KR1, KR2"),
                        ParseGrouping("mixed: one = KM0, KR0, KM1; two = KR1, KM2, KR2")};
  const FitReport fits = FitLaws(laws, table, settings);
  const AnalysisReport analysis = Analyze(laws, table, settings, fits);
  ASSERT_EQ(analysis.groupings.size(), 2u);
  const GroupingAnalysis &same = analysis.groupings[0], &mixed = analysis.groupings[1];
  ASSERT_EQ(same.fits.size(), 2u);  // Without the pool of all tasks, which no grouping changes.
  for (size_t j = 0; j < 5; ++j)
    EXPECT_EQ(same.fits[1].ols->parameters[j].value, fits.fits[1].ols->parameters[j].value) << j;
  EXPECT_EQ(same.strata[1].name, "second");
  EXPECT_THAT(mixed.strata[0].tasks, ElementsAre("KM0", "KM1", "KR0"));
  // The planted grouping sets beta apart, the mixed one does not.
  const PermutationTest &planted_beta = same.strata_tests[0].permutation[1],
                        &mixed_beta = mixed.strata_tests[0].permutation[1];
  EXPECT_EQ(planted_beta.parameter, "beta");
  EXPECT_LT(planted_beta.p, 0.25);  // Two of twenty groupings are as good.
  EXPECT_GT(mixed_beta.p, 0.5);
  EXPECT_GT(planted_beta.spread, 3 * mixed_beta.spread);
  const std::string text = RenderText(FitDocument(fits, analysis, "t"));
  EXPECT_THAT(text, HasSubstr("mixed, one: KM0, KM1, KR0"));
  EXPECT_THAT(text, HasSubstr("test: exponents on the report's own strata and on those of mixed"));
  EXPECT_THAT(text, HasSubstr("mixed: two"));
  EXPECT_THAT(AnalysisJson(analysis).CanonicalJson(), HasSubstr("\"groupings\":[{\"fits\":"));
}

TEST(Groupings, MayBeAColumnOfATable) {
  Rng rng(5);
  const auto law = FourFactorLaw();
  Table table = PlantedTable(*law, {900, -0.31, -0.96, -0.04, 0.06}, SmallGrid(), 0.02, rng);
  std::vector<std::string> format;
  for (size_t i = 0; i < table.rows(); ++i) format.push_back(i / 2 % 2 == 0 ? "a" : "b");
  table.AddTexts("format", format);
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FourFactorLaw());
  FitSettings settings;
  settings.bootstrap = 0;
  settings.groupings = {ParseGrouping("format")};
  const FitReport fits = FitLaws(laws, table, settings);
  const AnalysisReport analysis = Analyze(laws, table, settings, fits);
  ASSERT_EQ(analysis.groupings[0].strata.size(), 2u);
  EXPECT_EQ(analysis.groupings[0].fits[0].incoming, 18u);
}

// Items of one difficulty each, the same for all trials: a trial gets those right that are easier than it is good.
ItemScores SharedItems(const Table& observations, size_t items) {
  ItemScores scores;
  const TableColumn &trial = observations.At("trial"), &task = observations.At("task");
  for (size_t row = 0; row < observations.rows(); ++row) {
    ItemScores::Task& one = scores.tasks[observations.CellText(task, row)];
    std::vector<float>& values = one.of_trial[observations.CellText(trial, row)];
    const double p = observations.Numbers("value")[row];
    for (size_t i = 0; i < items; ++i)
      values.push_back((static_cast<double>(i) + 0.5) / static_cast<double>(items) < p ? 1 : 0);
    one.ids.assign(items, "i");
    one.chance.assign(items, 0.25);
  }
  return scores;
}

TEST(ItemBootstrap, DrawsTheSameItemsForAllTrials) {
  Rng rng(6);
  const auto law = FourFactorLaw();
  const Table table =
      ObservationsOf(*law, {{"KM", 2, {900, -0.31, -0.96, -0.04, 0.06}}}, SmallGrid(), PlantedObservations(), rng);
  const StratumData stratum = SplitStrata(table).strata[0];
  const ItemScores scores = SharedItems(table, 1000);
  const ItemSampler sampler(scores, stratum);
  ASSERT_EQ(sampler.why_none(), "");
  EXPECT_EQ(sampler.items(), 2000u);
  const LawFit fit = FitLaw(*law, stratum.table, FitSettings());
  for (const MethodFit* method : {&*fit.ols, &*fit.binomial}) {
    const Refitter refitter(*law, stratum.table, FitSettings(), *method);
    BootstrapOptions options;
    options.replicates = 200;
    options.unit = "items";
    options.threads = 1;
    const auto apart = Bootstrap(refitter, stratum.table, *method, options);
    options.items = &sampler;
    const auto together = Bootstrap(refitter, stratum.table, *method, options);
    options.threads = 3;
    EXPECT_EQ(Bootstrap(refitter, stratum.table, *method, options).replicate_values, together.replicate_values);
    EXPECT_EQ(together.units, 2000u);
    EXPECT_EQ(together.note, "");
    // An item that all small models miss moves twelve rows at once: what the items leave uncertain does not average out
    // over trials, and drawing them for each row by itself sees about half of it.
    EXPECT_GT(together.quantities[1].bootstrap_error, 1.5 * apart.quantities[1].bootstrap_error) << method->method();
    EXPECT_LT(together.quantities[1].bootstrap_error, 2.5 * apart.quantities[1].bootstrap_error) << method->method();
    EXPECT_LT(together.quantities[1].bca.low, together.quantities[1].bca.high);
  }
}

TEST(ItemBootstrap, GivesTheAccuraciesOfTheItemsThatWereDrawn) {
  const Table table = ParseCsv(
      "trial,task,stratum,value,chance,items,standard_error,acc_adj\n"
      "a,arc,KA,0.5,0.25,2,0.1,0.333333\nb,arc,KA,1,0.25,2,0.1,1\n",
      "obs.csv");
  ItemScores scores;
  scores.tasks["arc"] = {{"x", "y"}, {0, 0.5}, {{"a", {1, 0}}, {"b", {1, 1}}}};
  const ItemSampler sampler(scores, SplitStrata(table).strata[0]);
  std::vector<double> accuracy(2);
  sampler.Without({0, 0, 1}, accuracy);  // Item y alone: chance 0.5.
  EXPECT_THAT(accuracy, ElementsAre(-1, 1));
  sampler.Without({0, 1, 2}, accuracy);  // Item x alone: chance 0.
  EXPECT_THAT(accuracy, ElementsAre(1, 1));
  scores.tasks["arc"].of_trial.erase("b");
  EXPECT_EQ(ItemSampler(scores, SplitStrata(table).strata[0]).why_none(), "trial 'b' has no items of task 'arc'");
}

TEST(ItemBootstrap, ReadsItemsFromRecordsAndSaysWhichAreMissing) {
  std::string pattern = (fs::temp_directory_path() / "bitlaw_items_XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  const RecordStore store(folder);
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  const std::string header = "trial,task,metric_kind,primary,record\n";
  const CsvOptions texts{{"trial", "record"}};
  const Table table = ParseCsv(
      header + "a,arc_easy,accuracy,1," + digest + "\na,arc_easy,perplexity,0," + digest + "\n", "obs.csv", texts);
  const ItemScores scores = ReadItemScores(table, store);
  EXPECT_EQ(scores.why_none, "");
  ASSERT_EQ(scores.tasks.size(), 1u);
  EXPECT_THAT(scores.tasks.at("arc_easy").ids, ElementsAre("Mercury, 1", "say \"b\""));
  EXPECT_THAT(scores.tasks.at("arc_easy").of_trial.at("a"), ElementsAre(1, 0));
  EXPECT_THAT(scores.tasks.at("arc_easy").chance, ElementsAre(0.25, 1.0 / 3));
  const std::string none(64, '0');
  EXPECT_EQ(ReadItemScores(ParseCsv(header + "a,arc_easy,accuracy,1," + none + "\n", "obs.csv", texts), store).why_none,
            "task 'arc_easy': there is no record " + none + " in " + folder.string());
  EXPECT_EQ(ReadItemScores(ParseCsv("trial,task\na,arc\n", "obs.csv"), store).why_none,
            "the table has no column 'record' that leads to records");
  fs::remove_all(folder);
}

// The linear parameters solved for at every step: the same optimum from every start, in fewer steps.
TEST(VariableProjection, ReachesTheOptimumInFewerIterations) {
  Rng rng(8);
  const auto law =
      MakeFormula("E + A * N^-alpha + B * D^-beta",
                  {{"E", {0, 20}}, {"A", {0, 1e300}}, {"alpha", {0, 2}}, {"B", {0, 1e300}}, {"beta", {0, 2}}}, "loss");
  FitRows rows;
  for (const double n : {1e8, 4e8, 1e9, 4e9, 1e10}) {
    for (const double tokens : {2e9, 1e10, 5e10, 2e11}) {
      rows.x.insert(rows.x.end(), {n, tokens});
      rows.y.push_back(
          law->Predict(std::vector<double>{1.8, 480, 0.35, 2000, 0.37}, std::vector<double>{n, tokens}, {}) *
          std::exp(0.003 * rng.Normal()));
    }
  }
  double iterations[2] = {0, 0};
  NonlinearResult fits[2];
  for (const bool project : {false, true}) {
    NonlinearOptions options;
    options.random_starts = 10;
    options.project = project;
    fits[project] = FitNonlinear(*law, rows, options);
    for (const StartStatus& start : fits[project].starts) iterations[project] += start.iterations;
  }
  EXPECT_LT(iterations[1], 0.5 * iterations[0]);
  EXPECT_EQ(fits[1].agreeing, 10u);
  for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(fits[1].theta()[j] / fits[0].theta()[j], 1, 1e-6) << j;
}

// The closed form of refits agrees with the general iteration.
TEST(Refitter, OfALawWithALinearFormGivesWhatTheIterationGives) {
  Rng rng(7);
  const auto law = FourFactorLaw();
  const Table table = PlantedTable(*law, {900, -0.31, -0.96, -0.04, 0.06}, SmallGrid(), 0.1, rng);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  const Refitter refitter(*law, table, FitSettings(), *fit.least_squares);
  const LawRows rows = SelectRows(*law, table, RowOptions());
  const Objective objective(*law, rows.fit, FitProcedure());
  for (int round = 0; round < 20; ++round) {
    std::vector<double> times(36, 0), theta(5);
    for (int draw = 0; draw < 36; ++draw) ++times[rng.Below(36)];
    ASSERT_TRUE(refitter.Refit(times, theta));
    const Descent descent = Descend(objective, fit.least_squares->theta(), times);
    for (size_t j = 0; j < 5; ++j) EXPECT_NEAR(theta[j] / descent.theta[j], 1, 1e-5) << round << " " << j;
  }
}

}  // namespace
}  // namespace bitlaw
