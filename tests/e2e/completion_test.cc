// Completions and the manual page, by the shells and the formatter themselves.
#include <gmock/gmock.h>

#include <cstdlib>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

bool IsHere(const std::string& program) {
  return std::system(("command -v " + program + " > /dev/null 2>&1").c_str()) == 0;
}

class Completion : public StudyFolder {
 protected:
  Completion() { std::ofstream(folder_ / "study_of_mine.yaml") << "bitlaw: 1\n"; }

  ProgramEnd Run(const std::vector<std::string>& words) const { return StartedProgram(words, folder_).Wait(); }

  // Writes what `bitlaw completion SHELL` prints.
  void WriteScript(const std::string& shell, const std::string& file) const {
    const ProgramEnd script = Run({"completion", shell});
    ASSERT_EQ(script.exit_code, 0) << script.err;
    std::ofstream(folder_ / file) << script.out;
  }
  // What a command in the folder prints.
  std::string Output(const std::string& command) const {
    const std::string whole = "cd '" + folder_.string() + "' && { " + command + "; } > output 2> errors";
    EXPECT_EQ(std::system(whole.c_str()), 0) << command << "\n" << StartedProgram::Text(folder_ / "errors");
    return StartedProgram::Text(folder_ / "output");
  }
};

TEST_F(Completion, OffersVerbsOptionsAndChoicesInBash) {
  WriteScript("bash", "completion.bash");
  const auto complete = [&](const std::vector<std::string>& words) {
    std::string list;
    for (const std::string& word : words) list += " '" + word + "'";
    return Output(
        "bash --norc -c 'source completion.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _bitlaw; "
        "echo \"${COMPREPLY[*]}\"' -" +
        list);
  };
  EXPECT_EQ(complete({"bitlaw", "pla"}), "plan\n");
  EXPECT_EQ(complete({"bitlaw", "plugins", "desc"}), "describe\n");
  EXPECT_EQ(complete({"bitlaw", "plan", "--eff"}), "--effect\n");
  EXPECT_EQ(complete({"bitlaw", "plan", "study.yaml", "--qu"}), "--quiet\n");
  EXPECT_EQ(complete({"bitlaw", "paired", "out", "--show", "t"}), "tasks\n");
  EXPECT_EQ(complete({"bitlaw", "check", "--colour", "al"}), "always\n");
  EXPECT_EQ(complete({"bitlaw", "reference", "st"}), "study\n");
  EXPECT_EQ(complete({"bitlaw", "check", "stu"}), "\n") << "files are the shell's own";
  EXPECT_EQ(complete({"bitlaw", "--configs", "pl"}), "\n") << "likewise";
  EXPECT_EQ(complete({"bitlaw", "work"}), "worker\n");
  EXPECT_EQ(complete({"bitlaw", "worker", "--na"}), "\n") << "what the program calls itself with is not offered";
  EXPECT_EQ(complete({"bitlaw", "--parse"}), "\n") << "likewise";
}

TEST_F(Completion, OffersVerbsOptionsAndChoicesInFish) {
  if (!IsHere("fish")) GTEST_SKIP() << "fish is not installed";
  WriteScript("fish", "bitlaw.fish");
  const auto complete = [&](const std::string& line) {  // Words without what is said of them.
    return Output("HOME=$PWD fish --no-config -c 'source bitlaw.fish; complete -C \"" + line +
                  "\"' | cut -f 1 | sort | tr '\\n' ' '");
  };
  EXPECT_EQ(complete("bitlaw pl"), "plan plugins ");
  EXPECT_EQ(complete("bitlaw plugins "), "describe list new test ");
  EXPECT_EQ(complete("bitlaw plan --eff"), "--effect ");
  EXPECT_EQ(complete("bitlaw plan study.yaml --qu"), "--quiet ");
  EXPECT_EQ(complete("bitlaw paired out --show t"), "tasks ");
  EXPECT_EQ(complete("bitlaw tasks check --li"), "") << "--limit is of other verbs";
  EXPECT_EQ(complete("bitlaw completion "), "bash fish zsh ");
  EXPECT_EQ(complete("bitlaw check study_of"), "study_of_mine.yaml ");
  EXPECT_EQ(complete("bitlaw work"), "worker ");
}

