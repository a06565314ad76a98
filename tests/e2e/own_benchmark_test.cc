// What a user sees of a benchmark of their own: its task file by path, its data, and its items with their texts.
#include <gmock/gmock.h>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class OwnBenchmark : public StudyFolder {
 protected:
  ~OwnBenchmark() override { std::filesystem::current_path(before_); }
  ProgramEnd Run(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--configs", BITLAW_SOURCE_DIR "/tests/support"});
    return StartedProgram(words, folder_).Wait();
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path before_ = std::filesystem::current_path();
};

TEST_F(OwnBenchmark, AFileOfSamplesIsRefusedForWhatItLacks) {
  std::ofstream(folder_ / "s.jsonl") << R"({"task":"quiz","item":"0","answers":[{"context":"R","text":"Rome"}],)"
                                        R"("values":[{"metric":"acc","value":0,"weight":1}]})"
                                        "\n";
  const std::string file = Path("s.jsonl");
  const ProgramEnd task = Run({"samples", file, "--task", "quizz"});
  EXPECT_EQ(task.exit_code, 2);
  EXPECT_EQ(task.err,
            "bitlaw: --task quizz: " + file + " has no such task. Did you mean 'quiz'? It has quiz.\n");
  EXPECT_EQ(task.out, "");
  const ProgramEnd format = Run({"samples", file, "--format", "csv"});
  EXPECT_EQ(format.exit_code, 2);
  EXPECT_EQ(format.err,
            "bitlaw: --format csv: the items of a file of samples are shown as text. Leave out --format, or read the "
            "file itself: JSON lines, an item each.\n");
  EXPECT_EQ(format.out, "");
}

TEST_F(OwnBenchmark, RecordedItemsAreShownWithTheTextsOfTheStudysOwnTasks) {
  // By path, under another name and with an option of the study; beside no folder of task files.
  std::filesystem::create_directories(folder_ / "mine/rows");
  std::ofstream rows(folder_ / "mine/rows/quiz.jsonl");
  rows << R"({"question": "Which one is hot?", "choices": ["sun", "moon"], "answer": 0})" << "\n"
       << R"({"question": "Which one is wet?", "choices": ["sand", "rain"], "answer": 1})" << "\n"
       << R"({"question": "Which one is old?", "choices": ["egg", "hen"], "answer": 1})" << "\n";
  rows.close();
  std::ofstream(folder_ / "mine/my_quiz.yaml")
      << "type: multiple_choice\nversion: \"1\"\nstratum: MINE\ndata: rows/quiz.jsonl\n"
         "prompt: \"Q: {{question}}\\nA:\"\n";
  const std::string study =
      WriteStudy("  - none\n", "[./mine/my_quiz.yaml, {task: ./mine/my_quiz.yaml, as: short, limit: 2}]\n").string();
  std::string text = StartedProgram::Text(study);
  text.replace(text.find("unused"), 6, Path("out"));
  std::ofstream(study) << text;
  const ProgramEnd run = RunStudy(study, "out");
  ASSERT_EQ(run.exit_code, 0) << run.err;
  for (const std::string& source : {study, Path("out")}) {
    std::vector<std::string> words = {"samples", source, "--task", "my_quiz", "--texts"};
    const ProgramEnd by_path = Run(words);
    ASSERT_EQ(by_path.exit_code, 0) << source << by_path.err;
    EXPECT_THAT(by_path.out, AllOf(HasSubstr(" my_quiz 2  acc "), HasSubstr("Q: Which one is old?\n    A:\n"),
                                   HasSubstr("3 of 3 items shown.")));
    words[3] = "short";
    const ProgramEnd named = Run(words);
    ASSERT_EQ(named.exit_code, 0) << source << named.err;
    EXPECT_THAT(named.out, AllOf(HasSubstr(" short 1  acc "), HasSubstr("2 of 2 items shown.")));
    words.insert(words.end(), {"--format", "csv"});
    EXPECT_EQ(Run(words).err,
              "bitlaw: --format csv: items with their texts are shown as text. Leave out --format or --texts.\n");
  }
  // Other data than the record's are refused as before.
  const std::string data = Path("mine/rows/quiz.jsonl"), before = StartedProgram::Text(data);
  std::ofstream(data, std::ios::app) << R"({"question": "?", "choices": ["a", "b"], "answer": 1})" << "\n";
  const ProgramEnd other = Run({"samples", Path("out"), "--task", "my_quiz", "--texts"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_THAT(other.err, HasSubstr("--texts: task 'my_quiz' is not that of the record: "));
  EXPECT_EQ(other.out, "");
  std::ofstream(data) << before;
  // A folder that does not say where the task file is.
  std::filesystem::remove(folder_ / "out/work.json");
  const ProgramEnd unknown = Run({"samples", Path("out"), "--task", "my_quiz", "--texts"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, AllOf(HasSubstr("out does not say where the task file of 'my_quiz' is, "),
                                 HasSubstr(" Name the study file in place of the folder.\n")));
}

}  // namespace
}  // namespace bitlaw
