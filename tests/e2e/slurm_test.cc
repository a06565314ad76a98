// Studies as arrays of jobs of a real Slurm, which the tests start on the loopback interface.
#include <gmock/gmock.h>

#include <memory>
#include <set>

#include "study_fixture.h"
#include "support/slurm_cluster.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class SlurmStudyTest : public StudyFolder {
 protected:
  static constexpr char kSlow[] = "  - none\n  - {quantizer: misbehave, act: slow, bits: [2, 3, 4, 5, 6, 7, 8]}\n";

  fs::path WriteCluster(const std::string& more = "") const {
    const fs::path path = folder_ / "cluster.yaml";
    std::ofstream(path) << "partition: main\ntime: \"10:00\"\nmemory: 200M\ncpus: 1\nleave_before_s: 60\n" << more;
    return path;
  }
  std::vector<std::string> SlurmArguments(const fs::path& study, const std::string& output, const fs::path& cluster,
                                          const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"--plugin",
                                      BITLAW_E2E_PLUGINS,
                                      "--configs",
                                      BITLAW_SOURCE_DIR "/tests/support",
                                      "run",
                                      study.string(),
                                      "--output",
                                      (folder_ / output).string(),
                                      "--no-fit",
                                      "--launcher",
                                      "slurm",
                                      "--cluster",
                                      cluster.string(),
                                      "--beat",
                                      "0.2"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  ProgramEnd Submit(const fs::path& study, const std::string& output, const fs::path& cluster,
                    const std::vector<std::string>& more = {}) const {
    return StartedProgram(SlurmArguments(study, output, cluster, more), folder_).Wait();
  }
  /// The number that a message gives of a job: "Slurm job 4, an array", "and job 5, which then".
  static std::string JobIn(const std::string& text, const std::string& before) {
    const size_t at = text.find(before);
    if (at == std::string::npos) return "";
    return text.substr(at + before.size(), text.find(',', at + before.size()) - at - before.size());
  }
  size_t CountOf(const std::string& output, const std::string& ending) const {
    size_t count = 0;
    for (const auto& [name, text] : FilesOf(output + "/claims")) count += name.ends_with(ending) ? 1 : 0;
    return count;
  }
  /// What jobs wrote, with a line before each file.
  std::string Logs(const std::string& output) const {
    std::string text;
    for (const auto& [name, log] : FilesOf(output + "/slurm")) {
      if (name.ends_with(".log")) text += "== " + name + "\n" + log;
    }
    return text;
  }
  /// Processes `bitlaw worker --claim <output>` of jobs.
  std::vector<pid_t> Workers(const std::string& output) const {
    std::vector<pid_t> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const std::string line = StartedProgram::Text(entry.path() / "cmdline");
      const std::string words = std::string("worker") + '\0' + "--claim" + '\0' + (folder_ / output).string() + '\0';
      if (line.starts_with(BITLAW_PROGRAM) && line.find(words) != std::string::npos) {
        found.push_back(std::atoi(entry.path().filename().c_str()));
      }
    }
    return found;
  }
  /// The job of the array that a process belongs to, "4_1".
  static std::string JobOf(pid_t process) {
    const std::string variables = StartedProgram::Text("/proc/" + std::to_string(process) + "/environ");
    const auto variable = [&](const std::string& name) {
      const size_t at = (std::string(1, '\0') + variables).find(std::string(1, '\0') + name + "=");
      return at == std::string::npos ? "" : std::string(variables.c_str() + at + name.size() + 1);
    };
    return variable("SLURM_ARRAY_JOB_ID") + "_" + variable("SLURM_ARRAY_TASK_ID");
  }
};

#define NEEDS_SLURM()                                                                     \
  if (const std::string why = SlurmCluster::WhyNone(); !why.empty()) GTEST_SKIP() << why; \
  SlurmCluster slurm(folder_ / "cluster");                                                \
  ASSERT_TRUE(slurm.IsReady()) << slurm.Log()

