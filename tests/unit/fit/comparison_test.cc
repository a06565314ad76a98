#include "fit/comparison.h"

#include <gtest/gtest.h>

#include "records/table.h"
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
      csv += "1e8," + std::to_string(bits) + "," + std::to_string(group) + ",32," + std::to_string(accuracy) + ",0,400," +
             std::to_string(accuracy) + "\n";
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

}  // namespace
}  // namespace bitlaw
