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
}

// Of choices the number that was taken and all likelihoods, of what the model wrote its text; CSV keeps line breaks.
TEST_F(OwnBenchmark, AFileOfSamplesIsATableToo) {
  std::ofstream(folder_ / "s.jsonl")
      << R"({"task":"quiz","item":"0","answers":[{"context":"R","text":"Rome,\n of course"}],"right":"Rome",)"
         R"("values":[{"metric":"exact_match","value":1,"weight":1,"extracted":"Rome"}]})"
         "\n"
      << R"({"task":"pick","item":"7","answers":[{"context":"Q","continuation":" a","loglikelihood_nats":-2.5},)"
         R"({"context":"Q","continuation":" b","loglikelihood_nats":-1}],"right":"0","target":"a",)"
         R"("values":[{"metric":"acc","value":0,"weight":1}]})"
         "\n";
  const ProgramEnd csv = Run({"samples", Path("s.jsonl"), "--format", "csv"});
  EXPECT_EQ(csv.exit_code, 0) << csv.err;
  EXPECT_EQ(csv.out,
            "task,item,metric,value,right,target,chosen,extracted,answer,loglikelihoods\n"
            "quiz,0,exact_match,1,Rome,,,Rome,\"Rome,\n of course\",\n"
            "pick,7,acc,0,0,a,1,,,-2.5000 -1.0000\n");
  const ProgramEnd wrong = Run({"samples", Path("s.jsonl"), "--format", "markdown", "--show", "wrong"});
  EXPECT_THAT(wrong.out,
              AllOf(HasSubstr("| pick | 7 | acc |"), Not(HasSubstr("quiz")), HasSubstr("1 of 1 item shown")));
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

TEST_F(OwnBenchmark, CheckTellsDataThatAreMissingFromDataThatDoNotFit) {
  const std::string head = "type: multiple_choice\nversion: \"1\"\nprompt: \"{{question}}\"\n";
  std::ofstream(folder_ / "lost.yaml") << head << "data: rows/lost.jsonl\n";
  std::ofstream(folder_ / "gone.yaml") << head << "data: gone.jsonl\nget: example.org has it\n";
  std::ofstream(folder_ / "unfit.yaml") << head << "data: unfit.jsonl\n";
  std::ofstream(folder_ / "unfit.jsonl") << R"({"q": "x", "choices": ["a", "b"], "answer": 1})" << "\n";
  std::filesystem::create_directories(folder_ / "sets");
  const ProgramEnd lost = Run({"tasks", "check", Path("lost.yaml"), "--data", Path("sets")});
  EXPECT_EQ(lost.exit_code, 5);
  EXPECT_THAT(lost.out, AllOf(HasSubstr("looked for: " + Path("sets/rows/lost.jsonl") + ", " + Path("rows/lost.jsonl")),
                              HasSubstr("\n  1 task lacks data\n")));
  const ProgramEnd unfit = Run({"tasks", "check", Path("unfit.yaml")});
  EXPECT_EQ(unfit.exit_code, 5);
  EXPECT_THAT(unfit.out, AllOf(HasSubstr("does not fit the task"), HasSubstr("\n  1 task has data that do not fit it\n"),
                               Not(HasSubstr("lack"))));
  const ProgramEnd all = Run({"tasks", "check", Path("lost.yaml"), Path("gone.yaml"), Path("unfit.yaml")});
  EXPECT_EQ(all.exit_code, 5);
  EXPECT_THAT(all.out, AllOf(HasSubstr("example.org has it"),
                             HasSubstr("\n  2 tasks lack data; 1 task has data that do not fit it\n")));
}

TEST_F(OwnBenchmark, ATaskFileThatIsMeantIsProposed) {
  std::filesystem::current_path(folder_);  // Names count from here.
  std::ofstream(folder_ / "my_quiz.yaml") << "type: multiple_choice\nversion: 1\ndata: q.jsonl\nprompt: \"{{q}}\"\n";
  std::ofstream(folder_ / "my_quiz.parquet") << "PAR1";
  EXPECT_THAT(Run({"tasks", "check", "my_quiz"}).err,
              HasSubstr("task 'my_quiz': there is no 'my_quiz.yaml'. Did you mean './my_quiz.yaml'? Known: "));
  EXPECT_THAT(Run({"evaluate", "tiny", "--task", "my_quiz"}).err, HasSubstr(" Did you mean './my_quiz.yaml'? "));
  EXPECT_EQ(Run({"tasks", "check", "./my_quiz"}).err,
            "bitlaw: task './my_quiz': there is no file " + Path("my_quiz") + ". Did you mean './my_quiz.yaml'?\n");
  for (const std::string name : {"my_quiz.parquet", "./my_quiz.parquet"}) {
    EXPECT_EQ(Run({"tasks", "check", name}).err,
              "bitlaw: task '" + name + "': this is a file of data. A task is a .yaml file that says what to ask of "
              "them: write one with 'data: my_quiz.parquet' (docs/evaluation.md, \"Your own benchmark\").\n");
  }
  EXPECT_THAT(Run({"tasks", "check", "./my_quiz.yaml"}).err,
              HasSubstr("version = 1 is an integer. It must be a string. Write version: \"1\"."));
}

}  // namespace
}  // namespace bitlaw
