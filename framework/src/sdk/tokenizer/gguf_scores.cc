#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "bitlaw/base/error.h"
#include "sdk/tokenizer/byte_level_bpe_parts.h"

namespace bitlaw {
namespace {

// Ranks of the merges that make one token.
struct Ranks {
  int64_t first = std::numeric_limits<int64_t>::max(), last = -1;
};

// Whatever two tokens make a third must be joined by a merge: scores cannot leave it out.
void CheckNoneIsLeftOut(const ByteLevelBpe::Parts& parts, std::span<const int32_t> types) {
  const auto is_normal = [&](int32_t id) { return id >= 0 && types[static_cast<size_t>(id)] == kNormal; };
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] != kNormal) continue;
    const std::string_view text = parts.tokens.Bytes(static_cast<int32_t>(i));
    for (size_t at = 1; at < text.size(); ++at) {
      if ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) continue;  // Within a character.
      const int32_t left = parts.tokens.Find(text.substr(0, at)), right = parts.tokens.Find(text.substr(at));
      if (!is_normal(left) || !is_normal(right) || parts.merges.Find(left, right) != nullptr) continue;
      CannotSayInGguf(parts.origin, "its tokens '" + std::string(text.substr(0, at)) + "' and '" + std::string(text.substr(at)) +
                                        "' make a third that no merge makes, and readers of scores would join them.");
    }
  }
}

}  // namespace

void CannotSayInGguf(const std::string& origin, const std::string& what) {
  throw Error(ErrorKind::kUnsupported, origin + ": a GGUF file cannot say this tokenizer: " + what);
}

std::vector<float> ScoresOfMerges(const ByteLevelBpe::Parts& parts, std::span<const int32_t> types) {
  const auto is_normal = [&](int32_t id) { return types[static_cast<size_t>(id)] == kNormal; };
  std::map<int32_t, Ranks> made;
  for (size_t i = 0; i < parts.merge_list.size(); ++i) {
    const auto& [left, right] = parts.merge_list[i];
    const int32_t joined = parts.merges.Find(left, right)->joined;
    if (!is_normal(left) || !is_normal(right) || !is_normal(joined)) {
      CannotSayInGguf(parts.origin, "merge " + std::to_string(i) + " is of a token that is a byte, unknown or added.");
    }
    Ranks& ranks = made[joined];
    ranks.first = std::min(ranks.first, static_cast<int64_t>(i));
    ranks.last = std::max(ranks.last, static_cast<int64_t>(i));
  }
  CheckNoneIsLeftOut(parts, types);
  std::vector<std::pair<Ranks, int32_t>> order;
  for (const auto& [token, ranks] : made) order.push_back({ranks, token});
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) { return a.first.first < b.first.first; });
  std::vector<float> scores(types.size(), 0.0F);
  for (size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && order[i].first.first < order[i - 1].first.last) {
      CannotSayInGguf(parts.origin, "merges of '" + std::string(parts.tokens.Bytes(order[i].second)) + "' stand among those of '" +
                                        std::string(parts.tokens.Bytes(order[i - 1].second)) + "', and a token has one score.");
    }
    scores[static_cast<size_t>(order[i].second)] = -static_cast<float>(i + 1);
  }
  return scores;
}

}  // namespace bitlaw
