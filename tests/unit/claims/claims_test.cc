#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <random>
#include <thread>

#include "bitlaw/base/error.h"
#include "lagging_files.h"
#include "run/claims/claim_taker.h"
#include "run/claims/heartbeat.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using None = ClaimTaker::None;

std::string IdOf(size_t number) { return fmt::format("{:012x}", number * 0x9e3779b97f4aULL % 0xffffffffffffULL); }

std::vector<CampaignTrial> Trials(size_t count) {
  std::vector<CampaignTrial> trials(count);
  for (size_t i = 0; i < count; ++i) {
    trials[i].trial.id = IdOf(i);
    trials[i].trial.label = fmt::format("trial {}", i);
    trials[i].trial.quantizer = "none";
    trials[i].trial.compute.device = "cpu";
    trials[i].weight = {"model", "", 1};
  }
  return trials;
}

Campaign Wanted(int retries = 0, int max_failures = 0) {
  Campaign campaign;
  campaign.study = "study";
  campaign.work_digest = "w";
  campaign.trials_digest = "t";
  campaign.code_digest = "c";
  campaign.settings.retries = retries;
  campaign.settings.max_failures = max_failures;
  return campaign;
}

/// A worker on a machine of its own: its clock is off by hours, and it sees files `lag_s` late.
struct Peer {
  Peer(Server& server, const std::string& name, const std::vector<CampaignTrial>& trials, double lag_s = 0,
       int retries = 0, int max_failures = 0)
      : server(server),
        files(server, lag_s),
        clock_offset_s(3600.0 * static_cast<double>(name.size())),
        watch(files, 60, [this] { return this->server.now + clock_offset_s; },
              [](const WorkerIdentity&) { return LifeWatch::Process::kUnknown; }),
        taker(files, watch, Options(name, retries, max_failures), trials) {
    identity.id = name;
    identity.host = name;
  }
  ClaimTaker::Options Options(const std::string& name, int retries, int max_failures) {
    ClaimTaker::Options options;
    options.campaign = Wanted(retries, max_failures);
    options.campaign.number = 1;
    options.worker = name;
    WorkerIdentity worker;
    worker.id = name;
    options.content = ClaimText(worker, "");
    options.now = [this] { return this->server.now + clock_offset_s; };
    options.look_s = 0;
    options.seed = 7;
    return options;
  }
  void Beat() { files.Replace(BeatFile(identity.id), WriteBeat({identity, 1, ++beat, {}})); }

  Server& server;
  LaggingFiles files;
  double clock_offset_s;
  LifeWatch watch;
  ClaimTaker taker;
  WorkerIdentity identity;
  int64_t beat = 0;
};

class SharedServer : public testing::Test {
 protected:
  SharedServer() { LaggingFiles(server_).Replace(kCampaignFile, WriteCampaign(Numbered())); }
  static Campaign Numbered(int64_t number = 1) {
    Campaign campaign = Wanted();
    campaign.number = number;
    return campaign;
  }
  Server server_;
};
using Claims = SharedServer;
using Life = SharedServer;
using CampaignOpening = SharedServer;

TEST_F(Claims, TwoWorkersTakeEachTrialOnce) {
  const auto trials = Trials(3);
  Peer a(server_, "a", trials), b(server_, "bb", trials);
  a.Beat(), b.Beat();
  const auto first = a.taker.Next({}), second = b.taker.Next({}), third = a.taker.Next({});
  ASSERT_TRUE(first.claim && second.claim && third.claim);
  EXPECT_EQ(std::set<size_t>({first.claim->trial, second.claim->trial, third.claim->trial}).size(), 3u);
  EXPECT_EQ(first.claim->file, "claims/1/00/000000000000.1");
  EXPECT_FALSE(b.taker.Next({}).claim);
  EXPECT_EQ(b.taker.Next({}).none, None::kUnsure);
  server_.now = 15;
  a.Beat();
  EXPECT_EQ(b.taker.Next({}).none, None::kLive);
  a.taker.Done(*first.claim, "");
  a.taker.Done(*third.claim, "");
  EXPECT_EQ(b.taker.Next({}).none, None::kHere);
  b.taker.Done(*second.claim, "");
  EXPECT_EQ(b.taker.Next({}).none, None::kAllEnded);
  EXPECT_EQ(a.taker.Next({}).none, None::kAllEnded);
  EXPECT_THAT(b.taker.TakeEnded().done, testing::SizeIs(2));
}

