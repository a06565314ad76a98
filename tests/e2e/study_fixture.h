#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/tiny_checkpoint.h"

namespace bitlaw {

/// How a program ended and what it wrote.
struct ProgramEnd {
  int exit_code = -1;  ///< -1: by a signal.
  int signal = 0;
  std::string out, err;
  double processor_s = 0;  ///< Of it and of processes that it waited for.
  int64_t peak_kib = 0;  ///< Most memory that it, or a process that it waited for, had in use at once.
};

/// A started `bitlaw`, in a process group of its own, its output in two files.
class StartedProgram {
 public:
  StartedProgram(const std::vector<std::string>& arguments, const std::filesystem::path& folder)
      : out_(folder / "stdout"), err_(folder / "stderr") {
    std::vector<std::string> words = {BITLAW_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setpgid(0, 0);
      ::dup2(::open(out_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), STDOUT_FILENO);
      ::dup2(::open(err_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666), STDERR_FILENO);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
  }
  ~StartedProgram() {
    if (pid_ > 0) {
      Signal(SIGKILL);
      Wait();
    }
  }
  StartedProgram(const StartedProgram&) = delete;
  StartedProgram& operator=(const StartedProgram&) = delete;

  void Signal(int signal) const { ::kill(pid_, signal); }

  ProgramEnd Wait() {
    ProgramEnd end;
    int status = 0;
    rusage used{};
    ::wait4(pid_, &status, 0, &used);
    pid_ = -1;
    end.peak_kib = used.ru_maxrss;
    end.processor_s = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                      1e-6 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    if (WIFSIGNALED(status)) {
      end.signal = WTERMSIG(status);
    } else {
      end.exit_code = WEXITSTATUS(status);
    }
    end.out = Text(out_);
    end.err = Text(err_);
    return end;
  }

  /// Whether it ended within a time; Wait() then returns at once.
  bool EndsWithin(std::chrono::milliseconds time) const {
    const auto until = std::chrono::steady_clock::now() + time;
    siginfo_t state{};
    do {
      state.si_pid = 0;
      ::waitid(P_PID, static_cast<id_t>(pid_), &state, WEXITED | WNOHANG | WNOWAIT);
      if (state.si_pid != 0) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    } while (std::chrono::steady_clock::now() < until);
    return false;
  }

  static std::string Text(const std::filesystem::path& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }

 private:
  pid_t pid_ = -1;
  std::filesystem::path out_, err_;
};

/// The rows of a table without quoted cells, by the names of their columns.
inline std::vector<std::map<std::string, std::string>> RowsOf(const std::string& csv) {
  const auto cells = [](const std::string& line) {
    std::vector<std::string> found;
    std::istringstream text(line);
    for (std::string cell; std::getline(text, cell, ',');) found.push_back(cell);
    return found;
  };
  std::istringstream text(csv);
  std::string line;
  std::getline(text, line);
  const auto header = cells(line);
  std::vector<std::map<std::string, std::string>> rows;
  while (std::getline(text, line)) {
    const auto row = cells(line);
    rows.emplace_back();
    for (size_t i = 0; i < std::min(row.size(), header.size()); ++i) rows.back()[header[i]] = row[i];
  }
  return rows;
}

/// A folder with a tiny random checkpoint, calibration text and studies over the benchmarks of tests/support.
class StudyFolder : public testing::Test {
 protected:
  StudyFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "bitlaw-e2e-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    WriteTinyCheckpoint(folder_ / "tiny", {});
    std::ofstream corpus(folder_ / "corpus.txt");
    for (int i = 0; i < 400; ++i)
      corpus << "Line " << i << " says that " << i * i % 97 << " apples fell on day " << i % 7 << ".\n";
  }
  ~StudyFolder() override { std::filesystem::remove_all(folder_); }

  /// A study whose `quantize:` list is given; returns its path.
  std::filesystem::path WriteStudy(const std::string& quantize,
                                   const std::string& tasks = "[uses, endings, capitals]") const {
    const auto path = folder_ / "study.yaml";
    std::ofstream(path) << "bitlaw: 1\nstudy: e2e\noutput: unused\nmodels: [tiny]\n"
                        << "corpora:\n  lines: {type: text, mode: concatenate, path: corpus.txt}\n"
                        << "quantize:\n"
                        << quantize << "tasks: " << tasks << "\n";
    return path;
  }

  std::vector<std::string> RunArguments(const std::filesystem::path& study, const std::string& output,
                                        const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"--plugin",  BITLAW_E2E_PLUGINS,
                                      "--configs", BITLAW_SOURCE_DIR "/tests/support",
                                      "run",       study.string(),
                                      "--output",  (folder_ / output).string(),
                                      "--threads", "1",
                                      "--no-fit"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  ProgramEnd RunStudy(const std::filesystem::path& study, const std::string& output,
                      const std::vector<std::string>& more = {}) const {
    return StartedProgram(RunArguments(study, output, more), folder_).Wait();
  }

  /// Command lines of processes that name this folder: programs, their workers and children of those. A killed process
  /// has two seconds to go.
  std::vector<std::string> ProcessesLeft() const {
    std::vector<std::string> found;
    for (int i = 0; i < 200; ++i) {
      found.clear();
      for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const std::string line = StartedProgram::Text(entry.path() / "cmdline");  // Empty of a process that ended.
        if (line.find(folder_.string()) == std::string::npos) continue;
        found.push_back(entry.path().filename().string() + ": " + line);
      }
      if (found.empty()) return found;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return found;
  }

  /// Relative path -> bytes of every file below a folder.
  std::map<std::string, std::string> FilesOf(const std::filesystem::path& below) const {
    std::map<std::string, std::string> files;
    if (!std::filesystem::is_directory(folder_ / below)) return files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ / below)) {
      if (entry.is_regular_file()) {
        files[entry.path().lexically_relative(folder_ / below).string()] = StartedProgram::Text(entry.path());
      }
    }
    return files;
  }

  std::filesystem::path folder_;
};

}  // namespace bitlaw
