#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/rng.h"

namespace bitlaw {

/// Sizes of a checkpoint for tests. Its tokenizer has one token a byte and an end-of-text token: V = 257.
struct TinyCheckpoint {
  int64_t hidden = 32, blocks = 2, heads = 4, kv_heads = 2, mlp = 64, max_positions = 512;
  uint64_t seed = 1;
};

namespace tiny_checkpoint {

constexpr int64_t kVocabulary = 257;

// The printable stand-in that byte-level BPE files use for a byte, as UTF-8.
inline std::vector<std::string> ByteSymbols() {
  std::vector<std::string> symbols(256);
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const int code = printable ? byte : next++;
    std::string& symbol = symbols[byte];
    if (code < 0x80) {
      symbol = static_cast<char>(code);
    } else {
      symbol = {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  return symbols;
}

inline std::string TokenizerJson() {
  std::string vocabulary;
  const std::vector<std::string> symbols = ByteSymbols();
  for (int id = 0; id < 256; ++id) {
    const std::string& symbol = symbols[id];
    vocabulary +=
        fmt::format("{}\"{}{}\":{}", id == 0 ? "" : ",", symbol == "\"" || symbol == "\\" ? "\\" : "", symbol, id);
  }
  return fmt::format(
      R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{{"id":256,"content":"<|endoftext|>",)"
      R"("single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}}],"normalizer":null,)"
      R"("pre_tokenizer":{{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}},)"
      R"("post_processor":null,"decoder":{{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,)"
      R"("use_regex":true}},"model":{{"type":"BPE","dropout":null,"unk_token":null,)"
      R"("continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,)"
      R"("vocab":{{{},"<|endoftext|>":256}},"merges":[]}}}})",
      vocabulary);
}

}  // namespace tiny_checkpoint

/// Writes a Llama checkpoint of random float32 weights in Hugging Face's layout: config.json, model.safetensors,
/// tokenizer.json. The same sizes and seed give the same bytes.
inline void WriteTinyCheckpoint(const std::filesystem::path& folder, const TinyCheckpoint& tiny) {
  std::filesystem::create_directories(folder);
  const int64_t head = tiny.hidden / tiny.heads, kv = tiny.kv_heads * head;
  std::ofstream(folder / "config.json") << fmt::format(
      R"({{"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","hidden_size":{},)"
      R"("intermediate_size":{},"num_hidden_layers":{},"num_attention_heads":{},"num_key_value_heads":{},)"
      R"("max_position_embeddings":{},"rms_norm_eps":1e-05,"rope_theta":10000.0,"tie_word_embeddings":true,)"
      R"("torch_dtype":"float32","vocab_size":{},"eos_token_id":256}})",
      tiny.hidden, tiny.mlp, tiny.blocks, tiny.heads, tiny.kv_heads, tiny.max_positions, tiny_checkpoint::kVocabulary);
  std::ofstream(folder / "tokenizer.json") << tiny_checkpoint::TokenizerJson();

  struct Tensor {
    std::string name;
    int64_t rows, columns;  // columns 0: a vector of ones
  };
  std::vector<Tensor> tensors = {{"model.embed_tokens.weight", tiny_checkpoint::kVocabulary, tiny.hidden}};
  for (int64_t i = 0; i < tiny.blocks; ++i) {
    const std::string block = fmt::format("model.layers.{}.", i);
    tensors.insert(tensors.end(), {{block + "input_layernorm.weight", tiny.hidden, 0},
                                   {block + "self_attn.q_proj.weight", tiny.hidden, tiny.hidden},
                                   {block + "self_attn.k_proj.weight", kv, tiny.hidden},
                                   {block + "self_attn.v_proj.weight", kv, tiny.hidden},
                                   {block + "self_attn.o_proj.weight", tiny.hidden, tiny.hidden},
                                   {block + "post_attention_layernorm.weight", tiny.hidden, 0},
                                   {block + "mlp.gate_proj.weight", tiny.mlp, tiny.hidden},
                                   {block + "mlp.up_proj.weight", tiny.mlp, tiny.hidden},
                                   {block + "mlp.down_proj.weight", tiny.hidden, tiny.mlp}});
  }
  tensors.push_back({"model.norm.weight", tiny.hidden, 0});

  Rng rng(tiny.seed);
  std::string header = "{", bytes;
  for (const Tensor& tensor : tensors) {
    const bool vector = tensor.columns == 0;
    const int64_t count = tensor.rows * (vector ? 1 : tensor.columns);
    const size_t begin = bytes.size();
    for (int64_t k = 0; k < count; ++k) {
      const float value = vector ? 1.0F : static_cast<float>(0.2 * rng.Normal());
      char raw[sizeof value];
      std::memcpy(raw, &value, sizeof value);
      bytes.append(raw, sizeof value);
    }
    header += fmt::format("{}\"{}\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                          header.size() > 1 ? "," : "", tensor.name,
                          vector ? std::to_string(tensor.rows) : fmt::format("{},{}", tensor.rows, tensor.columns),
                          begin, bytes.size());
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  std::ofstream file(folder / "model.safetensors", std::ios::binary);
  file.write(reinterpret_cast<const char*>(&size), sizeof size);
  file << header << bytes;
}

}  // namespace bitlaw
