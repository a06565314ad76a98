// Rounded keys and values in compressed-tensors' kv_cache_scheme: names, shapes and dtypes as llm-compressor 0.14 writes
// them.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "bitlaw/api/kv_cache.h"
#include "quantize/quantize_model.h"
#include "support/exporters.h"
#include "support/models.h"
#include "support/quantizers.h"
#include "support/tiny_checkpoint.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

class KvScheme : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    WriteTinyCheckpoint(folder_ / "from", {.blocks = 2, .kv_heads = 2});
    model_ = MakeModelBackend("hf")->Open(folder_ / "from", {});
    const auto quantizer = MakeQuantizer("rtn", {{"bits", 4}, {"group_size", 16}});
    quantized_ = QuantizeModel(*model_, *quantizer, nullptr);
    for (const QuantizedLayer& layer : quantized_.layers) layers_.push_back({layer.shape, layer.linear});
  }

  // Keys of block b have the scales 0.5 + b and, of another head, 0.25; values twice those.
  static KvGrid Grid(const ActivationGrid& numbers, KvScaleOf of, float factor) {
    KvGrid grid{.numbers = numbers, .scale_of = of};
    for (int b = 0; b < 2; ++b) {
      const float first = factor * (0.5F + static_cast<float>(b));
      const at::Tensor scales = of == KvScaleOf::kHead ? at::tensor({first, factor * 0.25F}).view({2, 1})
                                                       : at::tensor({first}).view({1, 1});
      grid.blocks.push_back({scales, {}});
    }
    return grid;
  }
  static KvCacheGrid Cache(const ActivationGrid& numbers, KvScaleOf of) {
    return {.keys = Grid(numbers, of, 1), .values = Grid(numbers, of, 2)};
  }

  std::filesystem::path Emptied() const {
    std::filesystem::remove_all(folder_ / "to");
    std::filesystem::create_directories(folder_ / "to");
    return folder_ / "to";
  }
  StoredTensors Export(const KvCacheGrid& cache) {
    MakeExporter("compressed_tensors")->Export(folder_ / "from", {model_->summary(), layers_, {}, &cache}, Emptied());
    return StoredTensors(folder_ / "to" / "model.safetensors");
  }
  std::string Scheme() const {
    const Value config = ParseJson(Read(folder_ / "to" / "config.json"), "config.json");
    return config.Find("quantization_config")->Find("kv_cache_scheme")->Text();
  }
  // The first `text` behind `after` in config.json.
  void Replace(const std::string& after, const std::string& text, const std::string& by) const {
    std::string config = Read(folder_ / "to" / "config.json");
    const size_t from = config.find(after), at = config.find(text, from == std::string::npos ? 0 : from);
    ASSERT_NE(at, std::string::npos) << config;
    Write("to/config.json", config.replace(at, text.size(), by));
  }
  std::string OpenError() const {
    return ErrorText([&] { MakeModelBackend("hf")->Open(folder_ / "to", {}); });
  }
  static at::Tensor LogitsOf(Model& model, const at::Tensor& tokens) { return model.Logits(model.Forward(tokens, {})); }
  std::string Refusal(const KvCacheGrid& cache) const {
    return MakeExporter("compressed_tensors")->ExplainUnsupported({model_->summary(), layers_, {}, &cache});
  }

  std::unique_ptr<Model> model_;
  QuantizedModel quantized_;
  std::vector<ExportLayer> layers_;
};

const ActivationGrid kFp8{.bits = 8, .format = InputFormat::kFp8E4m3}, kInt8{.bits = 8};
constexpr char kAttention[] = "model.layers.1.self_attn.";

