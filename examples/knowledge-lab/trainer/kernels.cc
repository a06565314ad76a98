// Compiled once for each instruction set (CMakeLists.txt), each time into a namespace of its own, BITLAW_ISA. Uses
// no inline function of the standard library: the linker could take this file's copy of it for the rest of the program.
#include "kernels.h"

namespace bitlaw::lab::BITLAW_ISA {
namespace {

constexpr int64_t kLanes = 16;  // Attention works on keys in blocks of this many.

inline float Load(float x) { return x; }
inline float Load(Bf16 x) { return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16); }
inline void Store(float x, float* to) { *to = x; }
inline void Store(float x, Bf16* to) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  to->bits = static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// exp(x), relative error below 3e-7: 2^k times a polynomial (Taylor series of 2^f at |f| <= 1/2).
inline float Exp(float x) {
  x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
  const float t = x * 1.44269504f;
  const auto k = static_cast<int32_t>(t + (t < 0 ? -0.5f : 0.5f));
  const float f = (t - static_cast<float>(k)) * 0.69314718f;
  const float p =
      1 + f * (1 + f * (0.5f + f * (0.16666667f + f * (0.041666668f + f * (0.0083333338f + f * 0.0013888889f)))));
  return p * __builtin_bit_cast(float, (k + 127) << 23);
}

template <typename T>
void AddNorm(const float* a, const T* b, const float* __restrict w, float eps, int64_t rows, int64_t d, float* sum,
             T* __restrict y, float* r) {
  for (int64_t i = 0; i < rows; ++i, a += d, sum += d, y += d) {
    float squares = 0;
    if (b != nullptr) {
      for (int64_t j = 0; j < d; ++j) sum[j] = a[j] + Load(b[j]);
      b += d;
    } else if (sum != a) {
      for (int64_t j = 0; j < d; ++j) sum[j] = a[j];
    }
    for (int64_t j = 0; j < d; ++j) squares += sum[j] * sum[j];
    const float scale = 1 / __builtin_sqrtf(squares / static_cast<float>(d) + eps);
    r[i] = scale;
    for (int64_t j = 0; j < d; ++j) Store(sum[j] * scale * w[j], y + j);
  }
}

// dx_i += r w_i dy_i - x_i r^3 / d * sum_j dy_j w_j x_j;  dw_i += dy_i x_i r
template <typename T>
void NormBackward(const T* __restrict dy, const float* __restrict x, const float* __restrict w, const float* r,
                  int64_t rows, int64_t d, float* __restrict dx, T* __restrict rounded, float* __restrict dw) {
  for (int64_t i = 0; i < rows; ++i, dy += d, x += d, dx += d, rounded += d) {
    float projection = 0;
    const float scale = r[i];
    for (int64_t j = 0; j < d; ++j) projection += Load(dy[j]) * w[j] * x[j];
    const float factor = projection * scale * scale * scale / static_cast<float>(d);
    for (int64_t j = 0; j < d; ++j) {
      const float gradient = Load(dy[j]);
      dw[j] += gradient * x[j] * scale;
      const float total = dx[j] + scale * w[j] * gradient - x[j] * factor;
      dx[j] = total;
      Store(total, rounded + j);
    }
  }
}

// Sixteen floats; the compiler lowers them to what the instruction set has.
typedef float Lanes __attribute__((vector_size(64)));
typedef int32_t IntLanes __attribute__((vector_size(64)));
typedef uint32_t BitLanes __attribute__((vector_size(64)));
typedef uint16_t HalfLanes __attribute__((vector_size(32)));

inline void LoadLanes(const float* from, Lanes* to) { __builtin_memcpy(to, from, sizeof(Lanes)); }
inline void LoadLanes(const Bf16* from, Lanes* to) {
  HalfLanes bits;
  __builtin_memcpy(&bits, from, sizeof(bits));
  *to = (Lanes)(__builtin_convertvector(bits, BitLanes) << 16);
}
inline void StoreLanes(const Lanes& x, float* to) { __builtin_memcpy(to, &x, sizeof(Lanes)); }
inline void StoreLanes(const Lanes& x, Bf16* to) {
  const BitLanes bits = (BitLanes)x;
  const HalfLanes half = __builtin_convertvector((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, HalfLanes);
  __builtin_memcpy(to, &half, sizeof(half));
}
inline float Sum(const Lanes& x) {
  float sum = 0;
  for (int l = 0; l < kLanes; ++l) sum += x[l];
  return sum;
}
inline Lanes ExpLanes(Lanes x) {
  const Lanes low = Lanes{} - 87.0f, half = Lanes{} + 0.5f;
  x = x < low ? low : x;
  const Lanes t = x * 1.44269504f;
  const IntLanes k = __builtin_convertvector(t < 0 ? t - half : t + half, IntLanes);
  const Lanes f = (t - __builtin_convertvector(k, Lanes)) * 0.69314718f;
  const Lanes p =
      1 + f * (1 + f * (0.5f + f * (0.16666667f + f * (0.041666668f + f * (0.0083333338f + f * 0.0013888889f)))));
  return p * (Lanes)((k + 127) << 23);
}

// One head of one token.
template <int kHead>
struct Head {
  static constexpr int kParts = kHead / kLanes;
  Lanes part[kParts];

  template <typename T>
  void LoadFrom(const T* from) {
    for (int i = 0; i < kParts; ++i) LoadLanes(from + i * kLanes, part + i);
  }
  template <typename T>
  void StoreTo(T* to) const {
    for (int i = 0; i < kParts; ++i) StoreLanes(part[i], to + i * kLanes);
  }
  // Part i of the head whose halves have changed places.
  Lanes Swapped(int i) const {
    if constexpr (kParts == 1) {
      return __builtin_shuffle(part[0], IntLanes{8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7});
    } else {
      return part[(i + kParts / 2) % kParts];
    }
  }
  void AddScaled(const Head& other, float factor) {
    for (int i = 0; i < kParts; ++i) part[i] += other.part[i] * factor;
  }
  float Dot(const Head& other) const {
    Lanes sum = part[0] * other.part[0];
    for (int i = 1; i < kParts; ++i) sum += part[i] * other.part[i];
    return Sum(sum);
  }
};

// Norm (if w) and rotation. Returns 1 / rms. cosine, sine [kHead]: those of the halves' pairs, the first half's sine
// negative.
template <int kHead, typename T>
inline float LoadHead(const T* from, const float* w, float eps, const float* cosine, const float* sine, float factor,
                      Head<kHead>* to) {
  Head<kHead> x, c, s;
  x.LoadFrom(from), c.LoadFrom(cosine), s.LoadFrom(sine);
  float scale = 1;
  if (w != nullptr) {
    Head<kHead> weight;
    weight.LoadFrom(w);
    scale = 1 / __builtin_sqrtf(x.Dot(x) / kHead + eps);
    for (int i = 0; i < Head<kHead>::kParts; ++i) x.part[i] *= weight.part[i] * scale;
  }
  for (int i = 0; i < Head<kHead>::kParts; ++i)
    to->part[i] = (x.part[i] * c.part[i] + x.Swapped(i) * s.part[i]) * factor;
  return scale;
}

// The way back of LoadHead: dy -> gradient of `from`, into `to`.
template <int kHead, typename T>
inline void StoreHeadGradient(const Head<kHead>& dy, const T* from, const float* w, float scale, const float* cosine,
                              const float* sine, T* to, Head<kHead>* dw) {
  Head<kHead> x, c, s;
  c.LoadFrom(cosine), s.LoadFrom(sine);
  for (int i = 0; i < Head<kHead>::kParts; ++i) x.part[i] = dy.part[i] * c.part[i] - dy.Swapped(i) * s.part[i];
  if (w != nullptr) {
    Head<kHead> weight, raw, weighted;
    weight.LoadFrom(w), raw.LoadFrom(from);
    for (int i = 0; i < Head<kHead>::kParts; ++i) weighted.part[i] = x.part[i] * weight.part[i];
    const float factor = weighted.Dot(raw) * scale * scale * scale / kHead;
    for (int i = 0; i < Head<kHead>::kParts; ++i) {
      dw->part[i] += x.part[i] * raw.part[i] * scale;
      x.part[i] = weighted.part[i] * scale - raw.part[i] * factor;
    }
  }
  x.StoreTo(to);
}

template <int kHead>
using Columns = Lanes[kHead][kMaxDocument / kLanes];  // Transposed: [head_dim, tokens]

template <int kHead>
inline void SetColumn(const Head<kHead>& x, int64_t t, Columns<kHead>& columns) {
  for (int c = 0; c < kHead; ++c) columns[c][t / kLanes][t % kLanes] = x.part[c / kLanes][c % kLanes];
}

// out[j] = sum_c a[c] columns[c, j] for whole blocks of j.
template <int kHead>
inline void BlockProducts(const Head<kHead>& a, const Columns<kHead>& columns, int64_t blocks, Lanes* out) {
  for (int64_t block = 0; block < blocks; ++block) {
    Lanes even{}, odd{};
    for (int c = 0; c < kHead; c += 2) {
      even += a.part[c / kLanes][c % kLanes] * columns[c][block];
      odd += a.part[c / kLanes][c % kLanes + 1] * columns[c + 1][block];
    }
    out[block] = even + odd;
  }
}

// Scores -> probabilities of keys 0..t; zero behind t up to the end of the block.
inline void Softmax(int64_t t, int64_t blocks, Lanes* p) {
  const IntLanes count = IntLanes{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const IntLanes hidden = count > static_cast<int32_t>(t % kLanes);
  const Lanes none = Lanes{} - 1e30f;
  p[blocks - 1] = hidden ? none : p[blocks - 1];
  Lanes most = p[0];
  for (int64_t block = 1; block < blocks; ++block) most = p[block] > most ? p[block] : most;
  float largest = most[0];
  for (int l = 1; l < kLanes; ++l) largest = most[l] > largest ? most[l] : largest;
  Lanes total{};
  for (int64_t block = 0; block < blocks; ++block) {
    p[block] = ExpLanes(p[block] - largest);
    if (block == blocks - 1) p[block] = hidden ? Lanes{} : p[block];
    total += p[block];
  }
  const float inverse = 1 / Sum(total);
  for (int64_t block = 0; block < blocks; ++block) p[block] *= inverse;
}

template <int kHead, typename T>
void AttendForward(const T* qkv, const AttentionShape& s, T* out) {
  const int64_t columns = s.columns(), share = s.heads / s.kv_heads;
  const float factor = 1 / __builtin_sqrtf(kHead);
  Columns<kHead> keys{};
  Head<kHead> values[kMaxDocument];
  Lanes p[kMaxDocument / kLanes];
  const auto* weights = reinterpret_cast<const float*>(p);
  for (int64_t document = 0; document < s.documents; ++document) {
    const int64_t first = s.starts[document], n = s.starts[document + 1] - first;
    for (int64_t kv = 0; kv < s.kv_heads; ++kv) {
      for (int64_t t = 0; t < n; ++t) {
        const T* row = qkv + (first + t) * columns + (s.heads + kv) * kHead;
        Head<kHead> key;
        LoadHead(row, s.key_norm, s.eps, s.cosine + t * kHead, s.sine + t * kHead, 1.0f, &key);
        SetColumn(key, t, keys);
        values[t].LoadFrom(row + s.kv_heads * kHead);
      }
      for (int64_t head = kv * share; head < (kv + 1) * share; ++head) {
        for (int64_t t = 0; t < n; ++t) {
          Head<kHead> q, sum{};
          LoadHead(qkv + (first + t) * columns + head * kHead, s.query_norm, s.eps, s.cosine + t * kHead,
                   s.sine + t * kHead, factor, &q);
          const int64_t blocks = t / kLanes + 1;
          BlockProducts(q, keys, blocks, p);
          Softmax(t, blocks, p);
          for (int64_t j = 0; j <= t; ++j) sum.AddScaled(values[j], weights[j]);
          sum.StoreTo(out + ((first + t) * s.heads + head) * kHead);
        }
      }
    }
  }
}

template <int kHead, typename T>
void AttendBackward(const T* dout, const T* qkv, const AttentionShape& s, T* dqkv, float* dquery_norm,
                    float* dkey_norm) {
  const int64_t columns = s.columns(), share = s.heads / s.kv_heads;
  const float factor = 1 / __builtin_sqrtf(kHead);
  Columns<kHead> keys_t{}, values_t{};
  Head<kHead> keys[kMaxDocument], dkeys[kMaxDocument], dvalues[kMaxDocument], dquery_weight{}, dkey_weight{};
  float scales[kMaxDocument];
  Lanes p[kMaxDocument / kLanes], ds[kMaxDocument / kLanes];
  const auto* weights = reinterpret_cast<const float*>(p);
  const auto* slopes = reinterpret_cast<const float*>(ds);
  for (int64_t document = 0; document < s.documents; ++document) {
    const int64_t first = s.starts[document], n = s.starts[document + 1] - first;
    for (int64_t kv = 0; kv < s.kv_heads; ++kv) {
      for (int64_t t = 0; t < n; ++t) {
        const T* row = qkv + (first + t) * columns + (s.heads + kv) * kHead;
        Head<kHead> value;
        scales[t] = LoadHead(row, s.key_norm, s.eps, s.cosine + t * kHead, s.sine + t * kHead, 1.0f, keys + t);
        value.LoadFrom(row + s.kv_heads * kHead);
        SetColumn(keys[t], t, keys_t);
        SetColumn(value, t, values_t);
        dkeys[t] = dvalues[t] = Head<kHead>{};
      }
      for (int64_t head = kv * share; head < (kv + 1) * share; ++head) {
        for (int64_t t = 0; t < n; ++t) {
          const T* from = qkv + (first + t) * columns + head * kHead;
          Head<kHead> q, gradient, dq{};
          const float scale = LoadHead(from, s.query_norm, s.eps, s.cosine + t * kHead, s.sine + t * kHead, factor, &q);
          const int64_t blocks = t / kLanes + 1;
          BlockProducts(q, keys_t, blocks, p);
          Softmax(t, blocks, p);
          gradient.LoadFrom(dout + ((first + t) * s.heads + head) * kHead);
          BlockProducts(gradient, values_t, blocks, ds);
          Lanes products{};
          for (int64_t block = 0; block < blocks; ++block) products += p[block] * ds[block];
          const float mean = Sum(products);
          for (int64_t block = 0; block < blocks; ++block) ds[block] = p[block] * (ds[block] - mean);
          for (int64_t j = 0; j <= t; ++j) {
            dq.AddScaled(keys[j], slopes[j]);
            dkeys[j].AddScaled(q, slopes[j]);
            dvalues[j].AddScaled(gradient, weights[j]);
          }
          for (Lanes& part : dq.part) part *= factor;
          StoreHeadGradient(dq, from, s.query_norm, scale, s.cosine + t * kHead, s.sine + t * kHead,
                            dqkv + (first + t) * columns + head * kHead, &dquery_weight);
        }
      }
      for (int64_t t = 0; t < n; ++t) {
        const int64_t at = (first + t) * columns + (s.heads + kv) * kHead;
        StoreHeadGradient(dkeys[t], qkv + at, s.key_norm, scales[t], s.cosine + t * kHead, s.sine + t * kHead,
                          dqkv + at, &dkey_weight);
        dvalues[t].StoreTo(dqkv + at + s.kv_heads * kHead);
      }
    }
  }
  if (s.query_norm == nullptr) return;
  for (int c = 0; c < kHead; ++c) dquery_norm[c] += dquery_weight.part[c / kLanes][c % kLanes];
  for (int c = 0; c < kHead; ++c) dkey_norm[c] += dkey_weight.part[c / kLanes][c % kLanes];
}

template <typename T>
void AttentionForward(const T* qkv, const AttentionShape& shape, T* out) {
  if (shape.head_dim == 16) AttendForward<16>(qkv, shape, out);
  if (shape.head_dim == 32) AttendForward<32>(qkv, shape, out);
  if (shape.head_dim == 64) AttendForward<64>(qkv, shape, out);
}

template <typename T>
void AttentionBackward(const T* dout, const T* qkv, const AttentionShape& shape, T* dqkv, float* dquery_norm,
                       float* dkey_norm) {
  if (shape.head_dim == 16) AttendBackward<16>(dout, qkv, shape, dqkv, dquery_norm, dkey_norm);
  if (shape.head_dim == 32) AttendBackward<32>(dout, qkv, shape, dqkv, dquery_norm, dkey_norm);
  if (shape.head_dim == 64) AttendBackward<64>(dout, qkv, shape, dqkv, dquery_norm, dkey_norm);
}

template <typename T>
void SwigluForward(const T* gate_up, int64_t rows, int64_t f, T* __restrict act) {
  for (int64_t i = 0; i < rows; ++i, gate_up += 2 * f, act += f) {
    for (int64_t j = 0; j < f; ++j) {
      const float gate = Load(gate_up[j]);
      Store(gate / (1 + Exp(-gate)) * Load(gate_up[f + j]), act + j);
    }
  }
}

template <typename T>
void SwigluBackward(const T* __restrict dact, int64_t rows, int64_t f, T* __restrict gate_up) {
  for (int64_t i = 0; i < rows; ++i, gate_up += 2 * f, dact += f) {
    T* ups = gate_up + f;
#pragma GCC ivdep
    for (int64_t j = 0; j < f; ++j) {
      const float gate = Load(gate_up[j]), up = Load(ups[j]), s = 1 / (1 + Exp(-gate)), above = Load(dact[j]);
      Store(above * up * s * (1 + gate * (1 - s)), gate_up + j);
      Store(above * gate * s, ups + j);
    }
  }
}

template <typename T>
double CrossEntropy(T* logits, const int32_t* targets, const float* weight, int64_t rows, int64_t vocabulary,
                    char* correct) {
  double loss = 0;
  for (int64_t i = 0; i < rows; ++i, logits += vocabulary) {
    float largest = Load(logits[0]), total = 0;
    for (int64_t j = 1; j < vocabulary; ++j) largest = Load(logits[j]) > largest ? Load(logits[j]) : largest;
    const float target = Load(logits[targets[i]]);
    for (int64_t j = 0; j < vocabulary; ++j) total += Exp(Load(logits[j]) - largest);
    const float factor = weight[i] / total;
    for (int64_t j = 0; j < vocabulary; ++j) Store(Exp(Load(logits[j]) - largest) * factor, logits + j);
    Store(Exp(target - largest) * factor - weight[i], logits + targets[i]);
    if (correct != nullptr) correct[i] = target >= largest;
    loss += static_cast<double>(weight[i]) * (static_cast<double>(__builtin_logf(total)) + largest - target);
  }
  return loss;
}

template <typename T>
void Widen(const T* __restrict from, int64_t n, float* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] = Load(from[i]);
}

template <typename T>
void Round(const float* __restrict from, int64_t n, T* __restrict to) {
  for (int64_t i = 0; i < n; ++i) Store(from[i], to + i);
}

template <typename T>
void AddScaled(const T* __restrict from, float factor, int64_t n, float* __restrict to) {
  for (int64_t i = 0; i < n; ++i) to[i] += factor * Load(from[i]);
}

template <typename T>
float Dot(const T* a, const T* b, int64_t n) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += Load(a[i]) * Load(b[i]);
  return sum;
}

void AdamW(float* __restrict w, const float* __restrict g, float* __restrict m, float* __restrict v, int64_t n,
           float clip, float rate, float decay, int64_t step) {
  const float inverse1 = static_cast<float>(1 / (1 - __builtin_pow(0.9, static_cast<double>(step))));
  const float inverse2 = static_cast<float>(1 / (1 - __builtin_pow(0.95, static_cast<double>(step))));
  const float shrink = 1 - rate * decay;
  for (int64_t i = 0; i < n; ++i) {
    const float gradient = g[i] * clip;
    m[i] = 0.9f * m[i] + 0.1f * gradient;
    v[i] = 0.95f * v[i] + 0.05f * gradient * gradient;
    w[i] = w[i] * shrink - rate * (m[i] * inverse1) / (__builtin_sqrtf(v[i] * inverse2) + 1e-8f);
  }
}

double SquaredNorm(const float* g, int64_t n) {
  double sum = 0;
  constexpr int64_t kBlock = 4096;
  for (int64_t first = 0; first < n; first += kBlock) {
    float part = 0;
    for (int64_t i = first; i < (first + kBlock < n ? first + kBlock : n); ++i) part += g[i] * g[i];
    sum += part;
  }
  return sum;
}

template <typename T>
constexpr Kernels<T> kTable = {AddNorm<T>,           NormBackward<T>,  AttentionForward<T>,
                               AttentionBackward<T>, SwigluForward<T>, SwigluBackward<T>,
                               CrossEntropy<T>,      Widen<T>,         Round<T>,
                               AddScaled<T>,         Dot<T>,           AdamW,
                               SquaredNorm};

}  // namespace

extern const Kernels<float> kFloat;
extern const Kernels<Bf16> kBf16;
const Kernels<float> kFloat = kTable<float>;
const Kernels<Bf16> kBf16 = kTable<Bf16>;

}  // namespace bitlaw::lab::BITLAW_ISA
