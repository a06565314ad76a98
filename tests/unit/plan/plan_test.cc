#include "plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <set>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "support/fixture_study.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;

class Planning : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasFixtureQuantizers()) GTEST_SKIP() << "the fixture quantizers need a build with libtorch";
    folder_.Write("a.shapes.json", ShapesOfModel(128, 2));
    folder_.Write("c4.txt", "some text");
  }

  Plan Make(const std::string& quantize, const std::string& models = "[a.shapes.json]",
            const std::string& more = "") const {
    const auto file =
        folder_.Write("s.yaml", "bitlaw: 1\nstudy: demo\nmodels: " + models +
                                    "\ncorpora: {c4: {type: fixture, path: c4.txt}}\nquantize:\n" + quantize + more);
    return MakePlan(ReadStudy(file, FixtureHost(), {}), FixtureHost());
  }

  static std::vector<std::string> Labels(const Plan& plan) {
    std::vector<std::string> labels;
    for (const Trial& trial : plan.trials) labels.push_back(trial.label);
    return labels;
  }

  ScratchFolder folder_;
};

TEST_F(Planning, PutsBaselinesFirstThenTheGridWithItsLastAxisFastest) {
  folder_.Write("b.shapes.json", ShapesOfModel(64, 1));
  const Plan plan =
      Make("  - none\n  - {quantizer: fixture_free, bits: [2, 4], group_size: [32, row]}\n", "['*.shapes.json']");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "b.shapes none",  //
                                        "a.shapes fixture_free bits=2 group_size=32",
                                        "a.shapes fixture_free bits=2 group_size=row",
                                        "a.shapes fixture_free bits=4 group_size=32",
                                        "a.shapes fixture_free bits=4 group_size=row",
                                        "b.shapes fixture_free bits=2 group_size=32",
                                        "b.shapes fixture_free bits=2 group_size=row",
                                        "b.shapes fixture_free bits=4 group_size=32",
                                        "b.shapes fixture_free bits=4 group_size=row"));
  EXPECT_TRUE(plan.notes.empty());
}

TEST_F(Planning, SkipsCellsOfSomeModelsAlone) {
  folder_.Write("b.shapes.json", ShapesOfModel(64, 1));
  const std::string models = "[a.shapes.json, b.shapes.json]";
  const Plan plan = Make("  - {quantizer: fixture_free, bits: [2, 4, 8], group_size: 32, skip: [{model: b.shapes, bits: "
                         "[2, 8]}, {model: [a.shapes, b.shapes], bits: 4, group_size: 64}, {bits: 4}]}\n",
                         models);
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "b.shapes none", "a.shapes fixture_free bits=2",
                                        "a.shapes fixture_free bits=8"));
  EXPECT_EQ(plan.left_out, 2u + 2u);  // 4 bits of both, 2 and 8 bits of b.
  const Plan none = Make(
      "  - {quantizer: fixture_free, bits: [2, 4], group_size: 32, skip: [{model: [a.shapes]}]}\n", models);
  EXPECT_THAT(Labels(none), ElementsAre("a.shapes none", "b.shapes none", "b.shapes fixture_free bits=2",
                                        "b.shapes fixture_free bits=4"));
  const auto fault = [&](const std::string& skip) {
    try {
      Make("  - {quantizer: fixture_free, bits: 2, group_size: 32, skip: [" + skip + "]}\n", models);
    } catch (const Error& error) {
      const std::string text = error.what();
      return text.substr(text.find("s.yaml"));
    }
    return std::string("none");
  };
  EXPECT_EQ(fault("{model: b.shape}"),
            "s.yaml:6:71: 'skip' names the model 'b.shape', which is no model of the study. Did you mean 'b.shapes'? Its "
            "models: a.shapes, b.shapes.");
  EXPECT_EQ(fault("{model: [a.shapes, 3]}"),
            "s.yaml:6:82: 'model' of 'skip' is 3. It must be the name of a model of the study, or a list of them.");
}

