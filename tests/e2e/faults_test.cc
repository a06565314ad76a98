// What may go wrong around a study: each fault is told or waited for, and once it is gone the same command ends the study
// with the records and the table of a run that nothing disturbed.
#include <gmock/gmock.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "shared_study.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class Faults : public TwoHosts {
 protected:
  Faults() { Gone(); }

  void RunUndisturbed(const fs::path& study) {
    EndFaults();
    ASSERT_EQ(RunStudy(study, "alone").exit_code, 0);
    fs::remove(Gone());
  }
  /// Runs the study once more in `output`.
  void ExpectThatItEndsAsUndisturbed(const fs::path& study, const std::string& output) {
    EndFaults();
    const ProgramEnd last = RunStudy(study, output);
    fs::remove(Gone());
    EXPECT_EQ(last.exit_code, 0) << last.out << last.err;
    ExpectUndisturbed(output);
  }
  void ExpectUndisturbed(const std::string& output) const {
    EXPECT_EQ(FilesOf(output + "/records"), FilesOf("alone/records"));
    EXPECT_EQ(FilesOf(output).at("observations.csv"), FilesOf("alone").at("observations.csv"));
    EXPECT_THAT(FilesOf(output + "/failures"), IsEmpty());
    EXPECT_THAT(FilesOf(output + "/artifacts"), IsEmpty());
  }
  /// Kinds of the failed trials, by what their quantizer did.
  std::map<std::string, std::string> Kinds(const std::string& output) const {
    std::map<std::string, std::string> kinds;
    for (const auto& [name, text] : FilesOf(output + "/failures")) {
      const auto json = nlohmann::json::parse(text);
      const std::string label = json["label"];
      const size_t at = label.find("act=");
      kinds[at == std::string::npos ? label : label.substr(at + 4, label.find(' ', at) - at - 4)] = json["kind"];
    }
    return kinds;
  }
  std::string Out(const std::string& output) const { return (folder_ / output).string(); }
};

TEST_F(Faults, OfTrialsAreToldApartAndTheirTrialsDoneOnceTheyAreGone) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer ends a process whose memory ran out, and makes exit codes of signals";
#endif
  const auto study = WriteStudy(
      "  - none\n  - {quantizer: misbehave, act: [segfault, sleep, exit, hog, hog_thread, cuda_error, throw, throw_int]}\n",
      "[endings]");
  RunUndisturbed(study);
  const ProgramEnd end = RunStudy(study, "out", {"--trial-timeout", "8"});
  EXPECT_EQ(end.exit_code, 8) << end.err;
  EXPECT_THAT(end.out, HasSubstr("1 of 9 trials complete"));
  const std::map<std::string, std::string> expected = {
      {"segfault", "signal"}, {"sleep", "timeout"},     {"exit", "crash"},      {"hog", "memory"},
      {"hog_thread", "memory"}, {"cuda_error", "device"}, {"throw", "numerical"}, {"throw_int", "bug"}};
  EXPECT_EQ(Kinds("out"), expected);
  ExpectThatItEndsAsUndisturbed(study, "out");
}

/// A control group of this process's own, with a limit of memory; none where the system allows none.
class MemoryGroup {
 public:
  explicit MemoryGroup(int64_t bytes) {
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
      const size_t first = line.find(':'), second = line.find(':', first + 1);
      const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
      if (controllers != "memory" && !controllers.empty()) continue;
      folder_ = fs::path("/sys/fs/cgroup" + std::string(controllers.empty() ? "" : "/memory") + group) /
                ("bitlaw-e2e-" + std::to_string(::getpid()));
      std::error_code error;
      fs::create_directory(folder_, error);
      const bool is_limited = !error && (Write("memory.limit_in_bytes", bytes) || Write("memory.max", bytes));
      if (is_limited) {
        Write("memory.memsw.limit_in_bytes", bytes), Write("memory.swap.max", 0);
        return;
      }
      if (!error) ::rmdir(folder_.c_str());
      folder_.clear();
    }
  }
  ~MemoryGroup() {
    if (!folder_.empty()) ::rmdir(folder_.c_str());
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  bool is_there() const { return !folder_.empty(); }
  /// A line of a shell that runs in the group.
  std::string Within(const std::string& words) const {
    return "sh -c 'echo $$ > " + (folder_ / "cgroup.procs").string() + "; exec " + words + "'";
  }

 private:
  bool Write(const char* name, int64_t number) const {
    if (!fs::exists(folder_ / name)) return false;
    std::ofstream file(folder_ / name);
    file << number << std::flush;
    return file.good();
  }
  fs::path folder_;
};

