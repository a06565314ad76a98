#include "recommend/recommend.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "bitlaw/base/error.h"
#include "laws_for_tests.h"
#include "recommend/recommend_output.h"
#include "report/recommend_table.h"
#include "support/law_world.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

std::string Refused(auto&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Constraints, AreReadFromWhatPeopleWrite) {
  EXPECT_EQ(ParseFloor("KR >= 95% of 16-bit").Text(), "KR >= 95 % of 16-bit");
  EXPECT_EQ(ParseFloor(" KR>=95 % of best ").Text(), "KR >= 95 % of best");
  EXPECT_EQ(ParseFloor("KR >= 0.9 of my-model").reference, "my-model");
  EXPECT_EQ(ParseFloor("KM >= 40%").least, 0.4);
  EXPECT_FALSE(ParseFloor("KM >= 0.4").is_relative);
  EXPECT_EQ(ParseSize("400kB", "--max-weights"), 400e3);
  EXPECT_EQ(ParseSize("8 GiB", "--max-weights"), 8589934592.0);
  EXPECT_EQ(ParseSize("400000", "--max-weights"), 400e3);
  EXPECT_THAT(ParseStratumWeights("KR=2, KM=1"), ElementsAre(Pair("KR", 2.0), Pair("KM", 1.0)));
  EXPECT_EQ(ShortSize(412345), "412 kB");
  EXPECT_EQ(ShortSize(1.306e9), "1.31 GB");
}

TEST(Constraints, SayWhatCannotBeRead) {
  const std::string advice =
      " Write 'KR >= 95% of 16-bit' for a share of what the same model has unquantized, 'of best' or 'of "
      "MODEL' for that of another one, or 'KR >= 0.4' for an adjusted accuracy.";
  EXPECT_EQ(Refused([] { ParseFloor("KR > 0.4"); }), "--floor 'KR > 0.4': there is no '>='." + advice);
  EXPECT_EQ(Refused([] { ParseFloor("KR >= 95"); }),
            "--floor 'KR >= 95': an adjusted accuracy lies between 0 and 1." + advice);
  EXPECT_EQ(Refused([] { ParseFloor("KR >= x"); }), "--floor 'KR >= x': no number follows '>='." + advice);
  EXPECT_EQ(Refused([] { ParseFloor(">= 1"); }), "--floor '>= 1': no stratum stands before '>='." + advice);
  EXPECT_EQ(Refused([] { ParseSize("8 gallons", "--max-weights"); }),
            "--max-weights '8 gallons' is no size. Write a number and B, kB, MB, GB, KiB, MiB or GiB: 400kB, 8GiB.");
  EXPECT_EQ(Refused([] { ParseStratumWeights("KR=-1"); }),
            "--weight: KR = '-1' is no number of at least 0. Write 'KR=2, KM=1'.");
  EXPECT_EQ(Refused([] { ParseStratumWeights("KR=0"); }), "--weight 'KR=0': no stratum counts. Write 'KR=2, KM=1'.");
}