TEST_F(Claims, ATrialOfADeadWorkerIsTakenOverAndItIsFenced) {
  const auto trials = Trials(1);
  Peer a(server_, "a", trials), b(server_, "bb", trials);
  a.Beat();
  const auto claim = a.taker.Next({}).claim;
  EXPECT_FALSE(b.taker.Next({}).claim);  // Watched from now on.
  server_.now = 60;
  EXPECT_FALSE(b.taker.Next({}).claim);
  EXPECT_TRUE(a.taker.IsHeld(*claim));
  server_.now = 60.1;
  const auto taken = b.taker.Next({}).claim;
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->generation, 2);
  EXPECT_FALSE(a.taker.IsHeld(*claim));
  EXPECT_TRUE(b.taker.IsHeld(*taken));
  a.taker.Lose(*claim);
  EXPECT_EQ(a.taker.Next({}).none, None::kUnsure);
}

// Each beat resets the watch; a clock that is hours off, on either side, changes nothing.
TEST_F(Claims, ASlowWorkerKeepsItsTrialWhileItBeats) {
  const auto trials = Trials(1);
  Peer a(server_, "a", trials), b(server_, "another", trials);
  a.Beat();
  ASSERT_TRUE(a.taker.Next({}).claim);
  for (server_.now = 0; server_.now < 10000; server_.now += 50) {
    a.Beat();
    ASSERT_FALSE(b.taker.Next({}).claim) << server_.now;
  }
  server_.now += 61;
  EXPECT_TRUE(b.taker.Next({}).claim);
}

TEST_F(Claims, AWatcherThatSleptItselfLooksBeforeItJudges) {
  const auto trials = Trials(1);
  Peer a(server_, "a", trials), b(server_, "bb", trials);
  a.Beat();
  ASSERT_TRUE(a.taker.Next({}).claim);
  b.taker.Next({});
  server_.now = 50000;  // Both were stopped; a went on first.
  a.Beat();
  EXPECT_FALSE(b.taker.Next({}).claim);
}

TEST_F(Claims, AWorkerThatDiedBeforeItsFirstBeatIsWatchedUnderItsClaim) {
  const auto trials = Trials(1);
  Peer b(server_, "bb", trials);
  LaggingFiles(server_).Create("claims/1/00/000000000000.1", "");  // Made, not yet written.
  EXPECT_EQ(b.taker.Next({}).none, None::kUnsure);
  server_.now = 61;
  EXPECT_EQ(b.taker.Next({}).claim->generation, 2);
}

TEST_F(Claims, AReleasedTrialIsTakenAtOnce) {
  const auto trials = Trials(1);
  Peer a(server_, "a", trials), b(server_, "bb", trials);
  const auto claim = a.taker.Next({}).claim;
  EXPECT_FALSE(b.taker.Next({}).claim);
  a.taker.Release(*claim);
  EXPECT_EQ(b.taker.Next({}).claim->generation, 2);
}

TEST_F(Claims, AFailedTrialIsTriedAgainAsOftenAsTheCampaignSays) {
  const auto trials = Trials(1);
  Peer a(server_, "a", trials, 0, 2), b(server_, "bb", trials, 0, 2);
  EXPECT_FALSE(a.taker.Fail(*a.taker.Next({}).claim));
  const auto second = b.taker.Next({}).claim;
  ASSERT_TRUE(second);
  EXPECT_EQ(second->generation, 2);
  EXPECT_FALSE(b.taker.Fail(*second));
  EXPECT_TRUE(a.taker.Fail(*a.taker.Next({}).claim));
  EXPECT_EQ(a.taker.Next({}).none, None::kAllEnded);
  EXPECT_EQ(b.taker.Next({}).none, None::kAllEnded);
  EXPECT_THAT(b.taker.TakeEnded().failed, ElementsAre(0));
}

