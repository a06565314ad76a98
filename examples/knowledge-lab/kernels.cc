#include "kernels.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

// Compiled for several instruction sets, the best chosen at load time.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define BITLAW_LAB_CLONES __attribute__((target_clones("avx512f", "avx2,fma", "default"), optimize("O3", "fast-math")))
#else
#define BITLAW_LAB_CLONES
#endif

namespace bitlaw::lab {
namespace {

constexpr int64_t kChunks = 32;  // Fixed split of the rows for sums, so that they do not depend on the thread count.

BITLAW_LAB_CLONES float Dot(const float* a, const float* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

BITLAW_LAB_CLONES void NormRow(const float* x, const float* w, float r, int64_t d, float* y) {
  for (int64_t i = 0; i < d; ++i) y[i] = x[i] * r * w[i];
}

// dx_i += r w_i dy_i - x_i r^3 / d * sum_j dy_j w_j x_j;  dw_i += dy_i x_i r
BITLAW_LAB_CLONES void NormRowBackward(const float* dy, const float* x, const float* w, float r, int64_t d, float* dx, float* dw, bool add) {
  float projection = 0;
  for (int64_t i = 0; i < d; ++i) projection += dy[i] * w[i] * x[i];
  const float factor = projection * r * r * r / static_cast<float>(d);
  for (int64_t i = 0; i < d; ++i) dw[i] += dy[i] * x[i] * r;
  if (add) {
    for (int64_t i = 0; i < d; ++i) dx[i] += r * w[i] * dy[i] - x[i] * factor;
  } else {
    for (int64_t i = 0; i < d; ++i) dx[i] = r * w[i] * dy[i] - x[i] * factor;
  }
}

// scores[j] = scale * q . k_j for j < count, with keys transposed to [head_dim, T]; then softmax in place.
BITLAW_LAB_CLONES void SoftmaxScores(const float* q, const float* keys_t, int64_t tokens, int64_t head_dim, int64_t count, float scale,
                                     float* scores) {
  for (int64_t j = 0; j < count; ++j) scores[j] = 0;
  for (int64_t c = 0; c < head_dim; ++c) {
    const float factor = q[c] * scale;
    const float* row = keys_t + c * tokens;
    for (int64_t j = 0; j < count; ++j) scores[j] += factor * row[j];
  }
  float largest = scores[0];
  for (int64_t j = 1; j < count; ++j) largest = std::max(largest, scores[j]);
  float total = 0;
  for (int64_t j = 0; j < count; ++j) {
    scores[j] = std::exp(scores[j] - largest);
    total += scores[j];
  }
  const float inverse = 1 / total;
  for (int64_t j = 0; j < count; ++j) scores[j] *= inverse;
}

BITLAW_LAB_CLONES void WeightedSum(const float* weights, const float* rows, int64_t stride, int64_t head_dim, int64_t count, float* out) {
  for (int64_t c = 0; c < head_dim; ++c) out[c] = 0;
  for (int64_t j = 0; j < count; ++j) {
    const float* row = rows + j * stride;
    for (int64_t c = 0; c < head_dim; ++c) out[c] += weights[j] * row[c];
  }
}

BITLAW_LAB_CLONES void ScoreGradient(const float* dout, const float* values_t, const float* p, int64_t tokens, int64_t head_dim,
                                     int64_t count, float scale, float* ds) {
  for (int64_t j = 0; j < count; ++j) ds[j] = 0;
  for (int64_t c = 0; c < head_dim; ++c) {
    const float* row = values_t + c * tokens;
    for (int64_t j = 0; j < count; ++j) ds[j] += dout[c] * row[j];
  }
  float mean = 0;
  for (int64_t j = 0; j < count; ++j) mean += p[j] * ds[j];
  for (int64_t j = 0; j < count; ++j) ds[j] = p[j] * (ds[j] - mean) * scale;
}

BITLAW_LAB_CLONES void AddScaled(const float* row, const float* weights, int64_t head_dim, int64_t count, int64_t stride, float* rows) {
  for (int64_t j = 0; j < count; ++j) {
    float* target = rows + j * stride;
    for (int64_t c = 0; c < head_dim; ++c) target[c] += weights[j] * row[c];
  }
}

BITLAW_LAB_CLONES void SwigluRow(const float* gate_up, int64_t f, float* act) {
  for (int64_t i = 0; i < f; ++i) act[i] = gate_up[i] / (1 + std::exp(-gate_up[i])) * gate_up[f + i];
}

BITLAW_LAB_CLONES void SwigluRowBackward(const float* dact, int64_t f, float* gate_up) {
  for (int64_t i = 0; i < f; ++i) {
    const float gate = gate_up[i], up = gate_up[f + i], s = 1 / (1 + std::exp(-gate));
    gate_up[i] = dact[i] * up * s * (1 + gate * (1 - s));
    gate_up[f + i] = dact[i] * gate * s;
  }
}

BITLAW_LAB_CLONES double CrossEntropyRow(float* logits, int64_t n, int32_t target, float weight, char* correct) {
  float largest = logits[0];
  for (int64_t i = 1; i < n; ++i) largest = std::max(largest, logits[i]);
  const float target_logit = logits[target];
  float total = 0;
  for (int64_t i = 0; i < n; ++i) {
    logits[i] = std::exp(logits[i] - largest);
    total += logits[i];
  }
  const float factor = weight / total;
  for (int64_t i = 0; i < n; ++i) logits[i] *= factor;
  logits[target] -= weight;
  if (correct != nullptr) *correct = target_logit >= largest;
  return static_cast<double>(weight) * (std::log(total) + largest - target_logit);
}

BITLAW_LAB_CLONES void AdamWRange(float* w, const float* g, float* m, float* v, const char* decays, int64_t begin, int64_t end, float clip,
                                  float rate, float decay, float inverse1, float inverse2) {
  for (int64_t i = begin; i < end; ++i) {
    const float gradient = g[i] * clip;
    m[i] = 0.9f * m[i] + 0.1f * gradient;
    v[i] = 0.95f * v[i] + 0.05f * gradient * gradient;
    const float shrink = decays[i] != 0 ? 1 - rate * decay : 1.0f;
    w[i] = w[i] * shrink - rate * (m[i] * inverse1) / (std::sqrt(v[i] * inverse2) + 1e-8f);
  }
}

template <typename Row>
void ForRows(int64_t rows, const Row& row) {
  at::parallel_for(0, rows, std::max<int64_t>(1, rows / 16), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) row(i);
  });
}

// Runs body(chunk, begin, end) over a fixed split of the rows.
template <typename Body>
void ForChunks(int64_t rows, const Body& body) {
  ForRows(kChunks, [&](int64_t chunk) { body(chunk, rows * chunk / kChunks, rows * (chunk + 1) / kChunks); });
}

void SumChunks(const std::vector<float>& parts, int64_t n, float* sum) {
  std::fill(sum, sum + n, 0.0f);
  for (int64_t chunk = 0; chunk < kChunks; ++chunk)
    for (int64_t i = 0; i < n; ++i) sum[i] += parts[chunk * n + i];
}

}  // namespace

