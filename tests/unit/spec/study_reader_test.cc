#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "spec/study_spec.h"
#include "support/fixture_study.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

class StudyReading : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasFixtureQuantizers()) GTEST_SKIP() << "the fixture quantizers need a build with libtorch";
    folder_.Write("models/a.shapes.json", ShapesOfModel(64, 2));
    folder_.Write("models/b.shapes.json", ShapesOfModel(96, 2));
    folder_.Write("c4.txt", "some text");
    folder_.Write("tasks/qa.yaml", "type: fixture\nversion: '2'\nquestion: Why?\n");
    folder_.Write("tasks/deep/er/qb.yaml", "include: ../../qa.yaml\nquestion: How?\n");
    folder_.Write("laws/line.yaml", "type: fixture_law\nscale: 2\n");
  }

  StudySpec Read(const std::string& body) const {
    return ReadStudy(folder_.Write("s.yaml", "bitlaw: 1\nstudy: demo\n" + body), FixtureHost(), {});
  }

  // The faults with the folder's own path left out.
  std::string FaultOf(const std::string& body, const std::string& head = "bitlaw: 1\nstudy: demo\n") const {
    try {
      ReadStudy(folder_.Write("s.yaml", head + body), FixtureHost(), {});
      return "accepted";
    } catch (const Error& error) {
      std::string text = error.what();
      const std::string prefix = folder_.path().string() + "/";
      for (size_t at; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
      for (size_t at; (at = text.find(folder_.path().string())) != std::string::npos;) {
        text.replace(at, folder_.path().string().size(), "HERE");
      }
      return text;
    }
  }

  ScratchFolder folder_;
};

TEST_F(StudyReading, DecodesEveryPart) {
  const StudySpec study = Read(R"(
output: /out/x
compute: {dtype: bfloat16, device: cpu}
data_paths: [data, /abs]
models:
  - models/a.shapes.json
  - {path: models/b.shapes.json, name: big, family: toys, hold_out: true, backend: shapes, backend_options: {}}
corpora: {c4: {type: fixture, path: c4.txt}}
quantize:
  - none
  - {quantizer: fixture, bits: [2, 3], group_size: row, calibration: {sequences: [8, 32], tokens: 256}}
tasks:
  - qa
  - {task: qb, as: qb_other, limit: 5}
strata: {KM: [qa, qb_other]}
laws:
  - line
  - {name: steep, type: fixture_law, scale: 9}
  - {law: line, name: other, scale: 3}
fit: {draws: 10}
evaluate: {batch: 4}
allow_fallback: true
keep: artifacts
)");
  EXPECT_EQ(study.name, "demo");
  EXPECT_EQ(study.output, "/out/x");
  EXPECT_EQ(study.compute.dtype, Dtype::kBFloat16);
  EXPECT_THAT(study.data_paths, ElementsAre((folder_.path() / "data").string(), "/abs"));
  ASSERT_EQ(study.models.size(), 2u);
  EXPECT_EQ(study.models[0].name, "a.shapes");
  EXPECT_EQ(study.models[0].path, folder_.path() / "models/a.shapes.json");
  EXPECT_EQ(study.models[0].backend, "shapes");
  EXPECT_EQ(study.models[1].name, "big");
  EXPECT_EQ(study.models[1].family, "toys");
  EXPECT_TRUE(study.models[1].hold_out);
  ASSERT_EQ(study.quantize.size(), 2u);
  EXPECT_EQ(study.quantize[0].component, "none");
  const QuantizeSpec& grid = study.quantize[1];
  EXPECT_EQ(grid.fixed.Text(), "{group_size: 'row'}");
  EXPECT_EQ(grid.calibration_fixed.Text(), "{tokens: 256, corpus: 'c4'}");
  ASSERT_EQ(grid.axes.size(), 2u);
  EXPECT_EQ(grid.axes[0][0].name, "bits");
  EXPECT_EQ(grid.axes[1][0].name, "calibration.sequences");
  ASSERT_EQ(study.tasks.size(), 2u);
  EXPECT_EQ(study.tasks[1].name, "qb_other");
  EXPECT_EQ(study.tasks[1].component, "fixture");
  EXPECT_EQ(study.tasks[1].options.String("version"), "2");
  EXPECT_EQ(study.tasks[1].options.String("question"), "How?");
  EXPECT_EQ(study.tasks[1].options.Int("limit"), 5);
  EXPECT_EQ(study.tasks[1].context.name, "qb_other");
  EXPECT_THAT(study.strata.at("KM"), ElementsAre("qa", "qb_other"));
  ASSERT_EQ(study.laws.size(), 3u);
  EXPECT_EQ(study.laws[0].name, "line");
  EXPECT_EQ(study.laws[1].name, "steep");
  EXPECT_EQ(study.laws[2].name, "other");
  EXPECT_EQ(study.laws[2].given.Text(), "{scale: 3}");
  EXPECT_EQ(study.laws[2].options->Real("scale"), 3.0);
  EXPECT_EQ(study.fit.Text(), "{draws: 10}");
  EXPECT_TRUE(study.allow_fallback);
  EXPECT_TRUE(study.keep_artifacts);
}

