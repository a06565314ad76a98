#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <cmath>
#include <functional>

#include "bitlaw/base/error.h"
#include "fit/table/accuracy_checks.h"
#include "fit/estimate/fit_laws.h"
#include "fit/output/row_predictions.h"
#include "fit/law/law_domain.h"
#include "gaussian_capacity_law.h"
#include "laws_for_tests.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string FaultOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return std::string(Name(error.kind())) + ": " + error.what();
  }
  return "(no error)";
}

std::unique_ptr<FormulaLaw> Chinchilla(double exponent_min, double exponent_max) {
  return MakeFormula("E + A * N^-alpha + B * D^-beta",
                     {{"E", {0, 20}},
                      {"A", {0, 1e6}},
                      {"alpha", {exponent_min, exponent_max}},
                      {"B", {0, 1e6}},
                      {"beta", {exponent_min, exponent_max}}},
                     "loss");
}

// Twelve exact rows of E 1.7, A 400, alpha .34, B 400, beta .28, then `bad`.
Table ChinchillaRows(double n, double d) {
  std::vector<double> size, tokens, loss;
  for (const double N : {1e8, 4e8, 1.6e9, 6.4e9}) {
    for (const double D : {2e9, 2e10, 2e11}) {
      size.push_back(N), tokens.push_back(D);
      loss.push_back(1.7 + 400 * std::pow(N, -0.34) + 400 * std::pow(D, -0.28));
    }
  }
  size.push_back(n), tokens.push_back(d), loss.push_back(2.5);
  Table table("t");
  table.AddNumbers("N", size);
  table.AddNumbers("D", tokens);
  table.AddNumbers("loss", loss);
  return table;
}

TEST(LawDomain, LeavesOutWhatANonlinearLawHasNoValueForAndFitsTheRest) {
  const double inf = std::numeric_limits<double>::infinity();
  // Bounds of the exponents, none (equal) and such that contain 0 alike.
  for (const auto& [low, high] : {std::pair{0.0, 2.0}, std::pair{0.0, 0.0}, std::pair{-2.0, 2.0}}) {
    for (const auto& [n, d] : {std::pair{1e9, 0.0}, std::pair{-1.0, 1e10}, std::pair{0.0, 1e10}, std::pair{inf, 1e10},
                               std::pair{1e9, -3e9}}) {
      const auto law = Chinchilla(low, high);
      const LawFit fit = FitLaw(*law, ChinchillaRows(n, d), FitSettings());
      EXPECT_EQ(fit.used, 12u) << n << " " << d << " " << low;
      ASSERT_EQ(fit.excluded.size(), 1u) << n << " " << d << " " << low;
      if (std::isinf(n)) {
        EXPECT_EQ(fit.excluded[0].reason, "no finite value of N");
        continue;
      }
      EXPECT_EQ(fit.excluded[0].reason, "no finite value of the law");
      EXPECT_EQ(fit.excluded[0].example,
                "row 13: N = " + ShortestText(n) + ", D = " + ShortestText(d));
      ASSERT_TRUE(fit.least_squares.has_value()) << fit.why_no_least_squares;
      EXPECT_NEAR(fit.least_squares->parameters[0].value, 1.7, 1e-5);
      EXPECT_NEAR(std::fabs(fit.least_squares->parameters[2].value), 0.34, 1e-5);
    }
  }
}

TEST(LawDomain, KeepsRowsWhereTheBoundsGiveTheLawAValue) {
  // 0^p is 0 for p > 0: a fraction of 0 is a row like others.
  const auto law = MakeFormula("E + A * x^p", {{"E", {0, 9}}, {"A", {0, 9}}, {"p", {0.01, 5}}}, "y");
  const std::vector<double> x = {0, 0.25, 0.5, 1};
  EXPECT_THAT(OutsideDomain(*law, x), ElementsAre(false, false, false, false));
  // Undefined for some parameters only.
  const auto shifted = MakeFormula("a * log(N - c) + b * c", {{"a", {0, 0}}, {"b", {0, 0}}, {"c", {0, 0}}}, "y");
  const std::vector<double> sizes = {1e3, 1e6, 1e9};
  EXPECT_THAT(OutsideDomain(*shifted, sizes), ElementsAre(false, false, false));
  const auto root = MakeFormula("sqrt(a + b * N) * c", {{"a", {0, 0}}, {"b", {0, 0}}, {"c", {0, 0}}}, "y");
  EXPECT_THAT(OutsideDomain(*root, sizes), ElementsAre(false, false, false));
  const auto grown = MakeFormula("E + exp(k * N)", {{"E", {0, 0}}, {"k", {0, 0}}}, "y");
  EXPECT_THAT(OutsideDomain(*grown, sizes), ElementsAre(false, false, false));
}

