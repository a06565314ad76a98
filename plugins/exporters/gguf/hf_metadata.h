#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/sdk/checkpoint/gguf_writer.h"
#include "bitlaw/sdk/checkpoint/hf_folder.h"

namespace bitlaw {

/// What of a Hugging Face folder's configuration tensors depend on.
struct HfShape {
  std::string architecture;  ///< Of general.architecture: "llama".
  int64_t heads = 0, kv_heads = 0, head_dim = 0, vocab_size = 0;
  int64_t experts = 0;                   ///< Of each block; 0: it has none.
  bool is_tied = false;                  ///< The head is the embedding.
  std::vector<float> rotary_divisors{};  ///< [head_dim / 2], of rope_freqs.weight; empty: there is none.
};

/// Puts what config.json says into the metadata of `out`, as convert_hf_to_gguf.py of llama.cpp does. Nothing is
/// guessed: Error(kUnsupported) for an architecture, window, activation or rotary scaling that is not written here, and for keys
/// that are missing where the format needs them.
HfShape DescribeModel(const HfFolder& folder, const std::string& name, GgufWriter& out);

/// The same of the folder's tokenizer. Error(kUnsupported) of ByteLevelBpe::ForGguf().
void DescribeTokenizer(const HfFolder& folder, int64_t vocab_size, GgufWriter& out);

}  // namespace bitlaw