TEST_F(Claims, TooManyFailuresStopEveryWorker) {
  const auto trials = Trials(5);
  Peer a(server_, "a", trials, 0, 0, 2), b(server_, "bb", trials, 0, 0, 2);
  EXPECT_TRUE(a.taker.Fail(*a.taker.Next({}).claim));
  EXPECT_TRUE(b.taker.Fail(*b.taker.Next({}).claim));
  b.taker.Look(0);
  EXPECT_EQ(b.taker.Next({}).none, None::kStopped);
  a.taker.Look(0);
  EXPECT_EQ(a.taker.Next({}).none, None::kStopped);
  EXPECT_THAT(a.taker.stopped(), HasSubstr("2 trials failed, as many as --max-failures allows; the last one was "));
}

TEST_F(Claims, AnotherCampaignEndsTheClaimsOfTheOneBefore) {
  const auto trials = Trials(2);
  Peer a(server_, "a", trials);
  const auto claim = a.taker.Next({}).claim;
  LaggingFiles files(server_);
  files.Replace(kCampaignFile, WriteCampaign(Numbered(2)));
  files.RemoveFolder("claims/1");
  EXPECT_FALSE(a.taker.IsHeld(*claim));
  EXPECT_EQ(a.taker.Next({}).none, None::kSuperseded);
}

// Answers of the past, as long as it takes them to be others': nothing is done twice at once, nothing is lost.
TEST_F(Claims, HoldWhereEachWorkerSeesTheFolderLate) {
  const auto trials = Trials(40);
  std::vector<std::unique_ptr<Peer>> peers;
  for (const double lag : {0.0, 3.0, 30.0}) {
    peers.push_back(std::make_unique<Peer>(server_, fmt::format("lag{}", lag), trials, lag, 1));
  }
  std::mt19937 random(3);
  std::map<std::string, std::pair<ClaimTaker::Claim, double>> in_hand;
  std::map<size_t, int> done, begun;
  for (server_.now = 0; server_.now < 4000; server_.now += 1) {
    for (auto& peer : peers) {
      if (static_cast<int64_t>(server_.now) % 15 == 0) peer->Beat();
      const auto held = in_hand.find(peer->identity.id);
      if (held == in_hand.end()) {
        if (const auto taken = peer->taker.Next({}).claim) {
          ++begun[taken->trial];
          in_hand[peer->identity.id] = {*taken, server_.now + 1 + random() % 20};
        }
      } else if (server_.now >= held->second.second) {
        const ClaimTaker::Claim claim = held->second.first;
        in_hand.erase(held);
        if (random() % 10 == 0) {
          peer->taker.Release(claim);
        } else {
          ++done[claim.trial];
          peer->taker.Done(claim, "");
        }
      }
    }
  }
  EXPECT_EQ(done.size(), 40u);
  for (const auto& [trial, times] : done) EXPECT_EQ(times, 1) << trial;
}

TEST_F(Claims, AReplyThatWasLostDoesNotLoseTheClaim) {
  const auto trials = Trials(1);
  Peer a(server_, "a", trials);
  WorkerIdentity worker;
  worker.id = "a";
  LaggingFiles(server_).Create("claims/1/00/000000000000.1", ClaimText(worker, ""));  // The server did it, and said no.
  EXPECT_TRUE(a.taker.Next({}).claim);
}

// A server that did it, said no, and showed it only later.
TEST_F(Claims, AClaimOfItsOwnThatIsSeenLateIsTakenAgain) {
  const auto trials = Trials(1);
  Peer a(server_, "a", trials, 30);
  server_.now = 100;
  WorkerIdentity worker;
  worker.id = "a";
  LaggingFiles(server_).Create("claims/1/00/000000000000.1", ClaimText(worker, ""));
  EXPECT_EQ(a.taker.Next({}).none, None::kUnsure);
  server_.now = 131;
  const auto claim = a.taker.Next({}).claim;
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->generation, 2);
}

