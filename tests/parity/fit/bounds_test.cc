#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"
#include "fit/estimate/law_fit.h"
#include "fit/law/restricted_law.h"
#include "fit/refit/refitter.h"
#include "fit/solve/nonlinear.h"
#include "formula_law.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;

Json Problems() {
  std::ifstream file(std::string(BITLAW_FIT_GOLDENS) + "/bounds.json");
  EXPECT_TRUE(file.good());
  return Json::parse(file)["problems"];
}

std::unique_ptr<FormulaLaw> MakeLaw(const Json& problem) {
  Value given, map, procedure;
  const std::vector<std::string> parameters = problem["parameters"];
  for (size_t j = 0; j < parameters.size(); ++j) {
    Value one = Value::Map{};
    if (!problem["bounds"][j][0].is_null()) one.Set("min", problem["bounds"][j][0].get<double>());
    if (!problem["bounds"][j][1].is_null()) one.Set("max", problem["bounds"][j][1].get<double>());
    map.Set(parameters[j], std::move(one));
  }
  given.Set("formula", problem["formula"].get<std::string>());
  given.Set("response", problem["loss"] == "binomial" ? "-log(acc_adj)" : "y");
  given.Set("parameters", std::move(map));
  procedure.Set("loss", problem["loss"].get<std::string>());
  procedure.Set("space", problem["space"].get<std::string>());
  procedure.Set("delta", problem["delta"].get<double>());
  given.Set("procedure", std::move(procedure));
  return std::make_unique<FormulaLaw>("golden", FormulaLaw::Schema().Resolve(given, "law 'formula'"));
}

FitRows RowsOf(const Json& problem) {
  FitRows rows;
  for (const Json& row : problem["x"]) {
    for (const Json& value : row) rows.x.push_back(value);
  }
  rows.y = problem["y"].get<std::vector<double>>();
  if (problem["loss"] != "binomial") return rows;
  rows.correct = problem["correct"].get<std::vector<double>>();
  rows.total = problem["total"].get<std::vector<double>>();
  rows.chance.assign(rows.total.size(), 0);
  for (size_t i = 0; i < rows.total.size(); ++i)
    rows.y.push_back(rows.correct[i] > 0 ? -std::log(rows.correct[i] / rows.total[i]) : kUnset);
  return rows;
}

// At a bound the minimum is that of the law with the bound written in, as SciPy finds it, from one start as from many.
TEST(ActiveBounds, GiveTheMinimumOfScipyForEveryLossAndSpaceAndAnyStarts) {
  const Json problems = Problems();
  ASSERT_EQ(problems.size(), 12u);
  const ResponseInverse inverse("-log(acc_adj)");
  for (const Json& problem : problems) {
    const std::string name = problem["name"];
    const auto law = MakeLaw(problem);
    const FitRows rows = RowsOf(problem);
    for (const auto& [starts, seed] : {std::pair{16, 0}, std::pair{40, 7}, std::pair{8, 1}}) {
      NonlinearOptions options;
      options.procedure = law->procedure();
      options.inverse = &inverse;
      options.random_starts = starts;
      options.seed = static_cast<uint64_t>(seed);
      const NonlinearResult fit = FitNonlinear(*law, rows, options);
      const double golden = problem["objective"];
      EXPECT_NEAR(fit.objective, golden, 1e-8 * std::fabs(golden)) << name << ", " << starts << " starts";
      EXPECT_LT(fit.kkt, 1e-7) << name;
      std::vector<std::string> held;
      for (size_t j = 0; j < fit.parameters.size(); ++j) {
        const double estimate = problem["estimate"][j];
        EXPECT_NEAR(fit.parameters[j].value, estimate, 1e-3 * std::fabs(estimate)) << name << " " << j;
        if (!fit.parameters[j].at_bound) continue;
        held.push_back(problem["parameters"][j]);
        EXPECT_GT(fit.parameters[j].multiplier, 0) << name;
      }
      EXPECT_EQ(held, problem["held"].get<std::vector<std::string>>()) << name;
    }
  }
}

// The same law with those values held is fitted by another path: fewer parameters, no bound in the way.
TEST(ActiveBounds, GiveWhatTheLawWithTheValueWrittenInGives) {
  const ResponseInverse inverse("-log(acc_adj)");
  for (const Json& problem : Problems()) {
    const auto law = MakeLaw(problem);
    const FitRows rows = RowsOf(problem);
    NonlinearOptions options;
    options.procedure = law->procedure();
    options.inverse = &inverse;
    const NonlinearResult bounded = FitNonlinear(*law, rows, options);
    std::vector<double> fixed;
    for (const NonlinearParameter& parameter : bounded.parameters)
      fixed.push_back(parameter.at_bound ? parameter.value : kUnset);
    const NonlinearResult held = FitNonlinear(RestrictedLaw(*law, fixed), rows, options);
    EXPECT_NEAR(bounded.objective, held.objective, 1e-9 * std::fabs(held.objective)) << problem["name"];
  }
}

// Refits to resamples use the same solver: each must reach the minimum that many starts find.
TEST(ActiveBounds, HoldInRefitsToResamplesToo) {
  for (const Json& problem : Problems()) {
    if (problem["loss"] == "binomial") continue;
    const auto law = MakeLaw(problem);
    const FitRows rows = RowsOf(problem);
    Table table("bounds");
    std::vector<double> columns[2];
    for (size_t i = 0; i < rows.size(); ++i) {
      for (size_t c = 0; c < 2; ++c) columns[c].push_back(rows.x[2 * i + c]);
    }
    table.AddNumbers("N", columns[0]);
    table.AddNumbers("D", columns[1]);
    table.AddNumbers("y", rows.y);
    const LawFit fit = FitLaw(*law, table, FitSettings());
    const MethodFit& method = *fit.Methods()[0];
    const Refitter refitter(*law, table, FitSettings(), method);
    std::vector<double> theta(law->parameters().size());
    for (size_t without = 0; without < rows.size(); without += 4) {
      std::vector<double> times(rows.size(), 1);
      times[without] = 0;
      ASSERT_TRUE(refitter.Refit(times, theta)) << problem["name"] << " without " << without;
      FitRows rest = rows;
      rest.x.erase(rest.x.begin() + static_cast<std::ptrdiff_t>(2 * without),
                   rest.x.begin() + static_cast<std::ptrdiff_t>(2 * without + 2));
      rest.y.erase(rest.y.begin() + static_cast<std::ptrdiff_t>(without));
      NonlinearOptions options;
      options.procedure = law->procedure();
      options.given_starts = {{"all rows", method.theta()}};
      options.random_starts = 4;
      const NonlinearResult least = FitNonlinear(*law, rest, options);
      const double here = Objective(*law, rest, law->procedure()).Value(theta);
      EXPECT_NEAR(here, least.objective, 1e-5 * std::fabs(least.objective)) << problem["name"] << " without " << without;
    }
  }
}

}  // namespace
}  // namespace bitlaw