// A law that comes as a plugin needs no file; a file of its name goes first.
TEST_F(StudyReading, TakesALawOfALoadedComponentByItsName) {
  const std::string body = R"(models: [models/a.shapes.json]
laws:
  - fixture_law
  - {law: law/fixture_law, name: steep, scale: 9}
)";
  const StudySpec study = Read(body);
  ASSERT_EQ(study.laws.size(), 2u);
  EXPECT_EQ(study.laws[0].name, "fixture_law");
  EXPECT_EQ(study.laws[0].component, "fixture_law");
  EXPECT_EQ(study.laws[0].options->Real("scale"), 1.0);
  EXPECT_EQ(study.laws[1].name, "steep");
  EXPECT_EQ(study.laws[1].component, "fixture_law");
  EXPECT_EQ(study.laws[1].given.Text(), "{scale: 9}");
  EXPECT_EQ(study.laws[1].options->Real("scale"), 9.0);
  for (const char* name : {"fixture_law", "law/fixture_law"}) {
    const LawSpec alone = ReadLaw(name, FixtureHost(), {});
    EXPECT_EQ(alone.name, "fixture_law");
    EXPECT_EQ(OpenLaw(alone, FixtureHost())->formula_text(), "a * scale * N");
  }
  folder_.Write("laws/fixture_law.yaml", "type: fixture_law\nscale: 7\n");
  EXPECT_EQ(Read(body).laws[0].options->Real("scale"), 7.0);
  EXPECT_EQ(Read(body).laws[1].options->Real("scale"), 9.0);
}

TEST_F(StudyReading, SaysWhichLawsAreLoadedWhereNoneHasTheName) {
  const std::string loaded = " Loaded laws: fixture_law; --plugin PATH loads another.";
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\nlaws: [fixtur_law, law/expbits]\n"),
            "s.yaml:4:8: law 'fixtur_law': there is no 'fixtur_law.yaml'. Known: line. Looked in: laws. Nor is it a loaded "
            "component. Did you mean 'fixture_law'?" + loaded + "\n"
            "s.yaml:4:20: law 'law/expbits': there is no file law/expbits. Nor is it a loaded component." + loaded);
  // Of two files of one name it is for the user to say which.
  folder_.Write("laws/a/fixture_law.yaml", "type: fixture_law\n");
  folder_.Write("laws/b/fixture_law.yaml", "type: fixture_law\n");
  EXPECT_THAT(FaultOf("models: [models/a.shapes.json]\nlaws: [fixture_law]\n"),
              HasSubstr("two files have the name 'fixture_law'"));
}

TEST_F(StudyReading, TakesDefaults) {
  const StudySpec study = Read("models: [models/*.shapes.json]\n");
  EXPECT_EQ(study.output, std::filesystem::current_path() / "results/demo");
  EXPECT_EQ(study.compute.dtype, Dtype::kFloat32);
  EXPECT_EQ(study.models.size(), 2u);
  EXPECT_TRUE(study.fit.is_null());
  EXPECT_FALSE(study.allow_fallback);
  EXPECT_FALSE(study.keep_artifacts);
}

