// Several launchers on one folder, on one machine and on what looks like two.
#include <gmock/gmock.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "bitlaw/base/rng.h"
#include "shared_study.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

// Both have a trial in hand, and wait, before either may end one: whatever else the machine has to do.
TEST_F(SharedStudy, ASecondRunSharesTheTrialsOfTheFirst) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: wait, bits: [2, 3, 4, 5, 6]}\n", "[endings]");
  const auto gone = Gone();
  EndFaults();
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  fs::remove(gone);
  auto first = Start(RunArguments(study, "out"), "a");
  ASSERT_TRUE(WaitForClaims("out", 2));  // The unquantized model's trial, and one that waits.
  auto second = Start(RunArguments(study, "out"), "b");
  ASSERT_TRUE(WaitForClaims("out", 3));
  EndFaults();
  const ProgramEnd b = second->Wait(), a = first->Wait();
  EXPECT_EQ(a.exit_code, 0) << a.err;
  EXPECT_EQ(b.exit_code, 0) << b.err;
  EXPECT_THAT(b.err, HasSubstr("note: joins 1 worker of the same study on "));
  for (const ProgramEnd* end : {&a, &b}) EXPECT_THAT(end->out, HasSubstr("e2e: 6 of 6 trials complete, "));
  const int by_a = Scored(a.out, "complete, ", " task"), by_b = Scored(b.out, "complete, ", " task");
  EXPECT_EQ(by_a + by_b, 6) << a.out << b.out;
  EXPECT_GT(by_b, 0);
  EXPECT_EQ(FilesOf("out/records"), FilesOf("alone/records"));
  EXPECT_EQ(FilesOf("out").at("observations.csv"), FilesOf("alone").at("observations.csv"));
  EXPECT_THAT(FilesOf("out/workers"), IsEmpty());
}

TEST_F(SharedStudy, ASecondRunThatDoesSomethingElseIsRefused) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: sleep}\n", "[endings]");
  auto first = Start(RunArguments(study, "out"), "a");
  ASSERT_TRUE(WaitForClaim("out"));
  const auto expect_refusal = [&](const std::vector<std::string>& more, const std::string& difference) {
    const ProgramEnd second = Start(RunArguments(study, "out", more), "b")->Wait();
    EXPECT_EQ(second.exit_code, 5);
    EXPECT_THAT(second.err, ContainsRegex("others work in this output folder, on " + difference +
                                          ": process [0-9]+ on .*\\. Wait for them, stop them \\(SIGTERM\\), or give this run "
                                          "another --output\\."));
  };
  expect_refusal({"--only", "misbehave"}, "another choice of its trials");
  expect_refusal({"--retries", "3"}, "with another --trial-timeout, .*");
  const ProgramEnd forced = Start(RunArguments(study, "out", {"--force", "--only", "misbehave"}), "b")->Wait();
  EXPECT_EQ(forced.exit_code, 5);
  EXPECT_THAT(forced.err, ContainsRegex("--force does trials again whose records others may be using: process [0-9]+ on .* works in "
                                        "this output folder, or did a moment ago\\. Wait for it, or stop it\\."));
  WriteStudy("  - {quantizer: misbehave, act: sleep}\n", "[endings, uses]");
  expect_refusal({}, "another study, or another version of it");
}

// The same study by way of a link, of a copy with remarks, and by a path from elsewhere.
TEST_F(SharedStudy, ASecondRunMayNameTheStudyByAnotherPath) {
  const auto study = WriteStudy(kQuick, "[endings]");
  ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  fs::create_directories(folder_ / "elsewhere");
  fs::create_symlink(study, folder_ / "link.yaml");
  std::ofstream(folder_ / "copy.yaml") << "# A remark.\n" << StartedProgram::Text(study);
  for (const fs::path& path : {folder_ / "link.yaml", folder_ / "copy.yaml", fs::relative(study), folder_ / "elsewhere/../study.yaml"}) {
    const ProgramEnd end = RunStudy(path, "out", {"--go-on"});
    EXPECT_EQ(end.exit_code, 0) << path << end.err;
    EXPECT_THAT(end.out, HasSubstr("5 of 5 trials complete"));
    fs::remove_all(folder_ / "out");
    ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  }
  std::ofstream(folder_ / "copy.yaml", std::ios::app) << "allow_fallback: true\n";
  const ProgramEnd end = RunStudy(folder_ / "copy.yaml", "out", {"--go-on"});
  EXPECT_EQ(end.exit_code, 5);
  EXPECT_THAT(end.err, HasSubstr("the campaign that is open is of another study, or another version of it"));
}

