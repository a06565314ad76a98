#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <utility>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A small, local, seeded random generator (xoshiro256**, seeded by splitmix64). The sequence is part of a
/// study's identity: it is the same on every platform and never changes. Nothing in bitlaw draws from a
/// global generator.
/// Source: Blackman & Vigna, "Scrambled Linear Pseudorandom Number Generators", 2021.
class BITLAW_EXPORT Rng {
 public:
  explicit Rng(uint64_t seed);

  uint64_t Next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  /// The state from which Next() goes on, for code that runs several generators side by side.
  std::span<const uint64_t, 4> state() const { return state_; }

  /// Uniform integer in [0, bound), without modulo bias. bound must be positive.
  uint64_t Below(uint64_t bound);

  /// Uniform in [0, 1), 53 bits.
  double Uniform();

  /// Standard normal by the polar method.
  double Normal();

  /// Fisher-Yates.
  template <typename T>
  void Shuffle(std::span<T> items) {
    for (uint64_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

  /// An independent generator for stream `index` (bootstrap replicate, worker, ...): the same for any order
  /// of calls and any number of threads.
  Rng Fork(uint64_t index) const;

 private:
  uint64_t seed_;
  uint64_t state_[4];
  double spare_normal_ = 0.0;
  bool has_spare_normal_ = false;
};

}  // namespace bitlaw
