#include "bitlaw/sdk/grids/inverse_factor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/finite.h"
#include "math/shared_work.h"

namespace bitlaw {
namespace {

constexpr int64_t kTile = 96;

// A square matrix in tiles [kTile, kTile], the last row and column of them smaller.
class Tiles {
 public:
  explicit Tiles(at::Tensor matrix) : matrix_(std::move(matrix)), size_(matrix_.size(0)) {}

  int64_t count() const { return (size_ + kTile - 1) / kTile; }
  at::Tensor At(int64_t i, int64_t j) const { return Span(i, i + 1, j, j + 1); }
  /// Rows of tiles [top, bottom), columns [left, right).
  at::Tensor Span(int64_t top, int64_t bottom, int64_t left, int64_t right) const {
    const int64_t row = top * kTile, column = left * kTile;
    return matrix_.narrow(0, row, std::min(bottom * kTile, size_) - row)
        .narrow(1, column, std::min(right * kTile, size_) - column);
  }

 private:
  at::Tensor matrix_;
  const int64_t size_;
};

// Reads and writes on and above the diagonal. False if a tile on it is not positive definite.
bool FactorInReverse(const Tiles& a) {
  for (int64_t k = a.count() - 1; k >= 0; --k) {
    const at::Tensor tile = a.At(k, k);
    at::Tensor factor;  // Upper triangular.
    bool is_good = true;
    ShareOut(1, [&](int64_t) {
      // Cholesky reads the lower triangle, which the reverse of the upper one is, and no more.
      const auto [lower, status] = at::linalg_cholesky_ex(tile.t().flip({0, 1}).t());
      is_good = status.item<int>() == 0;
      factor = lower.flip({0, 1});
      tile.copy_(factor);
    });
    if (!is_good) return false;
    ShareOut(k, [&](int64_t i) {
      const at::Tensor right = a.At(i, k);
      right.copy_(at::linalg_solve_triangular(factor.t(), right, /*upper=*/false, /*left=*/false));
    });
    // Columns of tiles left of k, the longest first.
    ShareOut(k, [&](int64_t unit) {
      const int64_t j = k - 1 - unit;
      a.Span(0, j + 1, j, j + 1).addmm_(a.Span(0, j + 1, k, k + 1), a.At(j, k).t(), 1, -1);
    });
  }
  return true;
}

// In place.
void InvertUpper(const Tiles& r) {
  for (int64_t k = 0; k < r.count(); ++k) {
    const at::Tensor tile = r.At(k, k);
    ShareOut(1, [&](int64_t) {
      tile.copy_(at::linalg_solve_triangular(tile, at::eye(tile.size(0), tile.options()), /*upper=*/true));
    });
    if (k == 0) continue;
    at::Tensor above = at::empty({k * kTile, tile.size(1)}, tile.options());
    ShareOut(k, [&](int64_t j) {
      at::Tensor product = above.narrow(0, j * kTile, kTile);
      at::mm_out(product, r.At(j, k), tile);
    });
    ShareOut(k, [&](int64_t i) {
      at::Tensor result = r.At(i, k);
      result.addmm_(r.Span(i, i + 1, i, k), above.narrow(0, i * kTile, (k - i) * kTile), 0, -1);
    });
  }
}

}  // namespace

std::optional<at::Tensor> InverseFactor(at::Tensor hessian) {
  if (hessian.dim() != 2 || hessian.size(0) != hessian.size(1) || !hessian.is_cpu()) {
    throw InternalError("InverseFactor() was given something else than a square matrix on the host.");
  }
  hessian = hessian.contiguous();
  const Tiles tiles(hessian);
  if (!FactorInReverse(tiles)) return std::nullopt;
  InvertUpper(tiles);
  const at::Tensor factor = hessian.triu_().to(at::kFloat);
  if (!factor.diagonal().gt(0).all().item<bool>() || !IsFinite(factor)) return std::nullopt;
  return factor;
}

}  // namespace bitlaw
