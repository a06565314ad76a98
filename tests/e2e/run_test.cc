#include <gmock/gmock.h>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class StudyRun : public StudyFolder {
 protected:
  size_t Records(const std::string& output) const {
    size_t count = 0;
    for (const auto& [name, bytes] : FilesOf(output + "/records")) count += name.ends_with(".json");
    return count;
  }
};

// One trial of three goes wrong in a way of its own: the others are recorded, and the failure says what happened.
struct Fault {
  const char* act;
  const char* kind;
  const char* reason;
};

class FaultyTrial : public StudyRun, public testing::WithParamInterface<Fault> {};

TEST_P(FaultyTrial, FailsAloneAndSaysWhy) {
  ::setenv("ASAN_OPTIONS", "handle_segv=0", 1);  // AddressSanitizer would make an exit code of the signal.
  const auto study = WriteStudy(std::string("  - none\n  - {quantizer: misbehave, act: ") + GetParam().act +
                                    "}\n  - {quantizer: misbehave, bits: 3}\n",
                                "[endings]");
  const bool waits = GetParam().kind == std::string("timeout");
  const ProgramEnd end = RunStudy(study, "out", {"--trial-timeout", waits ? "2" : "100"});
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 2 of 3 trials complete, 2 tasks scored now, 1 trial failed."));
  EXPECT_THAT(end.out, HasSubstr(GetParam().reason));
  // Two tasks and the quantization of the trial that went well.
  EXPECT_EQ(Records("out"), 3u);
  const auto failures = FilesOf("out/failures");
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures.begin()->second, HasSubstr(std::string("\"kind\": \"") + GetParam().kind + "\""));
  EXPECT_THAT(failures.begin()->second, HasSubstr(GetParam().reason));
  EXPECT_THAT(failures.begin()->second, HasSubstr("\"stage\": \"quantize\""));
  EXPECT_THAT(failures.begin()->second, HasSubstr(std::string("about to ") + GetParam().act + " on model.layers.0."));
  EXPECT_THAT(ProcessesLeft(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Acts, FaultyTrial,
    testing::Values(Fault{"segfault", "signal", "SIGSEGV (it touched memory that is not there)"},
                    Fault{"abort", "signal", "SIGABRT (it gave up: an uncaught exception or a failed assertion)"},
                    Fault{"memory", "signal", "SIGKILL (most often the system's memory ran out: see dmesg)"},
                    Fault{"exit", "crash", "exit code 77"},
                    Fault{"fork_exit", "crash", "exit code 77"},
                    Fault{"fork_segv", "signal", "SIGSEGV (it touched memory that is not there)"},
                    Fault{"exit0", "crash", "the worker process ended: exit code 0."},
                    Fault{"stack", "signal", "SIGSEGV (it touched memory that is not there)"},
                    Fault{"thread_throw", "signal", "SIGABRT (it gave up: an uncaught exception or a failed assertion)"},
                    Fault{"rlimit", "signal", "XFSZ"},
                    Fault{"stop_self", "timeout", "it took longer than the 2 s of --trial-timeout."},
#if !defined(__SANITIZE_ADDRESS__)  // It ends a process whose memory ran out.
                    Fault{"hog", "memory", "memory ran out."},
                    Fault{"hog_thread", "memory", "memory ran out."},
#endif
                    Fault{"cuda_memory", "memory", "memory ran out (CUDA out of memory. Tried to allocate 2.00 GiB.)."},
                    Fault{"cuda_error", "device",
                          "the device failed: CUDA error: an illegal memory access was encountered"},
                    Fault{"throw_int", "bug", "something was thrown that is no std::exception."},
                    Fault{"nan", "bug", "scales hold a value that is not finite."},
                    Fault{"half_line", "numerical", "told to throw after half a line."},
                    Fault{"close_all", "crash", "it closed its output and went on, and was killed."},
                    Fault{"say_done", "crash",
                          "its worker said that it was done, but there is no record of task 'endings'."},
                    Fault{"round_up", "plugin",
                          "a plugin changed its process, which now rounds floating-point numbers in another direction: "
                          "other numbers or files would follow."},
                    Fault{"flush_subnormals", "plugin", "which now takes subnormal numbers in another way: "},
                    Fault{"umask", "plugin", "which now makes files with another umask: "},
                    Fault{"sleep", "timeout", "it took longer than the 2 s of --trial-timeout."},
                    Fault{"throw", "numerical", "told to throw."}),
    [](const auto& info) { return std::string(info.param.act); });

// A line without an end, 300 MiB of it, in the place of a message, and the same on standard error.
TEST_F(StudyRun, ALineThatNeverEndsCostsTheLauncherNoMemory) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: flood}\n", "[endings]");
  ::setenv("BITLAW_E2E_FLOOD_MIB", "0", 1);
  const ProgramEnd dry = RunStudy(study, "dry");
  ::setenv("BITLAW_E2E_FLOOD_MIB", "300", 1);
  const ProgramEnd end = RunStudy(study, "out");
  ::unsetenv("BITLAW_E2E_FLOOD_MIB");
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 2 of 2 trials complete, 2 tasks scored now, 0 trials failed."));
  EXPECT_EQ(FilesOf("out/records"), FilesOf("dry/records"));
  EXPECT_LT(end.peak_kib, dry.peak_kib + 64 * 1024);
}

