#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace bitlaw {

/// A Slurm cluster of two nodes on this machine: munged, slurmctld and two slurmd of the system's packages, on the
/// loopback interface, with keys, state and logs in a folder. SLURM_CONF is set in this process, so that sbatch finds
/// it.
class SlurmCluster {
 public:
  /// Why there can be none here; "" if there can.
  static std::string WhyNone() {
    if (::geteuid() != 0) return "needs root: slurmd starts jobs as their users";
    for (const char* program : {"munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol"}) {
      if (std::system((std::string(kPath) + "command -v " + program + " > /dev/null 2>&1").c_str()) != 0) {
        return std::string("needs the program ") + program + " (Debian packages slurm-wlm and munge)";
      }
    }
    return "";
  }

  explicit SlurmCluster(std::filesystem::path folder) : folder_(std::move(folder)) {
    for (const char* part : {"munge", "state", "spool-n1", "spool-n2", "log"})
      std::filesystem::create_directories(folder_ / part);
    // munged wants its socket within reach of everybody.
    using std::filesystem::perms;
    std::filesystem::permissions(folder_.parent_path(), perms::group_exec | perms::others_exec,
                                 std::filesystem::perm_options::add);
    WriteKey();
    WriteConfiguration();
    ::setenv("SLURM_CONF", (folder_ / "slurm.conf").c_str(), 1);
    const std::string munge = (folder_ / "munge").string();
    Start("munged", {"-F", "--key-file=" + munge + "/key", "--socket=" + munge + "/socket",
                     "--pid-file=" + munge + "/pid", "--log-file=" + munge + "/log", "--seed-file=" + munge + "/seed"});
    WaitUntil(10, [&] { return std::filesystem::exists(munge + "/socket"); });
    StartController();
    for (const std::string node : {"n1", "n2"}) Start("slurmd", {"-D", "-N", node}, "slurmd-" + node);
  }
  ~SlurmCluster() {
    Shell("scancel --user=root --signal=KILL --full; scancel --user=root");
    WaitUntil(20, [&] { return Shell("squeue --noheader --states=RUNNING,COMPLETING").empty(); });
    for (const auto& [name, pid] : daemons_) ::kill(pid, SIGKILL);
    for (const auto& [name, pid] : daemons_) ::waitpid(pid, nullptr, 0);
    ::unsetenv("SLURM_CONF");
  }
  SlurmCluster(const SlurmCluster&) = delete;
  SlurmCluster& operator=(const SlurmCluster&) = delete;

  /// Whether both nodes wait for jobs.
  bool IsReady() const {
    return WaitUntil(30, [&] { return Shell("sinfo --noheader --format=%D --states=idle").starts_with("2"); });
  }
  /// What the daemons wrote last.
  std::string Log() const { return Shell("tail -n 5 " + (folder_ / "log").string() + "/*"); }

  /// In good order: it writes what it knows of jobs. One that is killed forgets where the last ones began.
  void StopController() {
    ::kill(daemons_.at("slurmctld"), SIGTERM);
    ::waitpid(daemons_.at("slurmctld"), nullptr, 0);
    daemons_.erase("slurmctld");
  }
  void StartController() { Start("slurmctld", {"-D"}); }
  bool Answers() const {
    return WaitUntil(30, [&] { return Shell("scontrol ping").find("is UP") != std::string::npos; });
  }

  /// What a shell's line writes to standard output.
  static std::string Shell(const std::string& line) {
    std::FILE* pipe = ::popen((std::string(kPath) + "{ " + line + "; } 2> /dev/null").c_str(), "r");
    std::string text;
    char buffer[4096];
    for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, got);
    ::pclose(pipe);
    return text;
  }
  static bool WaitUntil(double seconds, const std::function<bool()>& is_true) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!is_true()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return true;
  }
  /// A field of `scontrol show job`: "PENDING" for JobState. "" if Slurm does not know the job.
  static std::string Field(const std::string& job, const std::string& name) {
    std::istringstream words(Shell("scontrol show job " + job));
    for (std::string word; words >> word;) {
      if (word.starts_with(name + "=")) return word.substr(name.size() + 1);
    }
    return "";
  }
  /// Lets a job that was queued again begin now: Slurm keeps it for two minutes.
  static void HurryUp(const std::string& job) {
    WaitUntil(30, [&] { return Field(job, "JobState") == "PENDING"; });
    Shell("scontrol update JobId=" + job + " StartTime=now");
  }

 private:
  static constexpr const char* kPath = "PATH=$PATH:/usr/sbin:/sbin; ";

  void WriteKey() const {
    std::random_device random;
    std::ofstream key(folder_ / "munge/key", std::ios::binary);
    for (int i = 0; i < 128; ++i) key.put(static_cast<char>(random()));
    key.close();
    std::filesystem::permissions(folder_ / "munge/key",
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }

  static int FreePort() {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
    ::close(socket);
    return ntohs(address.sin_port);
  }

  void WriteConfiguration() const {
    char name[256] = "";
    ::gethostname(name, sizeof name - 1);
    const std::string host = std::string(name).substr(0, std::string(name).find('.'));
    const std::string folder = folder_.string();
    std::ofstream file(folder_ / "slurm.conf");
    file << "ClusterName=bitlaw\nSlurmctldHost=" << host << "(127.0.0.1)\nSlurmUser=root\nSlurmctldPort=" << FreePort()
         << "\nAuthType=auth/munge\nAuthInfo=socket=" << folder
         << "/munge/socket\nCredType=cred/munge\nStateSaveLocation=" << folder << "/state\nSlurmdSpoolDir=" << folder
         << "/spool-%n\nSlurmctldPidFile=" << folder << "/slurmctld.pid\nSlurmdPidFile=" << folder
         << "/slurmd-%n.pid\nSlurmctldLogFile=" << folder << "/log/slurmctld.log\nSlurmdLogFile=" << folder
         << "/log/%n.log\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/"
            "none\nMpiDefault=none\n"
            "SchedulerType=sched/backfill\nSchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0\n"
            "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core_Memory\nSlurmdParameters=config_overrides\n"
            "ReturnToService=2\nMinJobAge=600\nJobAcctGatherType=jobacct_gather/none\n"
            "AccountingStorageType=accounting_storage/none\nJobRequeue=1\n";
    for (const char* node : {"n1", "n2"}) {
      file << "NodeName=" << node << " NodeHostname=" << host << " NodeAddr=127.0.0.1 Port=" << FreePort()
           << " CPUs=1 RealMemory=1000 State=UNKNOWN\n";
    }
    file << "PartitionName=main Nodes=n1,n2 Default=YES MaxTime=60 State=UP\n";
  }

  void Start(const std::string& program, const std::vector<std::string>& arguments, const std::string& name = "") {
    std::vector<std::string> words = {"/bin/sh", "-c", std::string(kPath) + "exec " + program + " \"$@\"", program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string log = (folder_ / "log" / ((name.empty() ? program : name) + ".err")).string();
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::setpgid(0, 0);
      const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      ::dup2(file, STDOUT_FILENO), ::dup2(file, STDERR_FILENO);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    daemons_[name.empty() ? program : name] = pid;
  }

  std::filesystem::path folder_;
  std::map<std::string, pid_t> daemons_;
};

}  // namespace bitlaw
