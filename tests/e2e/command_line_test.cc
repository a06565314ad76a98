// What the command line says of itself, and of words that it does not know.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <regex>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class CommandLine : public StudyFolder {
 protected:
  CommandLine() { std::filesystem::current_path(folder_); }
  ~CommandLine() override { std::filesystem::current_path(began_in_); }

  ProgramEnd Run(const std::vector<std::string>& words) const { return StartedProgram(words, folder_).Wait(); }
  void ExpectRefused(const std::vector<std::string>& words, const std::string& text) const {
    const ProgramEnd end = Run(words);
    EXPECT_EQ(end.exit_code, 2) << text;
    EXPECT_EQ(end.err, text);
    EXPECT_THAT(end.out, IsEmpty());
  }

 private:
  const std::filesystem::path began_in_ = std::filesystem::current_path();
};

TEST_F(CommandLine, NamesTheVerbOrOptionThatWasMeant) {
  ExpectRefused({"chek", "study.yaml"},
                "bitlaw: 'chek' is no verb. Did you mean 'check'? 'bitlaw --help' lists them.\n");
  ExpectRefused({"plan", "--jsno", "study.yaml"},
                "bitlaw plan: '--jsno' is no option of it. Did you mean '--json'? 'bitlaw plan --help' lists them.\n");
  ExpectRefused({"plugins", "desribe", "gptq"},
                "bitlaw plugins: 'desribe' is no verb. Did you mean 'describe'? 'bitlaw plugins --help' lists them.\n");
  // A missing argument hides no misspelt option, and neither does an option's value.
  ExpectRefused(
      {"--configs", "chek", "report", "--fromat=markdown"},
      "bitlaw report: '--fromat' is no option of it. Did you mean '--format'? 'bitlaw report --help' lists them.\n");
  ExpectRefused(
      {"plan", "--plugni", "x", "study.yaml"},
      "bitlaw plan: '--plugni' is no option of it. Did you mean '--plugin'? 'bitlaw plan --help' lists them.\n");
  // Habits of other programs.
  ExpectRefused({"help"}, "bitlaw: 'help' is no verb. Did you mean '--help'? 'bitlaw --help' lists them.\n");
  ExpectRefused({"-v"}, "bitlaw: '-v' is no option of it. Did you mean '--version'? 'bitlaw --help' lists them.\n");
  ExpectRefused(
      {"report", "out", "-output", "x"},
      "bitlaw report: '-output' is no option of it. Did you mean '--output'? 'bitlaw report --help' lists them.\n");
}

