#include "run/slurm/batch_script.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

SlurmStudy Study() {
  return {"grid",
          "/scratch/a b/out%",
          "/home/me",
          100,
          {"/opt/bitlaw", "worker", "--claim", "/scratch/a b/out%"},
          {"/opt/bitlaw", "run", "/home/me/it's.yaml", "--go-on"}};
}

TEST(BatchScript, AsksForWhatTheClusterFileSays) {
  Cluster cluster;
  cluster.partition = "gpu";
  cluster.account = "p-17";
  cluster.time = "8:00:00";
  cluster.memory_mib = 65536;
  cluster.cpus = 8;
  cluster.gpus = 2;
  cluster.gpu_type = "a100";
  cluster.modules = {"cuda/12.4", "gcc"};
  cluster.setup = "source env.sh";
  cluster.sbatch = {"--constraint=ib"};
  cluster.jobs = 16;
  cluster.array_parallelism = 4;
  cluster.workers = 2;
  cluster.leave_before_s = 300;
  const std::string script = WorkerScript(cluster, Study());
  EXPECT_TRUE(
      script.starts_with("#!/bin/bash\n"
                         "#SBATCH --job-name=\"bitlaw-grid\"\n"
                         "#SBATCH --array=0-15%4\n"
                         "#SBATCH --output=\"/scratch/a b/out%%/slurm/%A_%a.log\"\n"
                         "#SBATCH --open-mode=append\n"
                         "#SBATCH --chdir=\"/home/me\"\n"
                         "#SBATCH --nodes=1\n"
                         "#SBATCH --ntasks=1\n"
                         "#SBATCH --partition=gpu\n"
                         "#SBATCH --account=p-17\n"
                         "#SBATCH --time=8:00:00\n"
                         "#SBATCH --cpus-per-task=8\n"
                         "#SBATCH --mem=65536M\n"
                         "#SBATCH --gres=gpu:a100:2\n"
                         "#SBATCH --signal=B:USR1@300\n"
                         "#SBATCH --requeue\n"
                         "#SBATCH --constraint=ib\n"))
      << script;
  EXPECT_THAT(script, HasSubstr("\nmodule load cuda/12.4 gcc\nsource env.sh\n"));
  EXPECT_THAT(script, HasSubstr("\n/opt/bitlaw worker --claim '/scratch/a b/out%' --grace 280 --workers 2 --threads "
                                "\"${SLURM_CPUS_PER_TASK:-0}\" &\n"));
  EXPECT_THAT(script, HasSubstr("scontrol requeue \"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\""));
  const std::string report = ReportScript(cluster, Study());
  EXPECT_THAT(report,
              HasSubstr("\n/opt/bitlaw run '/home/me/it'\\''s.yaml' --go-on --grace 280 --workers 2 --threads "));
  EXPECT_THAT(report, Not(HasSubstr("--array")));
  EXPECT_THAT(report, HasSubstr("scontrol requeue \"$SLURM_JOB_ID\""));
}

TEST(BatchScript, HasNoMoreJobsThanTrials) {
  SlurmStudy study = Study();
  study.trials_left = 3;
  const std::string script = WorkerScript(Cluster(), study);
  EXPECT_THAT(script, HasSubstr("#SBATCH --array=0-2\n"));
  EXPECT_THAT(script, Not(HasSubstr("--partition")));
  EXPECT_THAT(script, Not(HasSubstr("--mem")));
}

/// Runs a script whose program, and whose scontrol, are given as lines of bash.
class BatchScriptRun : public TemporaryFolder {
 protected:
  void SetUp() override { WriteProgram("scontrol", "echo \"$@\" > " + (folder_ / "requeued").string() + "; exit 1"); }
  void WriteProgram(const std::string& name, const std::string& lines) const {
    std::ofstream(folder_ / name) << "#!/bin/bash\n" << lines << "\n";
    fs::permissions(folder_ / name, fs::perms::owner_all);
  }
  /// The exit code, `signal` sent after half a second to the script alone; 0: none.
  int Run(const std::string& program, int signal) const {
    fs::remove(folder_ / "begun");
    WriteProgram("program", program);
    SlurmStudy study = Study();
    study.worker = {(folder_ / "program").string()};
    WriteProgram("script", WorkerScript(Cluster(), study));
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("PATH", (folder_.string() + ":" + std::getenv("PATH")).c_str(), 1);
      ::setenv("SLURM_ARRAY_JOB_ID", "7", 1);
      ::setenv("SLURM_ARRAY_TASK_ID", "3", 1);
      ::execl((folder_ / "script").c_str(), "script", nullptr);
      ::_exit(127);
    }
    if (signal != 0) {
      for (int i = 0; i < 500 && !fs::exists(folder_ / "begun"); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      ::kill(child, signal);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string Text(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }
  // What a program does that ends, with a code, half a second after a signal.
  std::string OnSignal(const std::string& signal, int code) const {
    return "trap 'sleep 0.5; exit " + std::to_string(code) + "' " + signal + "; touch " + (folder_ / "begun").string() +
           "; for i in {1..200}; do sleep 0.05; done";
  }
};

TEST_F(BatchScriptRun, EndsWithTheProgramsExitCode) {
  EXPECT_EQ(Run("exit 0", 0), 0);
  EXPECT_EQ(Run("exit 8", 0), 8);
  EXPECT_EQ(Text("requeued"), "");
}

TEST_F(BatchScriptRun, PassesUsr1OnAndIsQueuedAgain) {
  EXPECT_EQ(Run(OnSignal("USR1", 138), SIGUSR1), 138);
  EXPECT_EQ(Text("requeued"), "requeue 7_3\n");
}

TEST_F(BatchScriptRun, IsNotQueuedAgainWhereEverythingEndedOrNothingWasRecorded) {
  EXPECT_EQ(Run(OnSignal("USR1", 0), SIGUSR1), 0);
  EXPECT_EQ(Run(OnSignal("USR1", 9), SIGUSR1), 9);
  EXPECT_EQ(Text("requeued"), "");
}

TEST_F(BatchScriptRun, PassesTermOnAndLeavesTheRestToSlurm) {
  EXPECT_EQ(Run(OnSignal("TERM", 143), SIGTERM), 143);
  EXPECT_EQ(Text("requeued"), "");
}

}  // namespace
}  // namespace bitlaw
