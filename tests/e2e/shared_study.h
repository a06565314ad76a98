#pragma once

#include <sys/prctl.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>
#include <utility>

#include "study_fixture.h"

namespace bitlaw {

/// Several launchers and workers on one folder.
class SharedStudy : public StudyFolder {
 protected:
  static constexpr char kSlow[] = "  - none\n  - {quantizer: misbehave, act: slow, bits: [2, 3, 4, 5, 6]}\n";
  static constexpr char kQuick[] =
      "  - none\n"
      "  - {quantizer: rtn, bits: [2, 4], group_size: 32}\n"
      "  - {quantizer: gptq, bits: 3, group_size: 32, calibration: {corpus: lines, sequences: [2, 4], tokens: 32}}\n";
  const std::vector<std::string> kBeats = {"--beat", "0.1", "--claim-expiry", "0.6"};

  SharedStudy() { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }  // Workers of a killed launcher become children of the test.
  ~SharedStudy() override { ::unsetenv("BITLAW_E2E_GONE"); }

  /// Names the file whose presence ends the faults of quantizer `misbehave`.
  std::filesystem::path Gone() const {
    const auto file = folder_ / "gone";
    ::setenv("BITLAW_E2E_GONE", file.c_str(), 1);
    return file;
  }
  void EndFaults() const { std::ofstream(Gone()) << "gone"; }

  static void WaitForOrphans() {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }

  /// A program whose output goes to a folder of its own.
  std::unique_ptr<StartedProgram> Start(const std::vector<std::string>& arguments, const std::string& name) {
    std::filesystem::create_directories(folder_ / name);
    return std::make_unique<StartedProgram>(arguments, folder_ / name);
  }
  std::vector<std::string> WorkerArguments(const std::string& output, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"--plugin", BITLAW_E2E_PLUGINS, "worker", "--claim", (folder_ / output).string(),
                                      "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  ProgramEnd Prepare(const std::filesystem::path& study, const std::string& output, std::vector<std::string> more = {}) {
    more.insert(more.end(), kBeats.begin(), kBeats.end());
    more.push_back("--prepare");
    return RunStudy(study, output, more);
  }
  /// Claims of all campaigns: names of files without their folders.
  std::vector<std::string> ClaimFiles(const std::string& output) const {
    std::vector<std::string> names;
    for (const auto& [name, text] : FilesOf(output + "/claims")) names.push_back(std::filesystem::path(name).filename().string());
    return names;
  }
  bool WaitForClaim(const std::string& output, const std::string& ending = ".1") const {
    for (int i = 0; i < 3000; ++i) {
      const auto names = ClaimFiles(output);
      if (std::any_of(names.begin(), names.end(), [&](const auto& name) { return name.ends_with(ending); })) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  /// Until so many trials were claimed.
  bool WaitForClaims(const std::string& output, int64_t trials) const {
    for (int i = 0; i < 12000; ++i) {
      const auto names = ClaimFiles(output);
      if (std::count_if(names.begin(), names.end(), [](const auto& name) { return name.ends_with(".1"); }) >= trials) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  /// Processes that do trials for launchers of an output.
  std::vector<pid_t> TrialProcesses(const std::string& output) const {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string line = StartedProgram::Text(entry.path() / "cmdline");
      const std::string word = std::string("--output") + '\0' + (folder_ / output).string() + '\0';
      if (line.find(std::string("worker") + '\0' + word) != std::string::npos) {
        found.push_back(std::atoi(entry.path().filename().c_str()));
      }
    }
    return found;
  }
  static int Scored(const std::string& out, const std::string& before, const std::string& after) {
    const size_t end = out.find(after);
    const size_t begin = out.rfind(before, end);
    return end == std::string::npos || begin == std::string::npos ? -1000 : std::atoi(out.c_str() + begin + before.size());
  }
  static bool IsThere(const char* program) {
    return std::system((std::string("command -v ") + program + " > /dev/null 2>&1").c_str()) == 0;
  }
};

/// Looks at the records of an output folder again and again, beside those of an undisturbed run.
class RecordsWatch {
 public:
  using Files = std::map<std::string, std::string>;  ///< Relative path -> bytes.
  explicit RecordsWatch(Files undisturbed) : undisturbed_(std::move(undisturbed)) {}
  /// Whether all are there. What is being written ends in .tmp.
  bool Look(const Files& records) {
    ++looks_;
    for (const auto& [name, bytes] : records) {
      if (name.ends_with(".tmp")) continue;
      const auto found = undisturbed_.find(name);
      doubled_ += found == undisturbed_.end() ? 1 : 0;
      torn_ += found != undisturbed_.end() && found->second != bytes ? 1 : 0;
    }
    size_t there = 0;
    for (const auto& [name, bytes] : undisturbed_) {
      const bool is_there = records.contains(name);
      there += is_there ? 1 : 0;
      lost_ += !is_there && seen_.contains(name) ? 1 : 0;
      if (is_there) seen_.insert(name);
    }
    return there == undisturbed_.size();
  }
  /// The folder is emptied.
  void BeginAgain() { seen_.clear(); }
  /// "312 looks at 15 files of records: 0 lost, 0 torn or different, 0 doubled"
  std::string Text() const {
    return std::to_string(looks_) + " looks at " + std::to_string(undisturbed_.size()) + " files of records: " + std::to_string(lost_) +
           " lost, " + std::to_string(torn_) + " torn or different, " + std::to_string(doubled_) + " doubled";
  }
  bool is_whole() const { return lost_ + torn_ + doubled_ == 0; }

 private:
  const Files undisturbed_;
  std::set<std::string> seen_;
  int looks_ = 0, lost_ = 0, torn_ = 0, doubled_ = 0;
};

/// The same on what looks like several machines.
class TwoHosts : public SharedStudy {
 protected:
  /// A line of a shell that starts the program on what looks like a machine of that name: its own host name, processes and
  /// network.
  static std::string On(const std::string& host, const std::string& words, const std::string& before = "") {
    return "unshare --mount --uts --net --ipc --pid --fork --kill-child --mount-proc sh -c 'hostname " + host + "; " + before + " exec " +
           words + "'";
  }
  static std::string Words(const std::vector<std::string>& arguments, const std::string& program = BITLAW_PROGRAM) {
    std::string words = program;
    for (const std::string& argument : arguments) words += " \"" + argument + "\"";
    return words;
  }
  static bool CanUnshare() { return IsThere("unshare") && std::system((On("probe", "true") + " 2> /dev/null").c_str()) == 0; }
  /// Runs a shell's line; its output in files of a folder.
  int Shell(const std::string& line, const std::string& name) {
    std::filesystem::create_directories(folder_ / name);
    const int status = std::system(("( " + line + " ) > " + (folder_ / name / "stdout").string() + " 2> " + (folder_ / name / "stderr").string()).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::string Err(const std::string& name) const { return StartedProgram::Text(folder_ / name / "stderr"); }
};

}  // namespace bitlaw
