// docs/results/renew.sh writes results anew, and nothing else of a page.
#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>

#include "docs/pages.h"
#include "e2e/study_fixture.h"

namespace bitlaw {
namespace {

using ::testing::HasSubstr;

class DocsRenew : public StudyFolder {
 protected:
  // The script on a page of this text; its exit status.
  int Renew(const std::string& text) const {
    std::ofstream(folder_ / "page.md") << text;
    const std::string command = "'" + (SourceRoot() / "docs/results/renew.sh").string() + "' '" +
                                (folder_ / "page.md").string() + "' 2> '" + (folder_ / "errors").string() + "'";
    return std::system(command.c_str());
  }
  std::string Page() const { return StartedProgram::Text(folder_ / "page.md"); }
  std::string Errors() const { return StartedProgram::Text(folder_ / "errors"); }
};

constexpr char kResult[] =
    "before\n<!-- result -->\n\n```sh\necho one\nls README.md\n```\n\nold\n<!-- end -->\nafter\n";

TEST_F(DocsRenew, PutsWhatTheCommandsPrintInThePlaceOfWhatStoodThere) {
  EXPECT_EQ(Renew(kResult), 0) << Errors();
  const std::string page = Page();
  EXPECT_EQ(page,
            "before\n<!-- result -->\n\n```sh\necho one\nls README.md\n```\n\none\nREADME.md\n\n<!-- end -->\nafter\n");
  EXPECT_EQ(Renew(page), 0);
  EXPECT_EQ(Page(), page);
}

TEST_F(DocsRenew, LeavesThePageAsItWasWhereACommandFails) {
  std::string text = kResult;
  text.replace(text.find("ls README.md"), 12, "ls no-such-file");
  EXPECT_NE(Renew(text), 0);
  EXPECT_EQ(Page(), text);
  EXPECT_THAT(Errors(), HasSubstr("page.md:10: the commands of line 2 failed; the page is as it was."));
}

TEST_F(DocsRenew, NamesAResultThatIsNotOne) {
  EXPECT_NE(Renew("<!-- result -->\n```sh\ntrue\n```\n"), 0);
  EXPECT_THAT(Errors(), HasSubstr("the result of line 1 has no \"<!-- end -->\"."));
  EXPECT_NE(Renew("<!-- result -->\ntext\n<!-- end -->\n"), 0);
  EXPECT_THAT(Errors(), HasSubstr("the result of line 1 has no block of commands between ```sh and ```."));
}

}  // namespace
}  // namespace bitlaw
