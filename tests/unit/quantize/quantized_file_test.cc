#include "quantize/quantized_file.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "support/quantizers.h"
#include "unit/decoder/random_decoder.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

class QuantizedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("bitlaw_quantized_" + std::to_string(::getpid()) + "_" +
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
    file_ = folder_ / "model.safetensors";
  }
  void TearDown() override { fs::remove_all(folder_); }

  static QuantizedModel Quantize(Model& model, const char* scale_dtype = "float16") {
    QuantizedModel quantized = QuantizeModel(
        model, *MakeQuantizer("rtn", {{"bits", 3}, {"group_size", 16}, {"scale_dtype", scale_dtype}}), nullptr);
    return quantized;
  }

  // Of both ways to read a file, which say the same.
  static std::string LoadError(const fs::path& path) {
    std::vector<std::string> said;
    for (QuantizedFile (*load)(const fs::path&) : {&LoadQuantized, &OpenQuantized}) {
      try {
        load(path);
        said.push_back("(no error)");
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::kIo);
        said.push_back(error.what());
      }
    }
    EXPECT_EQ(said[0], said[1]);
    return said[0];
  }

  // Another description in a file that was saved, with the digest that it has.
  static void Redescribe(const fs::path& path, const std::function<void(nlohmann::json& description)>& change) {
    const std::string bytes = ReadWholeFile(path);
    uint64_t size = 0;
    std::memcpy(&size, bytes.data(), 8);
    auto header = nlohmann::json::parse(bytes.begin() + 8, bytes.begin() + 8 + static_cast<std::ptrdiff_t>(size));
    auto& description = header["__metadata__"];
    change(description);
    description.erase("text_digest");
    description["text_digest"] = DigestOf(description.dump());
    const std::string text = header.dump();
    const uint64_t text_size = text.size();
    std::string start(8, '\0');
    std::memcpy(start.data(), &text_size, 8);
    WriteDurably(path, start + text + bytes.substr(8 + size));
  }

  fs::path folder_, file_;
};

TEST_F(QuantizedFileTest, ReadsBackWhatWasWritten) {
  for (const char* dtype : {"float16", "float32"}) {
    const auto model = RandomDecoder(SmallConfig());
    QuantizedModel written = Quantize(*model, dtype);
    written.layers[2].linear.fallback = QuantizeFallback::kDampingRaised;
    written.layers[3].linear.input_scale = at::rand(written.layers[3].shape.in_features) + 0.5;
    written.layers[4].linear.activation = ActivationGrid{.bits = 6, .symmetric = true, .per_token = false, .static_scale = 0.25};
    written.codes_digest = DigestOfCodes(written);
    SaveQuantized(file_, written, Value(Value::Map{{"quantizer", "rtn"}, {"bits", 3}}));
    const QuantizedFile read = LoadQuantized(file_);
    EXPECT_EQ(read.model.codes_digest, written.codes_digest);
    EXPECT_EQ(read.model.bits_effective, written.bits_effective);
    EXPECT_EQ(read.about.Find("bits")->AsInt(), 3);
    ASSERT_EQ(read.model.layers.size(), written.layers.size());
    for (size_t i = 0; i < written.layers.size(); ++i) {
      const QuantizedLayer &a = written.layers[i], &b = read.model.layers[i];
      EXPECT_EQ(a.shape.name, b.shape.name);
      EXPECT_EQ(a.shape.block, b.shape.block);
      EXPECT_EQ(a.linear.fallback, b.linear.fallback);
      EXPECT_EQ(a.linear.diagnostics, b.linear.diagnostics);
      EXPECT_TRUE(at::equal(a.linear.codes, b.linear.codes));
      EXPECT_TRUE(at::equal(a.linear.scales, b.linear.scales));
      EXPECT_TRUE(at::equal(a.linear.zeros, b.linear.zeros));
      EXPECT_TRUE(at::equal(a.linear.group_index, b.linear.group_index));
    }
    EXPECT_TRUE(at::equal(read.model.layers[3].linear.input_scale, written.layers[3].linear.input_scale));
    EXPECT_EQ(read.model.layers[4].linear.activation->static_scale, 0.25);
    EXPECT_FALSE(read.model.layers[5].linear.activation.has_value());
  }
}

