#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "study_fixture.h"

// What `bitlaw check` and `bitlaw plan` say of a study, before and after it ran.

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using Json = nlohmann::json;

class Verbs : public StudyFolder {
 protected:
  ProgramEnd Call(const std::string& verb, const std::filesystem::path& study,
                  const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"--plugin", BITLAW_E2E_PLUGINS, "--configs", BITLAW_SOURCE_DIR "/tests/support",
                                      verb,       study.string()};
    words.insert(words.end(), more.begin(), more.end());
    return StartedProgram(words, folder_).Wait();
  }

  // 1 + 2 x 2 cells; groups of 48 columns do not divide the checkpoint's rows, so that two of them are skipped.
  std::filesystem::path Grid() const {
    return WriteStudy("  - none\n  - {quantizer: rtn, bits: [3, 8], group_size: [16, 48]}\n");
  }
};

TEST_F(Verbs, CheckSaysWhatAStudyIsMadeOf) {
  const ProgramEnd end = Call("check", Grid());
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, IsEmpty());
  EXPECT_THAT(end.out, AllOf(HasSubstr("study 'e2e' ("), HasSubstr(") is in order.\n"), HasSubstr("  models       tiny  "),
                             HasSubstr("rtn  bits {3, 8} x group_size {16, 48}"),
                             HasSubstr("3 trials (1 unquantized)"), HasSubstr("uses  "), HasSubstr("capitals  ")));
}

TEST_F(Verbs, CheckNamesThePlaceOfAFault) {
  const auto study = WriteStudy("  - {quantizer: rtn, bitts: 3}\n");
  const ProgramEnd end = Call("check", study);
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.out, IsEmpty());
  EXPECT_THAT(end.err, AllOf(HasSubstr(study.string() + ":8:22: "), HasSubstr("'bitts'"), HasSubstr("Did you mean 'bits'?")));
}

TEST_F(Verbs, PlanListsTrialsWithIdsBitsAndWhatIsSkipped) {
  const ProgramEnd end = Call("plan", Grid(), {"--json"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const Json plan = Json::parse(end.out);
  ASSERT_EQ(plan.at("trials").size(), 3u);
  std::vector<std::string> ids;
  for (const Json& trial : plan.at("trials")) ids.push_back(trial.at("id"));
  std::sort(ids.begin(), ids.end());
  EXPECT_EQ(std::unique(ids.begin(), ids.end()), ids.end());
  EXPECT_EQ(plan.at("trials")[0].at("label"), "tiny none");
  EXPECT_EQ(plan.at("trials")[1].at("label"), "tiny rtn bits=3 group_size=16");
  // 3 bits a code, and for 16 weights a float16 scale and a zero of 3 bits.
  EXPECT_DOUBLE_EQ(plan.at("trials")[1].at("bits_per_weight").get<double>(), 3 + (16.0 + 3.0) / 16);
  ASSERT_EQ(plan.at("skipped").size(), 2u);
  EXPECT_THAT(plan.at("skipped")[0].at("reason").get<std::string>(), HasSubstr("group_size = 48 does not divide C_in = 64 of"));
}

TEST_F(Verbs, PlanTellsWhatTheStudyTakes) {
  const auto study = Grid();
  const auto costs = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"--output", (folder_ / "out").string(), "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const ProgramEnd end = Call("plan", study, words);
    EXPECT_EQ(end.exit_code, 0) << end.err;
    return Json::parse(end.out);
  };
  std::ofstream(folder_ / "fast.yaml") << "name: fast\nfloat32_gflops: 1000\nbfloat16_gflops: 1000\nmemory_gib: 0.1\n";
  const Json fast = costs({"--machine", (folder_ / "fast.yaml").string(), "--workers", "2", "--threads", "5"});
  EXPECT_EQ(fast.at("costs").at("source"), "products of 1e+03 GFLOP/s with 2 threads, of fast, by " + (folder_ / "fast.yaml").string());
  EXPECT_EQ(fast.at("costs").at("threads_of_worker"), 2);
  EXPECT_EQ(fast.at("costs").at("devices"), Json::parse(R"(["cpu", "cpu"])"));
  EXPECT_EQ(fast.at("costs").at("all").at("models_opened"), 3);
  ASSERT_EQ(fast.at("costs").at("warnings").size(), 1u);  // 0.27 GB of libraries are more than there is.
  EXPECT_THAT(fast.at("costs").at("warnings")[0].get<std::string>(), HasSubstr("It needs a larger machine"));
  double sum = 0;
  for (const Json& trial : fast.at("trials")) sum += trial.at("cost").at("total_s").get<double>();
  EXPECT_NEAR(fast.at("costs").at("all").at("work_s").get<double>(), sum, 1e-9);
  EXPECT_GT(fast.at("costs").at("left").at("finish_s").get<double>(), sum / 2);
  EXPECT_EQ(fast.at("trials")[0].at("cost").at("codes_bytes"), 0);
  EXPECT_GT(fast.at("trials")[1].at("cost").at("codes_bytes").get<double>(), 0);

  ASSERT_EQ(RunStudy(study, "out", {"--only", "* none"}).exit_code, 0);
  const Json after = costs({});
  EXPECT_THAT(after.at("costs").at("source").get<std::string>(), HasSubstr("measured of 1 trial of this study, on "));
  EXPECT_EQ(after.at("costs").at("left").at("models_opened"), 2);
  const ProgramEnd text = Call("plan", study, {"--output", (folder_ / "out").string(), "--workers", "1"});
  EXPECT_THAT(text.out, HasSubstr("of 3 trials 1 are recorded; below: the others\ntime      "));
  EXPECT_THAT(text.out, HasSubstr("2 checkpoints opened, by workers that change their model 1 time; 0 calibration texts drawn"));
}

TEST_F(Verbs, PlanCountsWhatIsRecorded) {
  const auto study = Grid();
  ASSERT_EQ(RunStudy(study, "out", {"--only", "* none"}).exit_code, 0);
  const ProgramEnd end = Call("plan", study, {"--output", (folder_ / "out").string()});
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("3 trials x 3 tasks = 9 records; 3 there, 6 to make, in " + (folder_ / "out").string()));
  EXPECT_THAT(end.out, HasSubstr("3/3  tiny none\n"));
  EXPECT_THAT(end.out, HasSubstr("0/3  tiny rtn bits=8 group_size=16\n"));
}

