#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/digest.h"

namespace bitlaw::testing {

/// A tokenizer for tests: one token a byte, 256 begins a text and 257 ends one. V = 258.
class ByteTokenizer final : public Tokenizer {
 public:
  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens) const override {
    std::vector<int32_t> ids;
    if (add_special_tokens) ids.push_back(256);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string Decode(std::span<const int32_t> ids, bool skip_special_tokens) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id >= 0 && id < 256) text += static_cast<char>(id);
      if (!skip_special_tokens && id == 256) text += "<s>";
      if (!skip_special_tokens && id == 257) text += "</s>";
    }
    return text;
  }
  int64_t vocab_size() const override { return 258; }
  std::optional<int32_t> bos_id() const override { return 256; }
  std::optional<int32_t> eos_id() const override { return 257; }
  std::vector<int32_t> stop_ids() const override { return {257}; }
  const std::string& digest() const override { return digest_; }

 private:
  std::string digest_ = DigestOf("bitlaw::testing::ByteTokenizer 1");
};

}  // namespace bitlaw::testing
