// The first page is carried out.
#include <gmock/gmock.h>

#include <cstdlib>

#include "docs/pages.h"
#include "e2e/study_fixture.h"

namespace bitlaw {
namespace {

using ::testing::HasSubstr;

class DocsStart : public StudyFolder {
 protected:
  // A line of the page, with this build's program and the paths of this tree.
  static std::string Here(std::string line) {
    const auto replace = [&](const std::string& from, const std::string& to) {
      for (size_t at = 0; (at = line.find(from, at)) != std::string::npos; at += to.size())
        line.replace(at, from.size(), to);
    };
    replace("build/release/bin/bitlaw", BITLAW_PROGRAM);
    replace("examples/knowledge-lab", (SourceRoot() / "examples/knowledge-lab").string());
    // The quickstart takes minutes; the study that the page begins will do.
    replace("results/quickstart", "results/lab-qwen3-123k");
    return line;
  }
  void ExpectRuns(const std::string& line) const {
    const std::string command =
        "cd '" + folder_.string() + "' && OMP_NUM_THREADS=1 && { " + Here(line) + "\n} > output 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << line << "\n" << StartedProgram::Text(folder_ / "output");
  }
};

// A study of one model from nothing, then what is asked of recorded results. Laws, which `predict` needs, want several
// models.
TEST_F(DocsStart, RunsAsThePageSays) {
  std::vector<std::string> begin, ask;
  for (const Block& block : BlocksOf(SourceRoot() / "docs/start.md")) {
    for (const std::string& line : block.lines) {
      if (line.find("bin/bitlaw init") != std::string::npos || line.find("bin/bitlaw check") != std::string::npos)
        begin.push_back(line);
      if (line.find("bin/bitlaw recommend") != std::string::npos || line.find("bin/bitlaw paired") != std::string::npos)
        ask.push_back(line);
    }
  }
  ASSERT_EQ(begin.size(), 2u);
  ASSERT_EQ(ask.size(), 2u);
  for (const std::string& line : begin) ExpectRuns(line);
  EXPECT_THAT(StartedProgram::Text(folder_ / "output"), HasSubstr("report.html"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "results/lab-qwen3-123k/report.html"));
  for (const std::string& line : ask) ExpectRuns(line);
}

}  // namespace
}  // namespace bitlaw