TEST_F(StudyReading, NeedsItsFormatVersion) {
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\n", "study: x\n"),
            "s.yaml:1:1: 'bitlaw' is missing. A study file begins with 'bitlaw: 1', the version of its format.");
  EXPECT_EQ(FaultOf("", "bitlaw: 2\nnew_key: 3\n"),
            "s.yaml:1:9: the study has format 2. This bitlaw reads format 1: 'bitlaw: 1'.");
  EXPECT_EQ(FaultOf("", ""), "s.yaml:1:1: the study file is empty. It begins with 'bitlaw: 1'.");
}

TEST_F(StudyReading, KeepsRecordsOrArtifactsToo) {
  const std::string models = "models: [models/a.shapes.json]\n";
  EXPECT_EQ(FaultOf(models + "keep: artefacts\n"),
            "s.yaml:4:7: keep = 'artefacts' must be records or artifacts, the codes of quantized weights beside the "
            "records. Did you mean 'artifacts'?");
  EXPECT_EQ(FaultOf(models + "keep: true\n"), "s.yaml:4:7: 'keep' of a study is a boolean. It must be a string.");
}

TEST_F(StudyReading, ReportsTheFaultsOfAllPartsTogether) {
  EXPECT_EQ(
      FaultOf(R"(modles: [x]
models: [models/a.shapes.json]
compute: {dtype: float16, device: gpu}
allow_fallback: 1
tasks: [qq]
)"),
      "s.yaml:3:1: 'modles' is not a key of a study. Did you mean 'models'? Keys: bitlaw, study, output, compute, "
      "data_paths, models, corpora, quantize, tasks, strata, laws, map, figures, fit, evaluate, allow_fallback, "
      "keep.\n"
      "s.yaml:5:18: 'float16' is not a compute dtype. Use float32 or bfloat16.\n"
      "s.yaml:5:35: 'gpu' is not a device. Use cpu, cuda, or cuda:<number> for one of several.\n"
      "s.yaml:7:9: task 'qq': there is no 'qq.yaml'. Did you mean 'qa'? Known: qa, qb. Looked in: tasks.\n"
      "s.yaml:6:17: 'allow_fallback' of a study is an integer. It must be a boolean.");
}

TEST_F(StudyReading, SaysWhatWasThereWhenAPatternMatchesNothing) {
  EXPECT_THAT(
      FaultOf("models: [models/*.gguf]\n"),
      HasSubstr("s.yaml:3:10: models[0].path = 'models/*.gguf' matches no file or folder. The folder models has "
                "a.shapes.json, b.shapes.json."));
  EXPECT_THAT(
      FaultOf("models: [\"${BITLAW_TEST_NOT_SET}/x\"]\n"),
      HasSubstr("needs the environment variable BITLAW_TEST_NOT_SET, which is not set. Set it, or write the path "
                "out."));
}

TEST_F(StudyReading, RefusesModelsThatClashOrThatNoBackendKnows) {
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json, models/a.shapes.json]\n"),
            "s.yaml:3:32: the model models/a.shapes.json is listed twice, first at line 3.");
  EXPECT_EQ(FaultOf("models:\n  - {path: models/a.shapes.json, name: x}\n  - {path: models/b.shapes.json, name: x}\n"),
            "s.yaml:5:12: two models are named 'x': models/a.shapes.json and models/b.shapes.json. Give one a 'name'.");
  // Of three, each later one is a fault once, and leads to the first.
  EXPECT_EQ(FaultOf("models:\n  - models/a.shapes.json\n  - models/a.shapes.json\n  - models/a.shapes.json\n"),
            "s.yaml:5:5: the model models/a.shapes.json is listed twice, first at line 4.\n"
            "s.yaml:6:5: the model models/a.shapes.json is listed twice, first at line 4.");
  EXPECT_EQ(
      FaultOf("models: [{path: models/*, name: x}]\n"),
      "s.yaml:3:33: the name 'x' is given to 2 models that 'models/*' matches. Leave it out, or list the models.");
  EXPECT_EQ(
      FaultOf("models: [c4.txt]\n"),
      "s.yaml:3:10: no model backend knows the format of c4.txt. Backends: shapes. Narrow the pattern, or name the "
      "'backend'.");
  EXPECT_EQ(FaultOf("models: [{path: c4.txt, backend: shape}]\n"),
            "s.yaml:3:34: there is no model 'shape'. Did you mean 'shapes'? Loaded under 'model': shapes.");
}