TEST_F(Claims, TheFolderOfATrialIsListedBeforeItIsClaimedIfThatIsABeatAgo) {
  const auto trials = Trials(20);
  Peer a(server_, "a", trials), b(server_, "bb", trials);
  a.Beat(), b.Beat();
  b.taker.Look(0);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(a.taker.Next({}).claim);
  EXPECT_EQ(server_.refused, 0u);
  server_.now = 14;  // What it saw is not old enough.
  ASSERT_TRUE(b.taker.Next({}).claim);
  EXPECT_GE(server_.refused, 1u);
  const size_t refused = server_.refused;
  Peer late(server_, "late", trials);  // Has not looked at anything.
  ASSERT_TRUE(late.taker.Next({}).claim);
  server_.now = 40;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(a.taker.Next({}).claim);
  server_.now = 60;
  ASSERT_TRUE(late.taker.Next({}).claim);
  EXPECT_EQ(server_.refused, refused);
}

TEST_F(Claims, WhoLosesManyPausesForABeat) {
  const auto trials = Trials(40);
  Peer a(server_, "a", trials), late(server_, "late", trials, 1000);
  a.Beat(), late.Beat();
  server_.now = 2000;
  for (int i = 0; i < 36; ++i) ASSERT_TRUE(a.taker.Next({}).claim);
  std::set<size_t> taken;
  for (int round = 0; round < 3; ++round, server_.now += 15) {
    const size_t refused = server_.refused;
    for (auto next = late.taker.Next({}); next.claim; next = late.taker.Next({})) taken.insert(next.claim->trial);
    EXPECT_EQ(late.taker.WhyNone(), None::kUnsure);
    EXPECT_EQ(late.taker.free(), 0u);
    EXPECT_FALSE(late.taker.Next({}).claim);
    EXPECT_LE(server_.refused - refused, 32u);
  }
  EXPECT_EQ(taken.size(), 4u);
  EXPECT_EQ(server_.refused, 36u);  // Each of the others' once.
}

// Where a look is due in many minutes only, about 64 of those that have nothing to do wait to see whether others live.
TEST_F(Claims, OfACrowdSomeWait) {
  const auto trials = Trials(1);
  LaggingFiles files(server_);
  for (int i = 0; i < 256; ++i) files.Create(BeatFile(fmt::format("w{}", i)), "");
  Peer a(server_, "a", trials);
  const auto claim = a.taker.Next({}).claim;
  ASSERT_TRUE(claim);
  std::map<None, int> count;
  const auto shared = std::make_shared<const ClaimTrials>(trials);
  for (uint64_t i = 0; i < 256; ++i) {
    Peer one(server_, "one", trials);
    ClaimTaker::Options options = one.Options(fmt::format("w{}", i), 0, 0);
    options.seed = i;
    options.names_per_s = 1000;
    ClaimTaker taker(one.files, one.watch, options, shared);
    ++count[taker.Next({}).none];
    EXPECT_EQ(taker.free(), 0u);
  }
  EXPECT_EQ(count[None::kLive] + count[None::kUnsure], 256);
  EXPECT_NEAR(count[None::kUnsure], 64, 3.5 * std::sqrt(64 * 0.75));
}

TEST_F(Life, IsKnownAtOnceOfAProcessOfThisMachine) {
  LaggingFiles files(server_);
  const pid_t child = ::fork();
  if (child == 0) ::pause(), ::_exit(0);
  WorkerBeat beat;
  beat.worker = ThisWorker();
  ASSERT_EQ(AskProc(beat.worker), LifeWatch::Process::kRuns);
  beat.worker.id = "child";
  beat.worker.pid = child;
  // Another process that has the number of one that ended.
  beat.worker.started = 1;
  files.Replace(BeatFile("child"), WriteBeat(beat));
  EXPECT_EQ(LifeWatch(files, 60).Of("child"), WorkerLife::kDead);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(LifeWatch(files, 60).Of("child"), WorkerLife::kDead);
  beat.worker = ThisWorker();
  files.Replace(BeatFile(beat.worker.id), WriteBeat(beat));
  EXPECT_EQ(LifeWatch(files, 60).Of(beat.worker.id), WorkerLife::kLives);
  // The same numbers after another start of the machine, or in another container, say nothing.
  beat.worker.boot_id = "another";
  files.Replace(BeatFile("other"), WriteBeat(beat));
  EXPECT_EQ(LifeWatch(files, 60).Of("other"), WorkerLife::kUnsure);
}