// Its row says what is stored, and no quantizer is applied to it.
TEST_F(Planning, PutsAQuantizedCheckpointBesideTheTrials) {
  const std::string shapes = ShapesOfModel(128, 2);
  folder_.Write("q.shapes.json", shapes.substr(0, shapes.size() - 1) + ", \"stored\": [3, 3.25, 64]}");
  const std::string models = "[a.shapes.json, {path: q.shapes.json, original: a.shapes}]";
  const Plan plan = Make("  - {quantizer: fixture_free, bits: 4, group_size: 32}\n", models);
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "q.shapes none", "a.shapes fixture_free"));
  ASSERT_EQ(plan.skipped.size(), 1u);
  EXPECT_EQ(plan.skipped[0].label, "q.shapes fixture_free");
  EXPECT_EQ(plan.skipped[0].reason, "its weights are quantized already (gptq): it is evaluated as it is");
  const Trial &original = plan.trials[0], &stored = plan.trials[1];
  EXPECT_EQ(plan.FactorValue(original, "B"), Value(16));
  EXPECT_EQ(plan.FactorValue(stored, "B"), Value(3.0));
  EXPECT_EQ(plan.FactorValue(stored, "bits_effective"), Value(3.25));
  EXPECT_EQ(plan.FactorValue(stored, "G"), Value(64));
  // 2 blocks of 128 x 128 + 128 x 384 weights in 3.25 bits, an embedding of 100 x 128 in 16.
  EXPECT_EQ(plan.FactorValue(stored, "size_bytes"), Value((131072 * 3.25 + 12800 * 16) / 8));
  EXPECT_EQ(stored.bits_per_weight, 3.25);
}

// Its domain, its quality: known to the study alone.
TEST_F(Planning, GivesTrialsTheColumnsOfTheirCorpus) {
  folder_.Write("books.txt", "other text");
  const auto file = folder_.Write("s.yaml", R"(bitlaw: 1
study: demo
models: [a.shapes.json]
corpora:
  web: {type: fixture, path: c4.txt, columns: {domain: web, quality: 2}}
  books: {type: fixture, path: books.txt, columns: {domain: prose, quality: 5.5}}
quantize:
  - {quantizer: fixture, bits: 4, calibration: {corpus: [web, books], sequences: 2}}
)");
  const Plan plan = MakePlan(ReadStudy(file, FixtureHost(), {}), FixtureHost());
  ASSERT_EQ(plan.trials.size(), 3u);
  EXPECT_TRUE(plan.FactorValue(plan.trials[0], "quality").is_null());
  EXPECT_EQ(plan.FactorValue(plan.trials[1], "domain"), Value("web"));
  EXPECT_EQ(plan.FactorValue(plan.trials[1], "quality"), Value(2));
  EXPECT_EQ(plan.FactorValue(plan.trials[2], "quality"), Value(5.5));
}