TEST_F(StudyReading, ChecksEveryValueOfEveryAxis) {
  EXPECT_EQ(
      FaultOf(R"(models: [models/a.shapes.json]
quantize:
  - {quantizer: fixture_free, bits: [2, 9], grup_size: 32}
  - {quantizer: gpq, bits: 2}
  - {quantizer: fixture_free, bits: []}
)"),
      "s.yaml:5:45: 'grup_size' is not an option of quantizer 'fixture_free'. Did you mean 'group_size'? Options: "
      "bits, group_size.\n"
      "s.yaml:5:41: quantizer 'fixture_free': bits = 9 is out of range. It must be an integer from 2 to 8.\n"
      "s.yaml:6:17: there is no quantizer 'gpq'. Loaded under 'quantizer': fixture, fixture_free, fixture_outliers.\n"
      "s.yaml:7:37: the axis 'bits' is an empty list. Give it one value or more.");
}

TEST_F(StudyReading, RefusesNotANumberInAnAxis) {
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\ncorpora: {c4: {type: fixture, path: c4.txt}}\nquantize:\n"
              "  - {quantizer: fixture, damp: [0.01, .nan], calibration: {}}\n"),
      "s.yaml:6:39: quantizer 'fixture': damp = nan is not a number. It must be a number above 0.0 and below 1.0.");
}

TEST_F(StudyReading, PairsZippedAxes) {
  const StudySpec study = Read(
      "models: [models/a.shapes.json]\nquantize:\n"
      "  - {quantizer: fixture_free, zip: {bits: [2, 3], group_size: [32, row]}}\n");
  ASSERT_EQ(study.quantize[0].axes.size(), 1u);
  EXPECT_EQ(study.quantize[0].axes[0].size(), 2u);
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\nquantize:\n"
                    "  - {quantizer: fixture_free, bits: 4, zip: {bits: [2, 3], group_size: [32], order: [a, b]}}\n"),
            "s.yaml:5:72: 'group_size' under 'zip' has 1 values and 'bits' has 2. Paired axes have equal length.\n"
            "s.yaml:5:78: 'order' under 'zip' is not an option of quantizer 'fixture_free'. Options: bits, group_size, "
            "calibration.corpus, calibration.sequences, calibration.tokens, calibration.seed.\n"
            "s.yaml:5:52: the option 'bits' is given twice in quantize[0], once under 'zip'.");
}

TEST_F(StudyReading, ChecksFilters) {
  EXPECT_THAT(FaultOf("models: [models/a.shapes.json]\nquantize:\n"
                      "  - {quantizer: fixture_free, bits: [2, 3], where: \"bit > 2\", skip: [{grup_size: 3}]}\n"),
              HasSubstr("Did you mean 'bits'?"));
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\nquantize:\n"
              "  - {quantizer: fixture_free, bits: [2, 3], skip: [{grup_size: 3}, {bits: 9}, 3]}\n"),
      "s.yaml:5:79: an entry of 'skip' is 3. It must be a map from options to values.\n"
      "s.yaml:5:53: 'grup_size' is not an option that 'skip' can compare. Did you mean 'group_size'? Options: bits, "
      "group_size, calibration.corpus, calibration.sequences, sequences, calibration.tokens, tokens, "
      "calibration.seed, seed, model.\n"
      "s.yaml:5:75: skip: bits = 9 is out of range. It must be an integer from 2 to 8.");
}

