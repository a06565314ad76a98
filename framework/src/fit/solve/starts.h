#pragma once

#include <cstdint>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/rng.h"
#include "fit/solve/objective.h"

namespace bitlaw {

/// theta moved into the bounds of the law.
BITLAW_EXPORT std::vector<double> ClampToBounds(const Law& law, std::vector<double> theta);

/// Draws start values for an iterative fit. Bounded parameters are drawn between their bounds, on a log scale where
/// these span two decades; the others about 0 with scale 1, or log-uniformly over six decades. Parameters that the law
/// is linear in, given the others, are solved for by least squares: amplitudes depend on units and cannot be guessed.
class BITLAW_EXPORT StartSampler {
 public:
  /// The objective must outlive it. Draws are judged by its value.
  StartSampler(const Objective& objective, uint64_t seed);

  /// The best of 64 draws of stream `index`. The law may have no finite value there if it had none in any draw.
  std::vector<double> Draw(uint64_t index) const;

  /// The parameters found to be linear given the others.
  const std::vector<size_t>& linear() const { return linear_; }

 private:
  std::vector<double> DrawOnce(Rng& rng) const;
  void FindLinear();
  void SolveLinear(std::vector<double>& theta) const;

  const Objective& objective_;
  const Law& law_;
  const FitRows& rows_;
  uint64_t seed_;
  std::vector<size_t> linear_;
};

}  // namespace bitlaw
