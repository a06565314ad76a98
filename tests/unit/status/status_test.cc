#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <chrono>
#include <cmath>
#include <fstream>

#include "bitlaw/base/error.h"
#include "run/claims/claim_folder.h"
#include "run/claims/claim_taker.h"
#include "run/status/status_text.h"
#include "run/status/study_status.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// An output folder with a campaign whose trials cost 1, whose workers are on other machines, and whose files have the
/// times that a test gives them.
class StatusFolder : public TemporaryFolder {
 protected:
  static std::string IdOf(size_t number) { return fmt::format("{:02x}0000000000", number); }

  void Open(size_t trials, int retries = 0, size_t recorded = 0) {
    std::vector<CampaignTrial> list(trials);
    for (size_t i = 0; i < trials; ++i) {
      list[i].trial.id = IdOf(i);
      list[i].trial.label = fmt::format("trial {}", i);
      list[i].trial.quantizer = "none";
      list[i].trial.compute.device = "cpu";
      list[i].weight = {"model", "", 1};
      list[i].recorded = i < recorded;
    }
    Campaign campaign;
    campaign.number = 3;
    campaign.study = "grid";
    campaign.trials_digest = DigestOf(list);
    campaign.settings.retries = retries;
    files_.Replace(kTrialsFile, WriteTrials(list));
    files_.Replace(kCampaignFile, WriteCampaign(campaign));
  }
  static WorkerIdentity Worker(const std::string& name) {
    WorkerIdentity worker;
    worker.id = name;
    worker.host = name;
    worker.pid = 17;
    worker.job = "Slurm job 4_1";
    return worker;
  }
  void Beat(const std::string& worker, int64_t beat, double age_s = 0) {
    files_.Replace(BeatFile(worker), WriteBeat({Worker(worker), 3, beat, {}}));
    SetAge(BeatFile(worker), age_s);
  }
  void Claim(size_t trial, const std::string& worker, double age_s, int generation = 1) {
    claims_.Claim(IdOf(trial), generation, ClaimText(Worker(worker), ""));
    SetAge(claims_.NameOf(IdOf(trial), generation), age_s);
  }
  void Done(size_t trial, double age_s) {
    claims_.Done(IdOf(trial), "");
    SetAge(claims_.NameOf(IdOf(trial), 1).substr(0, std::string("claims/3/00/000000000000").size()) + ".done", age_s);
  }
  void Fail(size_t trial, int generation = 1) {
    claims_.Fail(IdOf(trial), generation);
    RecordStore(folder_).WriteFailure({IdOf(trial), "a label", "quantize model.layers.3", "memory", "it ran out.",
                                       "line 1\nline 2\nline 3\nline 4\n", "2026-11-28T12:00:00Z", "process 17 on a",
                                       generation});
  }
  void SetAge(const std::string& name, double age_s) const {
    const double time =
        std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count() - age_s;
    const double whole = std::floor(time);
    timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(whole), static_cast<long>(1e9 * (time - whole))}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (folder_ / name).c_str(), times, 0), 0) << name;
  }

  FolderFiles files_{folder_};
  ClaimFolder claims_{files_, 3};
};

TEST_F(StatusFolder, TellsWhatIsDoneInHandFailedAndLeft) {
  Open(8, 0, 2);
  Claim(2, "a", 300), Done(2, 200);  // 100 s.
  Claim(3, "b", 400), Done(3, 100);  // 300 s: 200 s a trial.
  Claim(4, "a", 50);
  Claim(5, "b", 20), Fail(5);
  Claim(6, "c", 1000);  // Of a worker that beats no more.
  Beat("a", 5, 3);
  Beat("b", 9, 1);
  Beat("c", 9, 500);
  const StudyStatus status = StatusReader(folder_).Read();
  EXPECT_EQ(status.state, StudyState::kRunning);
  EXPECT_EQ(status.study, "grid");
  EXPECT_EQ(status.campaign, 3);
  EXPECT_EQ(status.total, 8u);
  EXPECT_EQ(status.done, 4u);
  EXPECT_EQ(status.recorded_before, 2u);
  EXPECT_EQ(status.failed, 1u);
  EXPECT_EQ(status.left, 2u);  // That of c and the one that nobody took.
  ASSERT_EQ(status.held.size(), 1u);
  EXPECT_EQ(status.held[0].label, "trial 4");
  EXPECT_EQ(status.held[0].worker.Text(), "process 17 on a (Slurm job 4_1)");
  EXPECT_NEAR(status.held[0].since_s, 50, 3);
  EXPECT_NEAR(status.held[0].silent_s, 3, 3);
  // Two trials of 200 s are left, and 150 s of the one in hand; two workers live, and the first that is free takes the second.
  EXPECT_NEAR(status.work_left_s, 550, 10);
  EXPECT_NEAR(status.remaining_s, 350, 5);
  ASSERT_EQ(status.failures.size(), 1u);
  EXPECT_EQ(status.failures[0].failure.kind, "memory");
  EXPECT_THAT(status.failures[0].log, ElementsAre("line 2", "line 3", "line 4"));
}