TEST_F(Life, OfAWorkerIsReadAsItWasWritten) {
  WorkerBeat beat;
  beat.worker = {"n-1-00000000", "n", 17, 42, "boot", "pid:[1]", "Slurm job 4_2"};
  beat.campaign = 3;
  beat.beat = 9;
  beat.trials = {"aa", "bb"};
  const auto read = ReadBeat(WriteBeat(beat));
  ASSERT_TRUE(read);
  EXPECT_EQ(WriteBeat(*read), WriteBeat(beat));
  EXPECT_EQ(read->worker.Text(), "process 17 on n (Slurm job 4_2)");
  EXPECT_FALSE(ReadBeat("{\"worker\": "));
  EXPECT_FALSE(ReadBeat("{}"));
}

TEST_F(CampaignOpening, JoinsWorkersThatDoTheSame) {
  LaggingFiles files(server_);
  Peer a(server_, "a", {});
  a.Beat();
  LifeWatch watch(files, 60, [this] { return server_.now; },
                  [](const WorkerIdentity&) { return LifeWatch::Process::kUnknown; });
  std::vector<std::string> lines;
  const auto wait = [&](const std::string& line) {
    lines.push_back(line);
    server_.now += 10;
    a.Beat();
    return true;
  };
  auto opened = OpenCampaign(files, Wanted(), "work", Trials(1), watch, wait);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->is_joined);
  EXPECT_EQ(opened->campaign.number, 1);
  EXPECT_THAT(lines, ElementsAre("waits to see whether workers live that were here before: process 0 on a."));
  Campaign other = Wanted();
  other.work_digest = "x";
  try {
    OpenCampaign(files, other, "work", Trials(1), watch, wait);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "others work in this output folder, on another study, or another version of it: process 0 on a. Wait for "
                 "them, stop them (SIGTERM), or give this run another --output.");
  }
}

TEST_F(CampaignOpening, BeginsTheNextOneWhereNobodyLives) {
  LaggingFiles files(server_);
  Peer a(server_, "a", Trials(1));
  a.Beat();
  ASSERT_TRUE(a.taker.Next({}).claim);
  LifeWatch watch(files, 60, [this] { return server_.now; },
                  [](const WorkerIdentity&) { return LifeWatch::Process::kUnknown; });
  const auto opened = OpenCampaign(files, Wanted(), "work", Trials(2), watch, [&](const std::string&) {
    server_.now += 10;
    return true;
  });
  ASSERT_TRUE(opened);
  EXPECT_FALSE(opened->is_joined);
  EXPECT_EQ(opened->campaign.number, 2);
  EXPECT_GT(server_.now, 60);
  EXPECT_THAT(files.List("claims"), IsEmpty());
  EXPECT_THAT(files.List("workers"), IsEmpty());
  EXPECT_EQ(ReadCampaign(*files.Read(kCampaignFile), "").number, 2);
  EXPECT_EQ(ReadTrials(*files.Read(kTrialsFile), kTrialsFile).size(), 2u);
}

TEST_F(CampaignOpening, SaysWhichLineOfTheListIsNotIts) {
  try {
    ReadTrials("{}\n", kTrialsFile);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "trials.jsonl:1: it is not what this bitlaw writes for workers: 'trial' is missing.");
  }
}

