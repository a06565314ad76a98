#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "bitlaw/sdk/decoder/decoder.h"

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

}  // namespace bitlaw::testing