TEST_F(Planning, RefusesAnOriginalThatIsNone) {
  const std::string shapes = ShapesOfModel(128, 2);
  folder_.Write("q.shapes.json", shapes.substr(0, shapes.size() - 1) + ", \"stored\": [3, 3.25, 64]}");
  const auto fault = [&](const std::string& models) {
    try {
      Make("  - none\n", models);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(fault("[a.shapes.json, {path: q.shapes.json, original: b}]"),
              testing::HasSubstr("model 'q.shapes' has the original 'b', which is no model of the study. Its models: "
                                 "a.shapes, q.shapes."));
  EXPECT_THAT(fault("[q.shapes.json, {path: a.shapes.json, original: q.shapes}]"),
              testing::HasSubstr("model 'a.shapes' has an original, and its weights are not quantized."));
  EXPECT_THAT(fault("[{path: q.shapes.json, original: q.shapes}]"),
              testing::HasSubstr("the original of model 'q.shapes', 'q.shapes', is quantized itself."));
}

// So that what one card recorded is found by another: records are named by what the identity holds.
TEST_F(Planning, NamesTrialsByTheKindOfDeviceAlone) {
  const auto ids = [&](const std::string& compute) {
    std::vector<std::string> found;
    const Plan plan =
        Make("  - {quantizer: fixture_free, bits: [2, 4]}\n", "[a.shapes.json]", "compute: " + compute + "\n");
    for (const Trial& trial : plan.trials) found.push_back(trial.id);
    return found;
  };
  const std::vector<std::string> first = ids("{device: 'cuda:0'}");
  ASSERT_EQ(first.size(), 3u);
  EXPECT_EQ(ids("{device: 'cuda:1'}"), first);
  EXPECT_EQ(ids("{device: cuda}"), first);
  EXPECT_EQ(ids("{devices: ['cuda:1', 'cuda:0']}"), first);
  EXPECT_NE(ids("{device: cpu}"), first);
}

TEST_F(Planning, TakesOptionsForColumnsThatVaryFromEntryToEntry) {
  const Plan plan = Make("  - {quantizer: fixture_free, bits: 2, group_size: 32}\n"
                         "  - {quantizer: fixture_free, bits: 4, group_size: 32}\n");
  ASSERT_EQ(plan.trials.size(), 3u);
  EXPECT_EQ(plan.trials[1].label, "a.shapes fixture_free bits=2");
  for (const Trial& trial : plan.trials) {
    ASSERT_EQ(trial.axes.size(), 1u) << trial.label;
    EXPECT_EQ(trial.axes[0].first, "bits");
  }
  EXPECT_TRUE(plan.trials[0].axes[0].second.is_null());
  EXPECT_EQ(plan.trials[2].axes[0].second, Value(4));
}

TEST_F(Planning, TellsTrialsApartByPartsThatOneEntryLacks) {
  const Plan plan = Make("  - {quantizer: fixture_free, bits: 2}\n"
                         "  - {quantizer: fixture_free, bits: 2, activations: {bits: 8}}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "a.shapes fixture_free",
                                        "a.shapes fixture_free activations.bits=8"));
}

TEST_F(Planning, LeavesOptionsThatDoNotVaryOutOfLabels) {
  const Plan plan = Make("  - {quantizer: fixture_free, bits: [2], group_size: 32}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "a.shapes fixture_free"));
}

TEST_F(Planning, AddsTheBaselineAndSaysSo) {
  const Plan plan = Make("  - {quantizer: fixture_free, bits: 2}\n");
  ASSERT_EQ(plan.trials.size(), 2u);
  EXPECT_EQ(plan.trials[0].quantizer, "none");
  EXPECT_EQ(plan.trials[0].bits_per_weight, 16);
  EXPECT_THAT(plan.notes, ElementsAre("The study does not list 'none'. The unquantized model is added: losses are "
                                      "measured against it."));
}

TEST_F(Planning, WeighsBitsOverTheWeightsOfAllLayers) {
  // q [128, 128] and up [384, 128] in each of 2 blocks, all with C_in = 128.
  const Plan uniform = Make("  - {quantizer: fixture_free, bits: 4, group_size: 32}\n");
  EXPECT_DOUBLE_EQ(uniform.trials[1].bits_requested, 4);
  EXPECT_DOUBLE_EQ(uniform.trials[1].bits_per_weight, 4 + 20.0 / 32);
  EXPECT_EQ(uniform.FactorValue(uniform.trials[1], "B"), Value(4.0));
  EXPECT_EQ(uniform.FactorValue(uniform.trials[1], "bits_effective"), Value(4 + 20.0 / 32));
  for (const char* width : {"B_a", "B_k", "B_v"}) {  // Not rounded: as the unquantized model has them.
    EXPECT_EQ(uniform.FactorValue(uniform.trials[0], width), Value(16)) << width;
    EXPECT_EQ(uniform.FactorValue(uniform.trials[1], width), Value(16)) << width;
  }
  // blocks.0.q keeps 8 bits: 128^2 of 2 * 4 * 128^2 weights, one eighth.
  const Plan mixed =
      Make("  - {quantizer: fixture, bits: 4, group_size: row, layers: [blocks.0.q], calibration: {}}\n");
  EXPECT_DOUBLE_EQ(mixed.trials[1].bits_requested, (7 * 4 + 8) / 8.0);
  EXPECT_DOUBLE_EQ(mixed.trials[1].bits_per_weight, (7 * (4 + 20.0 / 128) + (8 + 24.0 / 128)) / 8);
  EXPECT_EQ(mixed.FactorValue(mixed.trials[1], "B"), Value((7 * 4 + 8) / 8.0));
}

TEST_F(Planning, SkipsWhatAQuantizerCannotDoWithItsReason) {
  const Plan plan = Make("  - {quantizer: fixture_free, bits: [2, 3], group_size: [96, 64]}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "a.shapes fixture_free bits=2 group_size=64",
                                        "a.shapes fixture_free bits=3 group_size=64"));
  ASSERT_EQ(plan.skipped.size(), 2u);
  EXPECT_EQ(plan.skipped[0].label, "a.shapes fixture_free bits=2 group_size=96");
  EXPECT_EQ(plan.skipped[0].reason,
            "group_size = 96 does not divide C_in = 128 of 'blocks.0.q' (and 3 more layers)");
}

TEST_F(Planning, SkipsOptionsThatAreOnlyTogetherWrong) {
  const Plan plan = Make("  - {quantizer: fixture, order: [plain, act], damp: [0.00001, 0.01], calibration: {}}\n");
  EXPECT_EQ(plan.trials.size(), 1u + 3u);
  ASSERT_EQ(plan.skipped.size(), 1u);
  EXPECT_EQ(plan.skipped[0].label, "a.shapes fixture damp=1e-05 order=act");
  EXPECT_EQ(plan.skipped[0].reason, "quantizer 'fixture': order 'act' needs damp of at least 1e-4.");
}

TEST_F(Planning, SkipsCalibrationLongerThanTheModelReads) {
  const Plan plan = Make("  - {quantizer: fixture, calibration: {tokens: [512, 4096]}}\n");
  EXPECT_EQ(plan.trials.size(), 2u);
  ASSERT_EQ(plan.skipped.size(), 1u);
  EXPECT_EQ(plan.skipped[0].label, "a.shapes fixture tokens=4096");
  EXPECT_EQ(plan.skipped[0].reason, "calibration.tokens = 4096 is more than the 2048 positions of the model");
}

TEST_F(Planning, KeepsTheCellsForWhichWhereIsTrue) {
  const Plan plan = Make(
      "  - {quantizer: fixture, bits: [2, 3], group_size: [32, row], calibration: {sequences: [8, 32]},\n"
      "     where: \"bits > 2 or group_size <= 64 and sequences == 32\"}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none",  //
                                        "a.shapes fixture bits=2 group_size=32 sequences=32",
                                        "a.shapes fixture bits=3 group_size=32 sequences=8",
                                        "a.shapes fixture bits=3 group_size=32 sequences=32",
                                        "a.shapes fixture bits=3 group_size=row sequences=8",
                                        "a.shapes fixture bits=3 group_size=row sequences=32"));
  EXPECT_EQ(plan.left_out, 3u);
}

