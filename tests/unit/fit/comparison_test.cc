#include "fit/examine/comparison.h"

#include <gtest/gtest.h>

#include "records/table.h"
#include "support/planted_study.h"
#include "support/shipped_laws.h"
#include "unit/fit/laws_for_tests.h"

namespace bitlaw {
namespace {

// One model over bits and groups, as a study of a single checkpoint gives.
Table OneModel() {
  std::string csv = "N,B,G,Cb,value,chance,items,acc_adj\n";
  int i = 0;
  for (const int bits : {2, 3, 4, 8}) {
    for (const int group : {32, 128}) {
      const double accuracy = 0.1 * bits - 0.0004 * group + 0.003 * (++i % 3);
      const std::string value = std::to_string(accuracy);
      csv += "1e8," + std::to_string(bits) + "," + std::to_string(group) + ",32," + value + ",0,400," + value + "\n";
    }
  }
  return ParseCsv(csv, "table", {});
}

TEST(CompareLaws, LeavesOutTheNestedTestOfALawThatTheRowsDoNotDetermine) {
  const auto parameters = [](std::initializer_list<const char*> names) {
    std::vector<std::pair<std::string, std::pair<double, double>>> all;
    for (const char* name : names) all.push_back({name, {0, 0}});
    return all;
  };
  const auto bits = MakeFormula("A * log2(B)^beta", parameters({"A", "beta"}));
  const auto group = MakeFormula("A * log2(B)^beta * G^delta", parameters({"A", "beta", "delta"}));
  const auto size = MakeFormula("A * N^alpha * log2(B)^beta * G^delta", parameters({"A", "alpha", "beta", "delta"}));
  const std::vector<const Law*> laws = {bits.get(), group.get(), size.get()};
  const LawComparison comparison = CompareLaws(laws, OneModel(), FitSettings());
  ASSERT_EQ(comparison.nested.size(), 1u);  // N does not vary, so nothing is tested against the third.
  EXPECT_EQ(comparison.nested[0].df1, 1);
}

// Six parameters of size on six sizes: their valley is so flat that no iteration ends in it, but what they predict
// within it is the same. Beyond the sizes that are left it is not.
TEST(Validation, PredictsFromAValleyAndSaysWhereItCannot) {
  Rng rng(3);
  const auto planted = FourFactorLaw();
  const Table table = PlantedTable(*planted, {2600, -.359, -1.067, -.032, .073}, FourFactorGrid(), 0.1, rng);
  const auto broken = ShippedLaw("broken_power");
  FitSettings settings;
  settings.random_starts = 6;
  settings.nulls = false;
  const Law* laws[] = {broken.get(), planted.get()};
  const LawComparison comparison = CompareLaws(laws, table, settings);
  for (const ComparedLaw& one : comparison.laws) {
    EXPECT_EQ(one.folds.fits, 5u);
    EXPECT_EQ(one.folds.failed, 0u) << one.law << ": " << (one.folds.failures.empty() ? "" : one.folds.failures[0]);
  }
  // The planted law is `test`; the other one lacks G and Cb, but nothing of size.
  const ComparedLaw& first = comparison.laws[0];
  EXPECT_EQ(first.law, "test");
  EXPECT_LT(comparison.laws[1].folds.accuracy_mae, 1.5 * first.folds.accuracy_mae);
  const ValidationResult& largest = comparison.laws[1].hold_outs[0];
  EXPECT_EQ(largest.scheme, "hold out N == 3.2e+10");
  EXPECT_EQ(largest.failures.size(), largest.failed);
  EXPECT_EQ(largest.why_none, largest.failed == 0 ? "" : largest.failures[0]);
}

}  // namespace
}  // namespace bitlaw
