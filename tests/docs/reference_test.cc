// Pages that the program prints of its own declarations.
#include <gtest/gtest.h>

#include "docs/pages.h"
#include "e2e/study_fixture.h"
#include "spec/keys/spec_keys.h"

namespace bitlaw {
namespace {

class DocsReference : public StudyFolder {};

TEST_F(DocsReference, IsWhatTheProgramPrints) {
  for (const std::string page : {"study", "components", "laws"}) {
    const ProgramEnd printed = StartedProgram({"reference", page}, folder_).Wait();
    ASSERT_EQ(printed.exit_code, 0) << printed.err;
    const std::string committed = StartedProgram::Text(SourceRoot() / "docs/reference" / (page + ".md"));
    EXPECT_TRUE(printed.out == committed)
        << "docs/reference/" << page << ".md is not what the program prints. Renew it:\n"
        << "    build/release/bin/bitlaw reference " << page << " > docs/reference/" << page << ".md";
  }
}

// Every key that a reader accepts is declared with words for people.
TEST_F(DocsReference, DeclaresEveryKeyWithADoc) {
  for (const SpecMap& map : SpecMaps()) {
    EXPECT_FALSE(map.keys.empty()) << map.kind;
    for (const SpecKey& key : map.keys) EXPECT_FALSE(key.doc.empty()) << map.kind << "." << key.name;
  }
  for (const SpecPart& part : SpecParts()) {
    for (const OptionField& field : part.schema.fields())
      EXPECT_FALSE(field.doc.empty()) << part.where << " " << field.name;
  }
}

}  // namespace
}  // namespace bitlaw