TEST_F(StudyReading, ChecksCalibration) {
  const std::string head = "models: [models/a.shapes.json]\ncorpora: {c4: {type: fixture, path: c4.txt}}\nquantize:\n";
  EXPECT_EQ(
      FaultOf(head + "  - {quantizer: fixture, calibration: {corpus: c5, sequences: [8, 0], token: 3}}\n"),
      "s.yaml:6:71: 'token' is not a key of 'calibration'. Did you mean 'tokens'? Keys: corpus, sequences, tokens, "
      "seed.\n"
      "s.yaml:6:67: calibration: sequences = 0 is out of range. It must be an integer of at least 1.\n"
      "s.yaml:6:48: there is no corpus 'c5'. Did you mean 'c4'? Corpora of the study: c4.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\nquantize:\n  - {quantizer: fixture, calibration: {tokens: 8}}\n"),
            "s.yaml:5:39: 'calibration' of quantize[0] names no corpus. Corpora of the study: (none).");
}

TEST_F(StudyReading, NamesTheFileAndTheStudyLineOfAFaultInATaskFile) {
  folder_.Write("tasks/bad.yaml", "type: fixture\nquestion: 3\nquestio: x\n");
  folder_.Write("tasks/worse.yaml", "# a variant\ninclude: bad.yaml\nlimit: 0\n");
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\ntasks:\n  - {task: worse, version: 2}\n"),
      "tasks/bad.yaml:3:1: 'questio' is not an option of task 'fixture'. Did you mean 'question'? Options: version, "
      "stratum, data, question, limit. (task 'worse' of s.yaml:5:5, included by tasks/worse.yaml:2:10)\n"
      "s.yaml:5:28: task 'fixture': version = 2 is an integer. It must be a string. Write version: \"2\".\n"
      "tasks/bad.yaml:2:11: task 'fixture': question = 3 is an integer. It must be a string. Write question: \"3\". (task 'worse' of "
      "s.yaml:5:5, included by tasks/worse.yaml:2:10)\n"
      "tasks/worse.yaml:3:8: task 'fixture': limit = 0 is out of range. It must be an integer of at least 1. (task "
      "'worse' of s.yaml:5:5, included by tasks/worse.yaml:2:10)");
}

TEST_F(StudyReading, ShowsTheFirstHundredFaultsAndCountsTheOthers) {
  std::string keys;
  for (int i = 0; i < 50'000; ++i) keys += "key" + std::to_string(i) + ": 1\n";
  const std::string text = FaultOf("models: [models/a.shapes.json]\n" + keys);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100);
  EXPECT_THAT(text, HasSubstr("s.yaml:103:1: 'key99' is not a key of a study."));
  EXPECT_THAT(text, EndsWith("\nand 49900 more. The first 100 are shown."));
  std::string tasks;
  for (int i = 0; i < 150; ++i) tasks += "absent" + std::to_string(i) + ", ";
  const std::string absent = FaultOf("models: [models/a.shapes.json]\ntasks: [" + tasks + "]\n");
  EXPECT_EQ(std::count(absent.begin(), absent.end(), '\n'), 100);
  EXPECT_THAT(absent, EndsWith("\nand 50 more. The first 100 are shown."));
}

TEST_F(StudyReading, RefusesListsOfMoreEntriesThanAStudyHas) {
  std::string many;
  for (int i = 0; i < 2001; ++i) many += "models/a.shapes.json, ";
  EXPECT_EQ(FaultOf("models: [" + many + "]\n"),
            "s.yaml:3:9: 'models' has 2001 entries. At most 2000 are read. Make several studies.");
  many.clear();
  for (int i = 0; i < 2001; ++i) many += "x, ";
  for (const std::string key : {"tasks", "laws", "quantize", "data_paths"}) {
    EXPECT_THAT(FaultOf("models: [models/a.shapes.json]\n" + key + ": [" + many + "]\n"),
                HasSubstr("'" + key + "' has 2001 entries. At most 2000 are read. Make several studies."));
  }
}