TEST_F(CommandLine, SaysWhichValueIsMissingOrWrong) {
  const auto refused = [&](const std::vector<std::string>& words, const std::string& verb, const std::string& text) {
    ExpectRefused(words, "bitlaw " + verb + ": " + text + " 'bitlaw " + verb + " --help' says more.\n");
  };
  refused({"plugins"}, "plugins", "no verb is given. Verbs: list, describe, new, test.");
  refused({"check"}, "check", "spec is missing: Study file (docs/study.md).");
  refused({"plan", "--effect", "2", "s.yaml"}, "plan", "--effect = '2' is not a number from 1e-06 to 1.");
  refused({"plan", "--effect", "nan", "s.yaml"}, "plan", "--effect = 'nan' is not a number from 1e-06 to 1.");
  refused({"plan", "--effect", "0.1x", "s.yaml"}, "plan", "--effect = '0.1x' is not a number from 1e-06 to 1.");
  refused({"recommend", "out", "--top", "0"}, "recommend", "--top = '0' is not a whole number, 1 or more.");
  refused({"recommend", "out", "--top", "1.5"}, "recommend", "--top = '1.5' is not a whole number, 1 or more.");
  refused({"recommend", "out", "--batch", "-1"}, "recommend", "--batch = '-1' is not a number above 0.");
  refused({"recommend", "out", "--batch"}, "recommend", "--batch stands without its value.");
  refused({"fit", "out", "--starts", "x"}, "fit", "--starts = 'x' is not a whole number.");
  refused({"fit", "out", "--confidence", "x"}, "fit", "--confidence = 'x' is not a number.");
  refused(
      {"report", "out", "--format", "txt"}, "report",
      "--format = 'txt' is none of its values. Did you mean 'text'? Values: all, text, markdown, html, latex, csv.");
  refused({"check", "a.yaml", "b.yaml"}, "check", "'b.yaml' is more than it takes.");
  refused({"doctor", "--threads", "1025"}, "doctor", "--threads = '1025' is not a whole number from 0 to 1024.");
  const ProgramEnd help = Run({"plan", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("--effect"));
}

TEST_F(CommandLine, SaysWhatIsThereInPlaceOfAFileThatIsMissing) {
  const auto fails = [&](const std::vector<std::string>& words, const std::string& text, int code = 5) {
    const ProgramEnd end = Run(words);
    EXPECT_EQ(end.err, "bitlaw: " + text + "\n");
    EXPECT_EQ(end.exit_code, code) << text;
    EXPECT_THAT(end.out, IsEmpty());
  };
  std::filesystem::create_directories(folder_ / "results");
  std::ofstream(folder_ / "results/observations.csv") << "N,acc_adj\n1,0.5\n";
  std::ofstream(folder_ / "first.yaml") << "bitlaw: 1\n";
  fails({"check", "frist.yaml"}, "frist.yaml: there is no such file or folder. Did you mean 'first.yaml'?");
  fails({"report", "reslts"}, "reslts: there is no such file or folder. Did you mean 'results'?");
  fails({"plan", "results/other.yaml"}, "results/other.yaml: there is no such file or folder. The folder " +
                                            (folder_ / "results").string() + " has observations.csv.");
  fails({"plan", "results"}, "results: is a folder, where a YAML file is needed.");
  fails(
      {"fit", "--data", "results", "--law", "power_n"},
      "--data results: is a folder, where a CSV file is needed. Write results/observations.csv, or the folder without "
      "--data.");
  std::filesystem::create_directories(folder_ / "begun");
  std::ofstream(folder_ / "begun/observations.csv") << "trial,task,acc_adj\n";
  fails({"fit", "begun", "--law", "power_n"},
        "fit: begun/observations.csv has no rows. 'bitlaw run' writes them when it ends; of a study that runs give the "
        "study file: then the records are read.");
  fails({"--configs", "nowhere", "check", "first.yaml"}, "--configs nowhere: there is no such folder.");
  fails({"init", "tiny", "--text", "nowhere.txt"}, "--text nowhere.txt: there is no such file.");
  // No study is written of what is no model.
  const ProgramEnd init = Run({"init", "results"});
  EXPECT_EQ(init.exit_code, 2);
  EXPECT_THAT(init.err, StartsWith("bitlaw: results: no model backend knows this format. Backends: "));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "results.yaml"));
}

TEST_F(CommandLine, CheckSaysWhyACellIsSkipped) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: [3, 4], group_size: 24}\n", "[uses]");
  const ProgramEnd check = Run({"--configs", BITLAW_SOURCE_DIR "/tests/support", "check", study.string()});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  EXPECT_THAT(check.out, HasSubstr("2 cells skipped"));
  EXPECT_THAT(check.out, HasSubstr("skipped: tiny rtn bits=3: group_size = 24 does not divide "));
  EXPECT_THAT(check.out, HasSubstr(" ('bitlaw plan' lists all)\n"));
}