TEST(Order, StaysWithTheModelAndTheTextThenTakesTheCostliestModelOfNobodys) {
  using State = ClaimOrder::State;
  ClaimOrder order({{"small", "", 1}, {"small", "text", 2}, {"small", "text", 2},
                    {"large", "", 10}, {"large", "text", 20}, {"large", "", 10}});
  EXPECT_EQ(order.Next({}), 3u);  // The costliest group's first: the unquantized model.
  order.Set(3, State::kInWork);
  EXPECT_EQ(order.Next({}), 0u);       // Of another worker: a group that nobody works on.
  EXPECT_EQ(order.Next(3), 5u);        // Of the same: alike, without text.
  EXPECT_EQ(order.Next(3, 2, 1), 5u);  // There is no other one as good.
  order.Set(5, State::kEnded);
  EXPECT_EQ(order.Next(3), 4u);
  order.Set(4, State::kInWork);
  EXPECT_EQ(order.Next(4), 0u);
  order.Set(0, State::kInWork);
  EXPECT_EQ(order.Next(4), 1u);        // A text that nobody works with.
  EXPECT_EQ(order.Next(4, 2, 1), 2u);
  order.Set(1, State::kInWork), order.Set(2, State::kEnded);
  EXPECT_EQ(order.Next(4), std::nullopt);
  EXPECT_EQ(order.free(), 0u);
  EXPECT_EQ(order.in_work(), 4u);
}

// What the header says of the choice, by a look at every trial.
TEST(Order, ChoosesAsALookAtEveryTrialWould) {
  using State = ClaimOrder::State;
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<TrialWeight> trials;
    for (uint32_t i = 0, count = 1 + random() % 30; i < count; ++i) {
      trials.push_back({fmt::format("g{}", random() % 4), fmt::format("s{}", random() % 3), 1.0 + random() % 3});
    }
    ClaimOrder order(trials);
    std::map<std::string, double> most;
    for (const TrialWeight& trial : trials) most[trial.group] = std::max(most[trial.group], trial.cost);
    for (int step = 0; step < 60; ++step) {
      order.Set(random() % trials.size(), static_cast<State>(random() % 3));
      const size_t last = random() % trials.size(), among = 1 + random() % 4;
      const auto works = [&](size_t trial, bool same_text) {
        for (size_t i = 0; i < trials.size(); ++i) {
          if (order.state(i) == State::kInWork && trials[i].group == trials[trial].group &&
              (!same_text || trials[i].subgroup == trials[trial].subgroup)) {
            return true;
          }
        }
        return false;
      };
      const auto rank = [&](size_t i) {
        const bool same = trials[i].group == trials[last].group;
        if (same && trials[i].subgroup == trials[last].subgroup) return 0;
        if (same && !works(i, true)) return 1;
        if (!works(i, false)) return 2;
        return works(i, true) ? 4 : 3;
      };
      std::vector<size_t> best;  // Free ones of the best rank.
      for (size_t i = 0; i < trials.size(); ++i) {
        if (order.state(i) != State::kFree) continue;
        if (!best.empty() && rank(i) < rank(best[0])) best.clear();
        if (best.empty() || rank(i) == rank(best[0])) best.push_back(i);
      }
      std::set<double> costs;  // Of the groups of as many as may be chosen among.
      std::sort(best.begin(), best.end(),
                [&](size_t a, size_t b) { return most[trials[a].group] > most[trials[b].group]; });
      best.resize(std::min(among, best.size()), 0);
      for (const size_t i : best) costs.insert(most[trials[i].group]);
      const auto chosen = order.Next(last, among, random());
      ASSERT_EQ(chosen.has_value(), !best.empty());
      if (!chosen) continue;
      ASSERT_EQ(order.state(*chosen), State::kFree);
      ASSERT_EQ(rank(*chosen), rank(best[0]));
      ASSERT_TRUE(costs.contains(most[trials[*chosen].group]));
    }
  }
}

using FolderFilesTest = TemporaryFolder;
using ManyProcesses = TemporaryFolder;

TEST_F(FolderFilesTest, CreatesOnceAndReplacesAsAWhole) {
  FolderFiles files(folder_);
  EXPECT_TRUE(files.Create("a/b/c", "1"));
  EXPECT_FALSE(files.Create("a/b/c", "2"));
  EXPECT_EQ(files.Read("a/b/c"), "1");
  files.Replace("a/b/c", "3");
  EXPECT_EQ(files.Read("a/b/c"), "3");
  EXPECT_THAT(files.List("a/b"), ElementsAre("c"));
  EXPECT_THAT(files.List("nosuch"), IsEmpty());
  files.Remove("a/b/c");
  EXPECT_FALSE(files.Exists("a/b/c"));
  fs::remove_all(folder_);
  try {
    files.Create("a/b/c", "");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), folder_.string() + ": the output folder is gone: No such file or directory.");
  }
  EXPECT_FALSE(fs::exists(folder_));
}