TEST_F(Planning, ComparesTextsAndAsksForWordsInWhere) {
  const Plan plan = Make(
      "  - {quantizer: fixture, group_size: [32, row], order: [plain, act], calibration: {},\n"
      "     where: \"order == 'act' and missing(group_size)\"}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "a.shapes fixture group_size=row order=act"));
}

TEST_F(Planning, LeavesOutWhatSkipNames) {
  const Plan plan = Make(
      "  - {quantizer: fixture_free, bits: [2, 3, 4], group_size: [32, row], skip: [{bits: [2, 3], group_size: "
      "row}]}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "a.shapes fixture_free bits=2 group_size=32",
                                        "a.shapes fixture_free bits=3 group_size=32",
                                        "a.shapes fixture_free bits=4 group_size=32",
                                        "a.shapes fixture_free bits=4 group_size=row"));
  EXPECT_EQ(plan.left_out, 2u);
}

TEST_F(Planning, AdvancesZippedAxesTogether) {
  const Plan plan = Make(
      "  - {quantizer: fixture, calibration: {},\n"
      "     zip: [{bits: [2, 3], group_size: [32, 64]}, {calibration.sequences: [8, 16], calibration.seed: [1, "
      "2]}]}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none",  //
                                        "a.shapes fixture bits=2 group_size=32 sequences=8 seed=1",
                                        "a.shapes fixture bits=2 group_size=32 sequences=16 seed=2",
                                        "a.shapes fixture bits=3 group_size=64 sequences=8 seed=1",
                                        "a.shapes fixture bits=3 group_size=64 sequences=16 seed=2"));
}

