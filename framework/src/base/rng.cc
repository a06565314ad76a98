#include "bitlaw/base/rng.h"

#include <cmath>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

uint64_t SplitMix64(uint64_t& state) {
  uint64_t z = (state += 0x9E3779B97F4A7C15ULL);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed) : seed_(seed) {
  uint64_t mix = seed;
  for (uint64_t& word : state_) word = SplitMix64(mix);
}

uint64_t Rng::Below(uint64_t bound) {
  if (bound == 0) throw InternalError("Rng::Below(0)");
  // Values under `threshold` would make the low remainders more likely than the rest.
  const uint64_t threshold = -bound % bound;
  uint64_t draw = Next();
  while (draw < threshold) draw = Next();
  return draw % bound;
}

double Rng::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

double Rng::Normal() {
  if (has_spare_normal_) {
    has_spare_normal_ = false;
    return spare_normal_;
  }
  double u, v, s;
  do {
    u = 2 * Uniform() - 1;
    v = 2 * Uniform() - 1;
    s = u * u + v * v;
  } while (s >= 1 || s == 0);
  const double factor = std::sqrt(-2 * std::log(s) / s);
  spare_normal_ = v * factor;
  has_spare_normal_ = true;
  return u * factor;
}

Rng Rng::Fork(uint64_t index) const {
  uint64_t mix = seed_ ^ 0xD1B54A32D192ED03ULL;
  mix = SplitMix64(mix) + index;
  return Rng(SplitMix64(mix));
}

}  // namespace bitlaw