TEST_F(KvScheme, HasOneScaleALayer) {
  const StoredTensors stored = Export(Cache(kFp8, KvScaleOf::kTensor));
  EXPECT_EQ(Scheme(), "{num_bits: 8, type: 'float', strategy: 'tensor', dynamic: false, symmetric: true}");
  for (const auto& [name, bytes] : {std::pair("k_scale", std::string("\0\0\xc0\x3f", 4)),      // 1.5
                                    std::pair("v_scale", std::string("\0\0\x40\x40", 4))}) {  // 3
    const auto& entry = stored.entries().at(std::string(kAttention) + name);
    EXPECT_EQ(entry.dtype, "F32");
    EXPECT_EQ(entry.shape, (std::vector<int64_t>{1}));
    EXPECT_EQ(stored.Bytes(std::string(kAttention) + name), bytes);
  }
  EXPECT_TRUE(stored.entries().contains("model.layers.0.self_attn.k_scale"));
}

TEST_F(KvScheme, HasOneScaleAHead) {
  const StoredTensors stored = Export(Cache(kInt8, KvScaleOf::kHead));
  EXPECT_EQ(Scheme(), "{num_bits: 8, type: 'int', strategy: 'attn_head', dynamic: false, symmetric: true}");
  EXPECT_EQ(stored.entries().at(std::string(kAttention) + "v_scale").shape, (std::vector<int64_t>{2, 1, 1}));
  EXPECT_EQ(stored.Bytes(std::string(kAttention) + "v_scale"), std::string("\0\0\x40\x40\0\0\0\x3f", 8));  // 3, 0.5
}

TEST_F(KvScheme, SaysWhichCachesItIsNotOf) {
  EXPECT_EQ(Refusal(Cache(kFp8, KvScaleOf::kTensor)), "");
  EXPECT_EQ(Refusal(Cache(kFp8, KvScaleOf::kToken)),
            "keys have a scale a token, and kv_cache_scheme has a static one a layer or a head. Set key_per and value_per to "
            "tensor or head.");
  EXPECT_THAT(Refusal(Cache(kInt8, KvScaleOf::kChannel)), HasSubstr("keys have a scale a channel"));
  EXPECT_EQ(Refusal(Cache({.bits = 8, .symmetric = false}, KvScaleOf::kTensor)),
            "keys are integers whose range need not hold zero, and kv_cache_scheme counts from an integer zero point. Set "
            "kv_cache.symmetric: true, or a format of fp8_e4m3.");
  EXPECT_EQ(Refusal(Cache({.bits = 12}, KvScaleOf::kTensor)), "keys are integers of 12 bits. The format has 8 at most.");
  KvCacheGrid cache = Cache(kFp8, KvScaleOf::kTensor);
  cache.keys_before_rotation = true;
  EXPECT_THAT(Refusal(cache), HasSubstr("keys are rounded before their rotation"));
  cache = Cache(kFp8, KvScaleOf::kTensor);
  cache.values->blocks.pop_back();
  EXPECT_EQ(Refusal(cache), "values have static scales of 1 blocks, and the model has 2.");
  cache.values = Grid(kInt8, KvScaleOf::kTensor, 1);
  EXPECT_EQ(Refusal(cache),
            "keys are fp8_e4m3 of 8 bits with a scale a tensor, values int of 8 bits with a scale a tensor, and "
            "kv_cache_scheme is one of both. Round them alike.");
  cache.values.reset();
  EXPECT_EQ(Refusal(cache),
            "keys are rounded and values are not, and kv_cache_scheme is of both. Round both, or leave kv_cache out.");
}

TEST_F(KvScheme, IsReadBackBitForBit) {
  const at::Tensor tokens = at::arange(20, at::kLong).view({1, 20});
  const at::Tensor plain = LogitsOf(*model_, tokens);
  for (const auto& [numbers, of] : {std::pair(kFp8, KvScaleOf::kTensor), std::pair(kFp8, KvScaleOf::kHead),
                                    std::pair(kInt8, KvScaleOf::kTensor), std::pair(kInt8, KvScaleOf::kHead)}) {
    SCOPED_TRACE(std::string(Name(numbers.format)) + " " + std::string(Name(of)));
    const KvCacheGrid cache = Cache(numbers, of);
    Export(cache);
    const auto read = MakeModelBackend("hf")->Open(folder_ / "to", {});
    model_->RoundKvCache(cache);
    EXPECT_TRUE(LogitsOf(*read, tokens).equal(LogitsOf(*model_, tokens)));
    EXPECT_FALSE(LogitsOf(*read, tokens).equal(plain));
    std::map<std::string, Value> factors;
    for (const Factor& factor : read->summary().stored_quantization->factors) factors[factor.column] = factor.value;
    EXPECT_EQ(factors["B_k"], Value(8));
    EXPECT_EQ(factors["B_v"], Value(8));
  }
}