TEST(LawDomain, KnowsPolesAndLogarithmsOfAnyForm) {
  const auto inverse = MakeFormula("E + A / (B - 4)^p", {{"E", {0, 9}}, {"A", {0, 9}}, {"p", {0.1, 2}}}, "y");
  const std::vector<double> bits = {3, 4, 5, 8};
  EXPECT_THAT(OutsideDomain(*inverse, bits), ElementsAre(true, true, false, false));
  const auto logs = MakeFormula("E + A * log(B)^p", {{"E", {0, 0}}, {"A", {0, 0}}, {"p", {0, 0}}}, "y");
  const std::vector<double> some = {0.5, 1, 2, -1};
  EXPECT_THAT(OutsideDomain(*logs, some), ElementsAre(true, true, false, true));
}

TEST(SplitStrata, RefusesStrataCalledLikeItsOwn) {
  EXPECT_EQ(FaultOf([] { SplitStrata(ParseCsv("stratum,N\nKM,1\ngeneral,2\n", "t.csv")); }),
            "spec: t.csv:3:1: stratum = 'general' is a word of the reports: 'general' is the mean over all tasks, 'all' "
            "has all rows. Call the stratum otherwise, or leave such rows out: --where \"stratum != 'general'\".");
  EXPECT_THAT(FaultOf([] { SplitStrata(ParseCsv("N,stratum\n1,all\n", "t.csv")); }),
              HasSubstr("t.csv:2:3: stratum = 'all' is a word"));
  EXPECT_EQ(SplitStrata(ParseCsv("stratum,N\nGeneral,1\nKM,2\n", "t.csv")).strata.size(), 3u);
}

TEST(CheckAccuracies, LooksAtCountsWithoutAChanceToo) {
  EXPECT_EQ(FaultOf([] { CheckAccuracies(ParseCsv("acc_adj,correct,total\n0.5,5,10\n1.2,12,10\n", "t.csv")); }),
            "io: t.csv:3:5: correct = 12 is more than total = 10. No more items can be correct than there are.");
  EXPECT_EQ(FaultOf([] { CheckAccuracies(ParseCsv("acc_adj,correct,total\n0.5,5,-10\n", "t.csv")); }),
            "io: t.csv:2:7: total = -10 is not a number of items: it must be finite and not negative.");
  EXPECT_EQ(FaultOf([] { CheckAccuracies(ParseCsv("acc_adj,total\n0.5,-10\n", "t.csv")); }), "(no error)");
}

// A law of a plugin: nothing but Predict() is known of it.
class OpaqueLaw final : public Law {
 public:
  OpaqueLaw() {
    for (const char* name : {"E", "A", "alpha"}) {
      LawParameter parameter;
      parameter.name = name;
      parameters_.push_back(parameter);
    }
  }
  const std::string& name() const override { return name_; }
  std::span<const LawParameter> parameters() const override { return parameters_; }
  std::span<const std::string> covariates() const override { return covariates_; }
  const std::string& response() const override { return response_; }
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override {
    const double power = std::pow(x[0], -theta[2]);
    if (!gradient.empty()) {
      gradient[0] = 1, gradient[1] = power, gradient[2] = -theta[1] * power * std::log(x[0]);
    }
    return theta[0] + theta[1] * power;
  }
  std::string formula_text() const override { return "E + A * N^-alpha"; }

 private:
  std::string name_ = "opaque", response_ = "loss";
  std::vector<LawParameter> parameters_;
  std::vector<std::string> covariates_ = {"N"};
};

