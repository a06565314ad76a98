#include "sdk/decoder/tensor/decoder_ops.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "bitlaw/sdk/machine/torch_version.h"
#include "math/matrix_product.h"
#include "sdk/decoder/tensor/device_kernels.h"
#include "sdk/decoder/tensor/tensor_kernels.h"

// B batch, T new tokens, S = held + T tokens in sight, H query heads, K key-value heads, R = H / K query heads a
// key-value head, Dh head size.

namespace bitlaw {

namespace {

// Attention scores are made for so many bytes at a time, which a core's cache can about hold.
constexpr int64_t kScoresBudgetBytes = int64_t{4} << 20;
constexpr int64_t kQueryChunk = 128;

// Softmax over the keys that each query sees, in place. scores [m K, R n, sight]: row (b, h, i) belongs to query i of
// the last n tokens in sight.
void MaskedSoftmax(const at::Tensor& scores, int64_t n, const AttentionSetting& setting) {
  const int64_t sight = scores.size(2), rows = scores.size(0) * scores.size(1);
  WithKernels(scores, [&](const auto& kernels, const auto& data) {
    auto* at = data(scores);
    at::parallel_for(0, rows, Grain(2 * sight), [&](int64_t begin, int64_t end) {
      std::vector<float> scratch(sight);
      for (int64_t row = begin; row < end; ++row) {
        SoftmaxOfSeen(kernels, at + row * sight, sight - n + row % n + 1, sight, setting, scratch.data());
      }
    });
  });
}

constexpr int64_t kScratchFloats = int64_t{1} << 18;  // Scores of one product of a thread: half of a core's cache.

bool RowsLieTogether(const at::Tensor& heads) {
  return heads.is_cpu() && heads.scalar_type() == at::kFloat && heads.stride(3) == 1 && heads.stride(2) == heads.size(3);
}

// A thread's work is a key-value head of a sequence, so that small products need no threads of their own. Of the
// queries' chunks the first goes with the last, which sees most, and so on: all threads get about as much.
void AttendByHeads(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                   const AttentionSetting& setting, const at::Tensor& output) {
  const int64_t batch = queries.size(0), num_heads = queries.size(1), tokens = queries.size(2), dh = queries.size(3);
  const int64_t kv_heads = keys.size(1), shared = num_heads / kv_heads, total = keys.size(2), held = total - tokens;
  const int64_t chunk = std::min(tokens, std::clamp<int64_t>(kScratchFloats / total, 1, kQueryChunk));
  const int64_t chunks = (tokens + chunk - 1) / chunk, pairs = (chunks + 1) / 2;
  // Where a chunk is all there is, the query heads of a key-value head lie together as one matrix.
  const bool one_matrix = chunks == 1 && queries.stride(1) == tokens * dh && shared * chunk * total <= kScratchFloats;
  const int64_t together = one_matrix ? shared : 1;
  const auto *q = queries.data_ptr<float>(), *k = keys.data_ptr<float>(), *v = values.data_ptr<float>();
  auto* out = output.data_ptr<float>();
  const RowKernels<float>& kernels = FloatRowKernels();
  at::parallel_for(0, batch * kv_heads * pairs, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(together * chunk * total), mixed(together * chunk * dh), scratch(total);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t b = task / pairs / kv_heads, group = task / pairs % kv_heads, low = task % pairs;
      const float* key = k + b * keys.stride(0) + group * keys.stride(1);
      const float* value = v + b * values.stride(0) + group * values.stride(1);
      for (const int64_t c : {low, chunks - 1 - low}) {
        const int64_t t = c * chunk, n = std::min(chunk, tokens - t);
        // Keys before `hidden` are behind the windows of all n queries.
        const int64_t hidden = setting.window > 0 ? std::max<int64_t>(0, held + t + 1 - setting.window) : 0;
        const int64_t sight = held + t + n - hidden;
        for (int64_t r = 0; r < shared; r += together) {
          const int64_t rows = together * n;
          const float* query = q + b * queries.stride(0) + (group * shared + r) * queries.stride(1) + t * dh;
          MultiplyFloat32(true, rows, sight, dh, query, dh, key + hidden * dh, dh, scores.data(), sight);  // [rows, sight]
          for (int64_t row = 0; row < rows; ++row) {
            SoftmaxOfSeen(kernels, scores.data() + row * sight, sight - n + row % n + 1, sight, setting, scratch.data());
          }
          MultiplyFloat32(false, rows, dh, sight, scores.data(), sight, value + hidden * dh, dh, mixed.data(),
                          dh);  // [rows, Dh]
          for (int64_t row = 0; row < rows; ++row) {
            const int64_t head = group * shared + r + row / n;
            std::copy_n(mixed.data() + row * dh, dh, out + ((b * tokens + t + row % n) * num_heads + head) * dh);
          }
        }
        if (chunks - 1 - low == low) break;
      }
    }
  });
}