TEST_F(Verbs, PlanSaysWhichDifferencesTheItemsCanShow) {
  const auto study = Grid();
  const std::string out = (folder_ / "out").string();
  // 16 items a task: at 2, 10 and 30 % of disagreement alike (1.959964 + 0.841621)^2 / 16; 7,849 items show 0.01 at 10 %.
  const ProgramEnd before = Call("plan", study, {"--output", out, "--effect", "0.01", "--json"});
  ASSERT_EQ(before.exit_code, 0) << before.err;
  const Json planned = Json::parse(before.out).at("power");
  EXPECT_EQ(planned.at("assumed_discordance"), Json({0.02, 0.1, 0.3}));
  EXPECT_EQ(planned.at("rows")[0].at("name"), "uses");
  EXPECT_EQ(planned.at("rows")[0].at("items"), 16);
  EXPECT_NEAR(planned.at("rows")[0].at("detectable")[1].get<double>(), 7.84887973 / 16, 1e-6);
  EXPECT_EQ(planned.at("rows")[0].at("items_for_effect")[1], 7849);
  EXPECT_EQ(planned.at("rows").back().at("kind"), "verdict");
  // Over all items of both trials, one-sided at half of 5 %: (2.241403 + 0.841621)^2 = 9.505037 in place of 7.848880.
  const Json& verdict = planned.at("rows").back();
  EXPECT_EQ(verdict.at("benchmarks"), 3);
  EXPECT_NEAR(verdict.at("detectable")[1].get<double>(), 9.505037 / verdict.at("items").get<double>(), 1e-6);
  EXPECT_EQ(verdict.at("items_for_effect")[1], 9506);
  const ProgramEnd assumed = Call("plan", study, {"--output", out, "--discordance", "0.5", "--effect", "0.1"});
  EXPECT_THAT(assumed.out, AllOf(HasSubstr("at 50 %"), HasSubstr("items for 0.1 at 50 %"), HasSubstr("verdict, 2 trials")));

  // It is said where it is asked for.
  const ProgramEnd plain = Call("plan", study, {"--output", out});
  EXPECT_THAT(plain.out, AllOf(HasSubstr("(--detect: which differences of accuracy these items can show)\n"),
                               Not(HasSubstr("verdict, 2 trials"))));
  EXPECT_TRUE(Json::parse(Call("plan", study, {"--output", out, "--json"}).out).at("power").is_null());
  EXPECT_THAT(Call("plan", study, {"--output", out, "--detect"}).out, HasSubstr("verdict, 2 trials"));

  // Once there are records, how often the models disagree is measured.
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const Json measured = Json::parse(Call("plan", study, {"--output", out, "--detect", "--json"}).out).at("power");
  EXPECT_EQ(measured.at("measured_trials"), 2);
  const ProgramEnd paired = Call("paired", out, {"--task", "uses", "--format", "csv"});
  ASSERT_EQ(paired.exit_code, 0) << paired.err;
  std::vector<double> shares;
  std::istringstream lines(paired.out);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    // trial,task,metric,n,unquantized,quantized,difference,+-,low,high,only before,only after,...
    std::vector<std::string> cells;
    std::istringstream row(line);
    for (std::string cell; std::getline(row, cell, ',');) cells.push_back(cell);
    shares.push_back((std::stod(cells.at(10)) + std::stod(cells.at(11))) / std::stod(cells.at(3)));
  }
  ASSERT_EQ(shares.size(), 2u);
  std::sort(shares.begin(), shares.end());
  EXPECT_NEAR(measured.at("rows")[0].at("discordance_least").get<double>(), shares[0], 1e-12);
  EXPECT_NEAR(measured.at("rows")[0].at("discordance_most").get<double>(), shares[1], 1e-12);
  EXPECT_NEAR(measured.at("rows")[0].at("discordance_median").get<double>(), (shares[0] + shares[1]) / 2, 1e-12);
  // What is assumed is not what was measured.
  const ProgramEnd given = Call("plan", study, {"--output", out, "--discordance", "0.5", "--json"});
  EXPECT_EQ(Json::parse(given.out).at("power").at("assumed_discordance"), Json({0.5}));
}