// The kernel's own kill: the worker that took all the memory goes, and the reason is no mere signal.
TEST_F(Faults, AnEndByTheKernelForWantOfMemoryIsToldByItsName) {
  const MemoryGroup group(int64_t{1200} << 20);
  if (!group.is_there()) GTEST_SKIP() << "needs the right to make a control group with a limit of memory";
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, act: [hog_for_good, well]}\n", "[endings]");
  RunUndisturbed(study);
  EXPECT_EQ(Shell(group.Within(Words(RunArguments(study, "out"))), "oom"), 8) << Err("oom");
  const auto failures = FilesOf("out/failures");
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_THAT(failures.begin()->second, HasSubstr("\"kind\": \"memory\""));
  EXPECT_THAT(failures.begin()->second, HasSubstr("the kernel ended the worker process: the memory of its control group"));
  EXPECT_THAT(failures.begin()->second, HasSubstr("\"stage\": \"quantize\""));
  ExpectThatItEndsAsUndisturbed(study, "out");
}

TEST_F(Faults, AModelThatVanishesFailsItsTrialsUntilItIsBack) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, act: remove, bits: [2, 3, 4]}\n", "[endings]");
  RunUndisturbed(study);
  fs::copy(folder_ / "tiny", folder_ / "kept", fs::copy_options::recursive);
  ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  ::setenv("BITLAW_E2E_VICTIM", (folder_ / "tiny").c_str(), 1);
  auto first = Start(WorkerArguments("out", {"--wait"}), "a"), second = Start(WorkerArguments("out", {"--wait"}), "b");
  const ProgramEnd a = first->Wait(), b = second->Wait();
  ::unsetenv("BITLAW_E2E_VICTIM");
  EXPECT_EQ(a.exit_code, 8) << a.err;
  EXPECT_EQ(b.exit_code, 8) << b.err;
  const auto failures = FilesOf("out/failures");
  EXPECT_GE(failures.size(), 3u);
  for (const auto& [name, text] : failures) {
    EXPECT_THAT(text, HasSubstr("\"kind\": \"io\""));
    EXPECT_THAT(text, HasSubstr("No such file or directory"));
  }
  const ProgramEnd without = RunStudy(study, "out");
  EXPECT_EQ(without.exit_code, 2) << without.err;
  EXPECT_THAT(without.err, HasSubstr("models[0].path = 'tiny' matches no file or folder."));
  fs::rename(folder_ / "kept", folder_ / "tiny");
  ExpectThatItEndsAsUndisturbed(study, "out");
}

TEST_F(Faults, ARecordThatWasDamagedIsPutAsideAndDoneAgainByWorkers) {
  const auto study = WriteStudy(kQuick, "[endings]");
  RunUndisturbed(study);
  ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  ASSERT_EQ(Start(WorkerArguments("out"), "a")->Wait().exit_code, 0);
  int damaged = 0;
  for (const auto& [name, bytes] : FilesOf("out/records")) {
    if (++damaged % 3 == 0) fs::resize_file(folder_ / "out/records" / name, bytes.size() / 2);
    if (damaged % 3 == 1) std::ofstream(folder_ / "out/records" / name) << bytes.substr(0, 100) << "9" << bytes.substr(101);
  }
  EXPECT_EQ(StartedProgram({"records", "verify", Out("out")}, folder_).Wait().exit_code, 5);
  const ProgramEnd prepared = Prepare(study, "out");
  EXPECT_EQ(prepared.exit_code, 0) << prepared.err;
  EXPECT_THAT(prepared.err, HasSubstr("It is done again."));
  auto first = Start(WorkerArguments("out", {"--wait"}), "a"), second = Start(WorkerArguments("out", {"--wait"}), "b");
  EXPECT_EQ(first->Wait().exit_code, 0);
  EXPECT_EQ(second->Wait().exit_code, 0);
  EXPECT_THAT(FilesOf("out/quarantine"), Not(IsEmpty()));
  ExpectThatItEndsAsUndisturbed(study, "out");
  EXPECT_EQ(StartedProgram({"records", "verify", Out("out")}, folder_).Wait().exit_code, 0);
}

