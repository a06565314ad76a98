#pragma once

#include <cstddef>
#include <cstdint>

namespace bitlaw {

/// How many fits go side by side.
inline constexpr size_t kLanes = 8;

/// One number of each of kLanes fits that differ in how often each row counts.
struct alignas(64) Lanes {
  double at[kLanes];
};

/// One word of each of kLanes generators.
struct alignas(64) LaneWords {
  uint64_t at[kLanes];
};

/// A law exp(offset + basis z) on rows.
struct ExponentialRows {
  const double* basis;   ///< [rows, k] row by row
  const double* offset;  ///< [rows]
  const double* y;       ///< [rows], finite
  size_t rows, k;
};

/// The inner loops of resampling and of LogLinearRefit. What comes out of a lane depends on that lane alone, to the
/// last bit.
struct LaneKernels {
  /// DrawUnits() (resample.h) in every lane: times[unit] says how often each unit was drawn. Returns a bit for each
  /// lane in which it would have refused a number of its generator, about one of 10^5: what is drawn there is of no
  /// use.
  ///   state [4]: Rng::state() of each lane; count < 65536; scratch [count * kLanes]; times [count].
  unsigned (*draw)(const LaneWords* state, uint32_t count, uint16_t* scratch, Lanes* times);
  /// sums[c] = sum_i weights[i] columns[i, c].
  ///   columns: blocks of kColumnBlock columns, each [rows, kColumnBlock] row by row, the last one filled with zeros;
  ///   weights [rows]; sums [width].
  void (*weighted_sums)(const double* columns, size_t rows, size_t width, const Lanes* weights, Lanes* sums);
  /// Solves G x = right in place by G = L D L^T, and gives the smallest element of D; where that is not well above 0, x
  /// is of no use.   gram [k (k + 1) / 2], the lower triangle of G row by row, is overwritten; k <= kMaxLaneColumns
  void (*solve)(Lanes* gram, size_t k, Lanes* right, Lanes* smallest);
  /// With f = exp(eta), |eta| <= 350:   slope = times f (y - f), curvature = times f^2, cost = sum times (y - f)^2.
  ///   z [k]; times, slope, curvature [rows]; cost one.
  void (*exponential)(const ExponentialRows& rows, const Lanes* z, const Lanes* times, Lanes* slope, Lanes* curvature,
                      Lanes* cost);
};

inline constexpr size_t kColumnBlock = 4;
inline constexpr size_t kMaxLaneColumns = 64;

/// Those for the best instruction set of this processor.
const LaneKernels& BestLaneKernels();

}  // namespace bitlaw