// Agresti 2002, Categorical Data Analysis, section 10.1.1: of 1600 voters 794 approve twice, 150 first, 86 later, 570
// never: a difference of -0.04 with a standard error of 0.0095. With half an item more of each outcome:
// sqrt(237 - 64^2 / 1602) / 1602 = 0.00956.
TEST(PairedDifferenceOf, HasTheErrorOfMatchedPairs) {
  ItemScores scores;
  ItemScores::Task& task = scores.tasks["t"];
  for (const auto& [count, first, later] : {std::tuple(794, 1.0f, 1.0f), std::tuple(150, 1.0f, 0.0f),
                                            std::tuple(86, 0.0f, 1.0f), std::tuple(570, 0.0f, 0.0f)}) {
    for (int i = 0; i < count; ++i) {
      task.ids.push_back(std::to_string(task.ids.size()));
      task.chance.push_back(0);
      task.of_trial["first"].push_back(first);
      task.of_trial["later"].push_back(later);
    }
  }
  const ItemEstimate less = PairedDifferenceOf(scores, {{"t", 1}}, "later", "first", 1);
  EXPECT_NEAR(less.value, -0.04, 1e-12);
  EXPECT_NEAR(less.error, 0.009558, 1e-6);
  const ItemEstimate kept = KeptShare(scores, {{"t", 1}}, "later", "first");
  EXPECT_DOUBLE_EQ(kept.value, 880.0 / 944);
  // (794 (1 - r)^2 + 150 r^2 + 86) / 1600^2 at r = 0.9322, its root over 0.59.
  EXPECT_NEAR(kept.error, 0.01571, 5e-5);
  // No item tells a trial from itself, and yet other items might.
  EXPECT_GT(PairedDifferenceOf(scores, {{"t", 1}}, "first", "first", 1).error, 0);
  EXPECT_TRUE(std::isnan(PairedDifferenceOf(scores, {{"t", 1}}, "first", "none", 1).value));
}

std::vector<std::string> Labels(const std::vector<Standing>& standings) {
  std::vector<std::string> labels;
  for (const Standing& one : standings) labels.push_back(one.label);
  return labels;
}

TEST(Recommend, FindsTheOptimumOfAWorldThatIsTheLaw) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  for (const double most : {3e5, 1e6, 2.2e6, 4.3e6, 1e7}) {
    Constraints constraints;
    constraints.most_weight_bytes = most;
    constraints.weights = {{"KM", 1}, {"KR", 3}};
    const Recommendation found = Recommend({candidates, table}, constraints);
    ASSERT_FALSE(found.measured.empty()) << most;
    EXPECT_EQ(found.measured[0].label, BestByTruth(most, 0.25, 0.75)) << most;
  }
}

// The configuration that is best is not recorded: the law finds it from the others.
TEST(Recommend, FindsAnOptimumThatWasNotMeasured) {
  const double most = 4.3e6;
  const std::string best = BestByTruth(most, 0.5, 0.5);
  ASSERT_EQ(best, "d bits=4");
  const Table table = World([](const std::string& model, double bits) { return !(model == "d" && bits == 4); });
  CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  AddPoints(ParsePoints("model=d,B=4|8"), candidates);
  AddPoints(ParsePoints("model=c,B=6"), candidates);
  const PredictedStudy study(TwoFactors(), table, {}, true);
  Constraints constraints;
  constraints.most_weight_bytes = most;
  const Recommendation found = Recommend({candidates, table, &study}, constraints);
  ASSERT_FALSE(found.predicted.empty());
  EXPECT_EQ(found.predicted[0].label, "model=d, B=4");
  EXPECT_FALSE(found.predicted[0].is_measured);
  EXPECT_NEAR(found.predicted[0].score, (Truth("KM", 8e6, 4) + Truth("KR", 8e6, 4)) / 2, 1e-4);
  EXPECT_TRUE(found.predicted[0].is_size_estimated);
  EXPECT_NEAR(found.predicted[0].weight_bytes, SizeOf(8e6, 4), 1);
  EXPECT_GT(found.predicted[0].score, found.measured[0].score);
  EXPECT_EQ(found.predicted[0].Of("KR")->beside,
            fmt::format("measured at B = 3 {:.3f}, at B = 8 {:.3f}", Truth("KR", 8e6, 3), Truth("KR", 8e6, 8)));
  EXPECT_THAT(RenderText(RecommendDocument(found, 10, true)),
              HasSubstr("worth measuring, by law 'test' alone: model=d, B=4: weights ~4.25 MB"));
}