void RmsNormForward(const float* x, const float* w, float eps, int64_t rows, int64_t d, float* y, float* r) {
  ForRows(rows, [&](int64_t i) {
    r[i] = 1 / std::sqrt(Dot(x + i * d, x + i * d, d) / static_cast<float>(d) + eps);
    NormRow(x + i * d, w, r[i], d, y + i * d);
  });
}

void RmsNormBackward(const float* dy, const float* x, const float* w, const float* r, int64_t rows, int64_t d, float* dx, float* dw) {
  std::vector<float> parts(kChunks * d, 0.0f);
  ForChunks(rows, [&](int64_t chunk, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) NormRowBackward(dy + i * d, x + i * d, w, r[i], d, dx + i * d, parts.data() + chunk * d, true);
  });
  SumChunks(parts, d, dw);
}

void Rotate(float* qkv, const HeadShape& shape, const float* cosine, const float* sine, int direction) {
  const int64_t half = shape.head_dim / 2, columns = shape.columns();
  ForRows(shape.batch * shape.tokens, [&](int64_t i) {
    const float* c = cosine + (i % shape.tokens) * half;
    const float* s = sine + (i % shape.tokens) * half;
    for (int64_t head = 0; head < shape.heads + shape.kv_heads; ++head) {
      float* low = qkv + i * columns + head * shape.head_dim;
      float* high = low + half;
      for (int64_t j = 0; j < half; ++j) {
        const float a = low[j], b = high[j], turn = static_cast<float>(direction) * s[j];
        low[j] = a * c[j] - b * turn;
        high[j] = b * c[j] + a * turn;
      }
    }
  });
}