TEST_F(StudyReading, BoundsWhatAPatternOfModelsLooksAt) {
  for (int i = 0; i < 400; ++i) std::filesystem::create_directories(folder_.path() / "deep" / std::to_string(i));
  for (int i = 0; i < 300; ++i) std::filesystem::create_directories(folder_.path() / "deep/0" / std::to_string(i));
  // 400 folders, each with the entries of all: * three times through a link to the first.
  for (int i = 1; i < 400; ++i) {
    std::filesystem::remove(folder_.path() / "deep" / std::to_string(i));
    std::filesystem::create_directory_symlink("0", folder_.path() / "deep" / std::to_string(i));
  }
  EXPECT_EQ(
      FaultOf("models: [\"deep/*/*\"]\n"),
      "s.yaml:3:10: models[0].path = 'deep/*/*' looks at more than 100000 files and folders. Write more of the path.");
  EXPECT_EQ(
      FaultOf("models: [\"deep/[1-9]/*\"]\n"),
      "s.yaml:3:10: models[0].path = 'deep/[1-9]/*' matches 2700 files and folders. A study has at most 2000 models. "
      "Write more of the path.");
}

TEST_F(StudyReading, RefusesIncludesInACircleAndFilesThatAreNoMaps) {
  folder_.Write("tasks/x.yaml", "include: y.yaml\n");
  folder_.Write("tasks/y.yaml", "include: x.yaml\n");
  folder_.Write("tasks/z.yaml", "- a\n");
  folder_.Write("tasks/w.yaml", "question: a\n");
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\ntasks: [x, z, w]\n"),
      "tasks/y.yaml:1:10: 'include' of tasks/x.yaml comes back to a file that is being read. (task 'x' of "
      "s.yaml:4:9, included by tasks/x.yaml:1:10)\n"
      "tasks/z.yaml:1:1: the task file is a list. It must be a map. (task 'z' of s.yaml:4:12)\n"
      "tasks/w.yaml:1:1: 'type' is missing from the task file. Name the task component, such as 'multiple_choice'. "
      "(task 'w' of s.yaml:4:15)");
}

TEST_F(StudyReading, RefusesTwoTasksOrLawsOfOneNameAndUnknownMembersOfStrata) {
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\ntasks: [qa, qa]\nlaws: [line, line]\nstrata: {KM: [qa, qc, qa]}\n"),
      "s.yaml:4:13: the task 'qa' is listed twice, first at line 4. Give one another name with 'as'.\n"
      "s.yaml:6:19: stratum 'KM' names the task 'qc', which the study does not list. Did you mean 'qa'? Tasks: qa, "
      "qa.\n"
      "s.yaml:6:23: stratum 'KM' names the task 'qa' twice.\n"
      "s.yaml:5:14: the law 'line' is listed twice, first at line 5. Give one another name with 'name'.");
}

TEST_F(StudyReading, RefusesAmbiguousTaskNames) {
  folder_.Write("tasks/elsewhere/qa.yaml", "type: fixture\nquestion: x\n");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ntasks: [qa]\n"),
            "s.yaml:4:9: task 'qa': two files have the name 'qa': tasks/elsewhere/qa.yaml and tasks/qa.yaml. Write the "
            "path of one.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ntasks: [tasks/qa.yaml]\n"), "accepted");
}

TEST_F(StudyReading, ChecksLawOptions) {
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\nlaws: [{type: fixture_law}, {name: x, type: fixture_law, scale: -1}]\n"),
      "s.yaml:4:8: 'name' is missing from laws[0]. Name the law, or the law file with 'law'.\n"
      "s.yaml:4:65: law 'fixture_law': scale = -1 is out of range. It must be a number above 0.0.");
}

TEST_F(StudyReading, TakesSeveralDevicesOfOneKind) {
  const StudySpec study = Read("models: [models/a.shapes.json]\ncompute: {devices: [\"cuda:0\", \"cuda:1\"]}\n");
  ASSERT_EQ(study.devices.size(), 2u);
  EXPECT_EQ(study.devices[0].name, "cuda:0");
  EXPECT_EQ(study.devices[1].name, "cuda:1");
  EXPECT_EQ(study.devices[1].mark.Text(), (folder_.path() / "s.yaml").string() + ":4:31");
  EXPECT_EQ(study.compute.device, "cuda");  // The kind alone: it is part of what a trial is.
  EXPECT_EQ(Read("models: [models/a.shapes.json]\ncompute: {device: \"cuda:1\"}\n").compute.device, "cuda");
  EXPECT_EQ(Read("models: [models/a.shapes.json]\n").devices[0].name, "cpu");
}