TEST_F(SlurmStudyTest, GoesOnThoughWorkersNodesAndTheControllerFail) {
  NEEDS_SLURM();
  const auto study = WriteStudy(kSlow, "[endings]");
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  // On a node that is drained nothing begins: one job of the array waits.
  SlurmCluster::Shell("scontrol update NodeName=n2 State=DRAIN Reason=test");
  const ProgramEnd submitted = Submit(study, "out", WriteCluster("jobs: 2\n"), {"--claim-expiry", "2"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  const std::string array = JobIn(submitted.out, "Submitted Slurm job "), report = JobIn(submitted.out, "and job ");
  ASSERT_FALSE(array.empty()) << submitted.out;
  ASSERT_FALSE(report.empty()) << submitted.out;
  EXPECT_THAT(submitted.out, HasSubstr("e2e: campaign 1 is open, 8 trials are left."));
  ASSERT_TRUE(SlurmCluster::WaitUntil(60, [&] { return CountOf("out", ".done") >= 1; })) << Logs("out") << slurm.Log();
  EXPECT_EQ(SlurmCluster::Field(array + "_1", "JobState"), "PENDING");
  EXPECT_EQ(SlurmCluster::Field(report, "Reason"), "Dependency");

  // SIGUSR1, as Slurm sends it to the script before the time limit: the job gives back or ends its trial, and is queued
  // again.
  SlurmCluster::Shell("scancel --batch --signal=USR1 " + array + "_0");
  EXPECT_TRUE(SlurmCluster::WaitUntil(60, [&] { return SlurmCluster::Field(array + "_0", "JobState") == "PENDING"; }));
  EXPECT_EQ(SlurmCluster::Field(array + "_0", "Restarts"), "1");
  EXPECT_THAT(Logs("out"), HasSubstr("the time limit is near; the job is queued again and goes on."));
  SlurmCluster::Shell("scontrol update NodeName=n2 State=RESUME");
  SlurmCluster::HurryUp(array + "_0");
  ASSERT_TRUE(SlurmCluster::WaitUntil(60, [&] { return Workers("out").size() == 2; })) << Logs("out");

  // The controller is stopped; jobs go on without it, and it takes them up again.
  slurm.StopController();
  const size_t before = CountOf("out", ".done");
  EXPECT_TRUE(SlurmCluster::WaitUntil(60, [&] { return CountOf("out", ".done") > before; })) << Logs("out");
  slurm.StartController();
  ASSERT_TRUE(slurm.Answers()) << slurm.Log();

  // A worker dies in the middle; its job has failed, and its trial is taken over.
  const std::vector<pid_t> workers = Workers("out");
  ASSERT_FALSE(workers.empty()) << Logs("out");
  const std::string victim = JobOf(workers.front());
  ::kill(workers.front(), SIGKILL);
  EXPECT_TRUE(SlurmCluster::WaitUntil(60, [&] { return SlurmCluster::Field(victim, "JobState") == "FAILED"; }))
      << victim;

  ASSERT_TRUE(SlurmCluster::WaitUntil(120, [&] { return SlurmCluster::Field(report, "JobState") == "COMPLETED"; }))
      << SlurmCluster::Shell("squeue; scontrol show job") << Logs("out") << slurm.Log();
  EXPECT_THAT(Logs("out"), ContainsRegex("e2e: 8 of 8 trials complete, [0-9]+ tasks? scored now, 0 trials failed."));
  EXPECT_EQ(FilesOf("out/records"), FilesOf("alone/records"));
  EXPECT_EQ(FilesOf("out").at("observations.csv"), FilesOf("alone").at("observations.csv"));
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
}

// Preempted, or its node gone: Slurm itself queues the job again. All its processes get SIGTERM, the one that does a
// trial too.
TEST_F(SlurmStudyTest, AJobThatSlurmQueuesAgainLosesNoTrial) {
  NEEDS_SLURM();
  const auto study = WriteStudy("  - {quantizer: misbehave, act: slow, bits: [2, 3, 4, 5]}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
  const ProgramEnd submitted = Submit(study, "out", WriteCluster("jobs: 1\n"));
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  const std::string array = JobIn(submitted.out, "Submitted Slurm job "), report = JobIn(submitted.out, "and job ");
  const ProgramEnd again = Submit(study, "out", folder_ / "cluster.yaml");
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_THAT(again.err, ContainsRegex("jobs.json: jobs that were submitted on .* are still in Slurm's queue: .*" +
                                       array + "_0 RUNNING"));
  EXPECT_THAT(again.err, HasSubstr("`scancel " + array + " " + report + "` and run again."));
  ASSERT_TRUE(SlurmCluster::WaitUntil(60, [&] { return CountOf("out", ".done") >= 1; })) << Logs("out");
  SlurmCluster::Shell("scontrol requeue " + array + "_0");
  ASSERT_TRUE(SlurmCluster::WaitUntil(60, [&] { return Workers("out").empty(); }));
  EXPECT_THAT(FilesOf("out/failures"), IsEmpty());
  EXPECT_THAT(FilesOf("out/workers"), IsEmpty()) << "it had no time to leave";
  SlurmCluster::HurryUp(array + "_0");
  ASSERT_TRUE(SlurmCluster::WaitUntil(120, [&] { return SlurmCluster::Field(report, "JobState") == "COMPLETED"; }))
      << SlurmCluster::Shell("squeue; scontrol show job") << Logs("out");
  EXPECT_EQ(FilesOf("out/records"), FilesOf("alone/records"));
  EXPECT_EQ(FilesOf("out").at("observations.csv"), FilesOf("alone").at("observations.csv"));
}

TEST_F(SlurmStudyTest, AnArrayInWhichTooMuchFailsEnds) {
  NEEDS_SLURM();
  const auto study = WriteStudy("  - {quantizer: misbehave, act: throw, bits: [2, 3, 4, 5, 6, 7, 8]}\n", "[endings]");
  const ProgramEnd submitted = Submit(study, "out", WriteCluster("jobs: 4\narray_parallelism: 1\n"),
                                      {"--only", "misbehave", "--max-failures", "2"});
  ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  const std::string array = JobIn(submitted.out, "Submitted Slurm job "), report = JobIn(submitted.out, "and job ");
  ASSERT_TRUE(SlurmCluster::WaitUntil(120, [&] { return SlurmCluster::Field(report, "JobState") == "FAILED"; }))
      << Logs("out");
  EXPECT_EQ(SlurmCluster::Field(report, "ExitCode"), "8:0");
  for (const char* task : {"_0", "_1", "_2", "_3"})
    EXPECT_EQ(SlurmCluster::Field(array + task, "ExitCode"), "8:0") << task;
  EXPECT_EQ(CountOf("out", ".failed"), 2u);
  EXPECT_EQ(FilesOf("out/failures").size(), 2u);
  EXPECT_THAT(Logs("out"), HasSubstr("note: goes on with campaign 1."));  // The last job tries nothing again.
  EXPECT_THAT(StartedProgram::Text(folder_ / "out/slurm" / (array + "_3.log")), HasSubstr("No other one was begun."));
}

TEST_F(SlurmStudyTest, WithoutSlurmSaysWhatToDoAndADryRunPrintsTheScripts) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: [2, 4], group_size: 32}\n", "[endings]");
  const fs::path cluster = WriteCluster("jobs: 2\n");
  fs::create_directories(folder_ / "none");
  const std::string before = std::getenv("PATH");
  ::setenv("PATH", (folder_ / "none").c_str(), 1);
  const ProgramEnd refused = Submit(study, "out", cluster), printed = Submit(study, "out", cluster, {"--dry-run"});
  ::setenv("PATH", before.c_str(), 1);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err,
              HasSubstr("--launcher slurm: there is no program 'sbatch' in PATH. Run this on a login node of the "
                        "cluster (after `module load slurm` on some), print the scripts with --dry-run, or begin "
                        "the study with --prepare and start `bitlaw worker --claim` by other means "
                        "(docs/clusters.md)."));
  EXPECT_EQ(printed.exit_code, 0) << printed.err;
  EXPECT_THAT(printed.out, HasSubstr("\n#SBATCH --array=0-1\n"));
  EXPECT_THAT(printed.out, HasSubstr(" run " + study.string() + " --output " + (folder_ / "out").string() +
                                     " --go-on --no-fit --beat 0.2 "));
  EXPECT_FALSE(fs::exists(folder_ / "out"));
}