// What a law says of a model is never shown where the model was measured.
TEST(Recommend, ShowsWhatWasMeasuredAndNotTheLaw) {
  const Table table =
      World(All, [](const std::string& model, double bits) { return model == "b" && bits == 4 ? 0.15 : 0.0; });
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  const PredictedStudy study(TwoFactors(), table, {}, true);
  Constraints constraints;
  constraints.need = "model == 'b' and B == 4";
  const Recommendation found = Recommend({candidates, table, &study}, constraints);
  ASSERT_EQ(found.measured.size(), 1u);
  const StratumStanding& one = *found.measured[0].Of("KR");
  EXPECT_EQ(one.source, StratumAnswer::Source::kMeasured);
  EXPECT_DOUBLE_EQ(one.value, Truth("KR", 2e6, 4) + 0.15);
  EXPECT_EQ(one.interval.low, MeasuredInterval(one.value, 0, 0.01, 1000, 0.9).low);
  EXPECT_EQ(found.left_out, (std::vector<std::pair<std::string, size_t>>{{"--need is not met", 24}}));
}

TEST(Recommend, KeepsFloors) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  Constraints constraints;
  constraints.floors = {ParseFloor("KR >= 70% of 16-bit")};
  constraints.models = {"e"};
  constraints.order = Constraints::Order::kWeights;
  // exp(-900 * 16e6^-.45 (log2(B)^-.5 - 1/2)), with 900 * 16e6^-.45 = 0.5156: 0.773 at 2 bits, 0.859 at 3.
  EXPECT_THAT(Labels(Recommend({candidates, table}, constraints).measured),
              ElementsAre("e bits=2", "e bits=3", "e bits=4", "e bits=8", "e bits=16"));
  constraints.floors = {ParseFloor("KR >= 80% of 16-bit")};
  EXPECT_THAT(Labels(Recommend({candidates, table}, constraints).measured),
              ElementsAre("e bits=3", "e bits=4", "e bits=8", "e bits=16"));
  // Of the best model's is stricter for others: d has 900 * 8e6^-.45 = 0.7043, so 0.862 at 8 bits and 0.910 at 16.
  constraints.models = {"d"};
  constraints.floors = {ParseFloor("KR >= 85% of best")};
  EXPECT_THAT(Labels(Recommend({candidates, table}, constraints).measured), ElementsAre("d bits=8", "d bits=16"));
  // With unpaired errors of 0.017 the lower end at 8 bits is 0.834.
  constraints.is_sure = true;
  EXPECT_THAT(Labels(Recommend({candidates, table}, constraints).measured), ElementsAre("d bits=16"));
  EXPECT_EQ(Refused([&] {
              constraints.floors = {ParseFloor("KX >= 0.4")};
              Recommend({candidates, table}, constraints);
            }),
            "--floor 'KX >= 0.4': 'KX' is no stratum. Did you mean 'KM'? Strata: KM, KR, general.");
  EXPECT_EQ(Refused([&] {
              constraints.floors = {ParseFloor("KR >= 90% of f")};
              Recommend({candidates, table}, constraints);
            }),
            "--floor 'KR >= 90 % of f': no unquantized model 'f' is recorded. Write 'of 16-bit' for each "
            "model's own, 'of best', or one of: a, b, c, d, e.");
}

TEST(Recommend, CountsTheCache) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  Constraints constraints;
  constraints.context_tokens = 1000;
  constraints.batch = 2;
  constraints.most_memory_bytes = SizeOf(1e6, 4) + 1000 * 2 * 512 * 2;  // 512 numbers a token, 2 bytes each.
  const Recommendation found = Recommend({candidates, table}, constraints);
  EXPECT_THAT(Labels(found.measured), ElementsAre("a bits=4", "a bits=3", "a bits=2"));
  EXPECT_EQ(found.measured[0].cache_bytes, 2048000);
}

TEST(Recommend, SaysWhatIsNearestWhereNothingMeets) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  Constraints constraints;
  constraints.most_weight_bytes = 4e5;
  constraints.floors = {ParseFloor("KR >= 0.5")};
  const Recommendation found = Recommend({candidates, table}, constraints);
  EXPECT_TRUE(found.measured.empty());
  ASSERT_TRUE(found.smallest_without_caps && found.best_without_floors);
  EXPECT_EQ(found.best_without_floors->label, "a bits=2");
  EXPECT_LE(found.best_without_floors->weight_bytes, 4e5);
  EXPECT_GE(found.smallest_without_caps->Of("KR")->value, 0.5);
  EXPECT_THAT(RenderText(RecommendDocument(found, 10, false)), HasSubstr("Nothing that was measured meets this"));
}