TEST(LawDomain, HoldsForLawsOfPlugins) {
  const OpaqueLaw law;
  const std::vector<double> sizes = {1e8, 0, -5, 1e9, 1};
  EXPECT_THAT(OutsideDomain(law, sizes), ElementsAre(false, true, true, false, false));
}

Table FourBits(std::vector<double> correct, std::vector<double> total) {
  Table table("t");
  std::vector<double> bits, chance(correct.size(), 0.25);
  for (size_t i = 0; i < correct.size(); ++i) bits.push_back(2 + static_cast<double>(i));
  table.AddNumbers("B", bits);
  table.AddNumbers("correct", std::move(correct));
  table.AddNumbers("total", std::move(total));
  table.AddNumbers("chance", chance);
  return table;
}

TEST(CountsOfAccuracy, AloneGiveTheAccuracy) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("A * log2(B)^beta", {{"A", {0, 1e300}}, {"beta", {0, 0}}}));
  const FitReport report = FitLaws(laws, FourBits({400, 500, 550, 580, 600}, {1000, 1000, 1000, 1000, 1000}),
                                   FitSettings());
  EXPECT_EQ(report.fits[0].used, 5u);
  ASSERT_TRUE(report.fits[0].binomial.has_value());
  EXPECT_THAT(report.notes, ElementsAre("acc_adj was computed as (correct / total - chance) / (1 - chance)."));
  const Table with = WithAccuracy(FourBits({400}, {1000}));
  EXPECT_NEAR(with.Numbers("acc_adj")[0], 0.2, 1e-15);  // (0.4 - 0.25) / 0.75
}

TEST(CountsOfAccuracy, AreRefusedWithTheirPlaceWhereNoEvaluationGivesThem) {
  const auto fault = [](const std::string& text) { return FaultOf([&] { CheckAccuracies(ParseCsv(text, "t.csv")); }); };
  EXPECT_EQ(fault("N,correct,total,chance\n1,5,10,0.25\n1,12,10,0.25\n"),
            "io: t.csv:3:3: correct = 12 is more than total = 10. No more items can be correct than there are.");
  EXPECT_EQ(fault("N,correct,total,chance\n1,5,-10,0.25\n"),
            "io: t.csv:2:5: total = -10 is not a number of items: it must be finite and not negative.");
  EXPECT_EQ(fault("N,correct,total,chance\n1,-5,10,0.25\n"),
            "io: t.csv:2:3: correct = -5 is negative: a count of correct answers is not.");
  EXPECT_EQ(fault("acc,items,chance\n0.5,100,0.25\n73.2,100,0.25\n"),
            "io: t.csv:3:1: acc = 73.2 is not an accuracy in [0, 1]. Divide percentages by 100: --map 'acc=acc/100'.");
  EXPECT_EQ(fault("acc,chance\n0.5,25\n"),
            "io: t.csv:2:5: chance = 25 is not a share in [0, 1). Write what guessing scores as a fraction: 0.25.");
  // A perplexity is no accuracy, and a missing count no impossible one.
  EXPECT_EQ(fault("value,items,chance,metric_kind\n12.5,100,,perplexity\n0.5,,0.25,accuracy\n"), "(no error)");
  // Percentages that nothing is computed from.
  EXPECT_EQ(fault("acc,acc_adj\n73.2,0.6\n"), "(no error)");
}

