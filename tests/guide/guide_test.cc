#include <gmock/gmock.h>

#include <filesystem>

#include "bitlaw/base/error.h"
#include "e2e/study_fixture.h"
#include "plugin/host.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Guide : public StudyFolder {
 protected:
  ProgramEnd Bitlaw(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--plugin", BITLAW_E2E_PLUGINS});
    return StartedProgram(arguments, folder_).Wait();
  }
};

std::vector<std::string> KindNames() {
  std::vector<std::string> names;
  try {
    for (int kind = 0;; ++kind) names.emplace_back(Name(static_cast<ComponentKind>(kind)));
  } catch (const InternalError&) {  // Past the last one.
  }
  return names;
}

// There is a page for each kind that a host knows, which says which example it has; that one is loaded.
TEST_F(Guide, HasAnExampleOfEachKind) {
  const std::string guide = StartedProgram::Text(BITLAW_SOURCE_DIR "/docs/plugins/README.md");
  const ProgramEnd list = Bitlaw({"plugins", "list"});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  ASSERT_THAT(KindNames(), testing::Contains("exporter"));
  for (const std::string& kind : KindNames()) {
    const std::string own = StartedProgram::Text(BITLAW_SOURCE_DIR "/docs/plugins/" + kind + ".md");
    EXPECT_THAT(own, testing::StartsWith("# " + kind + "\n"));
    EXPECT_THAT(own, HasSubstr("The example, `plugins new " + kind + " NAME`")) << kind;
    EXPECT_THAT(guide, HasSubstr("| [`" + kind + "`](" + kind + ".md) |"));
    EXPECT_THAT(guide, HasSubstr("](../../examples/plugins/" + kind + "/my_" + kind + ".h) |"));
    EXPECT_THAT(list.out, HasSubstr(kind + "/my_" + kind + " "));
  }
}

// Code on the page of all kinds is that of the examples, line for line.
TEST_F(Guide, ShowsCodeOfTheExamples) {
  const std::string page = StartedProgram::Text(BITLAW_SOURCE_DIR "/docs/plugins/README.md");
  std::string sources;
  for (const auto& entry : fs::recursive_directory_iterator(BITLAW_SOURCE_DIR "/examples/plugins")) {
    if (entry.is_regular_file()) sources += StartedProgram::Text(entry.path());
  }
  int blocks = 0;
  for (size_t at = 0; (at = page.find("```cpp\n", at)) != std::string::npos; ++blocks) {
    at += std::string("```cpp\n").size();
    EXPECT_THAT(sources, HasSubstr(page.substr(at, page.find("```\n", at) - at)));
  }
  EXPECT_GT(blocks, 0);
}

// Two random models, nine trials each; every example but the exporter takes part.
TEST_F(Guide, TheStudyAtItsEndRuns) {
  fs::copy(BITLAW_GUIDE_PAGES, folder_, fs::copy_options::recursive);
  fs::copy(BITLAW_SOURCE_DIR "/examples/plugins/model/models", folder_ / "models");
  fs::copy(BITLAW_SOURCE_DIR "/examples/plugins/task/tasks", folder_ / "tasks");
  const std::string study = (folder_ / "guide.yaml").string();
  const ProgramEnd check = Bitlaw({"check", study});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  const ProgramEnd run = Bitlaw({"run", study, "--output", (folder_ / "out").string(), "--threads", "1"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("18 of 18 trials complete"));
  const ProgramEnd report = Bitlaw({"report", (folder_ / "out").string(), "--format", "text"});
  EXPECT_THAT(report.out, HasSubstr("exp(-b * B)"));
  // The example's own factor is a column, said to be what it is, and a row of the report.
  const std::string observations = StartedProgram::Text((folder_ / "out/observations.csv").string());
  EXPECT_THAT(observations.substr(0, observations.find('\n')), HasSubstr(",cutoff,"));
  const std::string columns = StartedProgram::Text((folder_ / "out/columns.json").string());
  EXPECT_THAT(columns, HasSubstr("\"origin\": \"quantizer 'my_quantizer'\""));
  EXPECT_THAT(report.out, HasSubstr("quantizer 'my_quantizer'"));
}

}  // namespace
}  // namespace bitlaw