TEST_F(SharedStudy, WorkersDoWhatARunPrepared) {
  const auto study = WriteStudy(kQuick);
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  const ProgramEnd nothing = StartedProgram(WorkerArguments("tiny"), folder_).Wait();
  EXPECT_EQ(nothing.exit_code, 5);
  EXPECT_THAT(nothing.err, HasSubstr("no study is begun there. `bitlaw run STUDY.yaml --output "));
  const ProgramEnd prepared = Prepare(study, "out");
  ASSERT_EQ(prepared.exit_code, 0) << prepared.err;
  EXPECT_THAT(prepared.out, HasSubstr("e2e: campaign 1 is open. Start `bitlaw worker --claim "));
  EXPECT_THAT(FilesOf("out/records"), IsEmpty());
  auto first = Start(WorkerArguments("out"), "a"), second = Start(WorkerArguments("out", {"--wait"}), "b");
  const ProgramEnd a = first->Wait(), b = second->Wait();
  EXPECT_EQ(a.exit_code, 0) << a.err;
  EXPECT_EQ(b.exit_code, 0) << b.err;
  EXPECT_EQ(FilesOf("out/records"), FilesOf("alone/records"));
  EXPECT_EQ(Scored(a.out, "done here, ", " task") + Scored(b.out, "done here, ", " task"), 15) << a.out << b.out;
  const ProgramEnd last = RunStudy(study, "out");
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_THAT(last.out, HasSubstr("5 of 5 trials complete, 0 tasks scored now"));
  EXPECT_EQ(FilesOf("out").at("observations.csv"), FilesOf("alone").at("observations.csv"));
}

// Stopped for longer than the expiry and then let go: it finds its trial taken, and writes nothing more of it.
TEST_F(SharedStudy, AWorkerThatWasTakenForDeadIsFenced) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: slow, bits: [2, 3, 4]}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  auto frozen = Start(WorkerArguments("out"), "a");
  ASSERT_TRUE(WaitForClaim("out", ".done"));  // The unquantized model's; a trial that takes a second follows.
  const std::vector<pid_t> children = TrialProcesses("out");
  ASSERT_EQ(children.size(), 1u);
  ASSERT_TRUE(WaitForClaims("out", 2));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  frozen->Signal(SIGSTOP);
  ::kill(children[0], SIGSTOP);
  const ProgramEnd other = Start(WorkerArguments("out"), "b")->Wait();
  EXPECT_EQ(other.exit_code, 0) << other.err;
  EXPECT_EQ(FilesOf("out/records"), FilesOf("alone/records"));
  ASSERT_TRUE(WaitForClaim("out", ".2")) << "it was not stopped in mid-trial";
  const auto times = [&] {
    std::map<std::string, fs::file_time_type> found;
    for (const auto& [name, text] : FilesOf("out/records")) found[name] = fs::last_write_time(folder_ / "out/records" / name);
    return found;
  };
  const auto before = times();
  const auto timings = FilesOf("out/timings");
  ::kill(children[0], SIGCONT);  // First the one that does the trial: the fence is its own.
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  frozen->Signal(SIGCONT);
  const ProgramEnd end = frozen->Wait();
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, HasSubstr("was taken over by "));
  EXPECT_EQ(times(), before);
  EXPECT_EQ(FilesOf("out/timings"), timings);
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
}

// The same before whoever took the trial over has recorded anything: what the fence holds back nothing else would. The
// process that does the trial goes on, or it dies, which is no failed attempt any more.
TEST_F(SharedStudy, AFencedTrialIsNeitherRecordedNorFailed) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: wait}\n", "[endings]");
  EndFaults();
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  for (const std::string output : {"goes_on", "dies"}) {
    SCOPED_TRACE(output);
    fs::remove(Gone());
    ASSERT_EQ(RunStudy(study, output, {"--beat", "0.2", "--claim-expiry", "3", "--prepare"}).exit_code, 0);
    auto frozen = Start(WorkerArguments(output), "a");
    ASSERT_TRUE(WaitForClaims(output, 2));  // The unquantized model's, and one that waits.
    const std::vector<pid_t> children = TrialProcesses(output);
    ASSERT_EQ(children.size(), 1u);
    const pid_t child = children[0];
    frozen->Signal(SIGSTOP);
    ::kill(child, SIGSTOP);
    auto second = Start(WorkerArguments(output, {"--wait"}), "b");
    ASSERT_TRUE(WaitForClaim(output, ".2"));
    std::vector<pid_t> others = TrialProcesses(output);
    std::erase(others, child);
    ASSERT_EQ(others.size(), 1u);
    ::kill(others[0], SIGSTOP);
    const auto before = FilesOf(output + "/records");
    EndFaults();
    if (output == "dies") ::kill(child, SIGKILL);
    ::kill(child, SIGCONT);
    for (int i = 0; i < 300 && output == "goes_on" && FilesOf(output + "/records") == before; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_EQ(FilesOf(output + "/records"), before);
    frozen->Signal(SIGCONT);
    const ProgramEnd end = frozen->Wait();
    EXPECT_EQ(end.exit_code, 0) << end.err;
    EXPECT_THAT(end.err, HasSubstr("was taken over by "));
    EXPECT_EQ(FilesOf(output + "/records"), before);
    EXPECT_THAT(FilesOf(output + "/failures"), IsEmpty());
    for (const std::string& claim : ClaimFiles(output)) EXPECT_FALSE(claim.ends_with(".failed")) << claim;
    ::kill(others[0], SIGCONT);
    EXPECT_EQ(second->Wait().exit_code, 0);
    EXPECT_EQ(FilesOf(output + "/records"), FilesOf("alone/records"));
  }
}

