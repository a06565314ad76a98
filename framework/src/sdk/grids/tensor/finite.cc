#include "bitlaw/sdk/grids/finite.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "bitlaw/sdk/machine/vector_code.h"

namespace bitlaw {
namespace {

constexpr int64_t kGrain = int64_t{1} << 16;

// All bits of the exponent are set in what is infinite or no number, and nowhere else.
template <typename Real>
BITLAW_VECTOR_CODE bool AllFinite(const Real* values, int64_t count) {
  using Word = std::conditional_t<sizeof(Real) == 4, uint32_t, uint64_t>;
  constexpr Word kExponent = sizeof(Real) == 4 ? Word{0x7f800000} : static_cast<Word>(0x7ff0000000000000);
  Word bad = 0;
  for (int64_t i = 0; i < count; ++i) {
    bad |= static_cast<Word>((std::bit_cast<Word>(values[i]) & kExponent) == kExponent);
  }
  return bad == 0;
}

template <typename Real>
bool AllFiniteByThreads(const at::Tensor& matrix) {
  const Real* const values = matrix.data_ptr<Real>();
  std::atomic<bool> is_finite = true;
  at::parallel_for(0, matrix.numel(), kGrain, [&](int64_t begin, int64_t end) {
    if (!AllFinite(values + begin, end - begin)) is_finite = false;
  });
  return is_finite;
}

}  // namespace

bool IsFinite(const at::Tensor& matrix) {
  if (matrix.is_cpu() && matrix.is_contiguous()) {
    if (matrix.scalar_type() == at::kFloat) return AllFiniteByThreads<float>(matrix);
    if (matrix.scalar_type() == at::kDouble) return AllFiniteByThreads<double>(matrix);
  }
  if (matrix.dim() == 0) return at::isfinite(matrix).item<bool>();
  constexpr int64_t kRows = 512;
  for (int64_t first = 0; first < matrix.size(0); first += kRows) {
    const at::Tensor rows = matrix.narrow(0, first, std::min(kRows, matrix.size(0) - first));
    if (!at::isfinite(rows).all().item<bool>()) return false;
  }
  return true;
}

}  // namespace bitlaw