void HeadNormForward(float* qkv, const HeadShape& shape, const float* wq, const float* wk, float eps, float* raw, float* r) {
  const int64_t columns = shape.columns(), heads = shape.heads + shape.kv_heads, hd = shape.head_dim;
  ForRows(shape.batch * shape.tokens, [&](int64_t i) {
    std::copy(qkv + i * columns, qkv + i * columns + heads * hd, raw + i * heads * hd);
    for (int64_t head = 0; head < heads; ++head) {
      float* x = qkv + i * columns + head * hd;
      const float scale = 1 / std::sqrt(Dot(x, x, hd) / static_cast<float>(hd) + eps);
      r[i * heads + head] = scale;
      NormRow(x, head < shape.heads ? wq : wk, scale, hd, x);
    }
  });
}

void HeadNormBackward(float* dqkv, const HeadShape& shape, const float* wq, const float* wk, const float* raw, const float* r, float* dwq,
                      float* dwk) {
  const int64_t columns = shape.columns(), heads = shape.heads + shape.kv_heads, hd = shape.head_dim;
  std::vector<float> parts_q(kChunks * hd, 0.0f), parts_k(kChunks * hd, 0.0f);
  ForChunks(shape.batch * shape.tokens, [&](int64_t chunk, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t head = 0; head < heads; ++head) {
        const bool is_query = head < shape.heads;
        float* gradient = dqkv + i * columns + head * hd;
        NormRowBackward(gradient, raw + (i * heads + head) * hd, is_query ? wq : wk, r[i * heads + head], hd, gradient,
                        (is_query ? parts_q : parts_k).data() + chunk * hd, false);
      }
    }
  });
  SumChunks(parts_q, hd, dwq);
  SumChunks(parts_k, hd, dwk);
}

namespace {

// [T, head_dim] columns of qkv -> [head_dim, T]
void Transpose(const float* rows, int64_t stride, int64_t tokens, int64_t head_dim, float* transposed) {
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t c = 0; c < head_dim; ++c) transposed[c * tokens + t] = rows[t * stride + c];
}

}  // namespace

void AttentionForward(const float* qkv, const HeadShape& shape, float* p, float* out) {
  const int64_t columns = shape.columns(), hd = shape.head_dim, tokens = shape.tokens, share = shape.heads / shape.kv_heads;
  const float scale = 1 / std::sqrt(static_cast<float>(hd));
  ForRows(shape.batch * shape.heads, [&](int64_t index) {
    const int64_t b = index / shape.heads, head = index % shape.heads;
    const float* base = qkv + b * tokens * columns;
    const float* keys = base + (shape.heads + head / share) * hd;
    const float* values = base + (shape.heads + shape.kv_heads + head / share) * hd;
    std::vector<float> keys_t(hd * tokens);
    Transpose(keys, columns, tokens, hd, keys_t.data());
    for (int64_t t = 0; t < tokens; ++t) {
      float* row = p + (index * tokens + t) * tokens;
      SoftmaxScores(base + t * columns + head * hd, keys_t.data(), tokens, hd, t + 1, scale, row);
      WeightedSum(row, values, columns, hd, t + 1, out + ((b * tokens + t) * shape.heads + head) * hd);
    }
  });
}

