#include "quantize/expert_tokens.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace bitlaw {

std::optional<ExpertTokens> RoutedTokens(const QuantizedModel& quantized, int64_t minimum_tokens) {
  // "model.layers.0.mlp.experts.3": its layers are reached by the same tokens.
  std::map<std::string, int64_t> by_expert;
  for (const QuantizedLayer& layer : quantized.layers) {
    const double tokens = layer.diagnostic("routed_tokens");
    if (!layer.shape.is_expert || std::isnan(tokens)) continue;
    by_expert[layer.shape.name.substr(0, layer.shape.name.rfind('.'))] = static_cast<int64_t>(tokens);
  }
  if (by_expert.empty()) return std::nullopt;
  std::vector<int64_t> tokens;
  for (const auto& [expert, count] : by_expert) tokens.push_back(count);
  std::sort(tokens.begin(), tokens.end());
  ExpertTokens result;
  result.experts = static_cast<int64_t>(tokens.size());
  result.least = tokens.front();
  result.median = tokens[(tokens.size() - 1) / 2];
  result.greatest = tokens.back();
  result.below_minimum =
      std::count_if(tokens.begin(), tokens.end(), [&](int64_t count) { return count < minimum_tokens; });
  return result;
}

}  // namespace bitlaw