TEST_F(Planning, CollapsesCalibrationOfAQuantizerThatNeedsNone) {
  const Plan plan = Make("  - {quantizer: fixture_free, bits: [2, 3], calibration: {sequences: [8, 32]}}\n");
  EXPECT_EQ(plan.trials.size(), 3u);
  EXPECT_EQ(plan.merged, 2u);
  EXPECT_FALSE(plan.trials[1].calibration.has_value());
  EXPECT_EQ(plan.notes[0],
            "quantizer 'fixture_free' uses no calibration text: its axis 'calibration.sequences' is not swept.");
}

TEST_F(Planning, MergesCellsThatSayTheSame) {
  const Plan plan = Make(
      "  - none\n  - none\n  - {quantizer: fixture_free, bits: [2, 3]}\n  - {quantizer: fixture_free, bits: [3, 4], "
      "group_size: 128}\n");
  EXPECT_THAT(Labels(plan), ElementsAre("a.shapes none", "a.shapes fixture_free bits=2", "a.shapes fixture_free bits=3",
                                        "a.shapes fixture_free bits=4"));
  EXPECT_EQ(plan.merged, 1u);
}

// A base model and its instruction-tuned sibling have the same shapes and sizes.
TEST_F(Planning, KeepsModelsApartThatOnlyTheirWeightsTellApart) {
  folder_.Write("b.shapes.json", ShapesOfModel(128, 2));
  const std::string grid = "  - {quantizer: fixture_free, bits: 2}\n";
  const Plan plan = Make(grid, "[a.shapes.json, b.shapes.json]");
  EXPECT_THAT(Labels(plan),
              ElementsAre("a.shapes none", "b.shapes none", "a.shapes fixture_free", "b.shapes fixture_free"));
  EXPECT_EQ(plan.merged, 0u);
  // In any order of the models, and not by the names of those that differ anyway.
  const Plan reversed = Make(grid, "[b.shapes.json, a.shapes.json]");
  EXPECT_EQ(reversed.trials[3].id, plan.trials[2].id);
  EXPECT_NE(Make(grid).trials[1].id, plan.trials[2].id);
}

TEST_F(Planning, GivesEveryTrialTheSameColumns) {
  const Plan plan = Make(
      "  - {quantizer: fixture_free, bits: [2, 3]}\n"
      "  - {quantizer: fixture, bits: 4, damp: [0.1, 0.2], calibration: {sequences: [8, 16]}}\n");
  EXPECT_THAT(plan.axis_names(), ElementsAre("bits", "damp", "calibration.sequences"));
  auto axes = [&](size_t i) {
    Value::List values;
    for (const auto& [name, value] : plan.trials[i].axes) values.push_back(value);
    return Value(values).Text();
  };
  EXPECT_EQ(axes(0), "[null, null, null]");
  EXPECT_EQ(axes(1), "[2, null, null]");
  EXPECT_EQ(axes(6), "[4, 0.2, 16]");
}

