#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/decoder/decoder.h"

/// One token a byte; 256 ends a text. A checkpoint with a tokenizer.json takes bitlaw/sdk/tokenizer/byte_level_bpe.h.
class MyModelTokenizer final : public bitlaw::Tokenizer {
 public:
  std::vector<int32_t> Encode(std::string_view text, bool) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string Decode(std::span<const int32_t> ids, bool) const override {
    std::string text;
    for (const int32_t id : ids) text += id < 256 ? std::string(1, static_cast<char>(id)) : "";
    return text;
  }
  int64_t vocab_size() const override { return 257; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return 256; }
  std::vector<int32_t> stop_ids() const override { return {256}; }
  const std::string& digest() const override { return digest_; }

 private:
  std::string digest_ = bitlaw::DigestOf("bytes and an end");
};

/// Files "<name>.my_model" hold a number, the seed of a small Llama with random weights.
///
/// A decoder of the common kind is a configuration and a source of tensors; the SDK builds the rest.
class MyModel final : public bitlaw::ModelBackend {
 public:
  static bitlaw::OptionSchema Schema() { return {}; }
  explicit MyModel(const bitlaw::Options&) {}

  static bitlaw::DecoderConfig Config() {
    bitlaw::DecoderConfig config;
    config.architecture = "llama";
    config.vocab_size = 257, config.hidden_size = 32, config.ffn_size = 64, config.num_blocks = 2;
    config.num_heads = 4, config.num_kv_heads = 2, config.head_dim = 8, config.max_positions = 256;
    return config;
  }

  // By name and magic bytes alone. At most one backend claims a path.
  bool Claims(const std::filesystem::path& path) const override { return path.extension() == ".my_model"; }
  std::string ExplainUnsupported(const std::filesystem::path&) const override { return ""; }
  bitlaw::ModelSummary Inspect(const std::filesystem::path& path) const override {
    std::vector<bitlaw::StoredTensor> stored = bitlaw::ExpectedTensors(Config());
    for (bitlaw::StoredTensor& tensor : stored) tensor.dtype = "F32";
    return bitlaw::SummarizeDecoder(Config(), stored, path.stem().string(), path.string());
  }
  std::vector<std::filesystem::path> Files(const std::filesystem::path& path) const override { return {path}; }
  std::unique_ptr<bitlaw::Tokenizer> OpenTokenizer(const std::filesystem::path&) const override {
    return std::make_unique<MyModelTokenizer>();
  }
  std::unique_ptr<bitlaw::Model> Open(const std::filesystem::path& path,
                                      const bitlaw::ComputeSetting& compute) const override {
    uint64_t seed = 0;
    if (!(std::ifstream(path) >> seed)) {
      throw bitlaw::Error(bitlaw::ErrorKind::kIo,
                          path.string() + ": does not begin with a number. Write the seed into it, such as 7.");
    }
    return bitlaw::OpenDecoder(Config(), Inspect(path), std::make_unique<Weights>(seed), OpenTokenizer(path), compute);
  }

 private:
  class Weights final : public bitlaw::WeightSource {
   public:
    explicit Weights(uint64_t seed) : seed_(seed) {
      for (const bitlaw::StoredTensor& tensor : bitlaw::ExpectedTensors(Config())) shapes_[tensor.name] = tensor.shape;
    }
    at::Tensor Load(const std::string& name, at::ScalarType dtype) const override {
      const std::vector<int64_t>& shape = shapes_.at(name);
      if (shape.size() == 1) return at::ones(shape, dtype);  // Norms.
      const uint64_t own = std::stoull(bitlaw::DigestOf(name).substr(0, 8), nullptr, 16);
      auto generator = at::detail::createCPUGenerator(seed_ + own);
      return (at::randn(shape, generator) / std::sqrt(static_cast<double>(shape[1]))).to(dtype);
    }

   private:
    uint64_t seed_;
    std::map<std::string, std::vector<int64_t>> shapes_;
  };
};