// Of three tasks one has no data here and one is a perplexity.
TEST_F(Verbs, PlanSaysOfWhatItCannotTellADifference) {
  std::ofstream(folder_ / "absent.yaml")
      << "type: multiple_choice\nversion: '1'\ndata: absent.jsonl\nprompt: '{{question}}'\n";
  const auto study =
      WriteStudy("  - {quantizer: rtn, bits: [3, 8], group_size: 16}\n", "[uses, story, ./absent.yaml]");
  const ProgramEnd end = Call("plan", study, {"--output", (folder_ / "out").string(), "--detect", "--json"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const Json power = Json::parse(end.out).at("power");
  EXPECT_EQ(power.at("notes"),
            Json::array({"the items of these tasks cannot be counted here ('bitlaw check' says why): absent"}));
  for (const Json& row : power.at("rows")) EXPECT_NE(row.at("name"), "story");
}

TEST_F(Verbs, PlanReadsNoWeights) {
  // The headers say all that a plan needs; of the weights not a byte is left.
  const auto weights = folder_ / "tiny" / "model.safetensors";
  std::ifstream in(weights, std::ios::binary);
  uint64_t header = 0;
  in.read(reinterpret_cast<char*>(&header), sizeof(header));
  const auto size = std::filesystem::file_size(weights);
  in.close();
  std::filesystem::resize_file(weights, 8 + header);
  std::filesystem::resize_file(weights, size);  // A hole of zeros.
  EXPECT_EQ(Call("plan", Grid()).exit_code, 0);
}

// libgomp itself says with which settings it was loaded.
TEST_F(Verbs, EveryVerbLetsThreadsOfOpenMpWaitWithoutSpinning) {
  ::setenv("OMP_DISPLAY_ENV", "verbose", 1);
  ::unsetenv("GOMP_SPINCOUNT");
  for (const char* verb : {"quantize", "evaluate", "fit", "check"}) {
    EXPECT_THAT(StartedProgram({verb, "--help"}, folder_).Wait().err, HasSubstr("GOMP_SPINCOUNT = '2000'")) << verb;
  }
  ::setenv("OMP_WAIT_POLICY", "active", 1);
  const std::string chosen = StartedProgram({"fit", "--help"}, folder_).Wait().err;
  ::unsetenv("OMP_WAIT_POLICY");
  ::unsetenv("OMP_DISPLAY_ENV");
  EXPECT_THAT(chosen, AllOf(HasSubstr("OMP_WAIT_POLICY = 'ACTIVE'"), Not(HasSubstr("GOMP_SPINCOUNT = '2000'"))));
}

TEST_F(Verbs, VersionIsAnsweredWithoutLoadingAnyLibrary) {
  ::setenv("LD_DEBUG", "files", 1);
  const ProgramEnd end = StartedProgram({"--version"}, folder_).Wait();
  ::unsetenv("LD_DEBUG");
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.out, MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+\n"));
  EXPECT_THAT(end.err, AllOf(HasSubstr("file=libc.so.6"), Not(HasSubstr("bitlaw_program")), Not(HasSubstr("torch"))));
}

}  // namespace
}  // namespace bitlaw