// The trial after it runs in the same process.
TEST_F(StudyRun, WhatAPluginChangedOfItsProcessDoesNotReachTheNextTrial) {
  const auto records_beside = [&](const std::string& act) {
    RunStudy(WriteStudy("  - none\n  - {quantizer: misbehave, act: " + act + "}\n  - {quantizer: misbehave, bits: 3}\n",
                        "[endings]"),
             act);
    return FilesOf(act + "/records");
  };
  const auto undisturbed = records_beside("throw");
  ASSERT_EQ(undisturbed.size(), 5u);  // Two tasks with their items, one quantization.
  EXPECT_EQ(records_beside("round_up"), undisturbed);
  EXPECT_EQ(records_beside("flush_subnormals"), undisturbed);
  // A limit is raised again; where that cannot be done, the next trial gets another process.
  EXPECT_EQ(records_beside("no_open"), undisturbed);
  EXPECT_EQ(records_beside("no_open_for_good"), undisturbed);
}

// Nobody is left who could record a failure.
TEST_F(StudyRun, GoesOnAfterAPluginThatKilledTheLauncher) {
  const auto study = WriteStudy(
      "  - none\n  - {quantizer: misbehave, act: kill_parent}\n  - {quantizer: misbehave, bits: 3}\n", "[endings]");
  ::setenv("BITLAW_E2E_VICTIM", (folder_ / "kill").c_str(), 1);
  ASSERT_EQ(RunStudy(study, "undisturbed").exit_code, 0);
  std::ofstream(folder_ / "kill") << "once";
  EXPECT_EQ(RunStudy(study, "out").signal, SIGKILL);
  EXPECT_THAT(ProcessesLeft(), IsEmpty());
  EXPECT_EQ(Records("out"), 1u);
  const ProgramEnd again = RunStudy(study, "out");
  ::unsetenv("BITLAW_E2E_VICTIM");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("e2e: 3 of 3 trials complete, 2 tasks scored now, 0 trials failed."));
  EXPECT_EQ(FilesOf("out/records"), FilesOf("undisturbed/records"));
}

// What the worker may hold is its own to run out of: the trial fails, and the next one finds it all.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(StudyRun, HoldsAWorkerToItsMemory) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: [take_memory, well]}\n", "[endings]");
  EXPECT_EQ(RunStudy(study, "free", {"--retries", "0"}).exit_code, 0);
  const ProgramEnd end = RunStudy(study, "held", {"--worker-memory", "1GiB"});
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("2 of 3 trials complete"));
  EXPECT_THAT(FilesOf("held/failures").begin()->second, HasSubstr("\"kind\": \"memory\""));
}
#endif