TEST_F(Planning, NamesTrialsByWhatDeterminesThem) {
  const std::string grid = "  - {quantizer: fixture, bits: [2, 3], calibration: {sequences: 8}}\n";
  const Plan plan = Make(grid);
  const Trial& trial = plan.trials[1];
  EXPECT_EQ(trial.id.size(), 12u);
  EXPECT_EQ(trial.id, ShortDigest(DigestOf(trial.identity.CanonicalJson())));
  // The model's name, the study's folder and the order of options do not count.
  folder_.Write("elsewhere/other.shapes.json", ShapesOfModel(128, 2));
  const Plan renamed =
      Make("  - {calibration: {sequences: 8}, bits: [3, 2], quantizer: fixture}\n", "[elsewhere/other.shapes.json]");
  EXPECT_EQ(renamed.trials[2].id, trial.id);
  // The text of the corpus, the shapes of the model and every option do.
  std::set<std::string> ids = {trial.id};
  folder_.Write("b.shapes.json", ShapesOfModel(256, 2));
  ids.insert(Make(grid, "[b.shapes.json]").trials[1].id);
  ids.insert(Make("  - {quantizer: fixture, bits: 2, calibration: {sequences: 8, seed: 1}}\n").trials[1].id);
  ids.insert(Make("  - {quantizer: fixture, bits: 2, damp: 0.02, calibration: {sequences: 8}}\n").trials[1].id);
  folder_.Write("c4.txt", "another text");
  ids.insert(Make(grid).trials[1].id);
  EXPECT_EQ(ids.size(), 5u);
}

TEST_F(Planning, RefusesAQuantizerWithoutTheCalibrationItNeeds) {
  try {
    Make("  - {quantizer: fixture, bits: 2}\n");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(),
              (folder_.path() / "s.yaml").string() +
                  ":6:5: quantizer 'fixture' needs calibration text. Add 'calibration: {corpus: ...}', with "
                  "one of: c4.");
  }
}

TEST_F(Planning, ReportsEveryModelThatCannotBePlanned) {
  folder_.Write("u.shapes.json", ShapesOfModel(8, 1, "unheard_of"));
  folder_.Write("v.shapes.json", "{");
  try {
    Make("  - none\n", "['*.shapes.json']");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("u.shapes.json: the architecture 'unheard_of' is not known.\n"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr("v.shapes.json: not JSON at byte 2: "));
  }
}

TEST_F(Planning, FillsInTheFamily) {
  const Plan plan = Make("  - none\n", "[{path: a.shapes.json, family: f}]");
  EXPECT_EQ(plan.models[0].spec.family, "f");
  EXPECT_EQ(Make("  - none\n").models[0].spec.family, "toy");
}

TEST_F(Planning, RefusesMoreTrialsThanMemoryShouldHold) {
  std::string numbers = "[1";
  for (int i = 2; i <= 1000; ++i) numbers += ", " + std::to_string(i);
  numbers += "]";
  const auto fault = [&](const std::string& quantize, const std::string& models) {
    try {
      Make(quantize, models);
      return std::string("no error");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBudget);
      const std::string text = error.what();
      return text.substr(text.find("s.yaml"));
    }
  };
  EXPECT_EQ(fault("  - {quantizer: fixture_free, group_size: " + numbers +
                      ", bits: [2, 3, 4, 5, 6, 7, 8],\n     calibration: "
                      "{sequences: " +
                      numbers + "}}\n",
                  "[a.shapes.json]"),
            "s.yaml:6:5: this entry stands for more than 100000 cells. Shorten its lists.");
  folder_.Write("b.shapes.json", ShapesOfModel(64, 1));
  std::string entries;
  for (int i = 0; i < 9; ++i)
    entries += "  - {quantizer: fixture_free, group_size: " + numbers + ", bits: [2, 3, 4, 5, 6, 7, 8]}\n";
  EXPECT_EQ(
      fault(entries, "['*.shapes.json']"),
      "s.yaml:13:5: up to this entry the study stands for 112000 trials (cells x models). At most 100000 are planned. "
      "Shorten lists, add a 'where', or make several studies.");
}