void AttentionBackward(const float* dout, const float* qkv, const float* p, const HeadShape& shape, float* dqkv) {
  const int64_t columns = shape.columns(), hd = shape.head_dim, tokens = shape.tokens, share = shape.heads / shape.kv_heads;
  const float scale = 1 / std::sqrt(static_cast<float>(hd));
  // One task a key-value head, so that the query heads that share it add to its gradient in a fixed order.
  ForRows(shape.batch * shape.kv_heads, [&](int64_t index) {
    const int64_t b = index / shape.kv_heads, kv = index % shape.kv_heads;
    const int64_t first = b * tokens * columns, key_at = (shape.heads + kv) * hd, value_at = (shape.heads + shape.kv_heads + kv) * hd;
    for (int64_t t = 0; t < tokens; ++t) {
      std::fill_n(dqkv + first + t * columns + key_at, hd, 0.0f);
      std::fill_n(dqkv + first + t * columns + value_at, hd, 0.0f);
    }
    std::vector<float> values_t(hd * tokens), ds(tokens);
    Transpose(qkv + first + value_at, columns, tokens, hd, values_t.data());
    for (int64_t head = kv * share; head < (kv + 1) * share; ++head) {
      for (int64_t t = 0; t < tokens; ++t) {
        const float* row = p + ((b * shape.heads + head) * tokens + t) * tokens;
        const float* gradient = dout + ((b * tokens + t) * shape.heads + head) * hd;
        ScoreGradient(gradient, values_t.data(), row, tokens, hd, t + 1, scale, ds.data());
        WeightedSum(ds.data(), qkv + first + key_at, columns, hd, t + 1, dqkv + first + t * columns + head * hd);
        AddScaled(qkv + first + t * columns + head * hd, ds.data(), hd, t + 1, columns, dqkv + first + key_at);
        AddScaled(gradient, row, hd, t + 1, columns, dqkv + first + value_at);
      }
    }
  });
}

void SwigluForward(const float* gate_up, int64_t rows, int64_t f, float* act) {
  ForRows(rows, [&](int64_t i) { SwigluRow(gate_up + i * 2 * f, f, act + i * f); });
}

void SwigluBackward(const float* dact, int64_t rows, int64_t f, float* gate_up) {
  ForRows(rows, [&](int64_t i) { SwigluRowBackward(dact + i * f, f, gate_up + i * 2 * f); });
}

double CrossEntropy(float* logits, const int32_t* targets, const float* weight, int64_t rows, int64_t vocabulary, char* correct) {
  double total_weight = 0;
  for (int64_t i = 0; i < rows; ++i) total_weight += std::max(weight[i], 0.0f);
  std::vector<double> losses(rows, 0.0);
  ForRows(rows, [&](int64_t i) {
    float* row = logits + i * vocabulary;
    if (weight[i] <= 0) {
      std::fill(row, row + vocabulary, 0.0f);
      return;
    }
    losses[i] = CrossEntropyRow(row, vocabulary, targets[i], static_cast<float>(weight[i] / total_weight), correct ? correct + i : nullptr);
  });
  double loss = 0;
  for (double value : losses) loss += value;
  return loss;
}

double SquaredNorm(const float* g, int64_t n) {
  double sum = 0;
  constexpr int64_t kBlock = 4096;
  for (int64_t i = 0; i < n; i += kBlock) sum += Dot(g + i, g + i, std::min(kBlock, n - i));
  return sum;
}

void AdamWStep(float* w, const float* g, float* m, float* v, const char* decays, int64_t n, double clip, double rate, double decay,
               int64_t step) {
  const auto inverse1 = static_cast<float>(1 / (1 - std::pow(0.9, static_cast<double>(step))));
  const auto inverse2 = static_cast<float>(1 / (1 - std::pow(0.95, static_cast<double>(step))));
  ForChunks(n, [&](int64_t, int64_t begin, int64_t end) {
    AdamWRange(w, g, m, v, decays, begin, end, static_cast<float>(clip), static_cast<float>(rate), static_cast<float>(decay), inverse1, inverse2);
  });
}

}  // namespace bitlaw::lab