TEST(FarBelowChance, IsNamedAndKeptOutOfEveryFit) {
  // 0 of 1000 by guessing one of four: 0.75^1000 = 1e-125.
  EXPECT_NEAR(std::log10(GuessTail(0, 1000, 0.25)), 1000 * std::log10(0.75), 1e-9);
  EXPECT_NEAR(GuessTail(0, 2, 0.5), 0.25, 1e-15);
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("A * log2(B)^beta", {{"A", {0, 1e300}}, {"beta", {0, 0}}}));
  const std::vector<double> total(6, 1000);
  const FitReport without = FitLaws(laws, FourBits({400, 500, 550, 580, 600}, {1000, 1000, 1000, 1000, 1000}),
                                    FitSettings());
  const FitReport with = FitLaws(laws, FourBits({400, 500, 550, 580, 600, 0}, total), FitSettings());
  EXPECT_EQ(with.fits[0].binomial->rows, 5u);
  EXPECT_EQ(with.fits[0].binomial->theta(), without.fits[0].binomial->theta());
  EXPECT_EQ(with.fits[0].binomial->on_fit.accuracy_rows, 5u);
  EXPECT_THAT(with.fits[0].warnings,
              ElementsAre("1 row is far below chance, which guessing does not explain (binomial tail): row 6: acc_adj = "
                          "-0.333333. Answers were probably not extracted, or choices mixed up; no fit has them"));
  // 200 of 1000 is 3.7 standard errors below: named, and fitted like a row at chance; 240 is what guessing gives.
  const FitReport near = FitLaws(laws, FourBits({400, 500, 550, 580, 600, 200}, total), FitSettings());
  EXPECT_EQ(near.fits[0].binomial->rows, 6u);
  ASSERT_EQ(near.fits[0].warnings.size(), 1u);
  EXPECT_THAT(near.fits[0].warnings[0], HasSubstr("row 6: acc_adj = -0.0666667. Look at how their answers are scored"));
  EXPECT_THAT(FitLaws(laws, FourBits({400, 500, 550, 580, 600, 240}, total), FitSettings()).fits[0].warnings,
              IsEmpty());
}

Table PowerRows() {
  Table table("t");
  std::vector<double> size, bits, accuracy, baseline;
  for (const double n : {1e8, 1e9, 1e10}) {
    for (const double b : {2.0, 3.0, 4.0, 8.0}) {
      size.push_back(n), bits.push_back(b);
      const double whole = std::exp(-40 * std::pow(n, -0.2));
      baseline.push_back(whole);
      accuracy.push_back(b == 8 ? whole : whole * std::exp(-3 * std::pow(n, -0.1) * std::pow(b, -1)));
    }
  }
  table.AddNumbers("N", size);
  table.AddNumbers("B", bits);
  table.AddNumbers("acc_adj", accuracy);
  table.AddNumbers("baseline_acc_adj", baseline);
  return table;
}

std::vector<std::unique_ptr<Law>> OfSizeAndBits() {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("A * N^a * log2(B)^b", {{"A", {0, 1e300}}, {"a", {0, 0}}, {"b", {0, 0}}}));
  return laws;
}

TEST(LossAgainstTheUnquantized, KeepsRowsThatLoseNothing) {
  const FitReport report = FitLaws(OfSizeAndBits(), PowerRows(), FitSettings());
  const LawFit& loss = report.fits[0].nulls.back();
  EXPECT_EQ(loss.law, "loss against 16 bits");
  EXPECT_EQ(loss.incoming, 12u);
  EXPECT_EQ(loss.used, 12u);
  EXPECT_THAT(loss.excluded, IsEmpty());
}

TEST(LossAgainstTheUnquantized, CountsTheUnquantizedModelItself) {
  Table table = PowerRows();
  Table with("t");
  for (const TableColumn& column : table.columns()) {
    TableColumn longer = column;
    longer.numbers.push_back(column.name == "B" ? 16 : column.numbers.back());
    longer.numbers.push_back(column.name == "baseline_acc_adj" ? kUnset : column.numbers.back());
    with.Add(longer);
  }
  const FitReport report = FitLaws(OfSizeAndBits(), with, FitSettings());
  const LawFit& loss = report.fits[0].nulls.back();
  EXPECT_EQ(loss.incoming, 14u);
  EXPECT_EQ(loss.used, 12u);
  ASSERT_EQ(loss.excluded.size(), 2u);
  EXPECT_EQ(loss.excluded[0].reason, "the unquantized model itself, whose loss is 0 by definition");
  EXPECT_EQ(loss.excluded[0].example, "row 13");
  EXPECT_EQ(loss.excluded[1].reason, "no baseline_acc_adj above 0");
}