TEST(Recommend, DrawsTheFront) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  const Recommendation found = Recommend({candidates, table}, {});
  ASSERT_EQ(found.measured.size(), 25u);
  for (const Standing& one : found.measured) {
    bool is_dominated = false;
    for (const Standing& other : found.measured)
      is_dominated = is_dominated || (other.weight_bytes < one.weight_bytes && other.score > one.score);
    EXPECT_EQ(one.is_on_front, !is_dominated) << one.label;
  }
  const Value json = RecommendationJson(found);
  EXPECT_EQ(json.Find("measured")->AsList().size(), 25u);
  EXPECT_EQ(json.Find("measured")->AsList()[0].Find("label")->AsString(), "e bits=16");
}

using Reasons = std::vector<std::pair<std::string, size_t>>;

// 25 configurations: 5 models at 16, 2, 3, 4 and 8 bits; those below 16 store a quarter of a bit more.
TEST(Recommend, SaysWhyEachIsOut) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  const auto left_out = [&](const Constraints& constraints) {
    return Recommend({candidates, table}, constraints).left_out;
  };
  Constraints bits, weights, models, cache, memory, sure;
  bits.most_bits = 4.25;
  EXPECT_EQ(left_out(bits), (Reasons{{"too many bits a weight", 10}}));
  weights.most_weight_bytes = SizeOf(1e6, 3);  // a at 2 and 3 bits.
  EXPECT_EQ(left_out(weights), (Reasons{{"weights too large", 23}}));
  models.models = {"a", "[bc]"};
  EXPECT_EQ(left_out(models), (Reasons{{"another model", 10}}));
  cache.context_tokens = memory.context_tokens = 1000;  // 512 numbers of 2 bytes a token: 1,024,000 bytes.
  cache.most_cache_bytes = 1023999;
  EXPECT_EQ(left_out(cache), (Reasons{{"cache too large", 25}}));
  cache.most_cache_bytes = 1024000;
  EXPECT_EQ(left_out(cache), Reasons());
  memory.most_memory_bytes = SizeOf(1e6, 3) + 1024000;
  EXPECT_EQ(left_out(memory), (Reasons{{"weights and cache too large", 23}}));
  sure.models = {"d"}, sure.is_sure = true, sure.floors = {ParseFloor("KR >= 85% of best")};
  EXPECT_EQ(left_out(sure), (Reasons{{"another model", 20},
                                     {"KR >= 85 % of best missed", 3},
                                     {"KR >= 85 % of best not sure", 1}}));
}

// c has 0.618 of KR at 16 bits; d 0.608 at 4, which is 98 % of that, and 86 % of its own 0.703.
TEST(Recommend, TakesSharesOfTheModelThatAFloorNames) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  Constraints constraints;
  constraints.models = {"d"};
  constraints.floors = {ParseFloor("KR >= 95% of c")};
  constraints.order = Constraints::Order::kWeights;
  const Recommendation found = Recommend({candidates, table}, constraints);
  EXPECT_THAT(Labels(found.measured), ElementsAre("d bits=4", "d bits=8", "d bits=16"));
  EXPECT_NEAR(found.measured[0].floors[0].value, Truth("KR", 8e6, 4) / Truth("KR", 4e6, 16), 1e-12);
  constraints.floors = {ParseFloor("KR >= 95% of 16-bit")};
  EXPECT_THAT(Labels(Recommend({candidates, table}, constraints).measured), ElementsAre("d bits=16"));
}

