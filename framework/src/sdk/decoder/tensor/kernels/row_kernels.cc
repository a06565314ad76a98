// Compiled once for each instruction set (framework/CMakeLists.txt), each time into a namespace of its own, BITLAW_ISA.
// Uses no inline function of the standard library: the linker could take this file's copy of it for the whole program.
#include "sdk/decoder/tensor/kernels/row_kernels.h"

namespace bitlaw::BITLAW_ISA {
namespace {

inline float Load(float x) { return x; }
inline float Load(Bf16 x) { return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16); }

// To nearest, ties to even. What is not a number stays so: only one whose low bits are set could wrap, and none that
// arithmetic makes, or that was bfloat16 before, has them.
inline float Round(float x, const float*) { return x; }
inline float Round(float x, const Bf16*) {
  const auto bits = __builtin_bit_cast(uint32_t, x);
  return __builtin_bit_cast(float, (bits + 0x7FFFu + ((bits >> 16) & 1u)) & 0xFFFF0000u);
}
inline void Store(float x, float* to) { *to = x; }
inline void Store(float x, Bf16* to) {
  to->bits = static_cast<uint16_t>(__builtin_bit_cast(uint32_t, Round(x, to)) >> 16);
}

// exp(x) for x <= 88, relative error below 2e-7; below -87 it is exp(-87). 2^k times a polynomial in f, where
// x = k ln 2 + f and |f| <= ln(2) / 2. Cody & Waite's split of ln 2 keeps f exact.
inline float Exp(float x) {
  const float bounded = x < -87.0f ? -87.0f : x;
  const float shifted = bounded * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer part lands in the low bits.
  const float k = shifted - 12582912.0f;
  const float f = (bounded - k * 0.693359375f) + k * 2.12194440e-4f;
  const float p =
      1.0f + f * (1.0f + f * (0.5f + f * (0.166666666f + f * (0.0416666679f + f * (0.00833334f + f * 0.00138889f)))));
  const auto power = (__builtin_bit_cast(uint32_t, shifted) + 127u) << 23;
  return p * __builtin_bit_cast(float, power);
}

// tanh(x), relative error below 1e-6: its series up to x^11 near 0, where 1 - 2 / (1 + exp(2x)) would cancel. Beyond 9
// it is 1 to float32's last bit.
inline float Tanh(float x) {
  const float size = x < 0.0f ? -x : x;
  const float bounded = size > 9.0f ? 9.0f : size;
  const float far = 1.0f - 2.0f / (1.0f + Exp(2.0f * bounded));
  const float s = size * size;
  const float near =
      size *
      (1.0f + s * (-0.333333333f + s * (0.133333333f + s * (-0.0539682540f + s * (0.0218694885f - s * 0.00886323553f)))));
  const float value = size < 0.4f ? near : far;
  return x < 0.0f ? -value : value;
}

template <typename T>
inline float InverseRms(const T* __restrict x, int64_t columns, float eps) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < columns; ++i) squares += Load(x[i]) * Load(x[i]);
  return 1.0f / __builtin_sqrtf(squares / static_cast<float>(columns) + eps);
}

template <typename T>
void RmsNorm(const T* __restrict x, const T* __restrict weight, int64_t columns, float eps, T* __restrict y) {
  const float scale = InverseRms(x, columns, eps);
#pragma omp simd
  for (int64_t i = 0; i < columns; ++i) Store(Round(Load(x[i]) * scale, y) * Load(weight[i]), y + i);
}

// Rounds once, as the reference implementation of such norms does.
template <typename T>
void RmsNormPlusOne(const T* __restrict x, const T* __restrict weight, int64_t columns, float eps, T* __restrict y) {
  const float scale = InverseRms(x, columns, eps);
#pragma omp simd
  for (int64_t i = 0; i < columns; ++i) Store(Load(x[i]) * scale * (1.0f + Load(weight[i])), y + i);
}

template <typename T>
void SoftCap(T* __restrict x, int64_t count, float c) {
  const float inverse = 1.0f / c;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) Store(c * Tanh(Load(x[i]) * inverse), x + i);
}