TEST(ErrorsInAccuracy, AreOverRowsThatTheLawCouldHave) {
  Table table = PowerRows();
  Table spoiled("t");
  for (const TableColumn& column : table.columns()) {
    if (column.name == "baseline_acc_adj") continue;
    TableColumn longer = column;
    // Size 0, an infinite accuracy, one of 1.27 and one of -221, and one at chance, which does count.
    const std::vector<double> added = column.name == "N"   ? std::vector<double>{0, 1e9, 1e9, 1e9, 1e9}
                                      : column.name == "B" ? std::vector<double>{4, 4, 4, 4, 2}
                                                           : std::vector<double>{0.5, INFINITY, 1.27, -221, -0.01};
    longer.numbers.insert(longer.numbers.end(), added.begin(), added.end());
    spoiled.Add(longer);
  }
  const FitReport report = FitLaws(OfSizeAndBits(), spoiled, FitSettings());
  const LawFit& fit = report.fits[0];
  EXPECT_EQ(fit.ols->rows, 12u);
  EXPECT_EQ(fit.ols->on_fit.accuracy_rows, 13u);
  EXPECT_LT(fit.ols->on_fit.accuracy_mae, 0.2);
  for (const LawFit& null : fit.nulls) {
    EXPECT_EQ(null.ols->rows, 12u) << null.law;
    EXPECT_EQ(null.ols->on_fit.accuracy_rows, 13u) << null.law;
  }
  std::vector<std::string> reasons;
  for (const Exclusion& one : fit.excluded) reasons.push_back(one.reason);
  EXPECT_THAT(reasons, ElementsAre("no finite value of log(N)", "acc_adj is not finite",
                                   "impossible accuracy (acc_adj > 1)",
                                   "impossible accuracy (acc_adj < -1, of a chance level above a half)",
                                   "accuracy at or below chance (acc_adj <= 0)"));
}

TEST(NullLaws, HaveTheRowsOfALawWhoseResponseIsNotPositive) {
  Table table("t");
  std::vector<double> size, gain;
  for (int i = 0; i < 10; ++i) {
    size.push_back(std::pow(10, 8 + 0.2 * i));
    gain.push_back(0.5 - 0.08 * i);
  }
  table.AddNumbers("N", size);
  table.AddNumbers("gain", gain);
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("E + A * N^a", {{"E", {0, 0}}, {"A", {0, 0}}, {"a", {0, 0}}}, "gain"));
  const FitReport report = FitLaws(laws, table, FitSettings());
  ASSERT_EQ(report.fits[0].nulls.size(), 1u);
  EXPECT_EQ(report.fits[0].used, 10u);
  EXPECT_EQ(report.fits[0].nulls[0].used, 10u);
}

TEST(HeldOutRows, AreThoseThatSayYes) {
  std::string text = "N,acc_adj,hold_out\n";
  for (const auto& [size, word] : {std::pair{"1e8", "no"}, std::pair{"1e9", "N"}, std::pair{"2e9", " False "},
                                   std::pair{"4e9", "off"}, std::pair{"8e9", "Yes"}, std::pair{"9e9", "NA"}})
    text += std::string(size) + ",0.5," + word + "\n";
  const Table table = ParseCsv(text, "t.csv");
  const auto law = MakeFormula("A * N^a", {{"A", {0, 0}}, {"a", {0, 0}}});
  EXPECT_THAT(SelectRows(*law, table, {}).held_out_index, ElementsAre(4));
  const Table wrong = ParseCsv(text + "1e10,0.5,train\n", "t.csv");
  EXPECT_EQ(FaultOf([&] { SelectRows(*law, wrong, {}); }),
            "io: t.csv:8:10: 'train' in column 'hold_out' is neither true nor false. Write 1, true or yes, or 0, false "
            "or no; an empty cell is missing.");
}

TEST(FitLaws, LosesNothingButTheLawThatDoesNotSuitTheTable) {
  std::vector<std::unique_ptr<Law>> laws = OfSizeAndBits();
  laws.insert(laws.begin(), MakeFormula("A * D^a", {{"A", {0, 0}}, {"a", {0, 0}}}));
  const FitReport report = FitLaws(laws, PowerRows(), FitSettings());
  ASSERT_EQ(report.fits.size(), 2u);
  EXPECT_EQ(report.fits[0].unusable,
            "law 'test' needs the column 'D', which t lacks. Columns: N, B, acc_adj, "
            "baseline_acc_adj. Name it with --map D=COLUMN if the table calls it otherwise");
  EXPECT_TRUE(report.fits[1].ols.has_value());
}

