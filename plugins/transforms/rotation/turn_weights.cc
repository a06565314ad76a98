#include "turn_weights.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace bitlaw {
namespace {

// A piece of a matrix at a time is there in float32: an embedding may be as large as half a model.
constexpr int64_t kPieceElements = int64_t{1} << 24;

int64_t RowsAtOnce(int64_t columns) { return std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, columns)); }

}  // namespace

at::Tensor TurnedReader(const at::Tensor& weight, const Rotation& rotation, const at::Tensor& factors) {
  at::Tensor turned = at::empty_like(weight, at::MemoryFormat::Contiguous);
  const int64_t rows = weight.size(0), step = RowsAtOnce(weight.size(1));
  for (int64_t first = 0; first < rows; first += step) {
    const int64_t count = std::min(step, rows - first);
    at::Tensor piece = weight.narrow(0, first, count);
    if (factors.defined()) piece = piece.to(at::kDouble).mul_(factors);
    turned.narrow(0, first, count).copy_(rotation.Apply(piece.to(at::kFloat)));
  }
  return turned;
}

at::Tensor TurnedWriter(const at::Tensor& weight, const Rotation& rotation) {
  if (weight.dim() == 1) return rotation.Apply(weight.to(at::kFloat)).to(weight.scalar_type());
  at::Tensor turned = at::empty_like(weight, at::MemoryFormat::Contiguous);
  const int64_t columns = weight.size(1), step = RowsAtOnce(weight.size(0));
  for (int64_t first = 0; first < columns; first += step) {
    const int64_t count = std::min(step, columns - first);
    const at::Tensor piece = weight.narrow(1, first, count).t().to(at::kFloat);  // [count, C_out]
    turned.narrow(1, first, count).copy_(rotation.Apply(piece).t());
  }
  return turned;
}

}  // namespace bitlaw