// 57 of 100 are 95 % of 60, whatever a quotient of them rounds to.
TEST(Recommend, TakesAShareThatIsTheFloorItself) {
  const Table table = World(All, [](const std::string& model, double bits) {
    const double wanted = bits == 16 ? 0.6 : 0.57;
    return model == "a" ? wanted - Truth("KR", 1e6, bits) : 0;
  });
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  Constraints constraints;
  constraints.models = {"a"};
  constraints.floors = {ParseFloor("KR >= 95% of 16-bit")};
  EXPECT_EQ(Recommend({candidates, table}, constraints).measured.size(), 5u);
}

// 100 items of each task; of e at 16 and 8 bits the first 90 are right, at 4 bits 89 of them, at all else 50.
ItemScores ItemsOfWorld(const Table& table) {
  ItemScores scores;
  for (const char* name : {"task_KM", "task_KR"}) {
    ItemScores::Task& task = scores.tasks[name];
    task.chance.assign(100, 0);
    for (int i = 0; i < 100; ++i) task.ids.push_back(std::to_string(i));
    for (size_t row = 0; row < table.rows(); ++row) {
      const std::string trial = table.TextAt("trial", row);
      const size_t right = trial == "e16" || trial == "e8" ? 90 : trial == "e4" ? 89 : 50;
      std::vector<float>& items = task.of_trial[trial];
      items.assign(100, 0);
      std::fill_n(items.begin(), right, 1.0F);
    }
  }
  return scores;
}

TEST(Recommend, PairsItemsWithTheFirstAndWithTheUnquantizedModel) {
  const Table table = World(All);
  const CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  const ItemScores items = ItemsOfWorld(table);
  const Recommendation found = Recommend({candidates, table, nullptr, &items}, {});
  ASSERT_EQ(found.measured[0].label, "e bits=16");
  ASSERT_TRUE(found.smaller_no_worse);
  const Standing& smaller = found.measured[*found.smaller_no_worse];
  EXPECT_EQ(smaller.label, "e bits=4");
  EXPECT_NEAR(smaller.against_first.value, -0.01, 1e-12);
  EXPECT_TRUE(smaller.Of("KR")->is_paired);
  const ItemEstimate kept = KeptShare(items, {{"task_KR", 1}}, "e4", "e16");
  EXPECT_NEAR(smaller.Of("KR")->kept_interval.low, kept.value - 1.6448536 * kept.error, 1e-6);

  Constraints floors;
  floors.floors = {ParseFloor("KR >= 10% of 16-bit")};
  EXPECT_THAT(Recommend({candidates, table, nullptr, &items}, floors).notes, IsEmpty());
  const Recommendation unpaired = Recommend({candidates, table}, floors);
  EXPECT_THAT(unpaired.notes, ElementsAre("Shares of 16-bit are compared without pairing the items. Their intervals "
                                          "are wider than they need be."));
  EXPECT_FALSE(unpaired.smaller_no_worse);
  EXPECT_FALSE(unpaired.measured[0].Of("KR")->is_paired && unpaired.measured[1].Of("KR")->is_paired);
}

// Strata alike and without their pool; half-widths of two independent ones add up as their squares do.
TEST(Recommend, ScoresTheMeanOfIndependentStrata) {
  const Table table = World(All);
  const Recommendation found = Recommend({CollectCandidates(table, nullptr, {}, ""), table}, {});
  EXPECT_THAT(found.weights, ElementsAre(Pair("KM", 0.5), Pair("KR", 0.5)));
  const Standing& first = found.measured[0];
  const Interval km = MeasuredInterval(Truth("KM", 16e6, 16), 0, 0.01, 1000, 0.9),
                 kr = MeasuredInterval(Truth("KR", 16e6, 16), 0, 0.01, 1000, 0.9);
  EXPECT_NEAR(first.score - first.score_interval.low,
              std::hypot(Truth("KM", 16e6, 16) - km.low, Truth("KR", 16e6, 16) - kr.low) / 2, 1e-12);
  EXPECT_NEAR(first.score_interval.high - first.score,
              std::hypot(km.high - Truth("KM", 16e6, 16), kr.high - Truth("KR", 16e6, 16)) / 2, 1e-12);
}

