#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "bitlaw/sdk/decoder/decoder.h"
#include "bitlaw/testing/byte_tokenizer.h"

namespace bitlaw::testing {

/// Weights drawn once from a seed: what a checkpoint would hold.
class RandomWeights : public WeightSource {
 public:
  RandomWeights(const DecoderConfig& config, uint64_t seed) {
    at::Generator generator = at::detail::createCPUGenerator(seed);
    for (const StoredTensor& tensor : ExpectedTensors(config)) {
      const at::Tensor noise = at::randn(tensor.shape, generator, at::kFloat);
      // Norms near one, matrices small enough that logits stay of order one.
      tensors_[tensor.name] = tensor.shape.size() == 1 ? noise * 0.1 + 1.0 : noise * 0.2;
    }
  }
  at::Tensor Load(const std::string& name, at::ScalarType dtype) const override {
    ++loads_;
    return tensors_.at(name).to(dtype);
  }
  int loads() const { return loads_; }  ///< How often a tensor was asked for.

 private:
  std::map<std::string, at::Tensor> tensors_;
  mutable std::atomic<int> loads_ = 0;
};

/// A Llama for tests of transforms and quantizers, in float32 on the CPU: hidden 32, 4 query heads over 2 key-value
/// heads of 8, feed-forward 48, 2 blocks, ByteTokenizer. The same seed gives the same weights.
inline std::unique_ptr<Model> OpenSmallDecoder(uint64_t seed = 7) {
  DecoderConfig config;
  config.architecture = "llama";
  config.vocab_size = ByteTokenizer().vocab_size();
  config.hidden_size = 32, config.ffn_size = 48, config.num_blocks = 2;
  config.num_heads = 4, config.num_kv_heads = 2, config.head_dim = 8, config.max_positions = 512;
  config.tied_head = true;
  return OpenDecoder(config, SummarizeDecoder(config, ExpectedTensors(config), "small", "small"),
                     std::make_unique<RandomWeights>(config, seed), std::make_unique<ByteTokenizer>(),
                     {.dtype = Dtype::kFloat32, .device = "cpu"});
}

}  // namespace bitlaw::testing