TEST_F(Faults, HostsMayHaveClocksThatAreAnHourApart) {
  if (!CanUnshare()) GTEST_SKIP() << "needs the right to make namespaces (unshare)";
  if (!IsThere("faketime")) GTEST_SKIP() << "needs the program faketime";
  const auto study = WriteStudy(kSlow, "[endings]");
  RunUndisturbed(study);
  for (const std::string shift : {"-1h", "+1h"}) {
    SCOPED_TRACE(shift);
    const std::string output = "out" + shift;
    ASSERT_EQ(RunStudy(study, output, {"--beat", "0.2", "--claim-expiry", "20", "--prepare"}).exit_code, 0);
    const std::string worker = Words(WorkerArguments(output, {"--wait"}));
    const int ended = Shell(On("shifted", "env FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1 faketime -f " + shift + " " + worker) +
                                " & " + On("right", worker) + "; status=$?; wait; exit $status",
                            "hosts");
    EXPECT_EQ(ended, 0) << Err("hosts");
    EXPECT_THAT(Err("hosts"), Not(HasSubstr("taken over")));
    ExpectThatItEndsAsUndisturbed(study, output);
  }
}

// Each host sees what the other one made a second late. Trials are shared all the same, and none is done by both.
TEST_F(Faults, HostsMaySeeEachOthersFilesLate) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's library must be the first of a process";
#endif
  if (!CanUnshare()) GTEST_SKIP() << "needs the right to make namespaces (unshare)";
  const auto study = WriteStudy(kSlow, "[endings]");
  RunUndisturbed(study);
  ASSERT_EQ(RunStudy(study, "out", {"--beat", "0.2", "--claim-expiry", "20", "--prepare"}).exit_code, 0);
  fs::create_directories(folder_ / "everybody");
  const auto host = [&](const std::string& name, const std::vector<std::string>& arguments) {
    fs::create_directories(folder_ / name);
    return On(name, "env LD_PRELOAD=" BITLAW_E2E_LAGGING_FOLDER " BITLAW_E2E_LAG_MS=1000 BITLAW_E2E_LAG_FOLDER=" + Out("out") +
                        " BITLAW_E2E_LAG_HOST=" + Out(name) + " " + Words(arguments));
  };
  // What is prepared has become visible; what is written from now on is seen late.
  const int ended = Shell("sleep 1.5; " + host("first", WorkerArguments("out", {"--wait"})) + " & " +
                              host("second", RunArguments(study, "out", {"--go-on"})) + "; status=$?; wait; exit $status",
                          "hosts");
  EXPECT_EQ(ended, 0) << Err("hosts");
  for (const char* name : {"first", "second"}) EXPECT_GT(FilesOf(name)["hidden"].size(), 0u) << "nothing was seen late";
  EXPECT_THAT(Err("hosts"), Not(HasSubstr("taken over")));
  for (const std::string& claim : ClaimFiles("out")) EXPECT_FALSE(claim.ends_with(".2")) << claim;
  const std::string out = StartedProgram::Text(folder_ / "hosts/stdout");
  ASSERT_THAT(out, AllOf(HasSubstr("done here, "), HasSubstr("complete, "))) << Err("hosts");
  const int first = Scored(out.substr(out.find("done here, ")), "done here, ", " task"),
            second = Scored(out.substr(out.find("complete, ")), "complete, ", " task");
  EXPECT_EQ(first + second, 6) << out;
  EXPECT_GT(first, 0);
  EXPECT_GT(second, 0);
  const auto status = nlohmann::json::parse(StartedProgram({"status", Out("out"), "--json"}, folder_).Wait().out);
  ASSERT_EQ(status["hosts"].size(), 2u) << status;
  EXPECT_EQ(status["hosts"][0], nlohmann::json({{"host", "first"}, {"done", first}, {"in_hand", 0}}));
  EXPECT_EQ(status["hosts"][1], nlohmann::json({{"host", "second"}, {"done", second}, {"in_hand", 0}}));
  ExpectUndisturbed("out");
  ExpectThatItEndsAsUndisturbed(study, "out");
}