TEST_F(StatusFolder, TellsWhichHostDidHowManyTrials) {
  Open(200, 0, 1);
  for (size_t i = 1; i <= 150; ++i) Claim(i, i % 3 == 0 ? "b" : "a", 300), Done(i, 200);  // More than one thread reads.
  Claim(2, "b", 100, 2);  // Taken over: who claimed it last did it.
  Claim(160, "b", 50);
  Beat("b", 9, 1);
  StatusReader reader(folder_);
  for (int look = 0; look < 2; ++look) {
    const StudyStatus status = reader.Read();
    ASSERT_EQ(status.hosts.size(), 2u);
    EXPECT_EQ(status.hosts.at("a").done, 99u);
    EXPECT_EQ(status.hosts.at("a").in_hand, 0u);
    EXPECT_EQ(status.hosts.at("b").done, 51u);
    EXPECT_EQ(status.hosts.at("b").in_hand, 1u);
    EXPECT_THAT(StatusText(status, "out", 20), HasSubstr("\n  by host   a 99 done; b 51 done, 1 in hand\n"));
    EXPECT_THAT(StatusText(status, "out", 1), HasSubstr("\n  by host   a 99 done; and 1 host more (--json lists all)\n"));
    EXPECT_EQ(StatusJson(status, "out").Find("hosts")->CanonicalJson(),
              R"([{"done":99,"host":"a","in_hand":0},{"done":51,"host":"b","in_hand":1}])");
  }
}

TEST_F(StatusFolder, TellsItsStates) {
  const auto state = [&] { return StatusReader(folder_).Read().state; };
  EXPECT_EQ(state(), StudyState::kNotBegun);
  Open(2, 1);
  EXPECT_EQ(state(), StudyState::kPrepared);
  Beat("a", 1);
  Claim(0, "a", 10);
  EXPECT_EQ(state(), StudyState::kRunning);
  SetAge(BeatFile("a"), 61);  // The expiry is 60 s.
  EXPECT_EQ(state(), StudyState::kInterrupted);
  files_.Remove(BeatFile("a"));
  EXPECT_EQ(state(), StudyState::kInterrupted);
  Done(0, 0);
  Claim(1, "a", 10), Fail(1);
  EXPECT_EQ(state(), StudyState::kInterrupted);  // It is to be tried once more.
  EXPECT_FALSE(StatusReader(folder_).Read().failures[0].is_final);
  Claim(1, "a", 5, 2), Fail(1, 2);
  EXPECT_EQ(state(), StudyState::kFailed);
  EXPECT_TRUE(StatusReader(folder_).Read().failures[0].is_final);
  Done(1, 0);
  EXPECT_EQ(state(), StudyState::kFinished);
  EXPECT_EQ(StatusReader(folder_).Read().failures.size(), 0u);
}

TEST_F(StatusFolder, SaysThatACampaignWasStopped) {
  Open(3);
  Claim(0, "a", 10), Fail(0);
  claims_.Stop("1 trial failed.");
  const StudyStatus status = StatusReader(folder_).Read();
  EXPECT_EQ(status.state, StudyState::kFailed);
  EXPECT_EQ(status.left, 2u);
  EXPECT_THAT(StatusText(status, "out", 20), HasSubstr("  stopped   1 trial failed. No other trial is begun.\n"));
}

// An hour between the clocks of two machines: what is seen to change lives, whatever the times of files say.
TEST_F(StatusFolder, BelievesBeatsThatItSawChange) {
  Open(2);
  Beat("a", 1, 3600);
  Claim(0, "a", 3600);
  StatusReader reader(folder_);
  EXPECT_EQ(reader.Read().state, StudyState::kInterrupted);
  Beat("a", 2, 3600);
  EXPECT_EQ(reader.Read().state, StudyState::kRunning);
  Beat("a", 3, -3600);
  EXPECT_EQ(reader.Read().workers[0].silent_s, 0);
}

TEST_F(StatusFolder, IsShownAsTextAndAsJson) {
  Open(4);
  Claim(0, "a", 7200), Done(0, 3600);
  Claim(1, "a", 1800);
  Beat("a", 5, 0);
  Claim(2, "a", 20), Fail(2);
  const StudyStatus status = StatusReader(folder_).Read();
  const std::string text = StatusText(status, "results/grid", 20);
  EXPECT_THAT(text, HasSubstr("results/grid: grid, campaign 3, running\n"
                              "  trials    1 of 4 done, 1 in hand, 1 failed, 1 left\n"
                              "  time      about 90 min left (90 min of one process)\n"
                              "  by host   a 1 done, 1 in hand\n"
                              "  in hand   010000000000  trial 1\n"
                              "            for 30 min, process 17 on a (Slurm job 4_1), last sign of life 0 s ago\n"
                              "  failed    020000000000  trial 2\n"
                              "            [memory] quantize model.layers.3: it ran out.\n"
                              "            attempt 1, process 17 on a, 2026-11-28T12:00:00Z\n"
                              "            | line 2\n"));
  EXPECT_THAT(StatusText(status, "results/grid", 0), HasSubstr("and 1 more failed (--json lists all)"));
  const Value json = StatusJson(status, "results/grid");
  EXPECT_EQ(json.Find("state")->AsString(), "running");
  EXPECT_EQ(json.Find("trials")->Find("left")->AsInt(), 1);
  EXPECT_EQ(json.Find("in_hand")->AsList()[0].Find("worker")->Find("job")->AsString(), "Slurm job 4_1");
  EXPECT_EQ(json.Find("failed")->AsList()[0].Find("kind")->AsString(), "memory");
  EXPECT_TRUE(json.Find("slurm")->is_null());
}

TEST_F(StatusFolder, SaysWhatToDoOfAFolderThatIsNone) {
  try {
    StatusReader(folder_ / "none").Read();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    EXPECT_EQ(error.what(), (folder_ / "none").string() +
                                ": there is no such folder. Name the output folder of a study, the one "
                                "that `bitlaw run` writes.");
  }
  Open(1);
  std::ofstream(folder_ / kTrialsFile) << "{}\n";
  try {
    StatusReader(folder_).Read();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("trials.jsonl:1: this line is no trial. Begin the study again: `bitlaw run`."));
  }
}

}  // namespace
}  // namespace bitlaw
