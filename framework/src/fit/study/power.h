#pragma once

#include <cstdint>
#include <span>

#include "bitlaw/base/export.h"
#include "fit/study/item_statistics.h"

namespace bitlaw {

/// A benchmark whose accuracies are going to be compared in pairs.
struct BITLAW_EXPORT PlannedComparison {
  int64_t items = 0;
  /// Share of the items on which the two models disagree, in [0, 1].
  double discordance = 0;
};

/// The smallest true difference of the mean accuracy over T benchmarks (of the accuracy, if T = 1) that a paired test
/// finds:
///   delta = (z_{1-a/2} + z_{1-b}) sqrt(sum_t d_t / m_t) / T,   d discordance, m items, a = 1 - confidence, 1-b = power.
/// Models cannot differ by more than they disagree: where d_t < delta, d_t is taken to be delta, so that one benchmark of
/// few items has (z + z')^2 / m. NaN without benchmarks or where one has no items.
/// Source: the normal form of McNemar's test with its variance bound d - delta^2 <= d (Miettinen 1968, Biometrics 24).
BITLAW_EXPORT double DetectableAccuracy(std::span<const PlannedComparison> benchmarks, const PairedSettings& settings);

/// How many items each of the benchmarks needs, all alike, for DetectableAccuracy() <= effect; `items` is not looked at.
BITLAW_EXPORT int64_t ItemsForEffect(std::span<const PlannedComparison> benchmarks, double effect,
                                     const PairedSettings& settings);

}  // namespace bitlaw
