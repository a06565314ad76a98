#include "bitlaw/sdk/grids/effective_bits.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace bitlaw {

int64_t EffectiveGroupSize(int64_t group_size, int64_t in_features) {
  return group_size < 1 || group_size > in_features ? in_features : group_size;
}

int64_t GroupCount(int64_t group_size, int64_t in_features) {
  const int64_t effective = EffectiveGroupSize(group_size, in_features);
  return (in_features + effective - 1) / effective;
}

std::vector<Factor> GroupFactors(int64_t group_size, const ModelSummary& model) {
  int64_t smallest = 0, largest_row = 0;
  double weights = 0, groups = 0;
  for (const LinearShape& layer : model.linears) {
    const int64_t effective = EffectiveGroupSize(group_size, layer.in_features);
    smallest = smallest == 0 ? effective : std::min(smallest, effective);
    largest_row = std::max(largest_row, layer.in_features);
    const auto rows = static_cast<double>(layer.out_features);
    weights += rows * static_cast<double>(layer.in_features);
    groups += rows * static_cast<double>(GroupCount(group_size, layer.in_features));
  }
  if (groups == 0) return {};
  return {StandardFactor("G", group_size < 1 ? largest_row : group_size), StandardFactor("G_min", smallest),
          StandardFactor("G_mean", weights / groups)};
}

std::string ExplainGroupSize(const LinearShape& layer, int64_t group_size, bool allow_partial_group) {
  const int64_t effective = EffectiveGroupSize(group_size, layer.in_features);
  if (allow_partial_group || layer.in_features % effective == 0) return "";
  std::vector<int64_t> fitting;
  for (int64_t size = 16; size <= 1024; size *= 2) {
    if (layer.in_features % size == 0) fitting.push_back(size);
  }
  return fmt::format(
      "group_size = {} does not divide C_in = {} of '{}'. Use {}row, or allow_partial_group: true for a short last "
      "group.",
      group_size, layer.in_features, layer.name, fitting.empty() ? "" : fmt::format("{}, ", fmt::join(fitting, ", ")));
}

double StoredBitsPerWeight(const LinearShape& layer, const StorageRule& rule) {
  const double groups = static_cast<double>(GroupCount(rule.group_size, layer.in_features));
  const double per_group = rule.scale_bits + (rule.symmetric ? 0 : rule.bits);
  const double group_index = rule.stores_group_index ? 32.0 / static_cast<double>(layer.out_features) : 0.0;
  const double weights = static_cast<double>(layer.in_features) * static_cast<double>(layer.out_features);
  return rule.bits + groups * per_group / static_cast<double>(layer.in_features) + group_index +
         rule.tensor_bits / weights;
}

}  // namespace bitlaw
