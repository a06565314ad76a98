#include "bitlaw/testing/grid_conformance.h"

#include <ATen/ATen.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string_view>

#include "bitlaw/base/rng.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "bitlaw/sdk/grids/grid_options.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "testing/fault_list.h"

namespace bitlaw::testing {
namespace {

/// Groups that a grid must cope with: random ones of several widths, one-sided ones, outliers, zeros.
std::vector<std::vector<float>> GroupsToTry() {
  Rng rng(20240521);
  std::vector<std::vector<float>> groups;
  for (const size_t size : {1u, 2u, 7u, 16u, 33u, 128u}) {
    std::vector<float> plain(size), positive(size), outlier(size);
    for (size_t j = 0; j < size; ++j) {
      plain[j] = static_cast<float>(0.1 * (rng.Uniform() + rng.Uniform() + rng.Uniform() - 1.5));
      positive[j] = std::fabs(plain[j]) + 0.01F;
      outlier[j] = plain[j] * (j == size / 2 ? 50.0F : 1.0F);
    }
    groups.insert(groups.end(), {plain, positive, outlier, std::vector<float>(size, 0.0F)});
  }
  return groups;
}

double ValueOf(const WeightGrid& grid, int code, float scale, float zero) {
  const double level = grid.levels().empty() ? code : grid.levels()[static_cast<size_t>(code)];
  return static_cast<double>(scale) * (level - zero);
}

/// The grid of a tensor [1, columns] that is this group alone.
std::shared_ptr<const WeightGrid> GridOf(const WeightGrid& grid, const std::vector<float>& group) {
  return GridFor(grid, at::tensor(group, at::kFloat).unsqueeze(0));
}

bool IsScaleDtype(std::string_view dtype) {
  return dtype == "float16" || dtype == "float32" || dtype == "float8_e4m3fn" || dtype == "float8_e8m0fnu";
}

/// Whether a group's scale is one that the grid's scale_dtype has, divided by scale_divisor.
bool IsStored(const WeightGrid& grid, float scale) {
  int exponent = 0;
  if (grid.scale_dtype() == "float16") return static_cast<float>(c10::Half(scale)) == scale;
  if (grid.scale_dtype() == "float8_e8m0fnu") return std::frexp(scale, &exponent) == 0.5F;
  if (grid.scale_dtype() != "float8_e4m3fn") return true;
  const float stored = RoundTo(FloatFormat::kE4M3, scale * grid.scale_divisor());
  return stored / grid.scale_divisor() == scale;
}

/// Whether the grid of two tensors (WeightGrid::ForSite()), in either order, gives a group other parameters than that
/// of the larger one, or is not the last word on a tensor.
bool SiteDiffers(const WeightGrid& grid) {
  const at::Tensor large = at::arange(-16, 16, at::kFloat).div(8).view({2, 16}), small = large * 0.3;
  const at::Tensor sites[2][2] = {{large, small}, {small, large}};
  for (const auto& site : sites) {
    const auto shared = grid.ForSite(site), own = grid.ForTensor(large);
    if (shared == nullptr) continue;
    if (own == nullptr || shared->ForTensor(small) != nullptr || shared->ForSite(site) != nullptr) return true;
    const at::Tensor group = small[0].contiguous();
    float scales[2] = {}, zeros[2] = {};
    shared->FindGroups(group.data_ptr<float>(), 1, 16, 16, &scales[0], &zeros[0]);
    own->FindGroups(group.data_ptr<float>(), 1, 16, 16, &scales[1], &zeros[1]);
    if (scales[0] != scales[1] || zeros[0] != zeros[1] || shared->scale_divisor() != own->scale_divisor()) return true;
  }
  return false;
}

}  // namespace

std::vector<std::string> GridFaults(const WeightGrid& given, const std::string& name) {
  FaultList fault("grid '" + name + "'");
  if (given.bits() < 1 || given.bits() > 8) {
    fault("its codes have " + std::to_string(given.bits()) + " bits, not 1 to 8.");
    return fault.all();
  }
  const int codes = given.levels().empty() ? 1 << given.bits() : static_cast<int>(given.levels().size());
  if (codes < 2 || codes > 1 << given.bits()) {
    fault("it has " + std::to_string(codes) + " levels and codes of " + std::to_string(given.bits()) + " bits.");
    return fault.all();
  }
  for (size_t c = 0; c < given.levels().size(); ++c) {
    if (!std::isfinite(given.levels()[c]) || (c > 0 && !(given.levels()[c] > given.levels()[c - 1]))) {
      fault("its levels are not finite and ascending at level " + std::to_string(c) + ".");
    }
  }
  if (!given.bounds().empty() && given.bounds().size() + 1 != given.levels().size()) {
    fault("it has " + std::to_string(given.bounds().size()) + " bounds between " + std::to_string(codes) + " levels.");
    return fault.all();
  }
  const bool is_half = given.scale_dtype() == "float16";
  if (!IsScaleDtype(given.scale_dtype())) {
    fault("its scale_dtype is none of float16, float32, float8_e4m3fn and float8_e8m0fnu.");
    return fault.all();
  }
  if (given.scale_bits() < 0 || given.scale_bits() > 32 || given.tensor_bits() < 0 ||
      given.scale_bits() + given.tensor_bits() == 0) {
    fault("its scales have less than 1 or more than 32 bits.");
  }

  bool has_zero = false;
  float first_zero = 0;
  for (const std::vector<float>& group : GroupsToTry()) {
    const auto size = static_cast<int64_t>(group.size());
    const std::string where = " for a group of " + std::to_string(size) + " weights.";
    const std::shared_ptr<const WeightGrid> own = GridOf(given, group);
    const WeightGrid& grid = *own;
    float scale = -1, zero = -1, scale_again = -1, zero_again = -1;
    grid.FindGroups(group.data(), 1, size, size, &scale, &zero);
    grid.FindGroups(group.data(), 1, size, size, &scale_again, &zero_again);
    if (!(scale > 0) || !std::isfinite(scale)) {
      fault("its scale is not positive and finite" + where);
      continue;
    }
    if (scale != scale_again || zero != zero_again) fault("it gives other parameters the second time" + where);
    if (!IsStored(grid, scale)) {
      fault("its scale is not exact in " + std::string(grid.scale_dtype()) + where);
    }
    if (zero != std::floor(zero) || zero < 0 || zero > static_cast<float>((1 << grid.bits()) - 1)) {
      fault("its zero point is not a whole number that a code can be" + where);
    }
    if (!grid.levels().empty() && zero != 0) fault("it has levels and a zero point other than 0" + where);
    if (!has_zero) first_zero = zero;
    has_zero = true;
    if (!grid.stores_zeros() && zero != first_zero) fault("it stores no zero points, and they differ" + where);

    // The same group as one row of several, in a wider matrix.
    std::vector<float> matrix(static_cast<size_t>(3 * (size + 5)), 0.25F);
    std::copy(group.begin(), group.end(), matrix.begin() + size + 5);
    float scales[3] = {}, zeros[3] = {};
    grid.FindGroups(matrix.data(), 3, size, size + 5, scales, zeros);
    if (scales[1] != scale || zeros[1] != zero) fault("a group's parameters depend on the rows beside it" + where);

    std::vector<uint8_t> found(group.size());
    NearestCodes(grid, group.data(), size, scale, zero, found.data());
    for (size_t j = 0; j < group.size(); ++j) {
      double best = INFINITY;
      for (int c = 0; c < codes; ++c) {
        best = std::min(best, std::fabs(group[j] - ValueOf(grid, c, scale, zero)));
      }
      const bool is_code = found[j] < codes;
      // Weights halfway between two points may go to either, as far as float32 tells w / scale apart.
      const double slack = scale * codes * 0x1p-22;
      if (!is_code || std::fabs(group[j] - ValueOf(grid, found[j], scale, zero)) > best + slack) {
        fault("the code of a weight is not that of the nearest point" + where);
      }
    }
    std::vector<float> points;
    for (int c = 0; c < codes; ++c) points.push_back(static_cast<float>(ValueOf(grid, c, scale, zero)));
    std::vector<uint8_t> again(points.size());
    NearestCodes(grid, points.data(), codes, scale, zero, again.data());
    for (int c = 0; c < codes; ++c) {
      if (again[static_cast<size_t>(c)] == c) continue;
      fault("the value of code " + std::to_string(c) + " has another code" + where);
    }
    const bool is_zero = std::all_of(group.begin(), group.end(), [](float w) { return w == 0; });
    for (const float factor : {0.125F, 8.0F}) {
      // A group of zeros has no size of its own; below 2^-14 float16 has fewer digits.
      if (is_zero || (is_half && scale * std::min(factor, 1.0F) < 0x1p-14F)) continue;
      std::vector<float> scaled = group;
      for (float& w : scaled) w *= factor;
      GridOf(given, scaled)->FindGroups(scaled.data(), 1, size, size, &scale_again, &zero_again);
      if (scale_again != scale * factor || zero_again != zero) {
        fault("a group times a power of two does not have its scale times that and the same zero point" + where);
      }
    }
  }
  if (SiteDiffers(given)) fault("what it says of a site is not what it says of its largest tensor.");
  LinearShape layer;
  layer.in_features = 256;
  layer.out_features = 8;
  for (const int64_t group_size : {int64_t{32}, int64_t{256}}) {
    const double expected = given.bits() +
                            (given.scale_bits() + (given.stores_zeros() ? given.bits() : 0)) /
                                static_cast<double>(group_size) +
                            given.tensor_bits() / 2048.0;
    if (std::fabs(StoredBitsPerWeight(layer, StorageOf(given, group_size)) - expected) > 1e-12) {
      fault("its effective bits are not those of codes, scales and zero points.");
    }
  }
  return fault.all();
}

}  // namespace bitlaw::testing
