#pragma once

#include <cstdint>
#include <string_view>

#include "bitlaw/api/quantizer.h"

namespace bitlaw {

/// Integers as far as a plan sees them.
class FixtureGrid : public WeightGrid {
 public:
  explicit FixtureGrid(int64_t bits) : bits_(static_cast<int>(bits)) {}
  int bits() const override { return bits_; }
  bool stores_zeros() const override { return false; }
  std::string_view scale_dtype() const override { return "float32"; }
  int scale_bits() const override { return 32; }
  void FindGroups(const float*, int64_t, int64_t, int64_t, float*, float*) const override {}

 private:
  int bits_;
};

}  // namespace bitlaw
