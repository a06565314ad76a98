#include "bitlaw/testing/law_conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/autodiff_law.h"
#include "fit/estimate/law_fit.h"
#include "fit/law/null_law.h"
#include "fit/law/restricted_law.h"
#include "gaussian_capacity_law.h"
#include "laws_for_tests.h"

namespace bitlaw {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::LawDomain;
using testing::LawFaults;

const LawDomain kFourFactors = {{0.5, -1, -2, -1, -1}, {5, 1, 2, 1, 1}, {1e8, 2.5, 4, 16}, {1e10, 8, 1024, 1024}};

TEST(LawConformance, FormulaNullRestrictedAndAutoDiffLawsKeepTheirPromises) {
  const auto formula = FourFactorLaw();
  EXPECT_THAT(LawFaults(*formula, kFourFactors), ElementsAre());
  const NullLaw null("f(N,B)", "-log(acc_adj)", {{"N", "alpha", false}, {"B", "beta", true}});
  EXPECT_THAT(LawFaults(null, {{0.5, -1, -2}, {5, 1, 2}, {1e8, 2.5}, {1e10, 8}}), ElementsAre());
  const RestrictedLaw restricted(*formula, {kUnset, -0.36, kUnset, kUnset, 0.07});
  const LawDomain three = {{0.5, -2, -1}, {5, 2, 1}, {1e8, 2.5, 4, 16}, {1e10, 8, 1024, 1024}};
  EXPECT_THAT(LawFaults(restricted, three), ElementsAre());
  const auto capacity = MakeGaussianCapacityLaw("capacity");
  EXPECT_THAT(LawFaults(*capacity, {{1, -1, 0, -1}, {100, 0, 50, 1}, {1e8, 2, 16}, {1e10, 8, 1024}}), ElementsAre());
}

struct WrongSlope {
  template <typename T>
  T operator()(const T* theta, const double* x) const {
    return theta[0] * x[0];
  }
};

// The derivative of a law that forgot a factor.
class ForgetfulLaw : public AutoDiffLaw<WrongSlope, 1> {
 public:
  using AutoDiffLaw::AutoDiffLaw;
  double Predict(std::span<const double> theta, std::span<const double> x, std::span<double> gradient) const override {
    if (!gradient.empty()) gradient[0] = 1;
    return theta[0] * x[0];
  }
};

TEST(LawConformance, NamesWhatALawGetsWrong) {
  std::vector<LawParameter> one(1);
  one[0].name = "A";
  one[0].min = 1;
  one[0].start = 0;
  const ForgetfulLaw law("forgetful", one, {"A"}, "y", "A * A");
  const auto faults = LawFaults(law, {{2}, {2.000001}, {3}, {3.000001}, 1});
  EXPECT_THAT(faults, Contains("law 'forgetful': the start of 'A' is outside its bounds."));
  EXPECT_THAT(faults, Contains("law 'forgetful': 'A' is there twice."));
  EXPECT_THAT(faults, Contains(HasSubstr("its derivative by 'A' is 1.000000, differences say 3.0000")));
  EXPECT_EQ(LawFaults(law, {{}, {}, {3}, {4}})[2],
            "law 'forgetful': the domain has another number of parameters or covariates.");
}

TEST(LawConformance, NamesTrendsAndLimitsThatALawDoesNotKeep) {
  const auto law = MakeFormula("A * N^alpha", {{"A", {0, 10}}, {"alpha", {-1, 1}}});
  LawDomain domain = {{2, -0.5}, {2, -0.5}, {1}, {100}, 1};
  const auto two = [](std::span<const double> theta, std::span<const double>) { return theta[0]; };
  domain.trends = {{"N", -1}};
  domain.limits = {{{{"N", 1}}, "A", two}};
  EXPECT_THAT(testing::LimitFaults(*law, domain), ElementsAre());
  domain.trends = {{"N", 1}, {"G", 1}};
  domain.limits = {{{{"N", 4}}, "A", two}};
  EXPECT_THAT(testing::LimitFaults(*law, domain),
              ElementsAre(HasSubstr("law 'test': it falls with N, from "), "law 'test': it has no covariate 'G'.",
                          "law 'test': at N = 4.000000 it is 1.000000, not A = 2.000000."));
}

// The steepness of a sigmoid cannot be told from the scale of what is in it.
TEST(LawConformance, NamesParametersThatNoDataTellApart) {
  const std::vector<std::pair<std::string, std::pair<double, double>>> bounds = {
      {"s", {0.1, 9}}, {"A", {0, 9}}, {"b", {-9, 9}}};
  const LawDomain domain = {{1, 2, 0.5}, {2, 4, 1}, {-2}, {2}};
  const auto once = MakeFormula("sigmoid(s * (A * N - b))", bounds, "acc");
  EXPECT_THAT(testing::RecoveryFaults(*once, domain), Contains(HasSubstr("law 'test': 's' was planted as ")));
  const LawDomain fewer = {{2, 0.5}, {4, 1}, {-2}, {2}};
  const auto apart = MakeFormula("sigmoid(A * N - b)", {{"A", {0, 9}}, {"b", {-9, 9}}}, "acc");
  EXPECT_THAT(testing::RecoveryFaults(*apart, fewer), ElementsAre());
}

TEST(AutoDiffLaw, RefusesAnotherNumberOfParameters) {
  EXPECT_THROW((AutoDiffLaw<WrongSlope, 1>("x", {}, {"N"}, "y", "A * N")), InternalError);
}

// Integrals of the normal density over the cells of the best uniform quantizer, with 2, 4 and 256 levels.
TEST(GaussianCapacity, HasTheErrorsOfTheBestUniformQuantizer) {
  EXPECT_NEAR(GaussianQuantizationError(1), 1 - 2 / M_PI, 1e-7);  // Two levels: 1 - 2 / pi.
  EXPECT_NEAR(GaussianQuantizationError(2), 0.11885, 1e-5);
  EXPECT_NEAR(GaussianQuantizationError(8), 8.7686e-5, 1e-9);
  EXPECT_NEAR(GaussianQuantizationError(2.5), std::sqrt(0.1188461 * 0.03743966), 1e-9);
  EXPECT_NEAR(GaussianQuantizationError(9), 8.7686e-5 / 4, 1e-9);
  EXPECT_TRUE(std::isnan(GaussianQuantizationError(-1)));
}

TEST(GaussianCapacity, RecoversPlantedParameters) {
  const auto law = MakeGaussianCapacityLaw("capacity");
  const std::vector<double> theta = {900, -0.32, 20, 0.06};
  Table table("planted");
  std::vector<double> n, b, g, a;
  for (const double size : {6e8, 4e9, 1.4e10}) {
    for (const double bits : {2.0, 3.0, 4.0, 8.0}) {
      for (const double group : {32.0, 128.0}) {
        n.push_back(size), b.push_back(bits), g.push_back(group);
        a.push_back(std::exp(-law->Predict(theta, std::vector<double>{size, bits, group}, {})));
      }
    }
  }
  table.AddNumbers("N", n);
  table.AddNumbers("B", b);
  table.AddNumbers("G", g);
  table.AddNumbers("acc_adj", a);
  const LawFit fit = FitLaw(*law, table, FitSettings());
  ASSERT_TRUE(fit.least_squares.has_value()) << fit.why_no_least_squares;
  for (size_t j = 0; j < 4; ++j) EXPECT_NEAR(fit.least_squares->parameters[j].value / theta[j], 1, 1e-5) << j;
}

}  // namespace
}  // namespace bitlaw
