#include "fit/solve/least_squares.h"

#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// y = 1, 3, 2, 5, 4 at x = 1..5: by hand, slope 8/10, intercept 3 - 0.8 * 3 = 0.6, SSR 3.6, TSS 10.
TEST(Ols, SolvesAFiveRowLineByHand) {
  const std::vector<double> design = {1, 1, 1, 2, 1, 3, 1, 4, 1, 5}, y = {1, 3, 2, 5, 4};
  const std::vector<std::string> names = {"1", "x"};
  const OlsResult fit = FitOls(design, y, names);
  EXPECT_NEAR(fit.coefficients[0].value, 0.6, 1e-14);
  EXPECT_NEAR(fit.coefficients[1].value, 0.8, 1e-14);
  EXPECT_NEAR(fit.quality.ssr, 3.6, 1e-13);
  EXPECT_NEAR(fit.quality.r2, 0.64, 1e-14);
  EXPECT_NEAR(fit.quality.adjusted_r2, 1 - 0.36 * 4 / 3, 1e-14);
  EXPECT_NEAR(fit.coefficients[1].standard_error, std::sqrt(1.2 / 10), 1e-14);  // s^2 = 3.6 / 3
  EXPECT_NEAR(fit.coefficients[1].t, 0.8 / std::sqrt(0.12), 1e-12);
  EXPECT_NEAR(fit.f, 6.4 / 1.2, 1e-12);
  EXPECT_NEAR(fit.f_p, fit.coefficients[1].p, 1e-12);  // F(1, 3) = t(3)^2
  EXPECT_EQ(fit.df_model, 1u);
  EXPECT_EQ(fit.df_residual, 3u);
  EXPECT_NEAR(fit.coefficients[1].vif, 1, 1e-12);
  EXPECT_TRUE(std::isnan(fit.coefficients[0].vif));
  EXPECT_NEAR(fit.quality.aic, 5 * (std::log(2 * M_PI * 0.72) + 1) + 4, 1e-12);
  EXPECT_NEAR(fit.quality.aicc, fit.quality.aic + 2 + 2.0 * 3 * 4 / (5 - 3 - 1), 1e-12);
}

TEST(Ols, CountsTssFromZeroWithoutAConstant) {
  const std::vector<double> design = {1, 2, 3}, y = {2, 4, 7};
  const std::vector<std::string> names = {"x"};
  const OlsResult fit = FitOls(design, y, names);  // slope 31 / 14
  EXPECT_FALSE(fit.has_constant);
  EXPECT_NEAR(fit.coefficients[0].value, 31.0 / 14, 1e-14);
  EXPECT_NEAR(fit.quality.r2, 31.0 * 31 / 14 / 69, 1e-14);
  EXPECT_EQ(fit.df_model, 1u);
}

TEST(Ols, SeesAConstantInColumnsThatAddUpToOne) {
  const std::vector<double> design = {1, 0, 1, 0, 0, 1, 0, 1}, y = {1, 2, 5, 6};
  const std::vector<std::string> names = {"left", "right"};
  const OlsResult fit = FitOls(design, y, names);
  EXPECT_TRUE(fit.has_constant);
  EXPECT_EQ(fit.df_model, 1u);
}

TEST(Ols, ExplainsDegenerateDesignsInsteadOfSolvingThem) {
  const std::vector<std::string> names = {"1", "log(N)", "log(B)"};
  const std::vector<double> few = {1, 2, 3, 1, 3, 4, 1, 4, 6};
  EXPECT_EQ(ExplainDegenerate(few, names),
            "3 rows for 3 parameters: at least 4 are needed, so that something is left over to judge the fit by");
  const std::vector<double> collinear = {1, 2, 5, 1, 3, 7, 1, 4, 9, 1, 5, 11};
  EXPECT_EQ(ExplainDegenerate(collinear, names),
            "the columns of the design are collinear: log(B) = 1 * 1 + 2 * log(N) in all 4 rows");
  const std::vector<double> zero = {1, 2, 0, 1, 3, 0, 1, 4, 0, 1, 5, 0};
  EXPECT_EQ(ExplainDegenerate(zero, names), "column log(B) is 0 in all 4 rows");
  const std::vector<double> good = {1, 2, 5, 1, 3, 7, 1, 4, 9, 1, 5, 12};
  EXPECT_EQ(ExplainDegenerate(good, names), "");
  try {
    FitOls(zero, std::vector<double>{1, 2, 3, 4}, names);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumerical);
    EXPECT_STREQ(error.what(), "least squares: column log(B) is 0 in all 4 rows.");
  }
}

TEST(PValues, MatchTables) {
  EXPECT_NEAR(StudentP(2.776445105, 4), 0.05, 1e-9);
  EXPECT_NEAR(StudentP(-2.776445105, 4), 0.05, 1e-9);
  EXPECT_NEAR(FisherP(6.94427191, 2, 4), 0.05, 1e-9);  // F(2, 4) upper 5 %: 4 ((0.05)^(-1/2) - 1) / 2
  EXPECT_TRUE(std::isnan(StudentP(kUnset, 4)));
}

TEST(Covariance, LeavesOutParametersThatTheJacobianCannotTellApart) {
  // Columns 0 and 1 are multiples; column 2 is on its own.
  const std::vector<double> jacobian = {1, 2, 1, 2, 4, 0, 3, 6, 1, 4, 8, 0};
  const Covariance covariance = CovarianceOf(jacobian, 3, 2.0);
  EXPECT_FALSE(covariance.is_identified[0]);
  EXPECT_FALSE(covariance.is_identified[1]);
  EXPECT_TRUE(covariance.is_identified[2]);
  EXPECT_NEAR(covariance.values[8], 1.0, 1e-14);  // 2 / (1^2 + 1^2)
  EXPECT_TRUE(std::isnan(covariance.values[0]));
}

}  // namespace
}  // namespace bitlaw
