#include <gmock/gmock.h>

#include "study_fixture.h"

// What is wrong with a study is said by `bitlaw check` at once, and by `bitlaw run` before its first trial.

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Mistake {
  const char* name;
  const char* quantize;  ///< Entries of `quantize:`.
  const char* tasks;
  const char* more;      ///< Further keys of the study.
  const char* said;      ///< "@" stands for the study's path.
  int exit_code;
};

constexpr const char* kRtn = "  - {quantizer: rtn, bits: [3, 4], group_size: 16}\n";
constexpr const char* kTasks = "[uses, capitals]";

// What a program took of the processor, whatever else runs beside it.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kMostSeconds = 20;
#else
constexpr double kMostSeconds = 1;
#endif

class MistakenStudy : public StudyFolder {
 protected:
  ProgramEnd Call(const std::vector<std::string>& words) const {
    std::vector<std::string> all = {"--plugin",  BITLAW_E2E_PLUGINS,
                                    "--plugin",  BITLAW_BUILD_DIR "/tests/fixture_plugins",
                                    "--configs", BITLAW_SOURCE_DIR "/tests/support"};
    all.insert(all.end(), words.begin(), words.end());
    return StartedProgram(all, folder_).Wait();
  }

  std::filesystem::path Write(const Mistake& mistake) const {
    const auto study = WriteStudy(mistake.quantize, mistake.tasks);
    std::ofstream(study, std::ios::app) << mistake.more;
    std::filesystem::create_directories(folder_ / "tasks");
    std::ofstream(folder_ / "tasks/no_data.yaml")
        << "type: short_answer\nversion: '1'\nstratum: KM\ndata: nowhere.jsonl\nprompt: '{{question}}'\n";
    std::ofstream(folder_ / "tasks/pooled.yaml")
        << "include: " BITLAW_SOURCE_DIR "/tests/support/tasks/uses.yaml\nstratum: general\n";
    std::ofstream(folder_ / "a_file") << "no folder\n";
    return study;
  }

  std::string Said(const Mistake& mistake, const std::filesystem::path& study) const {
    std::string said = mistake.said;
    for (size_t at; (at = said.find('@')) != std::string::npos;) said.replace(at, 1, study.string());
    for (size_t at; (at = said.find('~')) != std::string::npos;) said.replace(at, 1, folder_.string());
    return said;
  }
};

class Mistaken : public MistakenStudy, public testing::WithParamInterface<Mistake> {};

TEST_P(Mistaken, IsFoundByCheckAtOnceAndByRunBeforeItsFirstTrial) {
  const Mistake& mistake = GetParam();
  const auto study = Write(mistake);
  const std::string said = Said(mistake, study);
  const ProgramEnd check = Call({"check", study.string()});
  EXPECT_EQ(check.exit_code, mistake.exit_code) << check.err;
  EXPECT_THAT(check.err, HasSubstr(said));
  EXPECT_THAT(check.out, IsEmpty());
  EXPECT_LT(check.processor_s, kMostSeconds);

  const ProgramEnd run = Call({"run", study.string(), "--threads", "1", "--workers", "1"});
  EXPECT_EQ(run.exit_code, mistake.exit_code);
  EXPECT_EQ(run.err, check.err);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "records"));
}