TEST_F(StudyReading, RefusesDevicesThatDoNotGoTogether) {
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\ncompute: {devices: [cpu, \"cuda:0\"]}\n"),
      "s.yaml:4:26: the devices 'cpu' and 'cuda:0' are of two kinds, which give other numbers. Make a study of each.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ncompute: {devices: [\"cuda:0\", \"cuda:0\"]}\n"),
            "s.yaml:4:31: the device 'cuda:0' is listed twice. `bitlaw run --workers` lets several workers share the "
            "devices.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ncompute: {devices: [\"cuda:1\", cuda]}\n"),
            "s.yaml:4:31: the device 'cuda' stands beside 'cuda:1': it may be the same card. Name each by its number, "
            "cuda:0.");
  for (const char* name : {"cuda:", "cuda:00", "cuda:01", "cuda:-1", "cuda:1234", "cuda1", "CUDA:0", "cuda:0 "}) {
    EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ncompute: {device: \"" + std::string(name) + "\"}\n"),
              "s.yaml:4:19: '" + std::string(name) +
                  "' is not a device. Use cpu, cuda, or cuda:<number> for one of several.");
  }
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ncompute: {devices: []}\n"),
            "s.yaml:4:20: 'devices' is an empty list. Name one or more, or leave it out for the CPU.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ncompute: {devices: [tpu], device: cpu}\n"),
            "s.yaml:4:11: 'devices' stands beside 'device'. Give one of them.");
}

TEST_F(StudyReading, FindsCorpusFilesInTheDataFolders) {
  folder_.Write("far/away/t.txt", "x");
  const StudySpec study = Read("data_paths: [far]\nmodels: [models/a.shapes.json]\n"
                               "corpora: {t: {type: fixture, path: away/t.txt}}\n");
  EXPECT_EQ(study.corpora[0].options.String("path"), (folder_.path() / "far/away/t.txt").string());
}

TEST_F(StudyReading, FindsTasksInConfigsFoldersAboveTheStudy) {
  folder_.Write("configs/tasks/far.yaml", "type: fixture\nquestion: x\n");
  folder_.Write("configs/studies/s.yaml", "bitlaw: 1\nstudy: d\nmodels: [../../models/a.shapes.json]\ntasks: [far]\n");
  EXPECT_EQ(ReadStudy(folder_.path() / "configs/studies/s.yaml", FixtureHost(), {}).tasks[0].name, "far");
  folder_.Write("examples/x/s.yaml", "bitlaw: 1\nstudy: d\nmodels: [../../models/a.shapes.json]\ntasks: [far]\n");
  EXPECT_EQ(ReadStudy(folder_.path() / "examples/x/s.yaml", FixtureHost(), {}).tasks[0].name, "far");
}

TEST_F(StudyReading, AddsTheDataFoldersOfTheEnvironmentLast) {
  ::setenv("BITLAW_DATA_PATH", "/one::/two", 1);
  const StudySpec study = Read("data_paths: [/zero, \"${BITLAW_TEST_NOT_SET}\"]\nmodels: [models/a.shapes.json]\n");
  ::unsetenv("BITLAW_DATA_PATH");
  EXPECT_THAT(study.data_paths, ElementsAre("/zero", "${BITLAW_TEST_NOT_SET}", "/one", "/two"));
}

