#pragma once

#include <map>
#include <string>
#include <vector>

#include "bitlaw/sdk/checkpoint/gguf_file.h"
#include "bitlaw/sdk/decoder/decoder.h"
#include "bitlaw/sdk/tokenizer/byte_level_bpe.h"

namespace bitlaw {

struct GgufArchitecture;

/// A GGUF file as the weights of a decoder, under the names and in the row order of Hugging Face checkpoints.
///
/// llama.cpp stores the query and key rows of the llama architecture with the two halves of each head interleaved
/// (its rotation turns neighbours); Load() puts them back.
class GgufCheckpoint : public WeightSource {
 public:
  /// Error(kUnsupported) for another architecture, a split file, experts, or a tensor type that cannot be
  /// dequantized; Error(kIo) for missing or malformed metadata and everything that GgufFile finds.
  explicit GgufCheckpoint(const std::filesystem::path& path);

  const GgufFile& file() const { return file_; }
  const DecoderConfig& config() const { return config_; }
  std::vector<StoredTensor> tensors() const;
  /// "weights were stored as Q4_1, Q8_0 and are dequantized", most weights first; "" if none were quantized.
  std::string baseline_note() const;

  at::Tensor Load(const std::string& name, at::ScalarType dtype) const override;

 private:
  /// A stored tensor, or some of its rows.
  struct Place {
    const GgufTensor* tensor = nullptr;
    std::vector<int64_t> shape{};
    int64_t first_row = 0;
  };
  // Of config.cc.
  void ReadArchitecture();
  void ReadConfig();
  void ReadBlocks();
  void ReadScales();
  void ReadRope();
  bool ReadLongRope();
  std::vector<float> TakeRotaryNumbers(const std::string& name, int64_t dims);
  void RefuseUnknownMath() const;

  void SplitProjections();

  GgufFile file_;
  const GgufArchitecture* architecture_ = nullptr;
  DecoderConfig config_;
  std::map<std::string, Place> tensors_;  ///< By Hugging Face name.
};

/// The tokenizer from the tokenizer.ggml.* metadata.
std::unique_ptr<ByteLevelBpe> OpenGgufTokenizer(const GgufFile& file);

}  // namespace bitlaw