TEST_F(FolderFilesTest, BeatsWithARisingNumberUntilItEnds) {
  FolderFiles files(folder_);
  const WorkerIdentity worker = ThisWorker();
  {
    Heartbeat heartbeat(files, worker, 1, 0.005);
    heartbeat.SetTrials({"abc"});
    const auto beat_of = [&] { return ReadBeat(*files.Read(BeatFile(worker.id)))->beat; };
    for (int i = 0; i < 2000 && beat_of() < 5; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_GE(beat_of(), 5);
    EXPECT_THAT(ReadBeat(*files.Read(BeatFile(worker.id)))->trials, ElementsAre("abc"));
  }
  EXPECT_THAT(files.List("workers"), IsEmpty());
}

TEST_F(FolderFilesTest, AClaimIsHeldUntilThereIsALaterOne) {
  FolderFiles files(folder_);
  EXPECT_FALSE(IsClaimHeld(folder_ / "claims/1/aa/aa.1"));
  files.Create("claims/1/aa/aa.1", "");
  EXPECT_TRUE(IsClaimHeld(folder_ / "claims/1/aa/aa.1"));
  files.Create("claims/1/aa/aa.2", "");
  EXPECT_FALSE(IsClaimHeld(folder_ / "claims/1/aa/aa.1"));
  EXPECT_TRUE(IsClaimHeld(folder_ / "claims/1/aa/aa.2"));
  EXPECT_FALSE(IsClaimHeld(folder_ / "claims/1/aa/aa.done"));
}

// Sixteen processes, some killed in mid-trial: each trial is done, and none is in two hands at once. A trial is a file that
// is made exclusively while it is in hand; a killed process's is left behind, and whoever takes over may find it.
TEST_F(ManyProcesses, DoEachTrialOnceThoughSomeAreKilled) {
  constexpr size_t kTrials = 300;
  constexpr int kWorkers = 16;
  const auto trials = Trials(kTrials);
  FolderFiles files(folder_);
  Campaign campaign = Wanted();
  campaign.number = 1;
  files.Replace(kCampaignFile, WriteCampaign(campaign));
  const auto work = [&](int number) {
    const WorkerIdentity self = ThisWorker();
    const Heartbeat heartbeat(files, self, 1, 0.05);
    LifeWatch watch(files, 60);
    ClaimTaker taker(files, watch, {.campaign = campaign, .worker = self.id, .content = ClaimText(self, ""), .look_s = 0.01},
                     trials);
    std::mt19937 random(static_cast<unsigned>(number));
    for (;;) {
      const auto taken = taker.Next({});
      if (!taken.claim) {
        if (taken.none == None::kAllEnded) ::_exit(0);
        ::usleep(2000);
        continue;
      }
      const std::string& id = trials[taken.claim->trial].trial.id;
      std::ofstream(folder_ / fmt::format("{}.begun.{}.{}", id, taken.claim->generation, self.id));
      // In hand: whoever else had it, and was not killed, would stand here, too.
      if (number % 4 == 0 && random() % 8 == 0) ::raise(SIGKILL);
      if (!taker.IsHeld(*taken.claim)) ::_exit(3);
      if (!files.Create(id + ".worked", "")) ::_exit(4);  // Somebody did it.
      taker.Done(*taken.claim, "");
    }
  };
  std::vector<pid_t> children;
  for (int i = 0; i < kWorkers; ++i) {
    const pid_t child = ::fork();
    if (child == 0) work(i);
    children.push_back(child);
  }
  int killed = 0;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    killed += WIFSIGNALED(status) ? 1 : 0;
    EXPECT_TRUE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0) << WEXITSTATUS(status);
  }
  EXPECT_GT(killed, 0);
  for (const CampaignTrial& one : trials) EXPECT_TRUE(files.Exists(one.trial.id + ".worked")) << one.trial.id;
  for (const auto& [id, state] : ClaimFolder(files, 1).List()) EXPECT_TRUE(state.is_done) << id;
}

}  // namespace
}  // namespace bitlaw
