#include "fit/options/fit_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include "api/chance_adjusted.h"
#include "fit/options/quoted_text.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(FitOptions, HaveAFlagOfTheirOwnEach) {
  std::set<std::string> flags;
  for (const FitOption& option : FitOptions()) {
    EXPECT_THAT(option.flag, ::testing::StartsWith("--"));
    EXPECT_TRUE(flags.insert(option.flag).second) << option.flag;
  }
  EXPECT_EQ(flags.size(), FitSchema().fields().size());
}

// Every option at a value that is not its default: what is read is what was written.
TEST(ReadFitSettings, ReadsEveryOption) {
  Value given, fix;
  fix.Set("alpha", 0.34);
  given.Set("chance_rule", "exclude");
  given.Set("weights", "item_errors");
  given.Set("random_starts", 3);
  given.Set("seed", 7);
  given.Set("nulls", false);
  given.Set("confidence", 0.5);
  given.Set("bootstrap", 11);
  given.Set("bootstrap_unit", "`model name`");
  given.Set("profile", true);
  given.Set("derived", Value::List{"doubling = 2^alpha"});
  given.Set("k_fold", 4);
  given.Set("leave_one_out", true);
  given.Set("leave_out", Value::List{"model"});
  given.Set("hold_outs", Value::List{"B == 2"});
  given.Set("compare", false);
  given.Set("select", true);
  given.Set("groups", "family");
  given.Set("permutations", 9);
  given.Set("zones", Value::List{"B == 3"});
  given.Set("average_tasks", false);
  given.Set("controls", Value::List{"items"});
  given.Set("groupings", Value::List{"by_format: choice = arc, boolq; free = gsm8k"});
  given.Set("roles", Value::List{"G2 = granularity", "P = precision"});
  given.Set("fix", fix);
  given.Set("threads", 2);
  EXPECT_EQ(given.AsMap().size(), FitOptions().size());
  const FitSettings read = ReadFitSettings(given);
  EXPECT_EQ(read.chance_rule, ChanceRule::kExclude);
  EXPECT_EQ(read.weights, "item_errors");
  EXPECT_EQ(read.random_starts, 3);
  EXPECT_EQ(read.seed, 7u);
  EXPECT_FALSE(read.nulls);
  EXPECT_EQ(read.confidence, 0.5);
  EXPECT_EQ(read.bootstrap, 11);
  EXPECT_EQ(read.bootstrap_unit, "model name");
  EXPECT_TRUE(read.profile);
  ASSERT_EQ(read.derived.size(), 1u);
  EXPECT_EQ(read.derived[0].expression, "2^alpha");
  EXPECT_EQ(read.k_fold, 4);
  EXPECT_TRUE(read.leave_one_out);
  EXPECT_THAT(read.leave_out, ElementsAre("model"));
  EXPECT_THAT(read.hold_outs, ElementsAre("B == 2"));
  EXPECT_FALSE(read.compare);
  EXPECT_TRUE(read.select);
  EXPECT_EQ(read.groups, "family");
  EXPECT_EQ(read.permutations, 9);
  EXPECT_THAT(read.zones, ElementsAre("B == 3"));
  EXPECT_FALSE(read.average_tasks);
  ASSERT_EQ(read.controls.size(), 1u);
  EXPECT_EQ(read.controls[0].name, "items");
  ASSERT_EQ(read.groupings.size(), 1u);
  ASSERT_EQ(read.groupings[0].strata.size(), 2u);
  EXPECT_THAT(read.groupings[0].strata[0].second, ElementsAre("arc", "boolq"));
  EXPECT_EQ(read.roles.Of("P"), FactorRole::kPrecision);
  EXPECT_EQ(read.roles.Of("G2"), FactorRole::kGranularity);
  ASSERT_EQ(read.fix.size(), 1u);
  EXPECT_EQ(read.fix[0].value, 0.34);
  EXPECT_EQ(read.threads, 2);
  // And written as they can be read.
  given.Set("bootstrap_unit", "model name");
  Value written = Value::Map{};
  for (const FitOption& option : FitOptions()) written.Set(option.name, option.write(read));
  EXPECT_EQ(written.CanonicalJson(), given.CanonicalJson());
}

TEST(ParseControl, WritesWhatItReads) {
  for (const char* text : {"items", "log_items = log(items)", "length: arc = 3.2, gsm8k = 140", "`a b`"})
    EXPECT_EQ(Text(ParseControl(text)), text);
}

TEST(SplitAssignment, TrimsBothSidesAndWantsBoth) {
  EXPECT_EQ(SplitAssignment(" a = 2^b "), (std::pair<std::string, std::string>{"a", "2^b"}));
  EXPECT_EQ(SplitAssignment("a ="), std::nullopt);
  EXPECT_EQ(SplitAssignment("a"), std::nullopt);
}

TEST(ChanceAdjusted, IsZeroForGuessingAndOneForPerfect) {
  EXPECT_DOUBLE_EQ(ChanceAdjusted(0.25, 0.25), 0);
  EXPECT_DOUBLE_EQ(ChanceAdjusted(1, 0.25), 1);
  EXPECT_DOUBLE_EQ(ChanceAdjusted(0.7, 0.25), 0.6);       // 0.45 / 0.75
  EXPECT_DOUBLE_EQ(ChanceAdjustedError(0.03, 0.25), 0.04);  // 0.03 / 0.75
  EXPECT_DOUBLE_EQ(AccuracyOf(0.6, 0.25), 0.7);
}

TEST(StratumMean, CountsEachTaskAlike) {
  StratumMean mean;
  mean.Add(0.2, 0.03);
  mean.Add(0.6, 0.04);
  EXPECT_DOUBLE_EQ(mean.acc_adj(), 0.4);
  EXPECT_DOUBLE_EQ(mean.standard_error(), 0.025);  // sqrt(0.03^2 + 0.04^2) / 2
}

}  // namespace
}  // namespace bitlaw