// MaskedSoftmax() with aten's operations, on any device. Not in place.
at::Tensor MaskedSoftmaxAnywhere(const at::Tensor& scores, int64_t m, int64_t n, const AttentionSetting& setting) {
  constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();
  const int64_t sight = scores.size(2);
  const at::TensorOptions options = scores.options().dtype(at::kLong);
  const at::Tensor key_at = at::arange(sight, options);                            // [sight]
  const at::Tensor query_at = at::arange(sight - n, sight, options).unsqueeze(1);  // [n, 1]
  at::Tensor hidden = key_at > query_at;  // [n, sight]
  if (setting.window > 0) hidden = hidden.logical_or(key_at <= query_at - setting.window);
  const at::Tensor capped = setting.softcap > 0 ? SoftCap(scores, setting.softcap) : scores;
  const at::Tensor by_query = capped.view({m, -1, n, sight}).masked_fill(hidden, kMinusInfinity);
  return at::softmax(by_query, -1, at::kFloat).to(scores.scalar_type()).view(scores.sizes());
}

}  // namespace

at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one) {
  if (HasDeviceKernels(x) && weight.scalar_type() == x.scalar_type()) {
    const at::Tensor input = x.contiguous();
    at::Tensor output = at::empty_like(input);
    const int64_t columns = input.size(-1), rows = columns > 0 ? input.numel() / columns : 0;
    constexpr int64_t kThreads = 128, kRows = kThreads / 32;
    LaunchFor(x, "RmsNorm", (rows + kRows - 1) / kRows, kThreads, input.data_ptr(), weight.data_ptr(),
              static_cast<long long>(rows), static_cast<int>(columns), static_cast<float>(eps), static_cast<int>(adds_one),
              output.data_ptr());
    return output;
  }
  if (!HasKernels(x)) {
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor mean_square = wide.square().mean(-1, true);
    const at::Tensor normed = wide.mul(mean_square.add_(eps).rsqrt_());
    if (adds_one) return normed.mul(weight.to(at::kFloat).add(1)).to(x.scalar_type());
    return normed.to(x.scalar_type()).mul_(weight);
  }
  const at::Tensor input = x.contiguous();
  at::Tensor output = at::empty_like(input);
  const int64_t columns = input.size(-1), rows = columns > 0 ? input.numel() / columns : 0;
  WithKernels(input, [&](const auto& kernels, const auto& data) {
    const auto *from = data(input), *factors = data(weight);
    auto* to = data(output);
    const auto norm = adds_one ? kernels.rms_norm_plus_one : kernels.rms_norm;
    at::parallel_for(0, rows, Grain(columns), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        norm(from + i * columns, factors, columns, static_cast<float>(eps), to + i * columns);
      }
    });
  });
  return output;
}

at::Tensor GateMultiply(const at::Tensor& gate, const at::Tensor& up, GateActivation activation) {
  const bool is_silu = activation == GateActivation::kSilu;
  if (HasDeviceKernels(gate)) {
    constexpr int64_t kThreads = 256;
    LaunchFor(gate, is_silu ? "SiluMultiply" : "GeluMultiply", (gate.numel() + kThreads - 1) / kThreads, kThreads,
              gate.data_ptr(), up.data_ptr(), static_cast<long long>(gate.numel()));
    return gate;
  }
  if (!HasKernels(gate)) return (is_silu ? at::silu(gate) : at::gelu(gate, "tanh")).mul_(up);
  WithKernels(gate, [&](const auto& kernels, const auto& data) {
    auto* to = data(gate);
    const auto* by = data(up);
    const auto multiply = is_silu ? kernels.silu_multiply : kernels.gelu_multiply;
    at::parallel_for(0, gate.numel(), kGrainElements,
                     [&](int64_t begin, int64_t end) { multiply(to + begin, by + begin, end - begin); });
  });
  return gate;
}

