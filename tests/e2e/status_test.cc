// What `bitlaw status` says of a study while it runs, when it was killed, and at its end.
#include <gmock/gmock.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "study_fixture.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;

class Status : public StudyFolder {
 protected:
  std::unique_ptr<StartedProgram> Start(const std::vector<std::string>& arguments, const std::string& name) {
    fs::create_directories(folder_ / name);
    return std::make_unique<StartedProgram>(arguments, folder_ / name);
  }
  ProgramEnd Ask(const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"status", (folder_ / "out").string()};
    words.insert(words.end(), more.begin(), more.end());
    return Start(words, "status")->Wait();
  }
  nlohmann::json Json() {
    const ProgramEnd end = Ask({"--json"});
    EXPECT_EQ(end.exit_code, 0) << end.err;
    return nlohmann::json::parse(end.out);
  }
  bool WaitForClaim() const {
    for (int i = 0; i < 3000; ++i) {
      for (const auto& [name, text] : FilesOf("out/claims")) {
        if (name.ends_with(".1")) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
};

TEST_F(Status, FollowsAStudyThatIsKilledAndGoesOn) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, act: slow, bits: [2, 3]}\n", "[endings]");
  EXPECT_EQ(Ask().exit_code, 5);
  ASSERT_EQ(RunStudy(study, "out", {"--prepare"}).exit_code, 0);
  EXPECT_EQ(Json()["state"], "prepared");
  auto run = Start(RunArguments(study, "out", {"--go-on"}), "run");
  ASSERT_TRUE(WaitForClaim());
  const auto running = Json();
  EXPECT_EQ(running["state"], "running");
  EXPECT_EQ(running["trials"]["total"], 3);
  ASSERT_EQ(running["in_hand"].size(), 1u);
  EXPECT_GT(running["in_hand"][0]["worker"]["pid"].get<int>(), 0);
  EXPECT_LT(running["in_hand"][0]["since_s"].get<double>(), 60);
  run->Signal(SIGKILL);
  run.reset();
  const auto killed = Json();
  EXPECT_EQ(killed["state"], "interrupted");
  EXPECT_EQ(killed["in_hand"].size(), 0u);
  EXPECT_GE(killed["trials"]["left"].get<int>(), 1);
  // Watched from elsewhere until the end.
  auto watch = Start({"status", (folder_ / "out").string(), "--watch", "--json", "--every", "0.1"}, "watch");
  EXPECT_EQ(RunStudy(study, "out", {"--go-on"}).exit_code, 0);
  ASSERT_TRUE(watch->EndsWithin(std::chrono::seconds(20)));
  const ProgramEnd watched = watch->Wait();
  EXPECT_EQ(watched.exit_code, 0);
  std::istringstream lines(watched.out);
  std::string line, first;
  for (std::string next; std::getline(lines, next); line = next) {
    if (first.empty()) first = next;
  }
  EXPECT_NE(nlohmann::json::parse(first)["state"], "finished");
  EXPECT_EQ(nlohmann::json::parse(line)["state"], "finished");
  EXPECT_EQ(nlohmann::json::parse(line)["trials"]["done"], 3);
  EXPECT_THAT(Ask().out,
              HasSubstr(": e2e, campaign 1, finished\n  trials    3 of 3 done, 0 in hand, 0 failed, 0 left\n"));
}

TEST_F(Status, TellsWhyTrialsFailed) {
  const auto study = WriteStudy("  - none\n  - {quantizer: misbehave, act: [throw, segfault]}\n", "[endings]");
  EXPECT_EQ(RunStudy(study, "out").exit_code, 8);
  const ProgramEnd end = Ask();
  EXPECT_THAT(end.out, HasSubstr(": e2e, campaign 1, failed\n  trials    1 of 3 done, 0 in hand, 2 failed, 0 left\n"));
  EXPECT_THAT(end.out, ContainsRegex("\\[numerical\\] quantize: .*told to throw"));
  EXPECT_THAT(end.out, ContainsRegex("\\[signal\\] quantize: .*SIGSEGV"));
  EXPECT_THAT(end.out, HasSubstr("            | about to segfault on "));
  EXPECT_THAT(end.out, HasSubstr("  next      run the study again to try failed trials again (--failed: only them)\n"));
}

// What was recorded before there were campaigns, or by a merge.
TEST_F(Status, CountsRecordsWhereThereIsNoCampaign) {
  const auto study = WriteStudy("  - none\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  fs::remove(folder_ / "out/campaign.json");
  const ProgramEnd end = Ask();
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.out, HasSubstr(": no campaign was opened here; 1 record from before.\n"));
}

TEST_F(Status, OfARunIsInItsLog) {
  const auto study = WriteStudy("  - none\n  - {quantizer: rtn, bits: [2, 4], group_size: 32}\n", "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_THAT(end.err, ContainsRegex("[0-9-]{10} [0-9:]{8} \\[1/3, [0-9]+ s left\\] .* done in [0-9]+ s\n"));
  EXPECT_THAT(end.err, ContainsRegex("\\[3/3, 0 s left\\] .* done in [0-9]+ s\n$"));
}

}  // namespace
}  // namespace bitlaw
