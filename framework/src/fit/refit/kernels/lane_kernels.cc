// Compiled once for each instruction set (framework/CMakeLists.txt), each time into a namespace of its own, BITLAW_ISA.
// Uses no inline function of the standard library: the linker could take this file's copy of it for the whole program.
#include "fit/refit/kernels/lane_kernels.h"

#include <cstdint>

namespace bitlaw::BITLAW_ISA {
namespace {

typedef double Wide __attribute__((vector_size(64), may_alias));
typedef int64_t WideBits __attribute__((vector_size(64), may_alias));
typedef uint64_t WideWords __attribute__((vector_size(64), may_alias));
typedef uint64_t AliasedWord __attribute__((may_alias));

inline Wide& At(Lanes& lanes) { return *reinterpret_cast<Wide*>(lanes.at); }
inline const Wide& At(const Lanes& lanes) { return *reinterpret_cast<const Wide*>(lanes.at); }

unsigned Draw(const LaneWords* state, uint32_t count, uint16_t* scratch, Lanes* times) {
  WideWords s[4];
  for (int i = 0; i < 4; ++i) s[i] = *reinterpret_cast<const WideWords*>(state[i].at);
  const uint64_t threshold = static_cast<uint32_t>(-count) % count;
  const WideWords lane_numbers = {0, 1, 2, 3, 4, 5, 6, 7};
  WideWords refused = {};
  // Where in scratch [count, kLanes] each draw counts: kept in `times` until all are known, because taking words out of
  // a wide register one by one costs more than reading them.
  const auto take = [&](const WideWords& word, Lanes& where) {
    const WideWords product = word * static_cast<uint64_t>(count);
    refused |= (product & 0xFFFFFFFFULL) < threshold ? WideWords{} + 1 : WideWords{};
    *reinterpret_cast<WideWords*>(where.at) = (product >> 32) * kLanes + lane_numbers;
  };
  for (uint32_t drawn = 0; drawn < count; drawn += 2) {
    // xoshiro256**, as Rng::Next().
    const WideWords five = s[1] * 5ULL;
    const WideWords bits = ((five << 7) | (five >> 57)) * 9ULL;
    const WideWords t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    take(bits & 0xFFFFFFFFULL, times[drawn]);
    if (drawn + 1 < count) take(bits >> 32, times[drawn + 1]);
  }
  for (size_t i = 0; i < count * kLanes; ++i) scratch[i] = 0;
  const auto* where = reinterpret_cast<const AliasedWord*>(times);
  for (size_t i = 0; i < count * kLanes; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) ++scratch[where[i + lane]];
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t lane = 0; lane < kLanes; ++lane)
      times[i].at[lane] = static_cast<double>(static_cast<int>(scratch[i * kLanes + lane]));
  }
  unsigned lanes = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) lanes |= refused[lane] != 0 ? 1u << lane : 0u;
  return lanes;
}

// As many blocks at once as keep their sums in registers: 16 of AVX2, half as wide, or 32 of AVX-512.
template <size_t kBlocks>
inline void SumBlocks(const double* columns, size_t rows, size_t width, const Lanes* weights, Lanes* sums) {
  Wide sum[kBlocks][kColumnBlock] = {};
  for (size_t i = 0; i < rows; ++i) {
    const Wide weight = At(weights[i]);
    for (size_t b = 0; b < kBlocks; ++b) {
      const double* row = columns + (b * rows + i) * kColumnBlock;
      for (size_t c = 0; c < kColumnBlock; ++c) sum[b][c] += weight * row[c];
    }
  }
  for (size_t b = 0; b < kBlocks; ++b) {
    const size_t first = b * kColumnBlock;
    for (size_t c = 0; c < kColumnBlock && first + c < width; ++c) At(sums[first + c]) = sum[b][c];
  }
}