INSTANTIATE_TEST_SUITE_P(
    Each, Mistaken,
    testing::Values(
        Mistake{"FitKey", kRtn, kTasks, "fit: {bootstrp: 10}\n",
                "@:10:7: 'bootstrp' is not an option of fit. Did you mean 'bootstrap'?", 2},
        Mistake{"EvaluateKey", kRtn, kTasks, "evaluate: {batch_token: 64}\n",
                "@:10:12: 'batch_token' is not an option of 'evaluate'. Did you mean 'batch_tokens'?", 2},
        Mistake{"ColumnOfALaw", kRtn, kTasks, "laws: [chinchilla]\n",
                "@:10:8: law 'chinchilla' needs the column 'D', which the observations of this study will not have. If it is "
                "a number of each model, give it there: {path: ..., columns: {D: 1e12}}. If it is a parameter, name it "
                "under 'parameters' of the law. Columns: ",
                2},
        Mistake{"ParameterOfALaw", kRtn, kTasks,
                "laws: [{name: mine, response: -log(acc_adj), formula: A * N^alpha * B^bta, parameters: {A: {}, alpha: {}}}]\n",
                "@:10:8: law 'mine' needs the column 'bta', which the observations of this study will not have. ", 2},
        Mistake{"TextOfALaw", kRtn, kTasks,
                "laws: [{name: mine, response: acc_adj, formula: A + c * quantizer, parameters: {A: {}, c: {}}}]\n",
                "@:10:8: law 'mine' needs numbers in the column 'quantizer', which holds texts such as 'none'. A comparison is "
                "a number: quantizer == 'none' is 1 or 0.",
                2},
        Mistake{"ColumnWithoutAValue", kRtn, kTasks,
                "laws: [{name: mine, response: -log(acc_adj), formula: A * Cb^gamma, parameters: {A: {}, gamma: {}}}]\n",
                "@:10:8: law 'mine' needs the column 'Cb', of which no planned trial has a value: nothing could be fitted. Plan "
                "trials that have one, or take the law out.",
                2},
        Mistake{"NothingForALaw", kRtn, "[story]", "laws: [power_n]\n",
                "@:10:8: laws are fitted to accuracies, and no task of the study has an accuracy as its first metric. ", 2},
        Mistake{"Zone", kRtn, kTasks, "laws: [power_n_b]\nfit: {zones: [B < 4, Bits > 3]}\n", "@:11:22: fit: zones: ", 2},
        Mistake{"Derived", kRtn, kTasks, "laws: [power_n_b]\nfit: {derived: [double = 2^alfa]}\n",
                "@:11:17: fit: derived: 'double = 2^alfa': no law of the study has all of its parameters. Parameters: ", 2},
        Mistake{"TaskData", kRtn, "[no_data]", "", "nowhere.jsonl", 5},
        Mistake{"StreamedGeneration", kRtn, kTasks, "evaluate:\n  stream_blocks: true\n",
                "@:11:18: stream_blocks: true and task 'capitals', which generates: every token would read the whole model again. "
                "Leave stream_blocks out, or the task.",
                2},
        Mistake{"StreamedTransform", "  - {quantizer: keep, transforms: [smooth_scale], activations: {bits: 8}, calibration: {sequences: 2, tokens: 32}}\n",
                "[uses]",
                "evaluate: {stream_blocks: true}\n",
                "@:10:27: stream_blocks: true and the trial 'tiny keep', whose transforms change weights that nothing quantizes: "
                "they would be read again as they were. Leave stream_blocks out, or the trial.",
                2},
        Mistake{"Stratum", kRtn, "[pooled]", "",
                "@:9:9: task 'pooled' (~/tasks/pooled.yaml) is of the stratum 'general', which is a word of the reports", 2},
        Mistake{"Device", kRtn, kTasks, "compute: {device: \"cuda:999\"}\n",
                "@:10:19: the device 'cuda:999' is not on this machine. Devices here: cpu", 2}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(MistakenStudy, IsRefusedWhereItsOutputCannotBeWritten) {
  const auto study = Write({"", kRtn, kTasks, "", "", 5});
  const std::string said = "the output folder " + (folder_ / "a_file/out").string() + " cannot be written: " +
                           (folder_ / "a_file").string() + " is not a folder. Make it writable, or name another 'output'.";
  const ProgramEnd run = Call({"run", study.string(), "--output", (folder_ / "a_file/out").string()});
  EXPECT_EQ(run.exit_code, 5);
  EXPECT_THAT(run.err, HasSubstr(said));
  std::string text = StartedProgram::Text(study);
  text.replace(text.find("unused"), 6, (folder_ / "a_file/out").string());
  std::ofstream(study) << text;
  const ProgramEnd check = Call({"check", study.string()});
  EXPECT_EQ(check.exit_code, 5);
  EXPECT_EQ(check.err, run.err);
}

TEST_F(MistakenStudy, IsRefusedWhereTheDiskIsTooSmallForItsCodes) {
  // 3 x 2^26 x 2^26 weights and as many again: petabytes of codes at three bits.
  std::ofstream(folder_ / "vast.shapes.json")
      << "{\"architecture\": \"toy\", \"hidden_size\": 67108864, \"num_blocks\": 1, \"vocab_size\": 100, \"max_positions\": "
         "2048, \"linears\": [{\"name\": \"q\", \"in\": 67108864, \"out\": 201326592}]}";
  const auto study = Write({"", "  - {quantizer: rtn, bits: 3, group_size: 32}\n", kTasks, "", "", 7});
  std::string text = StartedProgram::Text(study);
  text.replace(text.find("[tiny]"), 6, "[vast.shapes.json]");
  std::ofstream(study) << text;
  const ProgramEnd check = Call({"check", study.string()});
  EXPECT_EQ(check.exit_code, 7);
  EXPECT_THAT(check.err, AllOf(HasSubstr("/unused has "), HasSubstr(" free, and the quantized weights of one trial at a time "),
                               HasSubstr(" GB (vast.shapes rtn). Make room, or name another 'output'.")));
  EXPECT_LT(check.processor_s, kMostSeconds);
  EXPECT_EQ(Call({"run", study.string()}).err, check.err);
}

TEST_F(MistakenStudy, IsToldAllItsMistakesTogether) {
  const auto study = Write({"", kRtn, "[no_data, uses]", "fit: {seeds: 3}\nevaluate: {batch: 1}\ncompute: {device: cuda:999}\n",
                            "", 2});
  const ProgramEnd check = Call({"check", study.string()});
  EXPECT_THAT(check.err, AllOf(HasSubstr("'seeds'"), HasSubstr("'batch'"), HasSubstr("nowhere.jsonl"), HasSubstr("cuda:999")));
}

TEST_F(MistakenStudy, IsInOrderOnceItIsMended) {
  const auto study = Write({"", kRtn, kTasks,
                            "laws: [{name: mine, response: -log(acc_adj), formula: A * B^b * exp(c * (quantizer == 'rtn')), "
                            "parameters: {A: {}, b: {}, c: {}}}]\nfit: {zones: [B < 4], leave_out: [model]}\n",
                            "", 0});
  const ProgramEnd check = Call({"check", study.string()});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  EXPECT_THAT(check.out, HasSubstr("mine  -log(acc_adj) = "));
}

// One law's fault hides no other's.
TEST_F(MistakenStudy, IsToldOfEachLawThatCannotBeOpened) {
  const char* laws =
      "laws:\n  - {name: one, formula: A * B^beta, parameters: {A: {fix: 1}, beta: {fix: 2}}}\n"
      "  - {name: two, formula: A * N^alpha, parameters: {A: {fix: 1}, alpha: {fix: 2}}}\n";
  const ProgramEnd check = Call({"check", Write({"", kRtn, kTasks, laws, "", 2}).string()});
  EXPECT_EQ(check.exit_code, 2);
  EXPECT_THAT(check.err, AllOf(HasSubstr("law 'one': all of its parameters are fixed"),
                               HasSubstr("law 'two': all of its parameters are fixed")));
}

// Strata are those that fits will have: a text that is no accuracy is in none, whatever its task says.
TEST_F(MistakenStudy, NamesTheStratumOfEachTask) {
  const auto study = Write({"", kRtn, "[uses, capitals, story]", "strata: {KU: [uses, story]}\n", "", 0});
  const ProgramEnd check = Call({"check", study.string()});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  EXPECT_THAT(check.out, testing::ContainsRegex("uses  multiple_choice [^,]*, KU, "));
  EXPECT_THAT(check.out, testing::ContainsRegex("capitals  [^,]*, no stratum, "));
  EXPECT_THAT(check.out, testing::ContainsRegex("story  perplexity [^,]*, no stratum, "));
}

// A plan is made where the study will not run, too.
TEST_F(MistakenStudy, IsPlannedWithoutItsDeviceAndData) {
  const auto study = Write({"", kRtn, "[no_data]", "compute: {devices: [\"cuda:998\", \"cuda:999\"]}\n", "", 0});
  const ProgramEnd plan = Call({"plan", study.string()});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.out, HasSubstr("3 trials x 1 task = 3 records"));
}

// Workers have what they do from their launcher, and read no file that describes the study.
TEST_F(StudyFolder, DoesNotHearOfChangesToItsFilesWhileItRuns) {
  std::filesystem::create_directories(folder_ / "tasks");
  std::ofstream(folder_ / "tasks/mine.yaml") << "include: " BITLAW_SOURCE_DIR "/tests/support/tasks/uses.yaml\n";
  const auto study = WriteStudy("  - {quantizer: rtn, bits: [2, 3, 4, 5, 6, 7, 8], group_size: 16}\n", "[mine]");
  ASSERT_EQ(RunStudy(study, "calm").exit_code, 0);
  StartedProgram run(RunArguments(study, "out"), folder_);
  while (!std::filesystem::exists(folder_ / "out/work.json") && !run.EndsWithin(std::chrono::milliseconds(1))) {
  }
  std::ofstream(study) << "no study\n";
  std::ofstream(folder_ / "tasks/mine.yaml") << "no task\n";
  const ProgramEnd end = run.Wait();
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_EQ(FilesOf("out/records"), FilesOf("calm/records"));
  EXPECT_EQ(FilesOf("out/records").size(), 8u * 2 + 7u);  // A record and its items a trial, and one a quantization.
}

}  // namespace
}  // namespace bitlaw