template <typename T>
void Softmax(T* __restrict scores, int64_t count, int64_t width, float* __restrict scratch) {
  float largest = -__builtin_inff();
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < count; ++i) {
    const float score = Load(scores[i]);
    largest = score > largest ? score : largest;
  }
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    const float power = Exp(Load(scores[i]) - largest);
    scratch[i] = power;
    sum += power;
  }
  const float share = 1.0f / sum;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) Store(scratch[i] * share, scores + i);
  for (int64_t i = count; i < width; ++i) Store(0.0f, scores + i);
}

// x / (1 + exp(-y)). -y is at most 87 here: farther down exp(-y) overflows, and the quotient is 0 to float32's last bit.
inline float Gated(float x, float y) { return x / (1.0f + Exp(y < -87.0f ? 87.0f : -y)); }

struct Silu {
  static float Of(float x) { return Gated(x, x); }
};
struct Gelu {  // 0.5 x (1 + tanh(u)) = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3)
  static float Of(float x) { return Gated(x, 1.59576912f * (x + 0.044715f * x * x * x)); }
};

// In blocks of float32: of one loop from and to bfloat16 GCC makes masked operations that are several times slower.
template <typename Activation, typename T>
void GateMultiply(T* __restrict gate, const T* __restrict up, int64_t count) {
  constexpr int64_t kBlock = 64;
  float x[kBlock], y[kBlock];
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = begin + kBlock < count ? kBlock : count - begin;
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) x[i] = Load(gate[begin + i]);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) y[i] = Load(up[begin + i]);
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) x[i] = Round(Activation::Of(x[i]), gate) * y[i];
#pragma omp simd
    for (int64_t i = 0; i < size; ++i) Store(x[i], gate + begin + i);
  }
}

template <typename T>
void Rotate(const T* __restrict x, const T* __restrict cosine, const T* __restrict sine, int64_t half, float scale,
            T* __restrict y) {
#pragma omp simd
  for (int64_t i = 0; i < half; ++i) {
    const float left = Load(x[i]), right = Load(x[i + half]), c = Load(cosine[i]), s = Load(sine[i]);
    Store((left * c - right * s) * scale, y + i);
    Store((right * c + left * s) * scale, y + i + half);
  }
}

template <typename T>
void LogSum(const T* __restrict x, int64_t count, int64_t* largest_at, double* log_sum) {
  float largest = -__builtin_inff();
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < count; ++i) {
    const float value = Load(x[i]);
    largest = value > largest ? value : largest;
  }
  *largest_at = 0;
  while (*largest_at < count - 1 && Load(x[*largest_at]) != largest) ++*largest_at;
  // Float32 holds the sum of a stretch; over all of a vocabulary it would lose small terms, always to one side.
  constexpr int64_t kStretch = 1024;
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kStretch) {
    const int64_t end = begin + kStretch < count ? begin + kStretch : count;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = begin; i < end; ++i) sum += Exp(Load(x[i]) - largest);
    total += static_cast<double>(sum);
  }
  *log_sum = static_cast<double>(largest) + __builtin_log(total);
}

template <typename T>
void Widen(const T* __restrict x, int64_t count, float* __restrict y) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) y[i] = Load(x[i]);
}

template <typename T>
void Narrow(const float* __restrict x, int64_t count, T* __restrict y) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) Store(x[i], y + i);
}

}  // namespace

extern const RowKernels<float> kFloat;
extern const RowKernels<Bf16> kBf16;
template <typename T>
constexpr RowKernels<T> kAll = {RmsNorm<T>, RmsNormPlusOne<T>, Softmax<T>, SoftCap<T>, GateMultiply<Silu, T>,
                                GateMultiply<Gelu, T>, Rotate<T>, LogSum<T>, Widen<T>, Narrow<T>};
const RowKernels<float> kFloat = kAll<float>;
const RowKernels<Bf16> kBf16 = kAll<Bf16>;

}  // namespace bitlaw::BITLAW_ISA