at::Tensor SoftCap(const at::Tensor& x, double cap) {
  if (!HasKernels(x)) return x.div(cap).tanh_().mul_(cap);
  WithKernels(x, [&](const auto& kernels, const auto& data) {
    auto* to = data(x);
    at::parallel_for(0, x.numel(), kGrainElements, [&](int64_t begin, int64_t end) {
      kernels.soft_cap(to + begin, end - begin, static_cast<float>(cap));
    });
  });
  return x;
}

namespace {

// Heads of which only the first dimensions rotate, or none.
at::Tensor RotatePart(const at::Tensor& heads, const RotaryAngles& angles, double scale, HeadOrder order) {
  const int64_t rotated = angles.cos.defined() ? 2 * angles.cos.size(-1) : 0, dh = heads.size(3);
  const bool heads_first = order == HeadOrder::kHeadsFirst;
  std::vector<int64_t> sizes = heads.sizes().vec();
  if (heads_first) std::swap(sizes[1], sizes[2]);
  at::Tensor result = at::empty(sizes, heads.options());
  if (rotated > 0) result.narrow(3, 0, rotated).copy_(Rotate(heads.narrow(3, 0, rotated), angles, scale, order));
  const at::Tensor rest = heads.narrow(3, rotated, dh - rotated);
  result.narrow(3, rotated, dh - rotated).copy_((heads_first ? rest.transpose(1, 2) : rest) * scale);
  return result;
}

}  // namespace

at::Tensor Rotate(const at::Tensor& heads, const RotaryAngles& angles, double scale, HeadOrder order) {
  const int64_t batch = heads.size(0), tokens = heads.size(1), count = heads.size(2), dh = heads.size(3), half = dh / 2;
  const bool heads_first = order == HeadOrder::kHeadsFirst;
  if (!angles.cos.defined() || angles.cos.size(-1) != half) return RotatePart(heads, angles, scale, order);
  at::Tensor rotated = heads_first ? at::empty({batch, count, tokens, dh}, heads.options())
                                   : at::empty(heads.sizes(), heads.options());
  const at::Tensor by_token = heads_first ? rotated.transpose(1, 2) : rotated;  // [B, T, heads, Dh] view
  if (HasDeviceKernels(heads) && angles.cos.scalar_type() == heads.scalar_type()) {
    const at::Tensor input = heads.contiguous(), cos = angles.cos.contiguous(), sin = angles.sin.contiguous();
    constexpr int64_t kThreads = 256;
    LaunchFor(heads, "Rotate", (input.numel() / 2 + kThreads - 1) / kThreads, kThreads, input.data_ptr(),
              static_cast<long long>(input.stride(0)), static_cast<long long>(input.stride(1)), cos.data_ptr(),
              sin.data_ptr(), static_cast<long long>(batch), static_cast<long long>(tokens), static_cast<int>(count),
              static_cast<int>(half), static_cast<float>(scale), rotated.data_ptr(),
              static_cast<long long>(by_token.stride(0)), static_cast<long long>(by_token.stride(1)),
              static_cast<long long>(by_token.stride(2)));
    return rotated;
  }
  if (!HasKernels(heads)) {
    const at::Tensor cos = angles.cos.unsqueeze(-2), sin = angles.sin.unsqueeze(-2);  // [T, 1, Dh / 2]
    const at::Tensor left = heads.narrow(3, 0, half), right = heads.narrow(3, half, half);
    by_token.narrow(3, 0, half).copy_((left * cos - right * sin).mul_(scale));
    by_token.narrow(3, half, half).copy_((right * cos + left * sin).mul_(scale));
    return rotated;
  }
  const at::Tensor input = heads.contiguous(), cos = angles.cos.contiguous(), sin = angles.sin.contiguous();
  const int64_t text = by_token.stride(0), token = by_token.stride(1), head = by_token.stride(2);
  WithKernels(input, [&](const auto& kernels, const auto& data) {
    const auto *from = data(input), *cosines = data(cos), *sines = data(sin);
    auto* to = data(rotated);
    at::parallel_for(0, batch * tokens, Grain(count * dh), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t b = i / tokens, t = i % tokens;
        for (int64_t h = 0; h < count; ++h) {
          kernels.rotate(from + (i * count + h) * dh, cosines + t * half, sines + t * half, half,
                         static_cast<float>(scale), to + b * text + t * token + h * head);
        }
      }
    });
  });
  return rotated;
}

