// What a study recorded, in the forms of other programs, and back.
#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

class InterchangeVerb : public StudyFolder {
 protected:
  ProgramEnd Program(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--configs", BITLAW_SOURCE_DIR "/tests/support"});
    return StartedProgram(words, folder_).Wait();
  }
  std::string In(const std::string& name) const { return (folder_ / name).string(); }
};

TEST_F(InterchangeVerb, TheHarnessFormIsTakenOverAgainWithTheSameNumbersAndItems) {
  const auto study =
      WriteStudy("  - none\n  - {quantizer: rtn, bits: 3, group_size: 16}\n", "[uses, endings, capitals, story]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const ProgramEnd end = Program({"records", "export", In("out"), In("lm"), "--format", "lm-eval"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("2 trials written.\n"));
  EXPECT_THAT(end.err, HasSubstr("note: story: no samples, since its items are windows of a text.\n"));
  std::vector<fs::path> runs;
  for (const auto& entry : fs::directory_iterator(folder_ / "lm")) runs.push_back(entry.path());
  ASSERT_EQ(runs.size(), 2u);
  for (const fs::path& run : runs) {
    const std::string quantizer = run.filename().string().find("rtn") == std::string::npos ? "none" : "rtn";
    const ProgramEnd import =
        Program({"import", run.string(), "--out", In("again"), "--model", "tiny", "--quantizer", quantizer});
    ASSERT_EQ(import.exit_code, 0) << import.err;
  }
  const auto before = RowsOf(StartedProgram::Text(folder_ / "out/observations.csv"));
  const auto after = RowsOf(StartedProgram::Text(folder_ / "again/observations.csv"));
  size_t compared = 0;
  for (const auto& row : before) {
    for (const auto& other : after) {
      if (row.at("quantizer") != other.at("quantizer") || row.at("task") != other.at("task") ||
          row.at("metric") != other.at("metric"))
        continue;
      EXPECT_NEAR(std::stod(row.at("value")), std::stod(other.at("value")), 1e-9 * std::abs(std::stod(row.at("value"))))
          << row.at("task");
      if (row.at("metric_kind") == "accuracy") {
        EXPECT_EQ(row.at("chance"), other.at("chance")) << row.at("task");
      }
      EXPECT_EQ(row.at("metric_kind"), other.at("metric_kind")) << row.at("task");
      ++compared;
    }
  }
  EXPECT_EQ(compared, before.size());
  // Items, too: what was right, what was chosen.
  for (const std::string task : {"uses", "capitals"}) {
    const auto items = [&](const std::string& folder) {
      const ProgramEnd shown = Program({"samples", In(folder), "--task", task, "--count", "100", "--format", "csv"});
      EXPECT_EQ(shown.exit_code, 0) << shown.err;
      std::multiset<std::string> lines;
      for (const auto& row : RowsOf(shown.out))
        lines.insert(row.at("item") + "," + row.at("value") + "," + row.at("right") + "," + row.at("chosen"));
      return lines;
    };
    EXPECT_EQ(items("again"), items("out")) << task;
  }
}

TEST_F(InterchangeVerb, EveryEvalEverNamesItsSourceAndItsModels) {
  const auto study = WriteStudy("  - none\n", "[uses, story]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  EXPECT_EQ(Program({"records", "export", In("out"), In("eee"), "--format", "every-eval-ever"}).err,
            "bitlaw: --format every-eval-ever: the schema asks who provides the data. Name it with --organization.\n");
  const ProgramEnd end = Program({"records", "export", In("out"), In("eee"), "--format", "every-eval-ever",
                                  "--organization", "a laboratory", "--model-id", "tiny=acme/tiny"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const auto files = FilesOf("eee");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_THAT(files.begin()->first, HasSubstr("e2e/acme/tiny/"));
  EXPECT_THAT(files.begin()->second,
              AllOf(HasSubstr("\"source_organization_name\": \"a laboratory\""), HasSubstr("\"id\": \"acme/tiny\""),
                    HasSubstr("\"evaluation_name\": \"story\"")));
}

}  // namespace
}  // namespace bitlaw