TEST_F(Planning, PlansAHundredThousandCellsInSeconds) {
  auto numbers = [](int from, int count, int step) {
    std::string list;
    for (int i = 0; i < count; ++i) list += (i > 0 ? ", " : "") + std::to_string(from + i * step);
    return "[" + list + "]";
  };
  folder_.Write("b.shapes.json", ShapesOfModel(256, 80));
  // 2 models x 7 bits x 7 groups x 102 draws x 10 dampings = 99,960 cells.
  const std::clock_t start = std::clock();  // Processor time: other work on the machine does not count.
  const Plan plan =
      Make("  - {quantizer: fixture, bits: " + numbers(2, 7, 1) +
               ", group_size: [1, 2, 4, 8, 16, 32, 64],\n     damp: [0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, "
               "0.08, 0.09, 0.1],\n     calibration: {sequences: " +
               numbers(1, 102, 1) + "}, where: \"bits > 1\"}\n",
           "['*.shapes.json']");
  const double elapsed_s = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  EXPECT_EQ(plan.trials.size(), 99960u + 2);
  RecordProperty("elapsed_ms", static_cast<int>(1000 * elapsed_s));
  std::printf("99,962 trials planned in %.2f s\n", elapsed_s);
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(elapsed_s, 5.0);
#endif
}

std::vector<std::string> ColumnNames(const Plan& plan) {
  std::vector<std::string> names;
  for (const FactorColumn& column : plan.factors) names.push_back(column.factor.column);
  return names;
}

TEST_F(Planning, CollectsFactorsOfModelsQuantizersCalibrationAndTheStudyInThatOrder) {
  folder_.Write("b.shapes.json", ShapesOfModel(64, 1));
  const Plan plan = Make(
      "  - {quantizer: fixture_free, bits: 4, group_size: [32, row]}\n"
      "  - {quantizer: fixture, bits: 4, group_size: 128, calibration: {sequences: 8, tokens: 256}}\n",
      "[{path: a.shapes.json, columns: {D: 36e12, vendor: acme}}, b.shapes.json]");
  EXPECT_THAT(ColumnNames(plan), ElementsAre("N", "N_active", "parameters_total", "layers", "hidden_size", "vocab_size",
                                             "kv_values", "B", "bits_effective", "size_bytes", "B_a", "B_k", "B_v", "G",
                                             "G_min", "G_mean", "Cb", "T", "D", "vendor"));
  const auto value = [&](size_t trial, const char* column) { return plan.FactorValue(plan.trials.at(trial), column); };
  // Two baselines; a: 32, row, calibrated; b the same. Rows of a have 128 weights, rows of b 64.
  EXPECT_EQ(plan.trials[0].quantizer, "none");
  EXPECT_EQ(value(0, "B"), Value(16));
  EXPECT_EQ(value(0, "bits_effective"), Value(16));
  EXPECT_TRUE(value(0, "G").is_null());
  EXPECT_TRUE(value(0, "Cb").is_null());
  EXPECT_EQ(value(2, "G"), Value(32));
  EXPECT_EQ(value(3, "G"), Value(128));  // row
  EXPECT_EQ(value(4, "Cb"), Value(8));
  EXPECT_EQ(value(4, "T"), Value(256));
  EXPECT_TRUE(value(2, "Cb").is_null());
  EXPECT_EQ(value(6, "G"), Value(64));
  // What was asked for, and what a row of 64 weights makes of it.
  EXPECT_EQ(value(7, "G"), Value(128));
  EXPECT_EQ(value(7, "G_min"), Value(64));
  EXPECT_EQ(value(7, "G_mean"), Value(64.0));
  EXPECT_EQ(value(2, "D"), Value(36e12));
  EXPECT_EQ(value(2, "vendor"), Value("acme"));
  EXPECT_TRUE(value(7, "D").is_null());
  EXPECT_EQ(plan.factors[18].factor.role, FactorRole::kScale);  // D is known.
  EXPECT_EQ(plan.factors[19].factor.role, FactorRole::kOther);
  EXPECT_FALSE(plan.factors[19].is_number);
}