TEST_F(SharedStudy, ASignalLetsAWorkerEndItsTrialOrGiveItBack) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: slow, bits: [2, 3, 4]}\n", "[endings]");
  ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  auto patient = Start(WorkerArguments("out", {"--grace", "60"}), "a");
  ASSERT_TRUE(WaitForClaim("out"));
  patient->Signal(SIGUSR1);
  const ProgramEnd a = patient->Wait();
  EXPECT_EQ(a.exit_code, 138) << a.err;
  const auto claims = ClaimFiles("out");
  EXPECT_EQ(claims.size(), 2u) << testing::PrintToString(claims);  // One claim, and that its trial is done.
  EXPECT_TRUE(std::any_of(claims.begin(), claims.end(), [](const auto& name) { return name.ends_with(".done"); }));

  const auto sleeper = WriteStudy("  - {quantizer: misbehave, act: sleep}\n", "[endings]");
  ASSERT_EQ(Prepare(sleeper, "out2", {"--only", "misbehave"}).exit_code, 0);
  auto hasty = Start(WorkerArguments("out2", {"--grace", "0.3"}), "b");
  ASSERT_TRUE(WaitForClaim("out2"));
  hasty->Signal(SIGTERM);
  ASSERT_TRUE(hasty->EndsWithin(std::chrono::seconds(20)));
  const ProgramEnd b = hasty->Wait();
  EXPECT_EQ(b.exit_code, 143) << b.err;
  EXPECT_TRUE(WaitForClaim("out2", ".1.released"));
  EXPECT_THAT(FilesOf("out2/workers"), IsEmpty());
  EXPECT_THAT(ProcessesLeft(), IsEmpty());
}

// A batch system may signal every process of a job: the one that does the trial goes on, and the trial has not failed.
TEST_F(SharedStudy, ASignalToAllProcessesOfAWorkerCostsNoTrial) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: slow, bits: [2, 3]}\n", "[endings]");
  ASSERT_EQ(Prepare(study, "out", {"--only", "misbehave"}).exit_code, 0);
  auto worker = Start(WorkerArguments("out", {"--grace", "60"}), "a");
  ASSERT_TRUE(WaitForClaim("out"));
  const std::vector<pid_t> children = TrialProcesses("out");
  ASSERT_EQ(children.size(), 1u);
  for (const int signal : {SIGUSR1, SIGHUP, SIGTERM}) ::kill(children[0], signal);
  worker->Signal(SIGTERM);
  const ProgramEnd end = worker->Wait();
  EXPECT_EQ(end.exit_code, 143) << end.err;
  EXPECT_TRUE(WaitForClaim("out", ".done"));
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
}