TEST_F(SlurmStudyTest, OptionsThatDoNotGoTogetherAreRefused) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: 4, group_size: 32}\n", "[endings]");
  const fs::path cluster = WriteCluster();
  const auto refusal = [&](const std::vector<std::string>& arguments) {
    const ProgramEnd end = StartedProgram(arguments, folder_).Wait();
    EXPECT_EQ(end.exit_code, 2);
    return end.err;
  };
  EXPECT_THAT(refusal(SlurmArguments(study, "out", cluster, {"--workers", "2"})),
              HasSubstr("its keys 'workers' and 'cpus'."));
  EXPECT_THAT(refusal(SlurmArguments(study, "out", cluster, {"--failed"})), HasSubstr("Leave --failed out."));
  EXPECT_THAT(refusal(SlurmArguments(study, "out", cluster, {"--go-on"})),
              HasSubstr("Leave --go-on and --prepare out."));
  EXPECT_THAT(refusal(SlurmArguments(study, "out", "gppu")),
              HasSubstr("--cluster gppu: there is no 'gppu.yaml'. Did you mean 'gpu'?"));
  EXPECT_THAT(refusal(RunArguments(study, "out", {"--cluster", "gpu"})), HasSubstr("Add --launcher slurm."));
  EXPECT_THAT(refusal(RunArguments(study, "out", {"--launcher", "slurm"})),
              HasSubstr("its keys 'workers' and 'cpus'."));
}

