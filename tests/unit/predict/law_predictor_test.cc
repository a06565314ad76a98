#include "fit/predict/law_predictor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "bitlaw/base/rng.h"
#include "fit/estimate/law_fit.h"
#include "fit/predict/coverage.h"
#include "fit/predict/nested_variance.h"
#include "fit/predict/stratum_predictor.h"
#include "laws_for_tests.h"
#include "support/planted_study.h"

namespace bitlaw {
namespace {

TEST(ErrorScale, IsTheAngleOfAnAccuracyAboveChance) {
  const ErrorScale scale(ErrorScale::Kind::kAngle, 0.25);
  EXPECT_DOUBLE_EQ(scale(1.0 / 3), std::numbers::pi / 2);  // p = 0.25 + 0.75 / 3 = 0.5: 2 asin(sqrt(0.5)).
  EXPECT_DOUBLE_EQ(scale(1), std::numbers::pi);
  EXPECT_DOUBLE_EQ(scale(-0.5), 0);  // p = -0.125 counts as 0.
  EXPECT_NEAR(scale.Inverse(scale(0.1)), 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(scale.Inverse(4), 1);
  EXPECT_NEAR(scale.Slope(0.1), (scale(0.1 + 1e-6) - scale(0.1 - 1e-6)) / 2e-6, 1e-6);
}

// S^-1 v: S applied to it is v again.
void ExpectSolves(const NestedVariance& variance, size_t n) {
  const Eigen::VectorXd v = Eigen::VectorXd::LinSpaced(static_cast<Eigen::Index>(n), -1, 2);
  const Eigen::VectorXd solved = variance.Solve(v);
  const NestedGroups& groups = variance.groups();
  for (size_t i = 0; i < n; ++i) {
    double back = 0;
    for (size_t j = 0; j < n; ++j) {
      const double shared =
          (groups.unit_of_row[i] == groups.unit_of_row[j] ? variance.variance(NestedVariance::kUnit) : 0) +
          (groups.cell_of_row[i] == groups.cell_of_row[j] ? variance.variance(NestedVariance::kCell) : 0) +
          (i == j ? variance.row_factor(groups.cell_of_row[i]) * variance.variance(NestedVariance::kRow) : 0);
      back += shared * solved[static_cast<Eigen::Index>(j)];
    }
    EXPECT_NEAR(back, v[static_cast<Eigen::Index>(i)], 1e-9);
  }
}

// Of statsmodels 0.15.0, MixedLM(y ~ x, groups=u, vc={c: 0 + C(c)}), REML, bfgs: 4 units of 3 cells of 2 rows. Its
// three optimizers differ by 6e-4 in the variance of the units.
TEST(NestedVariance, IsThatOfRestrictedLikelihood) {
  const std::vector<double> y = {0.855, 0.531, 0.075, 0.117, -0.348, 0.032, -0.814, -0.972,
                                 0.248, 0.374, 0.164, 0.579, 0.621,  0.863, -0.375, 0.018,
                                 0.165, 0.085, 2.066, 2.262, 1.215,  1.136, 0.449,  0.048};
  const std::vector<double> x = {0, 1, 2, 3, 4, 0};
  NestedGroups groups;
  groups.units = 4, groups.cells = 12;
  Eigen::MatrixXd slopes(24, 2);
  for (size_t i = 0; i < 24; ++i) {
    groups.unit_of_row.push_back(i / 6);
    groups.cell_of_row.push_back(i / 2);
    slopes.row(static_cast<Eigen::Index>(i)) << 1, x[i % 6];
  }
  const NestedVariance variance(groups, slopes, Eigen::Map<const Eigen::VectorXd>(y.data(), 24));
  EXPECT_EQ(variance.why_none(), "");
  EXPECT_NEAR(variance.variance(NestedVariance::kUnit), 0.1552, 0.001);
  EXPECT_NEAR(variance.variance(NestedVariance::kCell), 0.43384, 0.001);
  EXPECT_NEAR(variance.variance(NestedVariance::kRow), 0.03997, 0.0001);
  // Units less the intercept; cells less units; rows less cells and less the slope, which varies within cells.
  EXPECT_EQ(variance.degrees_of_freedom(NestedVariance::kUnit), 3);
  EXPECT_EQ(variance.degrees_of_freedom(NestedVariance::kCell), 8);
  EXPECT_EQ(variance.degrees_of_freedom(NestedVariance::kRow), 11);
  EXPECT_EQ(variance.row_factor(0), 1);
  ExpectSolves(variance, 24);
  // Cells of the settings 0, 1, 2 of each unit.
  groups.setting_of_cell = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
  const NestedVariance by_setting(groups, slopes, Eigen::Map<const Eigen::VectorXd>(y.data(), 24));
  // Within cells the squares of halved differences, over 4 cells, are M_p; M of all 12 is their mean; d_p = 4.
  double squares[3] = {0, 0, 0};
  for (size_t cell = 0; cell < 12; ++cell) squares[cell % 3] += std::pow(y[2 * cell] - y[2 * cell + 1], 2) / 2;
  const double mean = (squares[0] + squares[1] + squares[2]) / 12;
  for (size_t cell = 0; cell < 3; ++cell) {
    EXPECT_NEAR(by_setting.row_factor(cell), (squares[cell] / mean + 4) / 8, 1e-12);
    EXPECT_EQ(by_setting.row_freedom(cell), 8);
  }
  ExpectSolves(by_setting, 24);
}

// Rows that are their own units: the textbook's interval. Of statsmodels 0.15.0, OLS(y ~ x).get_prediction(x = 10),
// alpha = 0.1: mean 8.97619, obs_ci 7.954416 to 9.997965.
TEST(LawPredictor, HasTheIntervalOfRegressionWhereRowsAreIndependent) {
  Table table("t");
  table.AddNumbers("x", {1, 2, 3, 4, 5, 6, 7, 8});
  table.AddNumbers("y", {-1.2, 0.3, 1.1, 2.9, 3.2, 4.8, 5.1, 7.0});
  const auto law = MakeFormula("a + b * x", {{"a", {0, 0}}, {"b", {0, 0}}}, "y");
  FitSettings settings;
  settings.nulls = false;
  const LawFit fit = FitLaw(*law, table, settings);
  ASSERT_TRUE(fit.ols);
  const FitProblem problem(*law, table, settings, fit.ols->procedure);
  const LawPredictor predictor(problem, table, settings, *fit.ols);
  const LawPrediction at = predictor.At(std::vector<double>{10});
  EXPECT_NEAR(at.value, 8.97619, 1e-5);
  EXPECT_NEAR(at.interval.low, 7.954416, 1e-5);
  EXPECT_NEAR(at.interval.high, 9.997965, 1e-5);
  EXPECT_EQ(at.degrees_of_freedom, 6);
  // The leverage of x = 10 is 1/8 + 5.5^2 / 42, that of the end x = 8 is 1/8 + 3.5^2 / 42.
  EXPECT_NEAR(predictor.Distance(std::vector<double>{10}), (0.125 + 30.25 / 42) / (0.125 + 12.25 / 42), 1e-9);
}

// Models off the law by `between`, settings of bits of one by `within`, rows by `noise` (at 2 bits three times as far),
// on the scale of the angle.
Table Lab(int models, double between, double within, double noise, Rng& rng, const Law& law, double first = 5e4) {
  std::vector<Configuration> rows;
  std::vector<std::string> names;
  std::vector<double> accuracy;
  const ErrorScale scale;
  for (int m = 0; m < models; ++m) {
    const double off = between * rng.Normal(), size = first * std::pow(1.5, m);
    for (const double bits : {2.0, 3.0, 4.0, 8.0}) {
      const double cell = within * rng.Normal();
      for (const Configuration& one : FullGrid({size}, {bits}, {8, 128}, {32, 64})) {
        rows.push_back(one);
        names.push_back("m" + std::to_string(m));
        accuracy.push_back(scale.Inverse(scale(std::exp(-PredictAt(law, {200, -.45, -1.2, -.08, .05}, one))) + off +
                                         cell + (bits == 2 ? 3 : 1) * noise * rng.Normal()));
      }
    }
  }
  Table table("lab");
  AddConfigurations(table, rows);
  table.AddTexts("model", names);
  table.AddNumbers("acc_adj", accuracy);
  table.AddNumbers("chance", std::vector<double>(rows.size(), 0.0));
  return table;
}

FitSettings Quick() {
  FitSettings settings;
  settings.nulls = false;
  settings.random_starts = 2;
  return settings;
}

TEST(LawPredictor, MovesTheLawByHowFarItIsOffForAKnownModel) {
  Rng rng(3);
  const auto law = FourFactorLaw();
  const Table table = Lab(8, 0.2, 0.05, 0.005, rng, *law);
  const FitSettings settings = Quick();
  const LawFit fit = FitLaw(*law, table, settings);
  ASSERT_TRUE(fit.ols);
  const FitProblem problem(*law, table, settings, fit.ols->procedure);
  const LawPredictor predictor(problem, table, settings, *fit.ols);
  EXPECT_EQ(predictor.unit_name(), "model");
  EXPECT_EQ(predictor.units(), 8u);
  const std::vector<double> x = {5e4, 3, 32, 32};  // N, B, Cb, G in the law's order.
  const LawPrediction known = predictor.At(x, "m0"), unknown = predictor.At(x, "other");
  EXPECT_TRUE(known.is_known_unit);
  EXPECT_FALSE(unknown.is_known_unit);
  EXPECT_EQ(unknown.value, unknown.law_value);
  EXPECT_EQ(known.law_value, unknown.law_value);
  // Of every model between its four rows at these bits, which it was measured at.
  for (size_t m = 0; m < 8; ++m) {
    double low = 1, high = 0;
    for (size_t row = 16 * m + 4; row < 16 * m + 8; ++row) {
      low = std::min(low, table.NumberAt("acc_adj", row));
      high = std::max(high, table.NumberAt("acc_adj", row));
    }
    const LawPrediction at =
        predictor.At(std::vector<double>{table.NumberAt("N", 16 * m), 3, 32, 32}, "m" + std::to_string(m));
    EXPECT_GT(at.value, low - 0.01) << m;
    EXPECT_LT(at.value, high + 0.01) << m;
  }
  EXPECT_LT(known.interval.high - known.interval.low, 0.2 * (unknown.interval.high - unknown.interval.low));
}

// Intervals for a new model, for other bits of a known one, and for another configuration beside known ones.
TEST(LawPredictor, HasIntervalsThatHoldNineOfTen) {
  const auto law = FourFactorLaw();
  int held_new = 0, held_bits = 0, held_row = 0;
  constexpr int kStudies = 200;
  for (int study = 0; study < kStudies; ++study) {
    Rng rng(1000 + static_cast<uint64_t>(study));
    const Table all = Lab(9, 0.1, 0.06, 0.02, rng, *law);
    // Of the ninth model nothing is kept, of the first not its 2 bits, of the second not its first configuration.
    const std::vector<size_t> kept =
        all.Where(Expression::Parse("model != 'm8' and not (model == 'm0' and B == 2) and "
                                    "not (model == 'm1' and B == 4 and Cb == 8 and G == 32)"));
    const Table table = all.Rows(kept);
    const FitSettings settings = Quick();
    const LawFit fit = FitLaw(*law, table, settings);
    ASSERT_TRUE(fit.ols);
    const FitProblem problem(*law, table, settings, fit.ols->procedure);
    const LawPredictor predictor(problem, table, settings, *fit.ols);
    const auto holds = [&](const char* condition, const std::string& unit) {
      const size_t row = all.Where(Expression::Parse(condition)).front();
      std::vector<double> x;
      for (const std::string& name : law->covariates()) x.push_back(all.NumberAt(name, row));
      const LawPrediction at = predictor.At(x, unit);
      const double measured = all.NumberAt("acc_adj", row);
      return measured >= at.interval.low && measured <= at.interval.high ? 1 : 0;
    };
    held_new += holds("model == 'm8' and B == 3", "m8");
    held_bits += holds("model == 'm0' and B == 2", "m0");
    held_row += holds("model == 'm1' and B == 4 and Cb == 8 and G == 32", "m1");
  }
  // 0.9 with a standard error of 0.021: 180 of 200.
  EXPECT_THAT(held_new, testing::AllOf(testing::Ge(168), testing::Le(192)));
  EXPECT_THAT(held_bits, testing::AllOf(testing::Ge(168), testing::Le(192)));
  EXPECT_THAT(held_row, testing::AllOf(testing::Ge(168), testing::Le(192)));
}

TEST(LawPredictor, SaysWhyThereIsNoIntervalForAnotherModel) {
  Rng rng(5);
  const auto law = FourFactorLaw();
  const Table table = Lab(2, 0.3, 0.1, 0.05, rng, *law);
  const FitSettings settings = Quick();
  const LawFit fit = FitLaw(*law, table, settings);
  ASSERT_TRUE(fit.ols);
  const FitProblem problem(*law, table, settings, fit.ols->procedure);
  const LawPredictor predictor(problem, table, settings, *fit.ols);
  // A and alpha take both models up.
  EXPECT_EQ(predictor.At(std::vector<double>{1e6, 3, 32, 32}, "m9").why_no_interval,
            "2 models are too few to show how far the law is off for another one");
}

TEST(Coverage, LeavesOutConfigurationsBitsAndModels) {
  Rng rng(7);
  const auto law = FourFactorLaw();
  const Table table = Lab(6, 0.15, 0.1, 0.05, rng, *law);
  StratumData data;
  data.name = "all";
  data.table = table;
  const StratumPredictor stratum(*law, data, Quick());
  ASSERT_EQ(stratum.why_none(), "");
  const Coverage rows = stratum.LeaveOut(Coverage::LeftOut::kConfiguration);
  const Coverage models = stratum.LeaveOut(Coverage::LeftOut::kUnit);
  EXPECT_EQ(rows.rows.size(), 96u);
  EXPECT_EQ(models.rows.size(), 96u);
  EXPECT_TRUE(rows.rows[0].prediction.is_known_unit);
  EXPECT_FALSE(models.rows[0].prediction.is_known_unit);
  EXPECT_LT(rows.mean_width(), models.mean_width());
  EXPECT_LT(rows.mean_error(), rows.mean_law_error());
  EXPECT_GE(rows.share(), 0.8);
}

TEST(MeasuredInterval, IsWilsons) {
  // Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81 of 263 at 95 %: 0.2553 to 0.3662; 0 of 20:
  // 0 to 0.1611.
  const double p = 81.0 / 263;
  const Interval many = MeasuredInterval(p, 0, std::sqrt(p * (1 - p) / 263), 263, 0.95);
  EXPECT_NEAR(many.low, 0.2553, 5e-5);
  EXPECT_NEAR(many.high, 0.3662, 5e-5);
  const Interval none = MeasuredInterval(0, 0, 0, 20, 0.95);
  EXPECT_NEAR(none.low, 0, 1e-12);
  EXPECT_NEAR(none.high, 0.1611, 5e-5);
  EXPECT_TRUE(std::isnan(MeasuredInterval(0.5, 0, 0, kUnset, 0.95).low));
}

}  // namespace
}  // namespace bitlaw