// Scales of eight bits, one of the tensor, real zero points, rows that share them.
TEST_F(QuantizedFileTest, ReadsBackEveryKindOfScaleAndZeroPoint) {
  const auto rtn_on = [](const char* grid, int group_size) {
    auto quantizer = MakeQuantizer("rtn", {{"group_size", group_size}});
    quantizer->TakeGrid(MakeGrid(grid, {}));
    return quantizer;
  };
  std::vector<std::unique_ptr<Quantizer>> quantizers;
  quantizers.push_back(rtn_on("mxfp4", 32));
  quantizers.push_back(rtn_on("nvfp4", 16));
  quantizers.push_back(rtn_on("fp8", -1));
  quantizers.push_back(MakeQuantizer("hqq", {{"group_size", 16}}));
  quantizers.push_back(MakeQuantizer("hqq", {{"group_size", 8}, {"group_axis", "column"}, {"scale_dtype", "float32"}}));
  for (const auto& quantizer : quantizers) {
    DecoderConfig config = SmallConfig();
    config.ffn_size = 64;
    const auto model = RandomDecoder(config);
    const QuantizedModel written = QuantizeModel(*model, *quantizer, nullptr);
    SaveQuantized(file_, written, Value());
    const QuantizedFile read = LoadQuantized(file_);
    EXPECT_EQ(read.model.codes_digest, written.codes_digest);
    ASSERT_EQ(read.model.layers.size(), written.layers.size());
    for (size_t i = 0; i < written.layers.size(); ++i) {
      const QuantizedLinear &a = written.layers[i].linear, &b = read.model.layers[i].linear;
      EXPECT_EQ(a.scale_dtype, b.scale_dtype);
      EXPECT_EQ(a.scale_divisor, b.scale_divisor);
      EXPECT_TRUE(at::equal(a.scales, b.scales));
      EXPECT_TRUE(at::equal(a.zeros, b.zeros));
      EXPECT_EQ(a.row_index.defined(), b.row_index.defined());
      EXPECT_TRUE(at::equal(a.Dequantize(), b.Dequantize()));
    }
  }
}

TEST_F(QuantizedFileTest, RefusesScalesOfUnknownTypes) {
  const auto model = RandomDecoder(SmallConfig());
  SaveQuantized(file_, Quantize(*model), Value());
  Redescribe(file_, [](nlohmann::json& description) {
    auto layers = nlohmann::json::parse(description["layers"].get<std::string>());
    layers[0]["scale_dtype"] = "float7";
    description["layers"] = layers.dump();
  });
  EXPECT_EQ(LoadError(file_), file_.string() + ": layer 'model.layers.0.self_attn.q_proj' has scales of the unknown type "
                                               "'float7'. The file is damaged or was altered. Quantize again.");
}

TEST_F(QuantizedFileTest, HasEqualBytesForEqualContents) {
  const auto one = RandomDecoder(SmallConfig()), two = RandomDecoder(SmallConfig());
  SaveQuantized(file_, Quantize(*one), Value());
  SaveQuantized(folder_ / "two", Quantize(*two), Value());
  EXPECT_EQ(ReadWholeFile(file_), ReadWholeFile(folder_ / "two"));
}