TEST_F(StudyRun, TriesAFailedTrialAsOftenAsItIsToldAndKeepsEachReason) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: [throw, well]}\n", "[endings]");
  const ProgramEnd end = RunStudy(study, "out", {"--retries", "2"});
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("2 of 3 trials complete, 2 tasks scored now, 1 trial failed."));
  EXPECT_THAT(end.err, HasSubstr("told to throw. It is tried again."));
  const auto failures = FilesOf("out/failures");
  ASSERT_EQ(failures.size(), 1u);
  const std::string& text = failures.begin()->second;
  EXPECT_THAT(text, HasSubstr("\"attempt\": 3"));
  size_t reasons = 0;
  for (size_t at = 0; (at = text.find("told to throw.\"", at)) != std::string::npos; ++at) ++reasons;
  EXPECT_EQ(reasons, 3u) << text;
  EXPECT_THAT(text, HasSubstr("\"worker\": \"process "));
}

TEST_F(StudyRun, BeginsNoOtherTrialOnceSoManyFailed) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: throw, bits: [2, 3, 4, 5]}\n", "[endings]");
  const ProgramEnd end = RunStudy(study, "out", {"--max-failures", "2"});
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("2 trials failed, as many as --max-failures allows; the last one was "));
  EXPECT_EQ(FilesOf("out/failures").size(), 2u);
}

TEST_F(StudyRun, DoesOnlyWhatFailedOrWhatItIsForcedTo) {
  ::setenv("BITLAW_E2E_VICTIM", (folder_ / "kill").c_str(), 1);
  const auto study = WriteStudy("  - {quantizer: misbehave, act: throw_once}\n  - {quantizer: misbehave, bits: 3}\n", "[endings]");
  std::ofstream(folder_ / "kill") << "once";
  EXPECT_EQ(RunStudy(study, "out").exit_code, 8);
  // Of a trial that is chosen by --failed alone nothing else is looked at.
  const ProgramEnd failed = RunStudy(study, "out", {"--failed"});
  ::unsetenv("BITLAW_E2E_VICTIM");
  EXPECT_EQ(failed.exit_code, 0) << failed.err;
  EXPECT_THAT(failed.out, HasSubstr("e2e: 1 of 1 trial complete, 1 task scored now, 0 trials failed."));
  EXPECT_THAT(RunStudy(study, "out", {"--failed"}).out, HasSubstr("No trial of the study failed"));
  const auto records = FilesOf("out/records");
  const ProgramEnd none = RunStudy(study, "out", {"--force"});
  EXPECT_EQ(none.exit_code, 2);
  EXPECT_THAT(none.err, HasSubstr("--force does trials again that are recorded: say which, with --only or --failed."));
  const ProgramEnd forced = RunStudy(study, "out", {"--force", "--only", "bits=3"});
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(forced.out, HasSubstr("e2e: 1 of 1 trial complete, 1 task scored now"));
  EXPECT_EQ(FilesOf("out/records"), records);
  EXPECT_EQ(FilesOf("out/quarantine").size(), 3u);  // A task with its items, a quantization.
}

TEST_F(StudyRun, TriesAFailedTrialAgain) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: throw}\n", "[endings]");
  EXPECT_EQ(RunStudy(study, "out").exit_code, 8);
  const ProgramEnd again = RunStudy(study, "out");
  EXPECT_EQ(again.exit_code, 8);
  EXPECT_THAT(again.out, HasSubstr("1 trial failed"));
}

