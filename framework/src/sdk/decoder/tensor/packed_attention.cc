#include "sdk/decoder/tensor/packed_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <set>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/torch_version.h"
#include "sdk/decoder/tensor/device_kernels.h"

// T tokens of a pass, S keys of all its texts, H query heads, K key-value heads, Dh head size.

namespace bitlaw {
namespace {

// From so many tokens on a common header is read by an attention of its own, whose result is merged with the texts'.
constexpr int64_t kLeastHeader = 64;
constexpr int64_t kGatheredBytes = int64_t{1} << 29;

struct Span {
  int64_t segment = 0, slot = 0, count = 0;
};

// What the last token of a run sees, from the root on.
std::vector<Span> PathOf(const KvCache& cache, const TokenRun& run) {
  std::vector<Span> path = {{run.segment, cache.slot(run.segment), cache.length(run.segment) + run.tokens}};
  for (int64_t s = cache.parent(run.segment); s != KvCache::kNoParent; s = cache.parent(s)) {
    path.push_back({s, cache.slot(s), cache.room(s)});
  }
  std::reverse(path.begin(), path.end());
  return path;
}

PackedTexts Pack(std::span<const std::vector<Span>> texts, std::span<const int64_t> queries, const at::Device& device) {
  PackedTexts packed;
  std::vector<int64_t> slots;
  packed.query_bounds = packed.key_bounds = {0};
  for (size_t i = 0; i < texts.size(); ++i) {
    for (const Span& span : texts[i]) {
      for (int64_t k = 0; k < span.count; ++k) slots.push_back(span.slot + k);
    }
    packed.most_queries = std::max(packed.most_queries, queries[i]);
    packed.most_keys = std::max(packed.most_keys, static_cast<int64_t>(slots.size()) - packed.key_bounds.back());
    packed.query_bounds.push_back(packed.query_bounds.back() + queries[i]);
    packed.key_bounds.push_back(static_cast<int64_t>(slots.size()));
  }
  packed.slots = at::tensor(slots, at::kLong).to(device);
  const auto ends = [&](const std::vector<int64_t>& bounds) { return at::tensor(bounds, at::kInt).to(device); };
  packed.query_ends = ends(packed.query_bounds);
  packed.key_ends = ends(packed.key_bounds);
  return packed;
}

// Texts one after the other until they have `most_keys` keys, then the next ones.
std::vector<PackedTexts> PackInParts(std::span<const std::vector<Span>> texts, std::span<const int64_t> queries,
                                     int64_t most_keys, const at::Device& device) {
  std::vector<PackedTexts> parts;
  for (size_t first = 0, end = 0; first < texts.size(); first = end) {
    for (int64_t keys = 0; end < texts.size(); ++end) {
      for (const Span& span : texts[end]) keys += span.count;
      if (keys > most_keys && end > first) break;
    }
    parts.push_back(Pack(texts.subspan(first, end - first), queries.subspan(first, end - first), device));
  }
  return parts;
}

// [T, H, Dh] and the logarithms of the softmax's sums in nats, [H, T] float32, or undefined where they were not asked for.
struct Attended {
  at::Tensor output, log_sums;
};

// With libtorch's operations, one text after the other. A text's queries are its last tokens if `is_causal`.
Attended AttendOneByOne(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                        const PackedTexts& texts, bool is_causal) {
  const int64_t shared = queries.size(1) / keys.size(1);
  Attended all{at::empty_like(queries), at::empty({queries.size(1), queries.size(0)}, queries.options().dtype(at::kFloat))};
  for (size_t i = 0; i + 1 < texts.query_bounds.size(); ++i) {
    const int64_t first = texts.query_bounds[i], n = texts.query_bounds[i + 1] - first;
    const int64_t begin = texts.key_bounds[i], count = texts.key_bounds[i + 1] - begin;
    const auto heads = [&](const at::Tensor& x) { return x.narrow(0, begin, count).repeat_interleave(shared, 1).transpose(0, 1); };
    const at::Tensor q = queries.narrow(0, first, n).transpose(0, 1);                              // [H, n, Dh]
    at::Tensor scores = at::bmm(q.to(at::kFloat), heads(keys).transpose(1, 2).to(at::kFloat));     // [H, n, count]
    if (is_causal) {
      const at::Tensor future = at::ones({n, count}, scores.options().dtype(at::kBool)).triu(count - n + 1);
      scores = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
    }
    all.log_sums.narrow(1, first, n).copy_(at::logsumexp(scores, -1));
    const at::Tensor mixed = at::bmm(at::softmax(scores, -1), heads(values).to(at::kFloat));       // [H, n, Dh]
    all.output.narrow(0, first, n).copy_(mixed.transpose(0, 1));
  }
  return all;
}

#if BITLAW_TORCH_AT_LEAST(2, 11)

// Flash attention reads bfloat16 from compute capability 8.0 on, heads of at most 256 in steps of 8.
bool HasFlashAttention(const at::Tensor& queries) {
  static const bool is_recent = [&] {
    const auto facts = DescribeDevice(queries.device());
    return facts && !facts->capability.starts_with("7.") && facts->capability.find('.') != std::string::npos;
  }();
  return is_recent && queries.scalar_type() == at::kBFloat16 && queries.size(2) % 8 == 0 && queries.size(2) <= 256;
}

Attended AttendFused(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values, const PackedTexts& texts,
                     bool is_causal) {
  if (HasFlashAttention(queries)) {
    const auto result = at::_flash_attention_forward(queries, keys, values, texts.query_ends, texts.key_ends,
                                                     texts.most_queries, texts.most_keys, /*dropout_p=*/0.0, is_causal,
                                                     /*return_debug_mask=*/false, /*scale=*/1.0);
    return {std::get<0>(result), std::get<1>(result)};
  }
  constexpr int64_t kEverything = 0, kCausalFromTheEnd = 2;
  // It knows no heads that queries share.
  const int64_t shared = queries.size(1) / keys.size(1);
  const auto heads = [&](const at::Tensor& x) { return (shared > 1 ? x.repeat_interleave(shared, 1) : x).unsqueeze(0); };
  const auto result = at::_efficient_attention_forward(
      queries.unsqueeze(0), heads(keys), heads(values), std::nullopt, texts.query_ends, texts.key_ends, texts.most_queries,
      texts.most_keys, /*dropout_p=*/0.0, is_causal ? kCausalFromTheEnd : kEverything, /*compute_log_sumexp=*/false,
      /*scale=*/1.0);
  return {std::get<0>(result).squeeze(0), at::Tensor()};
}

#else

Attended AttendFused(const at::Tensor&, const at::Tensor&, const at::Tensor&, const PackedTexts&, bool) {
  throw InternalError("packed attention was asked for in a build for a libtorch before 2.11.");
}

#endif

// Two attentions of the same queries over different keys as one over all of them.
at::Tensor Merged(const Attended& a, const Attended& b) {
  if (HasDeviceKernels(a.output)) {
    at::Tensor output = at::empty_like(a.output);
    const int64_t tokens = output.size(0), heads = output.size(1), dh = output.size(2);
    constexpr int64_t kThreads = 256;
    const at::Tensor first = a.output.contiguous(), second = b.output.contiguous();
    const at::Tensor first_sums = a.log_sums.contiguous(), second_sums = b.log_sums.contiguous();
    LaunchFor(output, "MergeAttention", (output.numel() + kThreads - 1) / kThreads, kThreads, first.data_ptr(),
              second.data_ptr(), first_sums.data_ptr(), second_sums.data_ptr(), static_cast<long long>(tokens),
              static_cast<int>(heads), static_cast<int>(dh), output.data_ptr());
    return output;
  }
  const at::Tensor share = at::sigmoid(a.log_sums - b.log_sums).t().unsqueeze(-1);  // [T, H, 1]
  const at::Tensor left = a.output.to(at::kFloat), right = b.output.to(at::kFloat);
  return right.add((left - right).mul_(share)).to(a.output.scalar_type());
}

}  // namespace

#if BITLAW_TORCH_AT_LEAST(2, 11)
bool IsPacked(const at::Tensor& queries) { return queries.is_cuda(); }
bool CanMerge(const at::Tensor& queries) { return queries.is_cpu() || HasFlashAttention(queries); }
#else
bool IsPacked(const at::Tensor&) { return false; }
bool CanMerge(const at::Tensor& queries) { return queries.is_cpu(); }
#endif

int64_t GatheredKeys(const at::Tensor& queries, int64_t kv_heads) {
  const int64_t num_heads = queries.size(1);
  const bool repeats = num_heads > kv_heads && (queries.is_cpu() || !CanMerge(queries));
  const int64_t heads = kv_heads + (repeats ? num_heads : 0);
  const int64_t key_bytes = 2 * heads * queries.size(2) * static_cast<int64_t>(queries.element_size());
  return std::max<int64_t>(1, kGatheredBytes / key_bytes);
}

ForestPass PlanPass(const KvCache& cache, std::span<const TokenRun> runs, const at::Device& device, int64_t least_header,
                    int64_t most_keys) {
  ForestPass pass;
  pass.positions = cache.Positions(runs);
  pass.slots = at::tensor(cache.Slots(runs), at::kLong).to(device);
  std::vector<std::vector<Span>> paths;
  std::vector<int64_t> queries;
  std::set<int64_t> grows;
  for (const TokenRun& run : runs) {
    paths.push_back(PathOf(cache, run));
    queries.push_back(run.tokens);
    grows.insert(run.segment);
  }
  // The segments that all paths begin with and that were full before the pass.
  size_t common = 0;
  int64_t header_tokens = 0;
  for (; common < paths.front().size(); ++common) {
    const Span& span = paths.front()[common];
    const bool is_common = !grows.contains(span.segment) && std::all_of(paths.begin(), paths.end(), [&](const auto& path) {
      return common < path.size() && path[common].segment == span.segment;
    });
    if (!is_common) break;
    header_tokens += span.count;
  }
  if (runs.size() > 1 && header_tokens >= least_header) {
    const std::vector<Span> header(paths.front().begin(), paths.front().begin() + static_cast<int64_t>(common));
    const auto tokens = static_cast<int64_t>(pass.positions.size());
    pass.header = Pack({&header, 1}, {&tokens, 1}, device);
    for (std::vector<Span>& path : paths) path.erase(path.begin(), path.begin() + static_cast<int64_t>(common));
  }
  pass.parts = PackInParts(paths, queries, most_keys, device);
  return pass;
}

at::Tensor AttendPacked(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                        const ForestPass& pass) {
  const auto attend = [&](const at::Tensor& rows, const PackedTexts& texts, bool is_causal) {
    const at::Tensor seen_keys = keys.index_select(0, texts.slots), seen_values = values.index_select(0, texts.slots);
    return (rows.is_cuda() ? AttendFused : AttendOneByOne)(rows, seen_keys, seen_values, texts, is_causal);
  };
  std::vector<at::Tensor> outputs, log_sums;
  int64_t row = 0;
  for (const PackedTexts& texts : pass.parts) {
    const Attended part = attend(queries.narrow(0, row, texts.query_bounds.back()), texts, /*is_causal=*/true);
    outputs.push_back(part.output);
    log_sums.push_back(part.log_sums);
    row += texts.query_bounds.back();
  }
  const bool is_whole = outputs.size() == 1;
  Attended own{is_whole ? outputs[0] : at::cat(outputs), {}};
  if (!pass.header.slots.defined()) return own.output.flatten(1);  // [T, H Dh]
  own.log_sums = is_whole ? log_sums[0] : at::cat(log_sums, 1);
  return Merged(attend(queries, pass.header, /*is_causal=*/false), own).flatten(1);
}

ForestPass& PassMemory::For(const KvCache& cache, std::span<const TokenRun> runs, const at::Tensor& queries,
                            int64_t kv_heads) {
  const bool lists = IsPacked(queries);
  const auto is_equal = [](const TokenRun& a, const TokenRun& b) { return a.segment == b.segment && a.tokens == b.tokens; };
  const bool is_known = pass_ && cache_ == &cache && generation_ == cache.generation() &&
                        std::equal(runs_.begin(), runs_.end(), runs.begin(), runs.end(), is_equal) &&
                        pass_->slots.defined() == lists;
  if (is_known) return *pass_;
  cache_ = &cache;
  generation_ = cache.generation();
  runs_.assign(runs.begin(), runs.end());
  pass_.reset();
  if (lists) {
    pass_ = PlanPass(cache, runs, queries.device(),
                     CanMerge(queries) ? kLeastHeader : std::numeric_limits<int64_t>::max(),
                     GatheredKeys(queries, kv_heads));
  } else {
    pass_.emplace().positions = cache.Positions(runs);
  }
  return *pass_;
}

}  // namespace bitlaw
