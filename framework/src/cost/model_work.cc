#include "cost/model_work.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace bitlaw {
namespace {

double ToReal(int64_t number) { return static_cast<double>(number); }

// Which share of an expert's layer a token visits, in the mean over experts; 1 without experts.
double ActiveShare(const ModelSummary& summary) {
  double expert_weights = 0;
  for (const LinearShape& linear : summary.linears) {
    if (linear.is_expert) expert_weights += ToReal(linear.in_features) * ToReal(linear.out_features);
  }
  const double idle = ToReal(summary.parameters_total - summary.parameters_active);
  return expert_weights > 0 ? std::clamp(1 - idle / expert_weights, 0.0, 1.0) : 1;
}

// Of queries, keys and values those that a cache holds: all but the widest.
double KeysAndValues(const SiteShape& site) {
  if (site.role != SiteRole::kAttentionIn) return 0;
  double sum = 0, widest = 0;
  for (const LinearShape& reader : site.readers) {
    sum += ToReal(reader.out_features);
    widest = std::max(widest, ToReal(reader.out_features));
  }
  return sum - widest;
}

}  // namespace

ModelWork WorkOf(const ModelSummary& summary) {
  ModelWork work;
  const double active = ActiveShare(summary);
  std::map<std::pair<int, SiteRole>, double> stages;  // Numbers of second moments.
  std::map<int, double> blocks, block_weights;
  for (const SiteShape& site : SitesOf(summary)) {
    const double in = ToReal(site.in_features()), share = site.is_expert ? active : 1;
    for (const LinearShape& layer : site.readers) {
      const double out = ToReal(layer.out_features);
      work.token_flop += 2 * in * out * share;
      work.edge_flop += 2 * std::max(in, out) * share;
      work.solver_flop += 2 * in * in * out;
      work.layers += 1;
      block_weights[site.block] += in * out;
    }
    work.moment_flop += in * (in + 1) * share;
    work.solver_flop += in * in * in;
    work.sites += 1;
    work.widest_input = std::max(work.widest_input, in);
    work.kv_numbers += KeysAndValues(site);
    stages[{site.block, site.role}] += in * in;
    blocks[site.block] += in * in;
    work.model_moments += in * in;
  }
  for (const auto& [stage, numbers] : stages) work.stage_moments = std::max(work.stage_moments, numbers);
  for (const auto& [block, numbers] : blocks) work.block_moments = std::max(work.block_moments, numbers);
  for (const auto& [block, weights] : block_weights) work.largest_block = std::max(work.largest_block, weights);
  work.weights = ToReal(summary.parameters_quantizable);
  work.parameters = ToReal(summary.parameters_total);
  work.hidden = ToReal(summary.hidden_size);
  work.head_flop = 2 * work.hidden * ToReal(summary.vocab_size);
  // Without sites of known roles: as many keys and values as the stream is wide.
  if (work.kv_numbers == 0) work.kv_numbers = 2 * work.hidden * ToReal(summary.num_blocks);
  return work;
}

int64_t ActivationBytes(const ModelSummary& summary, Dtype dtype) {
  const double active = ActiveShare(summary);
  std::map<int, double> blocks;
  for (const LinearShape& linear : summary.linears) {
    blocks[linear.block] += ToReal(linear.in_features + linear.out_features) * (linear.is_expert ? active : 1);
  }
  double most = 1;
  for (const auto& [block, features] : blocks) most = std::max(most, features);
  return std::llround(most) * static_cast<int64_t>(BytesOf(dtype));
}

}  // namespace bitlaw