// What was failed stays failed, and what is left is done; another study is refused.
TEST_F(SlurmStudyTest, GoingOnContinuesTheCampaignThatIsOpen) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, act: [throw, slow]}\n", "[endings]");
  EXPECT_EQ(RunStudy(study, "out").exit_code, 8);
  EXPECT_EQ(CountOf("out", ".failed"), 1u);
  const ProgramEnd on = RunStudy(study, "out", {"--go-on"});
  EXPECT_EQ(on.exit_code, 8);
  EXPECT_THAT(on.err, HasSubstr("note: goes on with campaign 1."));
  EXPECT_THAT(on.out, HasSubstr("e2e: 2 of 3 trials complete, 0 tasks scored now, 1 trial failed."));
  EXPECT_EQ(CountOf("out", ".failed"), 1u);
  EXPECT_EQ(CountOf("out", ".2"), 0u);
  WriteStudy("  - none\n  - {quantizer: misbehave, act: [throw, slow]}\n", "[endings, uses]");
  const ProgramEnd other = RunStudy(study, "out", {"--go-on"});
  EXPECT_EQ(other.exit_code, 5);
  EXPECT_THAT(other.err,
              HasSubstr("campaign.json: the campaign that is open is of another study, or another version of it, and "
                        "--go-on continues it as it is. Run without --go-on to begin the next one."));
}

// A job that can do nothing in its time is not queued again: it never would.
TEST_F(SlurmStudyTest, AWorkerThatRecordedNothingInItsTimeSaysSo) {
  const auto study = WriteStudy("  - {quantizer: misbehave, act: sleep}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out", {"--only", "misbehave", "--prepare"}).exit_code, 0);
  StartedProgram worker(
      {"--plugin", BITLAW_E2E_PLUGINS, "worker", "--claim", (folder_ / "out").string(), "--grace", "0.2"}, folder_);
  ASSERT_TRUE(SlurmCluster::WaitUntil(30, [&] { return CountOf("out", ".1") == 1; }));
  worker.Signal(SIGUSR1);
  EXPECT_EQ(worker.Wait().exit_code, 9);
}

}  // namespace
}  // namespace bitlaw