TEST(Recommend, CountsRoundedKeysAndValues) {
  Table table = World(All);
  table.AddNumbers("B_k", std::vector<double>(table.rows(), 4.0));
  table.AddNumbers("B_v", std::vector<double>(table.rows(), 8.0));
  Constraints constraints;
  constraints.context_tokens = 1000;
  const Recommendation found = Recommend({CollectCandidates(table, nullptr, {}, ""), table}, constraints);
  EXPECT_EQ(found.measured[0].cache_bytes, 1000 * 512 * 6 / 8.0);  // Keys are half of the 512 numbers.
}

TEST(Recommend, WarnsWhereALawExtrapolates) {
  const Table table = World(All);
  CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  AddPoints(ParsePoints("model=d,B=1.5|6"), candidates);
  const PredictedStudy study(TwoFactors(), table, {}, true);
  const Recommendation found = Recommend({candidates, table, &study}, {});
  ASSERT_EQ(Labels(found.predicted), (std::vector<std::string>{"model=d, B=6", "model=d, B=1.5"}));
  EXPECT_EQ(found.predicted[0].Of("KR")->source, StratumAnswer::Source::kInterpolated);
  EXPECT_EQ(found.predicted[0].Of("KR")->warning, "");
  EXPECT_EQ(found.predicted[1].Of("KR")->source, StratumAnswer::Source::kExtrapolated);
  EXPECT_EQ(found.predicted[1].Of("KR")->warning, "B = 1.5 is below 2 to 16");
  EXPECT_THAT(RenderText(RecommendDocument(found, 10, false)), HasSubstr("KM: B = 1.5 is below 2 to 16"));
}

// Of a model that was measured at 16 bits alone no size follows for fewer.
TEST(AddPoints, TakesNoSizeFromAnotherWidth) {
  const Table table = World([](const std::string& model, double bits) { return model != "e" || bits == 16; });
  CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  AddPoints(ParsePoints("model=e,B=4"), candidates);
  const size_t row = candidates.table.rows() - 1;
  EXPECT_EQ(candidates.table.NumberAt("N", row), 16e6);
  EXPECT_TRUE(std::isnan(candidates.table.NumberAt("size_bytes", row)));
}

// e at 4 bits would be smaller and more accurate than d at 16, and was not measured.
TEST(Recommend, TakesNothingFromTheFrontForWhatWasOnlyPredicted) {
  const Table table = World([](const std::string& model, double bits) { return !(model == "e" && bits == 4); });
  CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  AddPoints(ParsePoints("model=e,B=4"), candidates);
  const PredictedStudy study(TwoFactors(), table, {}, true);
  const Recommendation found = Recommend({candidates, table, &study}, {});
  const auto d = std::find_if(found.measured.begin(), found.measured.end(),
                              [](const Standing& one) { return one.label == "d bits=16"; });
  ASSERT_NE(d, found.measured.end());
  ASSERT_EQ(found.predicted.size(), 1u);
  EXPECT_LT(found.predicted[0].weight_bytes, d->weight_bytes);
  EXPECT_GT(found.predicted[0].score, d->score);
  EXPECT_TRUE(d->is_on_front);
}

TEST(AddPoints, AsksForAModel) {
  const Table table = World(All);
  CandidateTable candidates = CollectCandidates(table, nullptr, {}, "");
  EXPECT_EQ(Refused([&] { AddPoints(ParsePoints("B=3"), candidates); }),
            "--at 'B=3': name the model, of which size and baseline are taken: model=NAME.");
  EXPECT_EQ(Refused([&] { AddPoints(ParsePoints("model=z,B=3"), candidates); }),
            "--at: no row has model = 'z'. Recorded: a, b, c, d, e.");
}

}  // namespace
}  // namespace bitlaw