TEST_F(CommandLine, ListsTheExitCodesThatThePageLists) {
  const ProgramEnd help = Run({"--help"});
  const size_t begin = help.out.find("Exit codes:\n");
  ASSERT_NE(begin, std::string::npos) << help.out;
  std::istringstream lines(help.out.substr(begin));
  std::string line;
  std::getline(lines, line);
  std::vector<std::string> shown;
  static const std::regex kLine("  ([0-9]+) +(.+)");
  for (std::smatch found; std::getline(lines, line) && std::regex_match(line, found, kLine);)
    shown.push_back("| " + found[1].str() + " | " + found[2].str() + " |");
  EXPECT_EQ(shown.size(), 11u);
  std::vector<std::string> listed;
  std::istringstream page(StartedProgram::Text(BITLAW_SOURCE_DIR "/docs/reference/command-line.md"));
  while (std::getline(page, line)) {
    if (std::regex_match(line, std::regex("\\| [0-9]+ \\| .+ \\|"))) listed.push_back(line);
  }
  EXPECT_EQ(listed, shown);
}

TEST_F(CommandLine, ColoursOnlyWhereItIsWanted) {
  const std::string plain = "bitlaw: 'chek' is no verb.", red = "\x1b[1;31mbitlaw:\x1b[0m ";
  EXPECT_THAT(Run({"chek"}).err, StartsWith(plain)) << "standard error is a file";
  const ProgramEnd always = Run({"--colour", "always", "check", "no-such-file.yaml"});
  EXPECT_THAT(always.err, StartsWith(red));
  EXPECT_EQ(always.exit_code, 5);
  EXPECT_THAT(Run({"--color", "never", "check", "no-such-file.yaml"}).err, Not(HasSubstr("\x1b")));
  EXPECT_THAT(Run({"--colour", "sometimes", "doctor"}).err, HasSubstr("Values: auto, always, never."));
}

// The program's standard error is a terminal, as script(1) makes one.
TEST_F(CommandLine, ColoursATerminalUnlessNoColorIsSet) {
  const auto on_terminal = [&](const std::string& environment) {
    const std::string command = "cd '" + folder_.string() + "' && env -u NO_COLOR TERM=xterm " + environment +
                                " script -qec '" BITLAW_PROGRAM " chek' /dev/null > shown 2>&1 < /dev/null";
    EXPECT_NE(std::system(command.c_str()), -1);
    return StartedProgram::Text(folder_ / "shown");
  };
  const std::string plain = "bitlaw: 'chek' is no verb.", red = "\x1b[1;31mbitlaw:\x1b[0m 'chek' is no verb.";
  EXPECT_THAT(on_terminal(""), HasSubstr(red));
  EXPECT_THAT(on_terminal("NO_COLOR="), HasSubstr(red)) << "no-color.org: set and not empty";
  EXPECT_THAT(on_terminal("NO_COLOR=1"), HasSubstr(plain));
  EXPECT_THAT(on_terminal("TERM=dumb"), HasSubstr(plain));
}

TEST_F(CommandLine, QuietRunsShowNoProgress) {
  const auto study = WriteStudy("  - none\n", "[uses]");
  const ProgramEnd loud = RunStudy(study, "loud"), quiet = RunStudy(study, "quiet", {"--quiet"});
  ASSERT_EQ(quiet.exit_code, 0) << quiet.err;
  EXPECT_THAT(loud.err, HasSubstr("tiny none done"));
  EXPECT_THAT(quiet.err, IsEmpty());
  EXPECT_THAT(quiet.out, HasSubstr("observations: "));
  const std::vector<std::string> quantize = {"quantize", "tiny", "--quantizer", "rtn", "--option", "group_size=32"};
  std::vector<std::string> quiet_quantize = quantize;
  quiet_quantize.emplace_back("--quiet");
  EXPECT_THAT(Run(quantize).err, HasSubstr("1/"));
  const ProgramEnd codes = Run(quiet_quantize);
  EXPECT_EQ(codes.exit_code, 0);
  EXPECT_THAT(codes.err, IsEmpty());
  EXPECT_THAT(codes.out, HasSubstr("bits a weight"));
}