TEST_F(QuantizedFileTest, IsTheSameWrittenLayerByLayer) {
  const auto one = RandomDecoder(SmallConfig()), two = RandomDecoder(SmallConfig());
  const Value about(Value::Map{{"quantizer", "rtn"}});
  SaveQuantized(file_, Quantize(*one), about);
  {
    QuantizedFileWriter writer(folder_ / "two");
    QuantizeSettings settings;
    settings.take_codes = [&](QuantizedLayer& layer) { writer.Take(layer); };
    const QuantizedModel quantized = QuantizeModel(
        *two, *MakeQuantizer("rtn", {{"bits", 3}, {"group_size", 16}, {"scale_dtype", "float16"}}), nullptr, settings);
    ASSERT_EQ(quantized.layers.size(), 14u);
    EXPECT_FALSE(quantized.layers[13].linear.codes.defined());
    EXPECT_FALSE(fs::exists(folder_ / "two"));
    writer.Finish(quantized, about);
    QuantizedModel another = quantized;
    another.layers.pop_back();
    EXPECT_THROW(writer.Finish(another, about), InternalError);
  }
  EXPECT_EQ(ReadWholeFile(file_), ReadWholeFile(folder_ / "two"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
}

TEST_F(QuantizedFileTest, EndsWithTheErrorOfWhoeverTakesTheCodes) {
  for (const int failing : {3, 14}) {  // Of 14 layers.
    const auto model = RandomDecoder(SmallConfig());
    int taken = 0;
    QuantizeSettings settings;
    settings.take_codes = [&](QuantizedLayer&) {
      if (++taken == failing) throw Error(ErrorKind::kIo, "codes: no space left");
    };
    try {
      QuantizeModel(*model, *MakeQuantizer("rtn", {{"bits", 3}, {"group_size", 16}}), nullptr, settings);
      FAIL() << "the error of layer " << failing << " was lost";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kIo);
      EXPECT_STREQ(error.what(), "codes: no space left");
    }
    EXPECT_EQ(taken, failing);
  }
}

TEST_F(QuantizedFileTest, ReadsOneLayerAtATime) {
  const auto model = RandomDecoder(SmallConfig()), fresh = RandomDecoder(SmallConfig());
  const QuantizedModel written = Quantize(*model);
  SaveQuantized(file_, written, Value());
  QuantizedFile opened = OpenQuantized(file_);
  ASSERT_EQ(opened.model.layers.size(), 14u);
  EXPECT_FALSE(opened.model.layers[9].linear.codes.defined());
  EXPECT_EQ(opened.model.codes_digest, written.codes_digest);
  EXPECT_TRUE(at::equal(opened.read(9).codes, written.layers[9].linear.codes));
  EXPECT_TRUE(at::equal(opened.read(9).Dequantize(), written.layers[9].linear.Dequantize()));
  InstallQuantized(*fresh, opened.model, file_.string(), opened.read);
  const at::Tensor tokens = SomeTokens(2, 9), expected = model->Forward(tokens, {});
  EXPECT_TRUE(at::equal(fresh->Forward(tokens, {}), expected));
  const auto streamed =
      WithInstalledBlocks(RandomDecoder(SmallConfig()), std::move(opened.model), {}, "codes", std::move(opened.read));
  EXPECT_TRUE(at::equal(streamed->Forward(tokens, {}), expected));
  for (int64_t b = 0; b < streamed->summary().num_blocks; ++b) streamed->DropBlock(b);
  EXPECT_TRUE(at::equal(streamed->Forward(tokens, {}), expected));
}

TEST_F(QuantizedFileTest, TakesTheBitsOfItsCodes) {
  const auto model = RandomDecoder(SmallConfig());
  const QuantizedModel quantized = Quantize(*model);
  SaveQuantized(file_, quantized, Value());
  // 2 * 7680 weights: 3 bits of code, a 16-bit scale and an 8-bit zero point for every 16.
  const uint64_t data_bytes = 2 * 7680 * 3 / 8 + 2 * 7680 / 16 * 3;
  const uint64_t index_bytes = 2 * 4 * (6 * 32 + 48);
  std::ifstream file(file_, std::ios::binary);
  uint64_t header_bytes = 0;
  file.read(reinterpret_cast<char*>(&header_bytes), 8);
  EXPECT_EQ(fs::file_size(file_), 8 + header_bytes + data_bytes + index_bytes);
}

TEST_F(QuantizedFileTest, InstallsIntoAModelOfTheSameLayers) {
  const auto model = RandomDecoder(SmallConfig()), fresh = RandomDecoder(SmallConfig());
  SaveQuantized(file_, Quantize(*model), Value());
  InstallQuantized(*fresh, LoadQuantized(file_).model, file_.string());
  const at::Tensor tokens = SomeTokens(2, 9);
  EXPECT_TRUE(at::equal(fresh->Forward(tokens, {}), model->Forward(tokens, {})));
}

TEST_F(QuantizedFileTest, InstallsAgainIntoBlocksThatWereDropped) {
  const auto model = RandomDecoder(SmallConfig());
  const QuantizedModel quantized = Quantize(*model);
  const auto streamed = WithInstalledBlocks(RandomDecoder(SmallConfig()), quantized, {}, "codes");
  const at::Tensor tokens = SomeTokens(2, 9), expected = model->Forward(tokens, {});
  EXPECT_TRUE(at::equal(streamed->Forward(tokens, {}), expected));
  for (int64_t b = 0; b < streamed->summary().num_blocks; ++b) streamed->DropBlock(b);
  EXPECT_TRUE(at::equal(streamed->Forward(tokens, {}), expected));
}

TEST_F(QuantizedFileTest, QuantizesTheSameWhenItDropsBlocks) {
  const auto kept = RandomDecoder(SmallConfig()), dropped = RandomDecoder(SmallConfig()), fresh = RandomDecoder(SmallConfig());
  const auto rtn = MakeQuantizer("rtn", {{"bits", 3}, {"group_size", 16}});
  QuantizeSettings settings;
  const std::string digest = QuantizeModel(*kept, *rtn, nullptr, settings).codes_digest;
  settings.keep_blocks = false;
  EXPECT_EQ(QuantizeModel(*dropped, *rtn, nullptr, settings).codes_digest, digest);
  const at::Tensor tokens = SomeTokens(2, 9);
  EXPECT_TRUE(at::equal(dropped->Forward(tokens, {}), fresh->Forward(tokens, {}))) << "blocks were not read again";
}

TEST_F(QuantizedFileTest, RefusesAModelOfOtherLayers) {
  const auto model = RandomDecoder(SmallConfig());
  QuantizedModel quantized = Quantize(*model);
  quantized.layers[0].shape.name = "stranger";
  quantized.layers[1].shape.in_features = 64;
  try {
    InstallQuantized(*model, quantized, "codes.safetensors");
    FAIL() << "installed";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "codes.safetensors: these quantized layers are not those of 'random'. Missing: "
                 "model.layers.0.self_attn.q_proj. Left over: stranger. Of another shape: "
                 "model.layers.0.self_attn.k_proj is [16, 64], in the model [16, 32]. Quantize this model anew.");
  }
}

