#pragma once

#include <cstdint>

#include "bitlaw/base/rng.h"

namespace bitlaw {

/// Draws `count` of `count` units with replacement and calls take(unit) for each: a bootstrap replicate. Uniform
/// without divisions, two draws from each number of the generator (Lemire 2019, 32 bits). The sequence is part of a
/// study's identity.
template <typename Take>
void DrawUnits(Rng& rng, uint32_t count, Take&& take) {
  const uint32_t threshold = -count % count;
  for (uint32_t drawn = 0; drawn < count;) {
    uint64_t bits = rng.Next();
    for (int half = 0; half < 2 && drawn < count; ++half, bits >>= 32) {
      const uint64_t product = static_cast<uint64_t>(static_cast<uint32_t>(bits)) * count;
      if (static_cast<uint32_t>(product) < threshold) continue;
      take(static_cast<uint32_t>(product >> 32));
      ++drawn;
    }
  }
}

}  // namespace bitlaw