TEST_F(CommandLine, DescribesAComponentByItsNameAlone) {
  const ProgramEnd by_name = Run({"plugins", "describe", "gptq"}),
                   in_full = Run({"plugins", "describe", "quantizer/gptq"});
  ASSERT_EQ(by_name.exit_code, 0) << by_name.err;
  EXPECT_EQ(by_name.out, in_full.out);
  // GGUF is read and written: two kinds have a component of that name.
  ExpectRefused({"plugins", "describe", "gguf"},
                "bitlaw: several kinds have a 'gguf': model/gguf, exporter/gguf. Write KIND/NAME.\n");
  ExpectRefused({"plugins", "describe", "gptqq"},
                "bitlaw: no component is called 'gptqq'. Did you mean 'gptq'? 'bitlaw plugins list' lists them.\n");
}

TEST_F(CommandLine, FitsALawThatItIsGiven) {
  // acc_adj = 2 N^-0.5, exactly.
  std::ofstream table(folder_ / "table.csv");
  table << "N,acc_adj\n";
  for (const double n : {16.0, 64.0, 256.0, 1024.0, 4096.0}) table << n << "," << 2 / std::sqrt(n) << "\n";
  table.close();
  const ProgramEnd fit = Run({"fit", "--data", "table.csv", "--law", "acc_adj = A * N^alpha", "--csv", "fit.csv"});
  ASSERT_EQ(fit.exit_code, 0) << fit.err << fit.out;
  EXPECT_THAT(fit.out, HasSubstr("Law A_N_alpha\n"));
  int found = 0;
  for (auto& row : RowsOf(StartedProgram::Text(folder_ / "fit.csv"))) {
    if (row["parameter"] != "alpha" && row["parameter"] != "A") continue;
    ++found;
    EXPECT_NEAR(std::stod(row["value"]), row["parameter"] == "A" ? 2 : -0.5, 1e-5) << row["method"];
  }
  EXPECT_GE(found, 2);
  // Two formulas of the same letters are two laws.
  const ProgramEnd two =
      Run({"fit", "--data", "table.csv", "--law", "acc_adj = A * N^alpha", "--law", "acc_adj = A + N^alpha"});
  EXPECT_THAT(two.out, HasSubstr("Law A_N_alpha-2\n"));
  ExpectRefused(
      {"fit", "--data", "table.csv", "--law", "A * N^^alpha"},
      "bitlaw: '^' at character 7 of 'A * N^^alpha' stands where a value is needed. Values are numbers, names, "
      "function calls and (...).\n");
}