std::unique_ptr<FormulaLaw> FormulaAlone(const std::string& formula) {
  Value given;
  given.Set("formula", formula);
  return std::make_unique<FormulaLaw>("test", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
}

std::vector<std::string> NamesOf(const Law& law) {
  std::vector<std::string> names;
  for (const LawParameter& parameter : law.parameters()) names.push_back(parameter.name);
  return names;
}

TEST(FormulaAlone, TellsParametersFromColumnsByTheirNames) {
  const auto law = FormulaAlone("A * N^alpha * log2(B)^beta * log2(Cb)^gamma * G^delta_2 + k1");
  EXPECT_THAT(NamesOf(*law), ElementsAre("A", "alpha", "beta", "gamma", "delta_2", "k1"));
  EXPECT_THAT(law->covariates(), ElementsAre("N", "B", "Cb", "G"));
  EXPECT_TRUE(law->infers_parameters());
  EXPECT_FALSE(MakeFormula("A * N^a", {{"A", {0, 0}}, {"a", {0, 0}}})->infers_parameters());
}

TEST(FormulaAlone, GuessesNoOtherName) {
  EXPECT_EQ(FaultOf([] { FormulaAlone("A * N^alpha * log2(bits)^beta"); }),
            "spec: 'bits' at character 20 of 'A * N^alpha * log2(bits)^beta' is neither a usual column (N, N_active, "
            "parameters_total, layers, hidden_size, vocab_size, kv_values, experts, experts_active, D, B, bits_effective, "
            "size_bytes, G, G_min, G_mean, B_a, B_k, B_v, B_embedding, B_head, Cb, T, few_shot, baseline_acc_adj) nor looks like a "
            "parameter. Say which names are parameters, the others are columns: parameters: {A: {min: 0}, alpha: {}}.");
  EXPECT_THAT(FaultOf([] { FormulaAlone("A * n^alpha"); }), HasSubstr("Did you mean 'N'?"));
  EXPECT_THAT(FaultOf([] { FormulaAlone("A * N^alfa"); }), HasSubstr("'alfa' at character 7"));
  EXPECT_THAT(FaultOf([] { FormulaAlone("E + A * S^-beta"); }), HasSubstr("'S' at character 9"));
  EXPECT_EQ(FaultOf([] { FormulaAlone("N * B"); }),
            "spec: the formula 'N * B' has no name that looks like a parameter. Name one in 'parameters'.");
}

TEST(FormulaAlone, RefusesATableWithAColumnOfAParametersName) {
  Table table = PowerRows();
  table.AddNumbers("a", std::vector<double>(table.rows(), 1));
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(FormulaAlone("A * N^a"));
  EXPECT_EQ(FitLaws(laws, table, FitSettings()).fits[0].unusable,
            "law 'test' does not say which of its names are parameters, and 'a' is a column of t. List the parameters: "
            "parameters: {A: {min: 0}, alpha: {}}");
  laws[0] = FormulaAlone("A * N^alpha");
  EXPECT_THAT(FitLaws(laws, table, FitSettings()).fits[0].inferred_parameters, ElementsAre("A", "alpha"));
  laws[0] = MakeFormula("A * N^a", {{"A", {0, 0}}, {"a", {0, 0}}});
  EXPECT_THAT(FitLaws(laws, table, FitSettings()).fits[0].warnings,
              ElementsAre("'a' is a parameter of the law; the column of that name in t is not used"));
}

TEST(TextsInFormulas, AreIndicators) {
  // Exact: A 2, alpha -.1, and gptq loses 0.8 of what rtn does.
  std::string text = "N,method,kind of text,acc_adj,hold_out\n";
  for (const double n : {1e8, 1e9, 1e10, 1e11}) {
    for (const std::string method : {"gptq", "rtn"}) {
      text += fmt::format("{},{},\"{}, q\",{:.15g},{}\n", n, method, method,
                          std::exp(-2 * std::pow(n, -0.1) * (method == "gptq" ? 0.8 : 1)), n > 5e10 ? "yes" : "no");
    }
  }
  const Table table = ParseCsv(text, "t.csv");
  for (const std::string test : {"method == 'gptq'", "`kind of text` == 'gptq, q'"}) {
    std::vector<std::unique_ptr<Law>> laws;
    laws.push_back(MakeFormula("A * N^alpha * exp(c * (" + test + "))", {{"A", {0, 1e9}}, {"alpha", {0, 0}}, {"c", {0, 0}}}));
    FitSettings settings;
    settings.hold_outs = {test};
    const FitReport report = FitLaws(laws, table, settings);
    ASSERT_TRUE(report.fits[0].ols.has_value()) << report.fits[0].why_no_ols << report.fits[0].unusable;
    EXPECT_EQ(report.fits[0].used, 6u);
    EXPECT_NEAR(report.fits[0].ols->parameters[1].value, -0.1, 1e-9);
    EXPECT_NEAR(report.fits[0].ols->parameters[2].value, std::log(0.8), 1e-9);
  }
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("A * N^alpha * exp(c * (quantizer == 'gptq'))", {{"A", {0, 0}}, {"alpha", {0, 0}}, {"c", {0, 0}}}));
  EXPECT_EQ(FitLaws(laws, table, FitSettings()).fits[0].unusable,
            "law 'test': 'quantizer' at character 1 of 'quantizer == 'gptq'': 'quantizer' is not a column of t.csv. "
            "Columns: N, method, kind of text, acc_adj, hold_out");
}

