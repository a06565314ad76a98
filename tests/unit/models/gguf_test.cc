#include "bitlaw/sdk/checkpoint/gguf_file.h"

#include "support/models.h"
#include "unit/models/gguf_bytes.h"

namespace bitlaw {
namespace {

using namespace gguf_bytes;  // NOLINT(google-build-using-namespace)

std::string File(const std::vector<std::string>& keys, const std::vector<std::string>& tensors, size_t data_bytes,
                 size_t alignment = 32) {
  std::string bytes = "GGUF" + Le<uint32_t>(3) + Le<uint64_t>(tensors.size()) + Le<uint64_t>(keys.size());
  for (const std::string& key : keys) bytes += key;
  for (const std::string& tensor : tensors) bytes += tensor;
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
  return bytes + std::string(data_bytes, '\1');
}

class Gguf : public FileTest {
 protected:
  std::string FileText(const std::string& bytes) const {
    const auto path = Write("m.gguf", bytes);
    return ErrorText([&] { GgufFile file(path); });
  }
};

TEST_F(Gguf, ReadsMetadataAndPlacesTensors) {
  const auto path = Write("m.gguf", File({Key("a", kUint32, Le<uint32_t>(7)), Key("b", kFloat32, Le(0.5f)),
                                          Key("c", kString, Text("hello")), Key("d", kBool, Le<uint8_t>(1)),
                                          Key("e", kArray, Le<uint32_t>(kString) + Le<uint64_t>(2) + Text("x") + Text("")),
                                          Key("f", kArray, Le<uint32_t>(5) + Le<uint64_t>(2) + Le(-1) + Le(3))},
                                         {Tensor("w", {32, 3}, 3, 32), Tensor("v", {2}, 0, 0)}, 92));
  const GgufFile file(path);
  EXPECT_EQ(file.Int("a"), 7);
  EXPECT_EQ(file.Real("a"), 7.0);
  EXPECT_EQ(file.Real("b"), 0.5);
  EXPECT_EQ(file.String("c"), "hello");
  EXPECT_EQ(file.Bool("d"), true);
  EXPECT_EQ(file.Strings("e"), (std::vector<std::string_view>{"x", ""}));
  EXPECT_EQ(file.Ints("f"), (std::vector<int32_t>{-1, 3}));
  EXPECT_EQ(file.Int("g"), std::nullopt);
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[1].name, "w");
  EXPECT_EQ(file.tensors()[1].shape, (std::vector<int64_t>{3, 32})) << "slowest dimension first";
  EXPECT_STREQ(file.tensors()[1].type->name, "Q4_1");
  EXPECT_EQ(file.tensors()[1].size_bytes, 60u) << "three blocks of 20 bytes";
  EXPECT_EQ(file.tensors()[1].offset_bytes, file.tensors()[0].offset_bytes + 32);
  EXPECT_EQ(ErrorText([&] { file.Int("c"); }),
            "DIR/m.gguf: 'c' is of type string. It must be an integer below 2^63.");
  EXPECT_EQ(ErrorText([&] { file.Strings("f"); }), "DIR/m.gguf: 'f' is of type array. It must be an array of strings.");
}

TEST_F(Gguf, RefusesWhatIsNotGguf) {
  EXPECT_EQ(FileText("GGUF"),
            "DIR/m.gguf: has 4 bytes, fewer than the 24 of a header. The file is cut off or not GGUF.");
  EXPECT_EQ(FileText("GGML" + std::string(20, '\0')), "DIR/m.gguf: does not begin with 'GGUF'. The file is not GGUF.");
  EXPECT_EQ(FileText("GGUF" + Le<uint32_t>(1) + std::string(16, '\0')),
            "DIR/m.gguf: is GGUF version 1. Versions 2 and 3 are supported.");
  EXPECT_EQ(FileText("GGUF" + Le<uint32_t>(0x03000000) + std::string(16, '\0')),
            "DIR/m.gguf: is a big-endian file. Only little-endian ones are supported.");
}

TEST_F(Gguf, RefusesCountsAndLengthsBeyondTheFile) {
  EXPECT_EQ(FileText("GGUF" + Le<uint32_t>(3) + Le<uint64_t>(uint64_t{1} << 63) + Le<uint64_t>(0)),
            "DIR/m.gguf: header says 9223372036854775808 tensors, for which 0 bytes are too few. The file is cut off "
            "or its header is wrong.");
  EXPECT_EQ(FileText("GGUF" + Le<uint32_t>(3) + Le<uint64_t>(0) + Le<uint64_t>(2) + std::string(20, '\0')),
            "DIR/m.gguf: header says 2 metadata keys, for which 20 bytes are too few. The file is cut off or its "
            "header is wrong.");
  EXPECT_EQ(FileText("GGUF" + Le<uint32_t>(3) + Le<uint64_t>(0) + Le<uint64_t>(65537) + std::string(65537 * 13, '\0')),
            "DIR/m.gguf: header says 65537 metadata keys. At most 65536 are accepted.");
  EXPECT_EQ(
      FileText("GGUF" + Le<uint32_t>(3) + Le<uint64_t>(1048577) + Le<uint64_t>(0) + std::string(1048577 * 32, '\0')),
      "DIR/m.gguf: header says 1048577 tensors. At most 1048576 are accepted.");
  EXPECT_EQ(FileText(File({Le<uint64_t>(UINT64_MAX) + Le<uint64_t>(0)}, {}, 0)),
            "DIR/m.gguf: a metadata key is 18446744073709551615 bytes long. At most 65535 are accepted.");
  EXPECT_EQ(FileText(File({Key("a", kArray, Le<uint32_t>(kUint64) + Le<uint64_t>(uint64_t{1} << 61))}, {}, 0)),
            "DIR/m.gguf: header says 2305843009213693952 elements in the value of 'a', for which 15 bytes are too few. "
            "The file is cut off or its header is wrong.");
  EXPECT_EQ(FileText(File({Key("a", 13, "")}, {}, 0)),
            "DIR/m.gguf: the value of 'a' has type 13, which GGUF does not have.");
}

TEST_F(Gguf, RefusesArraysNestedTooDeep) {
  std::string nested;
  for (int depth = 0; depth < 100000; ++depth) nested += Le<uint32_t>(kArray) + Le<uint64_t>(1);
  EXPECT_EQ(FileText(File({Key("a", kArray, nested)}, {}, 0)),
            "DIR/m.gguf: the value of 'a' nests arrays deeper than 4.");
}

TEST_F(Gguf, RefusesTensorsThatDoNotFit) {
  const auto text = [&](const std::vector<std::string>& tensors, size_t data_bytes) {
    return FileText(File({}, tensors, data_bytes));
  };
  EXPECT_EQ(text({Tensor("w", {8}, 0, 0)}, 31),
            "DIR/m.gguf: tensor 'w' takes 32 bytes at 0, the file has 31 bytes of data. The file is cut off or its "
            "header is wrong.");
  EXPECT_EQ(text({Tensor("w", {8}, 0, uint64_t{1} << 62)}, 32),
            "DIR/m.gguf: tensor 'w' takes 32 bytes at 4611686018427387904, the file has 32 bytes of data. The file is "
            "cut off or its header is wrong.");
  EXPECT_EQ(text({Tensor("w", {8}, 0, 4)}, 64),
            "DIR/m.gguf: tensor 'w' lies at 4, which is no multiple of the alignment 32.");
  EXPECT_EQ(text({Tensor("w", {uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0)}, 64),
            "DIR/m.gguf: tensor 'w' has a dimension of 1099511627776. Sizes must be positive and their product below "
            "2^64.");
  EXPECT_EQ(text({Tensor("w", {0}, 0, 0)}, 64),
            "DIR/m.gguf: tensor 'w' has a dimension of 0. Sizes must be positive and their product below 2^64.");
  EXPECT_EQ(text({Tensor("w", {8, 1, 1, 1, 1}, 0, 0)}, 64),
            "DIR/m.gguf: tensor 'w' has 5 dimensions. It must have 1 to 4.");
  EXPECT_EQ(text({Tensor("w", {33}, 3, 0)}, 64),
            "DIR/m.gguf: tensor 'w' has rows of 33 elements. Q4_1 takes multiples of 32.");
  EXPECT_EQ(text({Tensor("w", {8}, 77, 0)}, 64), "DIR/m.gguf: tensor 'w' has type 77, which is unknown.");
  EXPECT_EQ(text({Tensor("w", {16}, 0, 0), Tensor("v", {8}, 0, 32)}, 64),
            "DIR/m.gguf: tensors 'w' and 'v' overlap.");
  EXPECT_EQ(text({Tensor("w", {8}, 0, 0), Tensor("w", {8}, 0, 32)}, 64), "DIR/m.gguf: tensor 'w' appears twice.");
}

TEST_F(Gguf, RefusesAKeyGivenTwiceAndAnOddAlignment) {
  const std::string key = Key("a", kUint32, Le<uint32_t>(7));
  EXPECT_EQ(FileText(File({key, key}, {}, 0)), "DIR/m.gguf: metadata key 'a' appears twice.");
  EXPECT_EQ(FileText(File({Key("general.alignment", kUint32, Le<uint32_t>(48))}, {}, 0)),
            "DIR/m.gguf: general.alignment is 48. It must be a power of two of at most 1048576.");
}

class GgufBackendTest : public FileTest {
 protected:
  const std::string good_ = Read(BITLAW_SOURCE_DIR "/tests/parity/logits/tiny.gguf");
  std::unique_ptr<ModelBackend> gguf_ = MakeModelBackend("gguf");

  std::string OpenText(const std::string& bytes) const {
    const auto path = Write("m.gguf", bytes);
    return ErrorText([&] { gguf_->Open(path, {}); });
  }
  // `from` and `to` are of one length, so that nothing else moves.
  std::string TextWith(const std::string& from, const std::string& to) const {
    const size_t at = good_.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    std::string bytes = good_;
    return OpenText(bytes.replace(at, from.size(), to));
  }
};

TEST_F(GgufBackendTest, ClaimsFilesByMagicOrExtension) {
  EXPECT_TRUE(gguf_->Claims(Write("weights", good_)));
  EXPECT_TRUE(gguf_->Claims(Write("empty.gguf", "")));
  EXPECT_FALSE(gguf_->Claims(Write("notes.txt", "GG")));
  EXPECT_FALSE(gguf_->Claims(folder_));
}

TEST_F(GgufBackendTest, ReportsUnknownPartsByName) {
  EXPECT_EQ(OpenText(good_), "no error");
  EXPECT_EQ(TextWith(Text("general.architecture") + Le<uint32_t>(kString) + Text("llama"),
                     Text("general.architecture") + Le<uint32_t>(kString) + Text("mamba")),
            "DIR/m.gguf: architecture 'mamba' is not supported. Supported: llama, qwen2, qwen3, smollm3, olmo2, gemma, "
            "gemma2, gemma3, phi3.");
  EXPECT_EQ(TextWith("llama.block_count", "llama.block_coumt"),
            "DIR/m.gguf: metadata key 'llama.block_count' is missing.");
  EXPECT_EQ(TextWith("blk.1.ffn_up.weight", "blk.1.ffn_xx.weight"),
            "DIR/m.gguf: the tensors are not those of a llama model with this configuration. Missing: "
            "model.layers.1.mlp.up_proj.weight. Of another shape: (none). Unused: blk.1.ffn_xx.weight. The checkpoint "
            "is incomplete or its configuration is another model's.");
}

TEST_F(GgufBackendTest, RefusesTypesThatItCannotDequantizeByName) {
  // token_embd.weight [300, 32]: one type id in its header, Q8_0 to Q8_1 (36 bytes a block, which does not fit) is
  // caught as a place; I8 (one byte an element) fits and is refused by name.
  const std::string header = Text("token_embd.weight") + Le<uint32_t>(2) + Le<uint64_t>(32) + Le<uint64_t>(300);
  EXPECT_EQ(TextWith(header + Le<uint32_t>(8), header + Le<uint32_t>(24)),
            "DIR/m.gguf: tensor 'token_embd.weight' is stored as I8. Supported: " +
                JoinNames(ReadableGgmlTypes()) + ".");
}

TEST_F(GgufBackendTest, RefusesTruncationsInEveryRegion) {
  // Every size in the header region in steps of 7, then in the weights in steps of 997.
  for (size_t size = 0; size < good_.size(); size += size < 10000 ? 7 : 997) {
    EXPECT_NE(OpenText(good_.substr(0, size)), "no error") << size;
  }
}

TEST_F(GgufBackendTest, SurvivesRandomChanges) {
  Rng rng(20261122);
  int refused = 0;
  for (int i = 0; i < 500; ++i) refused += OpenText(Mutated(good_, 10000, rng)) != "no error";
  EXPECT_GT(refused, 250) << "most changes break a rule";
}

}  // namespace
}  // namespace bitlaw