TEST_F(CommandLine, InitWritesAStudyThatRuns) {
  const std::vector<std::string> configs = {"--configs", BITLAW_SOURCE_DIR "/tests/support"};
  const auto call = [&](std::vector<std::string> words) {
    words.insert(words.begin(), configs.begin(), configs.end());
    return Run(words);
  };
  const ProgramEnd init = call({"init", "tiny", "--text", "corpus.txt"});
  ASSERT_EQ(init.exit_code, 0) << init.err;
  const std::string study = StartedProgram::Text(folder_ / "tiny.yaml");
  EXPECT_THAT(study, HasSubstr("  - \"tiny\"\n"));
  EXPECT_THAT(study, HasSubstr("group_size: 32"));  // Rows of 32 and 64 weights.
  EXPECT_THAT(study, HasSubstr("\n  - quantizer: gptq"));
  EXPECT_THAT(study, HasSubstr("  - uses  # KA\n"));
  const ProgramEnd check = call({"check", "tiny.yaml"});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  EXPECT_THAT(check.out, HasSubstr("9 trials (1 unquantized)"));
  const ProgramEnd run = call({"run", "tiny.yaml", "--threads", "1", "--only", "rtn bits=4", "--quiet"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(std::filesystem::exists(folder_ / "results/tiny/observations.csv"));

  // Nothing is written over, and nothing is left behind of what failed.
  EXPECT_EQ(call({"init", "tiny"}).err, "bitlaw: " + (folder_ / "tiny.yaml").string() +
                                            ": it exists already. Give --output another name, or remove it.\n");
  EXPECT_EQ(StartedProgram::Text(folder_ / "tiny.yaml"), study);
  std::filesystem::create_directory(folder_ / "empty");
  const ProgramEnd no_model = call({"init", "empty"});
  EXPECT_EQ(no_model.exit_code, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "empty.yaml"));
  EXPECT_EQ(call({"init", "nowhere"}).exit_code, 5);

  // Without a text GPTQ is a suggestion, and the study is right all the same; its folder need not be the model's.
  std::filesystem::create_directory(folder_ / "studies");
  ASSERT_EQ(call({"init", "tiny", "--output", "studies/first.yaml"}).exit_code, 0);
  EXPECT_THAT(StartedProgram::Text(folder_ / "studies/first.yaml"), HasSubstr("\n#   - quantizer: gptq"));
  EXPECT_THAT(StartedProgram::Text(folder_ / "studies/first.yaml"), HasSubstr("  - \"../tiny\"\n"));
  EXPECT_EQ(call({"check", "studies/first.yaml"}).exit_code, 0);
}

// By name and by file, whose path is written as the study's folder sees it.
TEST_F(CommandLine, BeginsAStudyOfTheTasksThatAreAskedFor) {
  const auto call = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"--configs", BITLAW_SOURCE_DIR "/tests/support"});
    return Run(words);
  };
  std::filesystem::create_directories(folder_ / "mine");
  std::filesystem::create_directories(folder_ / "studies");
  std::ofstream(folder_ / "mine/rows.jsonl")
      << R"({"question": "Which one is hot?", "choices": ["sun", "moon"], "answer": 0})"
      << "\n";
  std::ofstream(folder_ / "mine/quiz.yaml")
      << "type: multiple_choice\nversion: \"1\"\nstratum: MINE\ndata: rows.jsonl\n"
         "prompt: \"Q: {{question}}\\nA:\"\n";
  const ProgramEnd init =
      call({"init", "tiny", "--output", "studies/asked.yaml", "--task", "endings", "--task", "mine/quiz.yaml"});
  ASSERT_EQ(init.exit_code, 0) << init.err;
  EXPECT_THAT(init.out, HasSubstr("studies/asked.yaml: 5 trials x 2 tasks.\n"));
  const std::string study = StartedProgram::Text(folder_ / "studies/asked.yaml");
  EXPECT_THAT(study, HasSubstr("tasks:\n  - endings"));
  EXPECT_THAT(study, HasSubstr("\n  - \"../mine/quiz.yaml\"  # MINE\n"));
  EXPECT_THAT(study, Not(HasSubstr("uses")));
  EXPECT_EQ(call({"check", "studies/asked.yaml"}).exit_code, 0);
  const ProgramEnd unknown = call({"init", "tiny", "--output", "studies/none.yaml", "--task", "endingss"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("Did you mean 'endings'?"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "studies/none.yaml"));
}

TEST_F(CommandLine, ListsAndTestsComponentsOfOneKind) {
  const ProgramEnd laws = Run({"plugins", "list", "law"});
  EXPECT_EQ(laws.exit_code, 0) << laws.err;
  EXPECT_THAT(laws.out, AllOf(StartsWith("law/formula "), Not(HasSubstr("task/"))));
  EXPECT_THAT(Run({"plugins", "list", "law", "--json"}).out,
              AllOf(HasSubstr("\"component\": \"law/formula\""), Not(HasSubstr("\"component\": \"task/"))));
  const ProgramEnd unknown = Run({"plugins", "list", "laws"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("'laws' is no kind of component. Did you mean 'law'? Kinds: "));
  const ProgramEnd test = Run({"plugins", "test", "law/gaussian_capacity"});
  EXPECT_EQ(test.exit_code, 0) << test.out;
  EXPECT_THAT(test.out, AllOf(HasSubstr("law/gaussian_capacity: keeps the promises of its kind.\n"),
                              HasSubstr("  ran      LawFaults (bitlaw/testing/law_conformance.h): "),
                              HasSubstr("  ran      RecoveryFaults "), HasSubstr("  not run  LimitFaults")));
}

}  // namespace
}  // namespace bitlaw
