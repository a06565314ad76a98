#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "bitlaw/sdk/decoder/decoder.h"
#include "bitlaw/testing/random_weights.h"

namespace bitlaw {

using testing::RandomWeights;

/// Says how large its vocabulary is and nothing else.
class NoTokenizer : public Tokenizer {
 public:
  explicit NoTokenizer(int64_t vocab_size) : vocab_size_(vocab_size) {}
  std::vector<int32_t> Encode(std::string_view, bool) const override { return {}; }
  std::string Decode(std::span<const int32_t>, bool) const override { return ""; }
  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }
  std::vector<int32_t> stop_ids() const override { return {}; }
  const std::string& digest() const override { return digest_; }

 private:
  int64_t vocab_size_;
  std::string digest_;
};

/// Hidden 32, 4 query heads over 2 key-value heads of 8, feed-forward 48, 2 blocks, vocabulary 40.
inline DecoderConfig SmallConfig() {
  DecoderConfig config;
  config.architecture = "llama";
  config.vocab_size = 40;
  config.hidden_size = 32;
  config.ffn_size = 48;
  config.num_blocks = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.max_positions = 512;
  config.tied_head = true;
  return config;
}

inline std::unique_ptr<Model> RandomDecoder(const DecoderConfig& config, Dtype dtype = Dtype::kFloat32,
                                            const RandomWeights** weights = nullptr) {
  auto source = std::make_unique<RandomWeights>(config, 7);
  if (weights != nullptr) *weights = source.get();
  ModelSummary summary = SummarizeDecoder(config, ExpectedTensors(config), "random", "random");
  return OpenDecoder(config, summary, std::move(source), std::make_unique<NoTokenizer>(config.vocab_size),
                     {.dtype = dtype, .device = "cpu"});
}

/// [B, T] int64 ids below 40, fixed by the seed.
inline at::Tensor SomeTokens(int64_t batch, int64_t length, uint64_t seed = 3) {
  return at::randint(0, 40, {batch, length}, at::detail::createCPUGenerator(seed), at::kLong);
}

inline double LargestDifference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace bitlaw
