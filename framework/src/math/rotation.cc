#include "bitlaw/math/rotation.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <bit>
#include <cmath>

#include "bitlaw/base/error.h"
#include "math/hadamard.h"
#include "math/matrix_product.h"

namespace bitlaw {
namespace {

constexpr int64_t kGrainElements = int64_t{1} << 15;
std::string WidthText(int64_t width, int64_t base) {
  return base == 1 ? std::to_string(width) : std::to_string(base) + " x " + std::to_string(width / base);
}

}  // namespace

int64_t Rotation::HadamardBase(int64_t width) { return HadamardBaseOf(width); }

Rotation Rotation::Hadamard(int64_t width, const at::Tensor& signs) {
  Rotation made;
  made.width_ = width;
  made.base_ = HadamardBase(width);
  if (made.base_ == 0) throw InternalError("no Hadamard matrix of order " + std::to_string(width) + " is known here");
  if (signs.defined()) {
    if (signs.dim() != 1 || signs.size(0) != width || !signs.abs().eq(1).all().item<bool>()) {
      throw InternalError("the signs of a rotation of width " + std::to_string(width) +
                          " are not that many of 1 and -1");
    }
    made.signs_ = signs.to(at::kFloat).contiguous();
  }
  if (made.base_ > 1) {
    const std::vector<int8_t> base = PaleyMatrix(made.base_);
    made.base_matrix_ = at::tensor(at::ArrayRef<int8_t>(base), at::kChar).to(at::kFloat).view({made.base_, made.base_});
  }
  return made;
}

Rotation Rotation::OfMatrix(const at::Tensor& matrix) {
  if (matrix.dim() != 2 || matrix.size(0) != matrix.size(1) || matrix.size(0) < 1) {
    throw InternalError("the matrix of a rotation is not square");
  }
  const at::Tensor wide = matrix.to(at::kDouble);
  const at::Tensor unit = at::eye(matrix.size(0), wide.options());
  const double largest = at::mm(wide, wide.t()).sub(unit).abs().max().item<double>();
  if (!(largest <= 1e-4)) {
    throw InternalError("the matrix of a rotation of width " + std::to_string(matrix.size(0)) +
                        " is not orthogonal: R R^T differs from I by " + std::to_string(largest));
  }
  Rotation made;
  made.width_ = matrix.size(0);
  made.matrix_ = matrix.to(at::kFloat).contiguous();
  return made;
}

Rotation Rotation::Strided(int64_t stride) const {
  if (stride < 1 || stride_ != 1) throw InternalError("a rotation was to have the stride " + std::to_string(stride));
  Rotation made = *this;
  made.stride_ = stride;
  return made;
}

std::string Rotation::Name() const {
  const std::string apart = stride_ == 1 ? "" : " apart " + std::to_string(stride_);
  if (matrix_.defined()) return "orthogonal " + std::to_string(width_) + apart;
  return (signs_.defined() ? "signed hadamard " : "hadamard ") + WidthText(width_, base_) + apart;
}

int64_t Rotation::Operations() const {
  if (matrix_.defined()) return span() * width_;
  const int64_t levels = std::bit_width(static_cast<uint64_t>(width_ / base_)) - 1;
  return span() * (levels + (base_ > 1 ? base_ : 0));
}

at::Tensor Rotation::Apply(const at::Tensor& rows) const { return Turned(rows, /*transposed=*/false); }

at::Tensor Rotation::ApplyTransposed(const at::Tensor& rows) const { return Turned(rows, /*transposed=*/true); }

at::Tensor Rotation::Turned(const at::Tensor& rows, bool transposed) const {
  if (width_ < 1 || rows.dim() < 1 || rows.size(-1) % span() != 0) {
    throw InternalError("rows whose last dimension is no multiple of " + std::to_string(span()) + " were to be turned");
  }
  if (rows.numel() == 0) return rows.clone();
  if (stride_ > 1) {
    Rotation dense = *this;
    dense.stride_ = 1;
    const at::Tensor apart = rows.reshape({-1, width_, stride_}).transpose(1, 2);  // [runs, s, n]
    return dense.Turned(apart, transposed).transpose(1, 2).reshape(rows.sizes());
  }
  if (matrix_.defined()) {
    const at::Tensor matrix = matrix_.to(rows.device());
    const at::Tensor by = transposed ? matrix : matrix.t().contiguous();
    return TimesTransposed(rows.to(at::kFloat).reshape({-1, width_}), by).view(rows.sizes()).to(rows.scalar_type());
  }
  const double scale = 1.0 / std::sqrt(static_cast<double>(width_));
  at::Tensor turned = rows.to(at::kFloat).reshape({-1, width_});  // [runs, n]
  const at::Tensor signs = signs_.defined() ? signs_.to(rows.device()) * scale : at::Tensor();
  const auto scaled = [&](const at::Tensor& x) { return signs.defined() ? x * signs : x * scale; };
  if (!transposed) turned = scaled(turned);
  if (!turned.is_cpu()) {
    turned = TurnedOnDevice(turned, transposed);
  } else {
    // Turned in place, which must not be the caller's memory.
    const bool may_be_rows = transposed && rows.scalar_type() == at::kFloat;
    turned = may_be_rows ? turned.clone(at::MemoryFormat::Contiguous) : turned.contiguous();
    auto* const data = turned.data_ptr<float>();
    const float* const base = base_ > 1 ? base_matrix_.data_ptr<float>() : nullptr;
    const int64_t grain = std::max<int64_t>(1, kGrainElements / width_);
    at::parallel_for(0, turned.size(0), grain, [&](int64_t begin, int64_t end) {
      MultiplyByHadamard(data + begin * width_, end - begin, width_, base_, base, transposed);
    });
  }
  if (transposed) turned = scaled(turned);
  return turned.view(rows.sizes()).to(rows.scalar_type());
}

at::Tensor Rotation::TurnedOnDevice(const at::Tensor& rows, bool transposed) const {
  const at::Tensor& held = factors_.empty() ? base_matrix_ : factors_.front();
  const bool is_there = held.defined() && held.device() == rows.device() && (width_ == base_ || !factors_.empty());
  const Rotation here = is_there ? *this : On(rows.device());
  return TimesHadamard(rows, here.base_matrix_, here.factors_, transposed);
}

Rotation Rotation::On(const at::Device& device) const {
  Rotation moved = *this;
  for (at::Tensor* tensor : {&moved.signs_, &moved.matrix_, &moved.base_matrix_}) {
    if (tensor->defined()) *tensor = tensor->to(device);
  }
  moved.factors_.clear();
  if (device.is_cpu() || matrix_.defined()) return moved;
  for (const at::Tensor& factor : SylvesterFactors(width_ / base_)) moved.factors_.push_back(factor.to(device));
  return moved;
}

}  // namespace bitlaw
