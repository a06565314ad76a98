#include "bitlaw/sdk/checkpoint/safetensors.h"

#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

class Safetensors : public FileTest {
 protected:
  static std::string File(const std::string& header, size_t data_bytes) {
    return Le<uint64_t>(header.size()) + header + std::string(data_bytes, '\1');
  }
  std::string Text(const std::string& bytes) const {
    const auto path = Write("m.safetensors", bytes);
    return ErrorText([&] { ReadSafetensorsHeader(*MappedFile::Open(path)); });
  }
  std::string HeaderText(const std::string& header, size_t data_bytes) const { return Text(File(header, data_bytes)); }
};

constexpr char kGood[] =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},)"
    R"("a":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}  )";

TEST_F(Safetensors, ListsTensorsInTheOrderOfTheirData) {
  const auto path = Write("m.safetensors", File(kGood, 12));
  const auto entries = ReadSafetensorsHeader(*MappedFile::Open(path));
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[0].dtype, "BF16");
  EXPECT_EQ(entries[0].shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(entries[1].name, "b");
  EXPECT_EQ(entries[1].offset_bytes, 8 + std::string(kGood).size() + 4);
  EXPECT_EQ(entries[1].size_bytes, 8u);
}

TEST_F(Safetensors, RefusesAHeaderLengthThatLies) {
  EXPECT_EQ(Text(Le<uint64_t>(INT64_MAX) + std::string(4, '{')),
            "DIR/m.safetensors: header says 9223372036854775807 bytes, the file has 12. The file is cut off or not "
            "safetensors.");
  EXPECT_EQ(Text("abc"),
            "DIR/m.safetensors: the file has 3 bytes, fewer than the 8 of a header length. The file is cut off or not "
            "safetensors.");
  EXPECT_EQ(Text(Le<uint64_t>(1) + "x"),
            "DIR/m.safetensors: the header does not begin with '{'. The file is not safetensors.");
  EXPECT_EQ(Text(""), "DIR/m.safetensors: is empty. The file was cut off.");
}

TEST_F(Safetensors, RefusesTensorsThatDoNotFitTheFile) {
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7),
            "DIR/m.safetensors: tensor 'a': data_offsets [0, 8] do not lie in the file's 7 bytes of data. The file is "
            "cut off or its header is wrong.");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
            "DIR/m.safetensors: tensor 'a': data_offsets [8, 0] do not lie in the file's 8 bytes of data. The file is "
            "cut off or its header is wrong.");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
            "DIR/m.safetensors: tensor 'a': data_offsets span 8 bytes, but F32 [3] takes 12.");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", 8),
            "DIR/m.safetensors: tensor 'a': shape [4611686018427387904, 4] overflows 64 bits.");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
            "DIR/m.safetensors: tensor 'a': shape holds -2. It must hold integers of at least 0.");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8),
            "DIR/m.safetensors: tensor 'a' has dtype 'F33', which bitlaw does not know. Known: BOOL, F4, F6_E2M3, "
            "F6_E3M2, U8, I8, F8_E4M3, F8_E5M2, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, I16, U16, F16, BF16, I32, U32, F32, "
            "C64, I64, U64, F64.");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8),
            "DIR/m.safetensors: tensor 'a' has no field 'shape'.");
}

TEST_F(Safetensors, RefusesOverlapsAndBytesThatBelongToNoTensor) {
  const auto two = [](int first_end, int second_begin) {
    return R"({"a":{"dtype":"U8","shape":[)" + std::to_string(first_end) + R"(],"data_offsets":[0,)" +
           std::to_string(first_end) + R"(]},"b":{"dtype":"U8","shape":[)" + std::to_string(8 - second_begin) +
           R"(],"data_offsets":[)" + std::to_string(second_begin) + ",8]}}";
  };
  EXPECT_EQ(HeaderText(two(4, 4), 8), "no error");
  EXPECT_EQ(HeaderText(two(5, 4), 8), "DIR/m.safetensors: tensors 'a' and 'b' overlap.");
  EXPECT_EQ(HeaderText(two(3, 4), 8), "DIR/m.safetensors: 1 bytes before tensor 'b' belong to no tensor.");
  EXPECT_EQ(HeaderText(two(4, 4), 10), "DIR/m.safetensors: the last 2 bytes belong to no tensor.");
}