TEST_F(Planning, TakesAFactorThatRepeatsItsOwnAxisForTheAxis) {
  const Plan plan = Make("  - {quantizer: fixture_outliers, bits: 4, group_size: 32, outliers: [0, 0.25]}\n");
  ASSERT_EQ(plan.trials.size(), 3u);
  EXPECT_TRUE(plan.FactorValue(plan.trials[0], "outliers").is_null());
  EXPECT_EQ(plan.FactorValue(plan.trials[2], "outliers"), Value(0.25));
  EXPECT_EQ(plan.factors[15].origin, "quantizer 'fixture_outliers'");
}

TEST_F(Planning, NamesBothOfTwoColumnsOfOneName) {
  const auto error_of = [&](const std::string& quantize, const std::string& models = "[a.shapes.json]") -> std::string {
    try {
      Make(quantize, models);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kSpec);
      const std::string text = error.what();
      return text.substr(text.find(": ") + 2);  // Without the place.
    }
    return "no error";
  };
  const auto reporting = [](const std::string& how) {
    return "  - {quantizer: fixture_outliers, bits: 4, group_size: 32, outliers: [0, 0.25], report: " + how + "}\n";
  };
  EXPECT_EQ(error_of(reporting("taken")),
            "column 'N' comes from bitlaw itself and from quantizer 'fixture_outliers'. Call one of them otherwise.");
  EXPECT_EQ(error_of(reporting("reserved")),
            "column 'task' of quantizer 'fixture_outliers' has the name of a column that observations and fits fill in "
            "themselves. Call it otherwise.");
  EXPECT_EQ(
      error_of(reporting("malformed")),
      "quantizer 'fixture_outliers': 'out-liers' is not the name of a column: a letter, then letters, digits and _.");
  EXPECT_EQ(error_of(reporting("twice")), "column 'outliers' is reported twice by quantizer 'fixture_outliers'.");
  EXPECT_EQ(
      error_of(reporting("another_value")),
      "column 'outliers' comes from quantizer 'fixture_outliers' and from an axis of quantizer 'fixture_outliers', "
      "with other values. Call one of them otherwise.");
  EXPECT_EQ(error_of("  - fixture_free\n", "[{path: a.shapes.json, columns: {G: 7}}]"),
            "column 'G' comes from 'columns' of model 'a.shapes' and from quantizer 'fixture_free'. Call one of them "
            "otherwise.");
  EXPECT_EQ(error_of("  - none\n", "[{path: a.shapes.json, columns: {N: 7}}]"),
            "column 'N' comes from bitlaw itself and from 'columns' of model 'a.shapes'. Call one of them otherwise.");
  EXPECT_EQ(error_of("  - {quantizer: fixture_free, bits: [2, 4]}\n", "[{path: a.shapes.json, columns: {bits: 7}}]"),
            "column 'bits' comes from 'columns' of model 'a.shapes' and from an axis of quantizer 'fixture_free', with "
            "other values. Call one of them otherwise.");
}

TEST_F(Planning, DoesNotTellTrialsApartByColumnsOfTheStudy) {
  const Plan plain = Make("  - {quantizer: fixture_free, bits: 4}\n");
  const Plan with = Make("  - {quantizer: fixture_free, bits: 4}\n", "[{path: a.shapes.json, columns: {D: 36e12}}]");
  EXPECT_EQ(plain.trials[1].id, with.trials[1].id);
}

}  // namespace
}  // namespace bitlaw
