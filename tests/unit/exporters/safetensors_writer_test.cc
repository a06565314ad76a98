#include "bitlaw/sdk/checkpoint/safetensors_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/sdk/checkpoint/packed_codes.h"
#include "support/exporters.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SafetensorsWriter : public FileTest {
 protected:
  static TensorToWrite Bytes(const std::string& name, const std::string& bytes) {
    return {name, "U8", {static_cast<int64_t>(bytes.size())}, [bytes] { return bytes; }};
  }
};

TEST_F(SafetensorsWriter, WritesWhatTheReaderReads) {
  const TensorToWrite words{"words", "I32", {2, 1}, [] { return std::string("\1\0\0\0\2\0\0\0", 8); }};
  WriteSafetensors(folder_ / "a.safetensors", {Bytes("bytes", "abc"), words}, {{"format", "pt"}});
  const StoredTensors stored(folder_ / "a.safetensors");
  ASSERT_EQ(stored.entries().size(), 2u);
  EXPECT_EQ(stored.Bytes("bytes"), "abc");
  EXPECT_EQ(stored.Bytes("words"), std::string("\1\0\0\0\2\0\0\0", 8));
  EXPECT_THAT(stored.entries().at("words").shape, ElementsAre(2, 1));
  // Wide elements first, so that they are aligned.
  EXPECT_EQ(stored.entries().at("words").offset_bytes % 8, 0u);
  EXPECT_EQ(stored.entries().at("bytes").offset_bytes, stored.entries().at("words").offset_bytes + 8);
  EXPECT_THAT(Read(folder_ / "a.safetensors"), HasSubstr(R"("__metadata__":{"format":"pt"})"));
}

TEST_F(SafetensorsWriter, CutsShardsBetweenTensors) {
  WriteSafetensorsShards(folder_,
                         {Bytes("a", "12345"), Bytes("b", "678"), Bytes("c", "9"), Bytes("d", std::string(20, 'x'))},
                         /*max_shard_bytes=*/8);
  EXPECT_EQ(StoredTensors(folder_ / "model-00001-of-00003.safetensors").Bytes("b"), "678");
  EXPECT_EQ(StoredTensors(folder_ / "model-00002-of-00003.safetensors").Bytes("c"), "9");
  EXPECT_EQ(StoredTensors(folder_ / "model-00003-of-00003.safetensors").Bytes("d"), std::string(20, 'x'));
  const Value index = ParseJson(Read(folder_ / "model.safetensors.index.json"), "index");
  EXPECT_EQ(index.Find("metadata")->Find("total_size")->AsInt(), 29);
  EXPECT_EQ(index.Find("weight_map")->Find("c")->AsString(), "model-00002-of-00003.safetensors");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "model.safetensors"));
}

TEST_F(SafetensorsWriter, RefusesWhatItsHeaderWouldLieAbout) {
  TensorToWrite shorter = Bytes("a", "12");
  shorter.shape = {3};
  const auto broken = [&](std::vector<TensorToWrite> tensors) -> std::string {
    try {
      WriteSafetensors(folder_ / "a", std::move(tensors), {});
    } catch (const InternalError& error) {
      return error.what();
    }
    return "";
  };
  WriteSafetensors(folder_ / "a", {Bytes("old", "1")}, {});
  EXPECT_THAT(broken({shorter}), HasSubstr("tensor 'a' has 2 bytes, but its shape and dtype U8 say 3"));
  EXPECT_THAT(broken({Bytes("a", "1"), Bytes("a", "2")}), HasSubstr("tensor 'a' would be written twice"));
  // What was there is there still, and nothing else.
  EXPECT_EQ(StoredTensors(folder_ / "a").Bytes("old"), "1");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()), 1);
  EXPECT_THAT(ErrorText([&] { WriteSafetensors(folder_ / "a" / "b", {Bytes("a", "1")}, {}); }),
              HasSubstr("DIR/a: the folder cannot be made: "));
}

// Codes 1, 2, 3 of three bits: 001, 010, 011 from the lowest bit on, 0b011010001 = 209; each row begins a word.
TEST(PackRowsInWords, BeginsAWordForEachRow) {
  const std::vector<uint8_t> codes = {1, 2, 3, 7, 0, 0};
  EXPECT_EQ(PackRowsInWords(codes, 3, 3), std::string("\xd1\0\0\0\7\0\0\0", 8));
  // Eleven codes of three bits need a second word.
  EXPECT_EQ(PackRowsInWords(std::vector<uint8_t>(11, 7), 11, 3), std::string("\xff\xff\xff\xff\1\0\0\0", 8));
  EXPECT_THROW(PackRowsInWords(codes, 4, 3), InternalError);
}

}  // namespace
}  // namespace bitlaw