// Launchers and workers are killed at random, in threes; as many times as BITLAW_E2E_KILL_COUNT says, 12 by default.
TEST_F(SharedStudy, GivesTheSameRecordsThoughLaunchersAndWorkersAreKilled) {
  const auto study = WriteStudy(kQuick);
  const auto began = std::chrono::steady_clock::now();
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  // Between two kills at most as long as a run takes: on a machine with much to do nothing but starts would be killed.
  const double run_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
  const auto alone = FilesOf("alone/records");
  RecordsWatch watch(alone);
  const char* count = std::getenv("BITLAW_E2E_KILL_COUNT");
  const int wanted = count == nullptr ? 12 : std::atoi(count);
  Rng rng(20261128);
  int kills = 0, launchers = 0, whole = 0;
  std::vector<std::string> run = kBeats;
  run.insert(run.end(), {"--workers", "2"});
  std::unique_ptr<StartedProgram> programs[3];
  const auto start = [&](int i) {
    programs[i] = i == 0 ? Start(RunArguments(study, "out", run), "p0") : Start(WorkerArguments("out", {"--wait"}), "p" + std::to_string(i));
  };
  const auto end_all = [&] {
    for (auto& program : programs) program.reset();  // Kills.
    for (const pid_t child : TrialProcesses("out")) ::kill(child, SIGKILL);
    EXPECT_THAT(ProcessesLeft(), IsEmpty());
    WaitForOrphans();
  };
  for (int round = 0; round < 40 * wanted && kills < wanted; ++round) {
    for (int i = 0; i < 3; ++i) {
      if (programs[i] && programs[i]->EndsWithin(std::chrono::milliseconds(0))) programs[i].reset();
      if (!programs[i] && (i == 0 || fs::exists(folder_ / "out/campaign.json"))) start(i);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(static_cast<int64_t>(rng.Uniform() * std::clamp(run_ms, 1500.0, 10000.0))));
    const auto children = TrialProcesses("out");
    const auto victim = static_cast<size_t>(rng.Uniform() * 6);
    if (victim < 3) {
      if (!programs[victim] || programs[victim]->EndsWithin(std::chrono::milliseconds(0))) continue;
      programs[victim]->Signal(SIGKILL);
      programs[victim].reset();
      ++launchers;
    } else {
      if (children.empty()) continue;
      ::kill(children[static_cast<size_t>(rng.Uniform() * static_cast<double>(children.size()))], SIGKILL);
    }
    ++kills;
    WaitForOrphans();
    if (!watch.Look(FilesOf("out/records"))) continue;
    // Once everything is recorded there is nothing left to kill: begin again.
    end_all();
    watch.Look(FilesOf("out/records"));
    fs::remove_all(folder_ / "out/records");
    watch.BeginAgain();
    ++whole;
  }
  std::printf("%d kills, %d of them of launchers; all was recorded %d times; %s\n", kills, launchers, whole, watch.Text().c_str());
  EXPECT_EQ(kills, wanted);
  EXPECT_GT(launchers, 0);
  EXPECT_TRUE(watch.is_whole()) << watch.Text();
  end_all();
  const ProgramEnd last = RunStudy(study, "out", kBeats);
  ASSERT_EQ(last.exit_code, 0) << last.err;
  EXPECT_EQ(FilesOf("out/records"), alone);
  EXPECT_THAT(FilesOf("out/artifacts"), IsEmpty());
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
  EXPECT_EQ(FilesOf("out").at("observations.csv"), FilesOf("alone").at("observations.csv"));
}

// BITLAW_E2E_HOST_RUNS times, 1 by default: one host dies in the middle, all its processes at once.
TEST_F(TwoHosts, ShareOneFolderAndOneMayDie) {
  if (!CanUnshare()) GTEST_SKIP() << "needs the right to make namespaces (unshare)";
  const auto study = WriteStudy(kSlow, "[endings]");
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  const char* count = std::getenv("BITLAW_E2E_HOST_RUNS");
  const int runs = count == nullptr ? 1 : std::atoi(count);
  Rng rng(7);
  RecordsWatch watch(FilesOf("alone/records"));
  for (int i = 0; i < runs; ++i) {
    SCOPED_TRACE(i);
    const std::string output = "out" + std::to_string(i);
    ASSERT_EQ(Prepare(study, output).exit_code, 0);
    const std::string moment = std::to_string(0.5 + 2.5 * rng.Uniform());
    const std::string worker = Words(WorkerArguments(output, {"--wait"}));
    const int ended = Shell("timeout --signal=KILL " + moment + " " + On("first", worker) + " & " + On("second", worker), "hosts");
    ASSERT_EQ(ended, 0) << Err("hosts");
    watch.BeginAgain();
    EXPECT_TRUE(watch.Look(FilesOf(output + "/records")));
    EXPECT_EQ(FilesOf(output + "/records"), FilesOf("alone/records"));
    const ProgramEnd last = RunStudy(study, output);
    EXPECT_EQ(last.exit_code, 0) << last.err;
    EXPECT_THAT(last.out, HasSubstr("6 of 6 trials complete, 0 tasks scored now, 0 trials failed."));
    EXPECT_EQ(FilesOf(output).at("observations.csv"), FilesOf("alone").at("observations.csv"));
  }
  std::printf("%d pairs of hosts; %s\n", runs, watch.Text().c_str());
  EXPECT_TRUE(watch.is_whole()) << watch.Text();
}

}  // namespace
}  // namespace bitlaw