TEST_F(KvScheme, MayBeAllThatIsRounded) {
  const auto original = MakeModelBackend("hf")->Open(folder_ / "from", {});
  const KvCacheGrid cache = Cache(kFp8, KvScaleOf::kHead);
  layers_.clear();
  Export(cache);
  const auto read = MakeModelBackend("hf")->Open(folder_ / "to", {});
  original->RoundKvCache(cache);
  const at::Tensor tokens = at::arange(20, at::kLong).view({1, 20});
  EXPECT_TRUE(LogitsOf(*read, tokens).equal(LogitsOf(*original, tokens)));
  EXPECT_EQ(read->summary().stored_quantization->bits, 16);
  EXPECT_EQ(read->summary().baseline_note, "keys and values are rounded as another program's file says (compressed-tensors)");
}

TEST_F(KvScheme, NamesScalesThatAreNotAsItSays) {
  const KvCacheGrid cache = Cache(kFp8, KvScaleOf::kTensor);
  Export(cache);
  Replace("kv_cache_scheme", "\"tensor\"", "\"attn_head\"");
  EXPECT_THAT(OpenError(),
              HasSubstr("DIR/to: 'model.layers.0.self_attn.k_scale' holds 1 numbers, and kv_cache_scheme says 2."));
  KvCacheGrid wrong = cache;
  wrong.values->blocks[1].scales = at::zeros({1, 1});
  Export(wrong);
  EXPECT_EQ(OpenError(), "DIR/to: block 1 has for its values a scale that is not a positive number.");
  // Where nothing is stored of it.
  MakeExporter("compressed_tensors")->Export(folder_ / "from", {model_->summary(), layers_, {}, nullptr}, Emptied());
  Replace("quantization_config", "\"kv_cache_scheme\": null",
          "\"kv_cache_scheme\": {\"num_bits\": 8, \"type\": \"float\", \"strategy\": \"tensor\", \"dynamic\": false}");
  EXPECT_THAT(OpenError(), HasSubstr("DIR/to: 'model.layers.1.self_attn.v_scale' is missing, and kv_cache_scheme says that "
                                     "a scale is stored."));
}

// Weights are read; that keys and values would be rounded is not left out silently.
TEST_F(KvScheme, IsReadWhereItIsLeftOut) {
  Export(Cache(kFp8, KvScaleOf::kTensor));
  const at::Tensor tokens = at::arange(20, at::kLong).view({1, 20});
  const auto weights = [&] { return MakeModelBackend("hf", {{"weights_only", true}})->Open(folder_ / "to", {}); };
  EXPECT_THAT(weights()->summary().baseline_note, HasSubstr("keys and values are quantized to float of 8 bits"));
  EXPECT_TRUE(LogitsOf(*weights(), tokens).equal(LogitsOf(*model_, tokens)));
  Replace("kv_cache_scheme", "\"dynamic\": false", "\"dynamic\": true");
  EXPECT_THAT(OpenError(),
              HasSubstr("keys and values are quantized to float of 8 bits with strategy 'tensor', dynamic, which is not "
                        "computed here. Set backend_options: {weights_only: true} to leave that out."));
  EXPECT_TRUE(LogitsOf(*weights(), tokens).equal(LogitsOf(*model_, tokens)));
}

}  // namespace
}  // namespace bitlaw
