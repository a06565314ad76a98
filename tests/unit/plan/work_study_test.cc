#include "plan/work_study.h"

#include <gtest/gtest.h>

#include <fstream>

#include "bitlaw/base/error.h"
#include "support/temporary_folder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

using ContentDigestTest = TemporaryFolder;

// A text of a work file in which one value stands in a study file, at a line.
std::string Text(const fs::path& study, int line, const std::string& value) {
  return fmt::format(R"({{"study": "s", "tasks": [{{"$at": ["{}", {}, 3], "$value": "{}"}}]}})", study.string(), line, value);
}

TEST_F(ContentDigestTest, IsOfWhatTheStudySaysAndNotOfWhere) {
  const auto digest = [](const std::string& text) { return ContentDigest(text, "work.json"); };
  const std::string one = digest(Text("/a/study.yaml", 7, "acc"));
  EXPECT_EQ(digest(Text("/a/study.yaml", 9, "acc")), one);
  EXPECT_EQ(digest(Text("study.yaml", 7, "acc")), one);
  EXPECT_EQ(digest(Text("/b/c/other.yaml", 7, "acc")), one);
  EXPECT_EQ(digest(R"({"study": "s", "tasks": ["acc"]})"), one);
  EXPECT_NE(digest(Text("/a/study.yaml", 7, "acc_norm")), one);
  EXPECT_NE(digest(R"({"study": "t", "tasks": ["acc"]})"), one);
  try {
    digest("{");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("work.json")) << error.what();
  }
}

TEST_F(ContentDigestTest, HoldsApartFilesOfOneNameBesideTwoStudies) {
  for (const char* folder : {"a", "b"}) {
    fs::create_directories(folder_ / folder);
    std::ofstream(folder_ / folder / "items.jsonl") << folder;
  }
  fs::create_directory_symlink(folder_ / "a", folder_ / "link");
  const auto of = [&](const char* folder, const char* name) {
    return ContentDigest(Text(folder_ / folder / "study.yaml", 1, name), "");
  };
  EXPECT_NE(of("a", "items.jsonl"), of("b", "items.jsonl"));
  EXPECT_NE(of("a", "item*.jsonl"), of("b", "item*.jsonl"));
  EXPECT_EQ(of("a", "items.jsonl"), of("link", "items.jsonl"));
  EXPECT_EQ(of("a", "nosuch.jsonl"), of("b", "nosuch.jsonl"));
}

}  // namespace
}  // namespace bitlaw