// The R query heads of one key-value head become rows of one product, so that keys and values are never repeated.
// Queries are taken in chunks, each with the keys up to its own end: nothing is computed for most of the future.
at::Tensor Attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                  const AttentionSetting& asked) {
  const int64_t batch = queries.size(0), num_heads = queries.size(1), tokens = queries.size(2), dh = queries.size(3);
  const int64_t kv_heads = keys.size(1), shared = num_heads / kv_heads, total = keys.size(2), held = total - tokens;
  const int64_t chunk = std::min(tokens, kQueryChunk);
  const int64_t row_bytes = num_heads * chunk * total * static_cast<int64_t>(sizeof(float));
  const int64_t rows = std::clamp<int64_t>(kScoresBudgetBytes / row_bytes, 1, batch);
  // A window that hides nothing is none.
  const AttentionSetting setting{.window = asked.window < total ? asked.window : 0, .softcap = asked.softcap};

#if BITLAW_TORCH_AT_LEAST(2, 11)
  if (queries.is_cuda() && held == 0 && setting.is_plain()) {
    // Of the fused kernels those for float32 know no shared heads.
    const bool repeats = shared > 1 && queries.scalar_type() == at::kFloat;
    const auto heads = [&](const at::Tensor& x) { return repeats ? x.repeat_interleave(shared, 1) : x; };
    return at::scaled_dot_product_attention(queries, heads(keys), heads(values), std::nullopt, 0.0, /*is_causal=*/true,
                                            /*scale=*/1.0, /*enable_gqa=*/shared > 1 && !repeats)
        .transpose(1, 2)
        .flatten(2);  // [B, T, H Dh]
  }
#endif
  at::Tensor output = at::empty({batch, tokens, num_heads, dh}, queries.options());
  if (HasFloat32Products() && RowsLieTogether(queries) && RowsLieTogether(keys) && RowsLieTogether(values)) {
    AttendByHeads(queries, keys, values, setting, output);
    return output.flatten(2);  // [B, T, H Dh]
  }
  for (int64_t t = 0; t < tokens; t += chunk) {
    const int64_t n = std::min(chunk, tokens - t), sight = held + t + n;
    for (int64_t b = 0; b < batch; b += rows) {
      const int64_t m = std::min(rows, batch - b);
      const auto flat_kv = [&](const at::Tensor& kv) {
        return kv.narrow(0, b, m).narrow(2, 0, sight).flatten(0, 1);  // [m K, sight, Dh]
      };
      const at::Tensor q = queries.narrow(0, b, m).narrow(2, t, n).reshape({m * kv_heads, shared * n, dh});
      at::Tensor weights = at::bmm(q, flat_kv(keys).transpose(1, 2));  // [m K, R n, sight]
      if (HasKernels(weights)) {
        MaskedSoftmax(weights, n, setting);
      } else {
        weights = MaskedSoftmaxAnywhere(weights, m, n, setting);
      }
      const at::Tensor mixed = at::bmm(weights, flat_kv(values));  // [m K, R n, Dh]
      output.narrow(0, b, m).narrow(1, t, n).copy_(mixed.view({m, num_heads, n, dh}).transpose(1, 2));
    }
  }
  return output.flatten(2);  // [B, T, H Dh]
}

}  // namespace bitlaw
