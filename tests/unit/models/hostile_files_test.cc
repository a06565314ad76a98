#include <sys/stat.h>

#include <chrono>

#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"
#include "support/models.h"
#include "unit/models/file_fixture.h"

// What stands where a file of a checkpoint should: each is told from a file before a byte of it is read, and sizes that
// a small file merely claims cost neither time nor memory.

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr char kNotRegular[] =
    ", where a regular file is needed: its size is checked before it is read. Write the content to a file first.";
constexpr char kPointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n";
constexpr char kPointerText[] =
    ": is a Git LFS pointer of 64 bytes that stands for a file of 7 bytes. Fetch the file itself: 'git lfs pull' in "
    "the repository, or download it again.";

class HostileFiles : public FileTest {
 protected:
  void Copy(const std::string& checkpoint) {
    fs::remove_all(folder_ / "tiny");
    fs::copy(fs::path(BITLAW_SOURCE_DIR "/tests/parity/logits") / checkpoint, folder_ / "tiny");
  }
  std::string Text() const {
    return ErrorText([&] { hf_->Open(folder_ / "tiny", {}); });
  }
  std::unique_ptr<ModelBackend> hf_ = MakeModelBackend("hf");
};

TEST_F(HostileFiles, EveryFileOfAFolderMustBeARegularOne) {
  for (const auto& [checkpoint, name] :
       {std::pair<std::string, std::string>{"tiny_llama", "config.json"},
        {"tiny_llama", "model.safetensors"},
        {"tiny_llama", "tokenizer.json"},
        {"tiny_llama", "generation_config.json"},
        {"tiny_qwen3", "model.safetensors.index.json"},
        {"tiny_qwen3", "model-00002-of-00002.safetensors"}}) {
    Copy(checkpoint);
    const fs::path file = folder_ / "tiny" / name;
    fs::remove(file);
    fs::create_symlink("/dev/zero", file);
    EXPECT_EQ(Text(), "DIR/tiny/" + name + ": is a device" + kNotRegular);
    fs::remove(file);
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    EXPECT_EQ(Text(), "DIR/tiny/" + name + ": is a FIFO" + kNotRegular);
    fs::remove(file);
    fs::create_directory(file);
    EXPECT_EQ(Text(), "DIR/tiny/" + name + ": is a folder, where a file is needed.");
    fs::remove(file);
    Write("tiny/" + name, kPointer);
    EXPECT_EQ(Text(), "DIR/tiny/" + name + kPointerText);
  }
}

TEST_F(HostileFiles, AGgufFileMustBeARegularOne) {
  const auto gguf = MakeModelBackend("gguf");
  const auto text = [&](const fs::path& path) {
    return ErrorText([&] { gguf->Open(path, {}); });
  };
  fs::create_symlink("/dev/zero", folder_ / "m.gguf");
  EXPECT_EQ(text(folder_ / "m.gguf"), std::string("DIR/m.gguf: is a device") + kNotRegular);
  EXPECT_FALSE(gguf->Claims(folder_ / "m.gguf"));
  EXPECT_EQ(text(Write("pointer.gguf", kPointer)), std::string("DIR/pointer.gguf") + kPointerText);
}

TEST_F(HostileFiles, SizesThatAConfigurationClaimsCostNothing) {
  Copy("tiny_qwen3_moe");
  const std::string config = Read(folder_ / "tiny/config.json");
  const auto with = [&](const std::vector<std::pair<std::string, std::string>>& changes) {
    std::string text = config;
    for (const auto& [key, value] : changes) {
      const size_t at = text.find("\"" + key + "\": ") + key.size() + 4;
      EXPECT_NE(at, std::string::npos + key.size() + 4) << key;
      text.replace(at, text.find_first_of(",\n", at) - at, value);
    }
    Write("tiny/config.json", text);
    const auto begin = std::chrono::steady_clock::now();
    const std::string error = Text();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(2));
    return error;
  };
  EXPECT_EQ(with({{"num_local_experts", "4096"}, {"num_hidden_layers", "4096"}}),
            "DIR/tiny/config.json: num_blocks * num_experts = 16777216. At most 131072 are accepted.");
  EXPECT_EQ(with({{"num_local_experts", "4096"}, {"num_hidden_layers", "32"}}),
            "DIR/tiny: the configuration calls for 393506 tensors, the files hold 50. The checkpoint is incomplete or "
            "its configuration is another model's.");
  EXPECT_EQ(with({{"num_hidden_layers", "4096"}, {"vocab_size", "16777216"}}),
            "DIR/tiny: the configuration calls for 98306 tensors, the files hold 50. The checkpoint is incomplete or "
            "its configuration is another model's.");
  EXPECT_EQ(with({{"num_local_experts", "100000"}}),
            "DIR/tiny/config.json: num_experts = 100000. It must lie in [1, 4096].");
  Write("tiny/config.json", "{\"a\":[" + std::string(5 << 20, '1') + "]}");
  EXPECT_EQ(Text(), "DIR/tiny/config.json: has 5242888 bytes. At most 4194304 are accepted.");
}

}  // namespace
}  // namespace bitlaw