// zsh completes in its line editor only: one runs in a terminal of its own and writes down what it is offered.
TEST_F(Completion, OffersVerbsOptionsAndChoicesInZsh) {
  if (!IsHere("zsh")) GTEST_SKIP() << "zsh is not installed";
  WriteScript("zsh", "_bitlaw");
  std::ofstream(folder_ / "offered.zsh") << R"zsh(
compadd() {
  local -a hits
  builtin compadd -O hits "$@"
  (( $#hits )) && print -rl -- $hits >> offered
  builtin compadd "$@"
}
finish() { print >> finished }
report() { comppostfuncs=(finish); zle list-choices }
zle -N report
bindkey '^I' report
)zsh";
  std::ofstream(folder_ / "complete.zsh") << R"zsh(
zmodload zsh/zpty
wait_for() { local i; for i in {1..1200}; do [[ -e $1 ]] && return 0; sleep 0.05; done; print "waited in vain for $1"; exit 1 }
zpty z zsh -f -i
zpty -w z "cd '$PWD'; fpath=('$PWD' \$fpath); autoload -U compinit; compinit -u -D; source offered.zsh; print > ready"
wait_for ready
for line in "$@"; do
  rm -f offered finished
  zpty -w -n z "$line"$'\t'
  wait_for finished
  print -r -- "$line: $(sort -u offered 2> /dev/null | tr '\n' ' ')"
  zpty -w -n z $'\C-u'
done
zpty -d z
)zsh";
  const std::string output = Output(
      "timeout 120 zsh -f complete.zsh 'bitlaw pl' 'bitlaw plugins ' 'bitlaw plugins desc' 'bitlaw plan --eff' "
      "'bitlaw paired out --show t' 'bitlaw check study_of' 'bitlaw completion ' 'bitlaw work' < /dev/null");
  EXPECT_EQ(output,
            "bitlaw pl: plan plugins \n"
            "bitlaw plugins : describe list new test \n"
            "bitlaw plugins desc: describe \n"
            "bitlaw plan --eff: --effect \n"
            "bitlaw paired out --show t: tasks \n"
            "bitlaw check study_of: study_of_mine.yaml \n"
            "bitlaw completion : bash fish zsh \n"
            "bitlaw work: worker \n");
}

TEST_F(Completion, HasAManualPageOfEveryVerbAndOption) {
  const ProgramEnd manual = Run({"manual"});
  ASSERT_EQ(manual.exit_code, 0);
  EXPECT_THAT(manual.out, StartsWith(".TH BITLAW 1 "));
  for (const char* part : {".SS bitlaw plan\n", ".SS bitlaw plugins describe\n", "\\fB\\-\\-effect\\fR",
                           ".SH EXIT STATUS\n", ".B 130\n", "NAME=LOW:HIGH"}) {
    EXPECT_THAT(manual.out, HasSubstr(part));
  }
  EXPECT_THAT(manual.out, HasSubstr(".SS bitlaw worker\n"));
  EXPECT_THAT(manual.out, HasSubstr("\n\\fBbitlaw plugins describe\\fR \\fIcomponent\\fR [\\fIOPTIONS\\fR]\n"));
  EXPECT_THAT(manual.out, HasSubstr("\n\\fB\\-\\-colour\\fR, \\fB\\-\\-color\\fR \\fI"));
  EXPECT_THAT(manual.out, Not(HasSubstr("\\fB\\-\\-memory")));  // What the program calls itself with.
  EXPECT_THAT(manual.out, Not(HasSubstr("parse\\-only")));
}

// No warning of the formatter, and no markup left in what a reader sees.
TEST_F(Completion, ManualPageIsFormatted) {
  if (!IsHere("groff")) GTEST_SKIP() << "groff is not installed";
  std::ofstream(folder_ / "bitlaw.1") << Run({"manual"}).out;
  const std::string page = Output("GROFF_NO_SGR=1 groff -man -Tutf8 -ww -rLL=100n bitlaw.1 | col -b -x");
  EXPECT_EQ(StartedProgram::Text(folder_ / "errors"), "");
  for (const char* part : {"\nNAME\n", "\nDESCRIPTION\n", "    bitlaw init MODEL_FOLDER --output study.yaml\n",
                           "\n   bitlaw plan\n", "--range NAME=LOW:HIGH", "share/doc/bitlaw"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, Not(HasSubstr("\\f")));
}

}  // namespace
}  // namespace bitlaw