TEST(RedundantAmplitudes, AreNamed) {
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("A * C * N^a", {{"A", {0, 0}}, {"C", {0, 0}}, {"a", {0, 0}}}));
  EXPECT_EQ(FitLaws(laws, PowerRows(), FitSettings()).fits[0].why_no_ols,
            "parameters A and C cannot be told apart: only their product is determined. Leave one out");
}

TEST(FitSettings, RefuseOneFold) {
  Value given;
  given.Set("k_fold", 1);
  EXPECT_EQ(FaultOf([&] { ReadFitSettings(given); }),
            "spec: fit: 'k_fold' is 1, which leaves no row to fit. Use 0 for none, or 2 to 100.");
  Value named;
  named.Set("bootstrap_unit", "`model name`");
  named.Set("groups", "`a,b`");
  EXPECT_EQ(ReadFitSettings(named).bootstrap_unit, "model name");
  EXPECT_EQ(ReadFitSettings(named).groups, "a,b");
}

TEST(RowPredictions, LeadBackToTheFileWithResidualsAndLeverage) {
  // y = 1 + 2 x + (0.1, -0.1, -0.1, 0.1) at x = 0 1 2 3: h = 1/4 + (x - 1.5)^2 / 5.
  const Table file = ParseCsv("drop,x,y\n1,9,9\n0,0,1.1\n0,1,2.9\n0,2,4.9\n0,3,7.1\n", "t.csv");
  const Table table = file.Rows(file.Where(Expression::Parse("drop == 0")));
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(MakeFormula("a + b * x", {{"a", {0, 0}}, {"b", {0, 0}}}, "y"));
  FitSettings settings;
  const FitReport report = FitLaws(laws, table, settings);
  const Table rows = RowPredictions(laws, table, settings, report);
  EXPECT_EQ(rows.rows(), 8u);  // OLS and least squares.
  EXPECT_EQ(rows.At("method").texts[0], "ols");
  EXPECT_THAT(std::vector<double>(rows.Numbers("line").begin(), rows.Numbers("line").begin() + 4), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(rows.At("name").texts[3], "row 5 (line 6)");
  EXPECT_NEAR(rows.Numbers("residual")[0], 0.1, 1e-12);
  for (size_t i = 0; i < 8; ++i) {
    const double x = static_cast<double>(i % 4);
    EXPECT_NEAR(rows.Numbers("leverage")[i], 0.25 + (x - 1.5) * (x - 1.5) / 5, 1e-9) << i;
  }
  // s^2 = 4 * 0.01 / 2.
  EXPECT_NEAR(rows.Numbers("studentized")[0], 0.1 / std::sqrt(0.02 * 0.3), 1e-9);
}

}  // namespace
}  // namespace bitlaw