TEST_F(Safetensors, KnowsTheDtypesOfQuantizedCheckpoints) {
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F8_E8M0","shape":[2,3],"data_offsets":[0,6]}})", 6), "no error");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F4","shape":[3,2],"data_offsets":[0,3]}})", 3), "no error");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}})", 3), "no error");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2),
            "DIR/m.safetensors: tensor 'a': F4 [3] does not fill whole bytes.");
}

TEST_F(Safetensors, ForgetsWhatIsNoTensor) {
  const std::string tensor = R"("dtype":"U8","shape":[1],"data_offsets":[0,1])";
  EXPECT_EQ(HeaderText(R"({"a":{"x":{"dtype":[{}]},"y":[[[1]],{"shape":2}],)" + tensor + "}}", 1), "no error");
  EXPECT_EQ(HeaderText(R"({"__metadata__":{"dtype":"x","y":[{"z":1}]},"a":{)" + tensor + "}}", 1), "no error");
  EXPECT_EQ(HeaderText(R"({"a":3})", 0), "DIR/m.safetensors: tensor 'a' is 3. It must be a map.");
  EXPECT_EQ(HeaderText(R"({"a":[3]})", 0), "DIR/m.safetensors: tensor 'a' is a list. It must be a map.");
  EXPECT_EQ(HeaderText(R"({"a":{"shape":[1],)" + tensor + "}}", 1),
            "DIR/m.safetensors: tensor 'a' has field 'shape' twice.");
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1),
            "DIR/m.safetensors: tensor 'a': shape holds []. It must hold integers of at least 0.");
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"U8","shape":[)" + ones + R"(],"data_offsets":[0,1]}})", 1),
            "DIR/m.safetensors: tensor 'a': shape has more than 64 entries.");
}

int64_t PeakMemoryKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6));
  }
  return 0;
}

TEST_F(Safetensors, ReadsTwelveMegabytesOfNothingInLittleMemory) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer takes memory of its own.";
#endif
  // As a tree of values these brackets would take more than half a gigabyte.
  std::string header = R"({"__metadata__":{"x":[)";
  for (int i = 0; i < 4'000'000; ++i) header += "[],";
  header += "[]]}}";
  const auto path = Write("m.safetensors", File(header, 0));
  const int64_t before = PeakMemoryKib();
  EXPECT_EQ(ReadSafetensorsHeader(*MappedFile::Open(path)).size(), 0u);
  EXPECT_LT(PeakMemoryKib() - before, 100 << 10);
}

TEST_F(Safetensors, RefusesATensorNamedTwiceAndDeepNesting) {
  EXPECT_EQ(HeaderText(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                       2),
            "DIR/m.safetensors: tensor 'a' appears twice.");
  EXPECT_EQ(HeaderText("{\"__metadata__\":" + std::string(100000, '[') + std::string(100000, ']') + "}", 0),
            "DIR/m.safetensors (header): nests deeper than 512.");
}

TEST_F(Safetensors, RefusesEveryTruncationOfAGoodFile) {
  const std::string good = File(kGood, 12);
  EXPECT_EQ(Text(good), "no error");
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(Text(good.substr(0, size)), "no error") << size;
}

TEST_F(Safetensors, SurvivesRandomChanges) {
  const std::string good = File(kGood, 12);
  Rng rng(20261122);
  int refused = 0;
  for (int i = 0; i < 500; ++i) refused += Text(Mutated(good, good.size(), rng)) != "no error";
  EXPECT_GT(refused, 250) << "most changes break a rule";
}

}  // namespace
}  // namespace bitlaw