TEST_F(Faults, AFullDiskEndsARunAndAWorkerThatGoOnWhenThereIsRoom) {
  if (!CanUnshare()) GTEST_SKIP() << "needs the right to make namespaces (unshare)";
  const auto study = WriteStudy(kQuick);
  RunUndisturbed(study);
  for (const char* folder : {"out", "kept"}) fs::create_directories(folder_ / folder);
  const std::string run = Words(RunArguments(study, "out")), worker = Words(WorkerArguments("out")), out = Out("out");
  const int ended = Shell("unshare --mount sh -c 'mount -t tmpfs -o size=96k none " + out + "; " + run + "; echo first: $? >&2; " +
                              worker + "; echo second: $? >&2; mount -o remount,size=64m " + out + "; " + run + " && cp -r " +
                              out + "/. " + Out("kept") + "'",
                          "full");
  EXPECT_EQ(ended, 0) << Err("full");
  EXPECT_THAT(Err("full"), HasSubstr("No space left on device. Make room there and begin again: what was written whole stays."));
  EXPECT_THAT(Err("full"), ContainsRegex("first: [58]\n"));
  EXPECT_THAT(Err("full"), ContainsRegex("second: [58]\n"));
  ExpectUndisturbed("kept");
}

TEST_F(Faults, AFolderThatCannotBeWrittenIsSaidSoAndUsedOnceItCan) {
  if (!CanUnshare()) GTEST_SKIP() << "needs the right to make namespaces (unshare)";
  const auto study = WriteStudy(kSlow, "[endings]");
  RunUndisturbed(study);
  ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  const std::string out = Out("out"), run = Words(RunArguments(study, "out")), worker = Words(WorkerArguments("out"));
  const std::string bind = "mount --bind " + out + " " + out + "; ", lock = "mount -o remount,bind,ro " + out;
  for (const std::string& words : {run, worker}) {
    EXPECT_EQ(Shell("unshare --mount sh -c '" + bind + lock + "; " + words + "'", "ro"), 5);
    EXPECT_THAT(Err("ro"), HasSubstr("Read-only file system"));
  }
  ExpectThatItEndsAsUndisturbed(study, "out");
}

// By who is not root, and while trials are under way.
TEST_F(Faults, AFolderThatCannotBeWrittenAnyMoreEndsAWorkerThatGoesOnLater) {
  constexpr const char* kNobody = "setpriv --reuid=65534 --regid=65534 --clear-groups ";
  if (std::system((std::string(kNobody) + "true > /dev/null 2>&1").c_str()) != 0) GTEST_SKIP() << "needs root, and setpriv";
  const auto study = WriteStudy(kSlow, "[endings]");
  RunUndisturbed(study);
  ASSERT_EQ(Prepare(study, "out").exit_code, 0);
  const std::string out = Out("out"), worker = kNobody + Words(WorkerArguments("out"));
  fs::permissions(folder_, fs::perms::others_read | fs::perms::others_exec, fs::perm_options::add);
  const int ended = Shell("chown -R 65534 " + out + "; ( while ! ls " + out + "/claims/1/*/*.done > /dev/null 2>&1; do sleep 0.05; done; chmod -R a-w " +
                              out + " ) & " + worker + "; status=$?; wait; chmod -R u+w " + out + "; exit $status",
                          "late");
  EXPECT_EQ(ended, 5) << Err("late");
  EXPECT_THAT(Err("late"), HasSubstr("Permission denied"));
  ExpectThatItEndsAsUndisturbed(study, "out");
}

}  // namespace
}  // namespace bitlaw