TEST_F(StudyReading, WantsAValueBehindEveryKey) {
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\nallow_fallback:\n"),
            "s.yaml:4:1: the key 'allow_fallback' has no value. Write one, or remove the key.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\nallow_fallback: null\n"),
            "s.yaml:4:1: 'allow_fallback' of a study is null. Write a value, or remove the key.");
  EXPECT_EQ(FaultOf("models: [{path: models/a.shapes.json, hold_out: null}]\n"),
            "s.yaml:3:39: 'hold_out' of models[0] is null. Write a value, or remove the key.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ntasks: [{task: qa, as: null}]\n"),
            "s.yaml:4:20: 'as' of tasks[0] is null. Write a value, or remove the key.");
  EXPECT_THAT(FaultOf("models: [models/a.shapes.json]\nquantize: [{quantizer: fixture_free, calibration: null}]\n"),
              HasSubstr("'calibration' of quantize[0] is null."));
}

TEST_F(StudyReading, LetsNullTakeOutWhatANamedFileSays) {
  folder_.Write("tasks/base.yaml", "type: fixture\nversion: '2'\nquestion: Why?\nlimit: 3\n");
  folder_.Write("tasks/over.yaml", "include: base.yaml\nlimit: null\n");
  const StudySpec study = Read("models: [models/a.shapes.json]\ntasks: [over, {task: base, limit: null, as: other}]\n");
  ASSERT_EQ(study.tasks.size(), 2u);
  for (const TaskSpec& task : study.tasks) EXPECT_FALSE(task.options.Has("limit"));
  folder_.Write("tasks/over.yaml", "include: base.yaml\nquestion: null\n");
  EXPECT_THAT(FaultOf("models: [models/a.shapes.json]\ntasks: [over]\n"), HasSubstr("'question' is missing."));
}

TEST_F(StudyReading, NamesVariablesThatAreNotSet) {
  ::unsetenv("BITLAW_TEST_UNSET");
  ::setenv("BITLAW_TEST_EMPTY", "", 1);
  ::setenv("BITLAW_TEST_TASKS", folder_.path().c_str(), 1);
  const std::string needs =
      "needs the environment variable BITLAW_TEST_UNSET, which is not set. Set it, or write the path out.";
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\noutput: ${BITLAW_TEST_UNSET}\n"),
            "s.yaml:4:9: output = '${BITLAW_TEST_UNSET}' " + needs);
  EXPECT_EQ(
      FaultOf("models: [models/a.shapes.json]\noutput: ${BITLAW_TEST_EMPTY}\n"),
      "s.yaml:4:9: output = '${BITLAW_TEST_EMPTY}' needs the environment variable BITLAW_TEST_EMPTY, which is not set. "
      "Set it, or write the path out.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\noutput: ${}\n"),
            "s.yaml:4:9: output = '${}' needs the environment variable ${}, which is not set. Set it, or write the "
            "path out.");
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\noutput: \"\"\n"),
            "s.yaml:4:9: output is empty. Name a folder, or remove the key for results/<study>.");
  EXPECT_EQ(FaultOf("models: [\"${BITLAW_TEST_UNSET}/a\"]\n"),
            "s.yaml:3:10: models[0].path = '${BITLAW_TEST_UNSET}/a' " + needs);
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ntasks: [\"${BITLAW_TEST_UNSET}/qa.yaml\"]\n"),
            "s.yaml:4:9: task '${BITLAW_TEST_UNSET}/qa.yaml': " + needs);
  EXPECT_EQ(FaultOf("models: [models/a.shapes.json]\ncorpora: {c: {type: fixture, path: \"${BITLAW_TEST_UNSET}\"}}\n"),
            "s.yaml:4:36: corpus 'fixture': path = '${BITLAW_TEST_UNSET}' " + needs);
  folder_.Write("tasks/over.yaml", "include: ${BITLAW_TEST_UNSET}/base.yaml\n");
  EXPECT_THAT(FaultOf("models: [models/a.shapes.json]\ntasks: [over]\n"),
              HasSubstr("tasks/over.yaml:1:10: 'include' = '${BITLAW_TEST_UNSET}/base.yaml' " + needs));
  EXPECT_EQ(Read("models: [models/a.shapes.json]\ntasks: [\"${BITLAW_TEST_TASKS}/tasks/qa.yaml\"]\n").tasks.size(), 1u);
}

}  // namespace
}  // namespace bitlaw