void WeightedSums(const double* columns, size_t rows, size_t width, const Lanes* weights, Lanes* sums) {
  const auto sum = [&]<size_t kBlocks>() {
    SumBlocks<kBlocks>(columns, rows, width, weights, sums);
    columns += kBlocks * kColumnBlock * rows;
    sums += kBlocks * kColumnBlock;
    width -= width < kBlocks * kColumnBlock ? width : kBlocks * kColumnBlock;
  };
  while (width > 0) {
#ifdef __AVX512F__
    switch ((width + kColumnBlock - 1) / kColumnBlock) {
      case 1: sum.template operator()<1>(); break;
      case 2: sum.template operator()<2>(); break;
      case 3: sum.template operator()<3>(); break;
      case 4: sum.template operator()<4>(); break;
      default: sum.template operator()<5>(); break;
    }
#else
    sum.template operator()<1>();
#endif
  }
}

void Solve(Lanes* gram, size_t k, Lanes* right, Lanes* smallest) {
  Wide inverse[kMaxLaneColumns], scaled[kMaxLaneColumns];  // 1 / D; the row of L D at hand.
  const auto row = [&](size_t a) { return gram + a * (a + 1) / 2; };
  Wide least = At(row(0)[0]);
  for (size_t a = 0; a < k; ++a) {
    Lanes* of_a = row(a);
    Wide pivot = At(of_a[a]);
    for (size_t b = 0; b < a; ++b) {
      const Lanes* of_b = row(b);
      scaled[b] = At(of_a[b]);
      for (size_t m = 0; m < b; ++m) scaled[b] -= scaled[m] * At(of_b[m]);
      const Wide l = scaled[b] * inverse[b];
      pivot -= scaled[b] * l;
      At(of_a[b]) = l;
    }
    // scaled is used up to here only: L replaces it in the row.
    inverse[a] = 1.0 / pivot;
    least = pivot < least ? pivot : least;
  }
  At(*smallest) = least;
  for (size_t a = 0; a < k; ++a) {
    for (size_t m = 0; m < a; ++m) At(right[a]) -= At(row(a)[m]) * At(right[m]);
  }
  for (size_t a = k; a-- > 0;) {
    At(right[a]) *= inverse[a];
    for (size_t m = a + 1; m < k; ++m) At(right[a]) -= At(row(m)[a]) * At(right[m]);
  }
}

// exp to two units in the last place: 2^n times the Taylor series in r = x - n ln 2, |r| <= ln(2) / 2, whose first
// missing term is 4e-18. Cody & Waite's split of ln 2 keeps r exact.
inline Wide Exp(Wide x) {
  x = x > 350.0 ? Wide{} + 350.0 : x;
  x = x < -350.0 ? Wide{} - 350.0 : x;
  const Wide shifted = x * 1.4426950408889634 + 6755399441055744.0;  // 1.5 * 2^52: n lands in the low bits.
  const Wide n = shifted - 6755399441055744.0;
  const Wide r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  Wide p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  // Adds n to the exponent: the bits above n's are shifted out.
  return __builtin_bit_cast(Wide, __builtin_bit_cast(WideBits, p) + (__builtin_bit_cast(WideBits, shifted) << 52));
}

void Exponential(const ExponentialRows& rows, const Lanes* z, const Lanes* times, Lanes* slope, Lanes* curvature,
                 Lanes* cost) {
  Wide sum = {};
  for (size_t i = 0; i < rows.rows; ++i) {
    const double* basis = rows.basis + i * rows.k;
    Wide eta = At(z[0]) * basis[0] + rows.offset[i];
    for (size_t a = 1; a < rows.k; ++a) eta += At(z[a]) * basis[a];
    const Wide f = Exp(eta), residual = rows.y[i] - f, weighted = At(times[i]) * f;
    sum += At(times[i]) * residual * residual;
    At(slope[i]) = weighted * residual;
    At(curvature[i]) = weighted * f;
  }
  At(*cost) = sum;
}

}  // namespace

extern const LaneKernels kLaneKernels;
const LaneKernels kLaneKernels = {Draw, WeightedSums, Solve, Exponential};

}  // namespace bitlaw::BITLAW_ISA