TEST_F(StudyRun, OpensNothingWhenAllIsRecorded) {
  const auto study = WriteStudy("  - none\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const auto records = FilesOf("out/records"), timings = FilesOf("out/timings");
  const ProgramEnd again = RunStudy(study, "out");
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.out, HasSubstr("1 of 1 trial complete, 0 tasks scored now"));
  EXPECT_EQ(FilesOf("out/records"), records);
  EXPECT_EQ(FilesOf("out/timings"), timings);
}

TEST_F(StudyRun, SharesRecordsThatWereCopiedIn) {
  const auto study = WriteStudy(
      "  - {quantizer: gptq, bits: 3, group_size: 32, calibration: {corpus: lines, sequences: 2, "
      "tokens: 32}}\n",
      "[endings]");
  ASSERT_EQ(RunStudy(study, "first").exit_code, 0);
  // The records alone: no digest cache, as from another machine.
  std::filesystem::create_directories(folder_ / "second");
  std::filesystem::copy(folder_ / "first/records", folder_ / "second/records",
                        std::filesystem::copy_options::recursive);
  const ProgramEnd end = RunStudy(study, "second");
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("2 of 2 trials complete, 0 tasks scored now"));
}

TEST_F(StudyRun, GivesTheSameRecordsWithTwoWorkers) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, bits: [2, 3, 4]}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "one", {"--workers", "1"}).exit_code, 0);
  const ProgramEnd end = RunStudy(study, "two", {"--workers", "2"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_EQ(FilesOf("two/records"), FilesOf("one/records"));
}

TEST_F(StudyRun, PutsACorruptRecordAsideAndDoesItAgain) {
  const auto study = WriteStudy("  - none\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const auto records = FilesOf("out/records");
  for (const auto& [name, bytes] : records) {
    if (name.ends_with(".json")) std::ofstream(folder_ / "out/records" / name) << bytes.substr(0, bytes.size() / 2);
  }
  const ProgramEnd end = RunStudy(study, "out");
  EXPECT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.err, HasSubstr("It is done again."));
  EXPECT_EQ(FilesOf("out/records"), records);
  EXPECT_THAT(FilesOf("out/quarantine"), Not(IsEmpty()));
}

TEST_F(StudyRun, StopsAtOnceOnCtrlCAndGoesOnLater) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, act: sleep}\n", "[endings]");
  StartedProgram program(RunArguments(study, "out"), folder_);
  for (int i = 0; i < 10000 && Records("out") < 1; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  program.Signal(SIGINT);
  ASSERT_TRUE(program.EndsWithin(std::chrono::seconds(5)));
  const ProgramEnd end = program.Wait();
  EXPECT_EQ(end.exit_code, 130);
  EXPECT_THAT(end.err, HasSubstr("bitlaw: stopped by Ctrl-C; run again to go on."));
  EXPECT_EQ(Records("out"), 1u);
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
  const auto kept = FilesOf("out/records");
  const ProgramEnd again = RunStudy(study, "out", {"--only", "none"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(FilesOf("out/records"), kept);
}

TEST_F(StudyRun, SaysThatAPatternMatchesNothing) {
  const auto study = WriteStudy("  - none\n", "[endings]");
  const ProgramEnd end = RunStudy(study, "out", {"--only", "nosuch"});
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.err, HasSubstr("--only 'nosuch' matches none of the plan's 1 trial."));
}

TEST_F(StudyRun, WritesOneObservationATaskAndMetric) {
  const auto study = WriteStudy("  - none\n  - {quantizer: rtn, bits: 4, group_size: 32}\n", "[uses]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const std::string csv = FilesOf("out").at("observations.csv");
  EXPECT_THAT(csv, testing::StartsWith("study,trial,label,model,family,hold_out,N,N_active,parameters_total,layers,hidden_size,"
                                       "vocab_size,kv_values,experts,experts_active,quantizer,B,bits_effective,size_bytes,B_a,"
                                       "B_k,B_v,G,G_min,G_mean,Cb,T,corpus,dtype,"));
  // A header, and acc and acc_norm of two trials.
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
}

}  // namespace
}  // namespace bitlaw