TEST_F(QuantizedFileTest, NoticesEveryAlteredByteAndEveryCut) {
  const auto model = RandomDecoder(SmallConfig());
  SaveQuantized(file_, Quantize(*model), Value(Value::Map{{"quantizer", "rtn"}}));
  const std::string bytes = ReadWholeFile(file_);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  const fs::path altered = folder_ / "altered";
  int tried = 0;
  for (size_t i = 0; i < bytes.size(); i += 41, ++tried) {
    std::string copy = bytes;
    copy[i] = static_cast<char>(copy[i] ^ 0x04);
    if (i >= 8 && i < 8 + header_bytes && bytes[i] == ' ') continue;  // padding
    WriteDurably(altered, copy);
    const std::string error = LoadError(altered);
    EXPECT_NE(error, "(no error)") << "byte " << i << " of " << bytes.size() << ", header " << header_bytes;
  }
  EXPECT_GT(tried, 50);
  for (const size_t size : {size_t{1}, size_t{8}, size_t{100}, bytes.size() / 2, bytes.size() - 1}) {
    WriteDurably(altered, bytes.substr(0, size));
    EXPECT_NE(LoadError(altered), "(no error)") << size;
  }
}

TEST_F(QuantizedFileTest, NamesTheFileWhoseCodesWereAltered) {
  const auto model = RandomDecoder(SmallConfig());
  SaveQuantized(file_, Quantize(*model), Value());
  std::string bytes = ReadWholeFile(file_);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  WriteDurably(file_, bytes);
  EXPECT_EQ(LoadError(file_), file_.string() + ": its codes do not match their digest. The file is damaged or was "
                                               "altered. Quantize again.");
}

TEST_F(QuantizedFileTest, RefusesADescriptionThatItsDigestFitsAndThatIsNone) {
  const auto model = RandomDecoder(SmallConfig());
  QuantizedModel quantized = Quantize(*model);
  quantized.layers.resize(1);
  const std::string name = quantized.layers[0].shape.name;
  quantized.codes_digest = DigestOfCodes(quantized);
  SaveQuantized(file_, quantized, Value());
  Redescribe(file_, [](auto& description) { description["about"] = "[1]"; });
  EXPECT_EQ(LoadError(file_), file_.string() + ": what its writer said of it is a list, not a map. The file is damaged "
                                               "or was altered. Quantize again.");
  SaveQuantized(file_, quantized, Value());
  quantized.layers.push_back(quantized.layers[0]);
  Redescribe(file_, [&](auto& description) {
    auto layers = nlohmann::json::parse(description["layers"].template get<std::string>());
    layers.push_back(layers[0]);
    description["layers"] = layers.dump();
    description["codes_digest"] = DigestOfCodes(quantized);
  });
  EXPECT_EQ(LoadError(file_), file_.string() + ": layer '" + name + "' is there twice. The file is damaged or was "
                                               "altered. Quantize again.");
}

TEST_F(QuantizedFileTest, RefusesAnotherSafetensorsFile) {
  const std::string header = R"({"__metadata__":{"format":"pt"},"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  std::string bytes(8, '\0');
  const uint64_t size = header.size();
  std::memcpy(bytes.data(), &size, 8);
  WriteDurably(file_, bytes + header + "x");
  EXPECT_EQ(LoadError(file_), file_.string() + ": its format is 'pt', not 'bitlaw-quantized-1'. Only files of quantized "
                                               "layers that this version wrote can be read. Quantize again.");
}

}  // namespace
}  // namespace bitlaw
