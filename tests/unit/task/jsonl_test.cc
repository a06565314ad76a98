#include "bitlaw/sdk/data/jsonl.h"

#include "task_test_support.h"

namespace bitlaw {
namespace {

using testing::ErrorOf;
class Jsonl : public testing::TaskFiles {};

TEST_F(Jsonl, ReadsOneObjectALineAndRemembersItsPlace) {
  const std::string path = Write("a.jsonl", "\xEF\xBB\xBF{\"x\": 1}\r\n\n  \n{\"x\": \"é\"}");
  const auto rows = ReadJsonl(path);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].Find("x")->AsInt(), 1);
  EXPECT_EQ(rows[1].Find("x")->AsString(), "é");
  EXPECT_EQ(rows[1].mark().Text(), path + ":4:1");
}

TEST_F(Jsonl, PointsToTheBadLine) {
  const std::string list = Write("list.jsonl", "{}\n[1]\n");
  EXPECT_EQ(ErrorOf([&] { ReadJsonl(list); }),
            list + ":2: the line holds a list. Each line is one JSON object: {\"field\": value, ...}.");
  const std::string bytes = Write("bytes.jsonl", "{}\n{\"a\": \"\xFF\"}\n");
  EXPECT_EQ(ErrorOf([&] { ReadJsonl(bytes); }), bytes + ":2: byte 8 of the line is not UTF-8. Convert the file to UTF-8.");
  const std::string cut = Write("cut.jsonl", "{}\n{\"a\": \n");
  EXPECT_EQ(ErrorOf([&] { ReadJsonl(cut); }).substr(0, cut.size() + 3), cut + ":2:");
}

TEST_F(Jsonl, KeepsToItsLimits) {
  const std::string path = Write("a.jsonl", "{\"x\": \"aaaaaaaaaaaaaaaa\"}\n");
  EXPECT_EQ(ErrorOf([&] { ReadJsonl(path, {1000, 10}); }), path + ":1: the line has 25 bytes. The limit is 10.");
  EXPECT_EQ(ErrorOf([&] { ReadJsonl(path, {10, 10}); }), path + ": has 26 bytes. At most 10 are accepted.");
}

TEST_F(Jsonl, SaysWhyAFileCannotBeRead) {
  const std::string path = (folder_ / "none.jsonl").string();
  EXPECT_EQ(ErrorOf([&] { ReadJsonl(path); }), path + ": cannot be read: No such file or directory.");
  EXPECT_EQ(ErrorOf([&] { ReadJsonl(folder_); }), folder_.string() + ": is a folder, where a file is needed.");
}

TEST_F(Jsonl, TextFilesLoseTheirCarriageReturnsOnly) {
  EXPECT_EQ(ReadTextFile(Write("a.txt", "\xEF\xBB\xBF a \r\n\r\nb\n")), " a \n\nb\n");
  const std::string bad = Write("b.txt", "a\n\nb\xFF");
  EXPECT_EQ(ErrorOf([&] { ReadTextFile(bad); }), bad + ":3: a byte of the line is not UTF-8. Convert the file to UTF-8.");
}

}  // namespace
}  // namespace bitlaw
