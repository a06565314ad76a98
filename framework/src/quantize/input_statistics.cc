#include "quantize/input_statistics.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/torch_version.h"
#include "math/matrix_product.h"
#include "math/symmetric_product.h"

namespace bitlaw {
namespace {

// x x^T is symmetric: only panels on and right of the diagonal are multiplied, 5/8 of the work with four panels.
// Narrower panels would save more, but leave the matrix product too little to chew on.
constexpr int64_t kPanels = 4;
constexpr int64_t kSmallestPanel = 96;

// What is above the diagonal, below it too; panel by panel, since the matrix may be a third of all memory.
void MirrorUpper(const at::Tensor& matrix) {
  constexpr int64_t kRows = 512;
  const int64_t size = matrix.size(0);
  for (int64_t first = 0; first < size; first += kRows) {
    const int64_t rows = std::min(kRows, size - first), end = first + rows;
    const at::Tensor own = matrix.narrow(0, first, rows).narrow(1, first, rows);
    const at::Tensor upper = at::triu(own);
    own.copy_(at::triu(upper, 1).t().add(upper));
    if (end < size) {
      const at::Tensor right = matrix.narrow(0, first, rows).narrow(1, end, size - end);
      matrix.narrow(0, end, size - end).narrow(1, first, rows).copy_(right.t());
    }
  }
}

int64_t PanelWidth(int64_t columns) { return std::max(kSmallestPanel, (columns + kPanels - 1) / kPanels); }

}  // namespace

void InputStatistics::Hold(const at::Tensor& input, const at::Tensor& unquantized) {
  held_.push_back(input.reshape({-1, input.size(-1)}));  // [tokens, C_in]
  if (!needs_.cross_moment) return;
  if (!unquantized.defined() || unquantized.numel() != input.numel()) {
    throw InternalError(
        "a cross moment was asked for, and the unquantized model's inputs are not those of the same tokens");
  }
  held_unquantized_.push_back(unquantized.reshape({-1, input.size(-1)}));
}

void InputStatistics::Add(const at::Tensor& input, const at::Tensor& unquantized) {
  Hold(input, unquantized);
  const auto taken = [](std::vector<at::Tensor>& held) {
    const at::Tensor all = held.size() == 1 ? held.front() : at::cat(held);  // [tokens, C_in]
    held.clear();
    return all;
  };
  const at::Tensor given = taken(held_);
  if (needs_.cross_moment) AddCrossMoment(given, taken(held_unquantized_));
  tokens_ += given.size(0);
  if (needs_.second_moment) AddSecondMoment(given);
  if (!needs_.abs_mean && !needs_.abs_max && !needs_.rows && !needs_.range) return;
  const at::Tensor x = given.to(at::kFloat);
  if (needs_.abs_mean) {
    const at::Tensor sum = x.abs().sum(0, false, at::kDouble);  // [C_in]
    abs_sum_ = abs_sum_.defined() ? abs_sum_.add_(sum) : sum;
  }
  if (needs_.abs_max && x.size(0) > 0) {
    const at::Tensor max = x.abs().amax(0);  // [C_in]
    abs_max_ = abs_max_.defined() ? at::maximum(abs_max_, max) : max;
  }
  if (needs_.range && x.size(0) > 0) {
    const at::Tensor low = x.amin(0), high = x.amax(0);  // [C_in]
    low_ = low_.defined() ? at::minimum(low_, low) : low;
    high_ = high_.defined() ? at::maximum(high_, high) : high;
  }
  if (needs_.rows) rows_.push_back(x);
}

void InputStatistics::AddSecondMoment(const at::Tensor& x) {
  // Products of bfloat16 numbers are exact in float32, which sums them.
  const bool is_bfloat16_on_device = BITLAW_TORCH_AT_LEAST(2, 11) && x.is_cuda() && x.size(0) > 0 &&
                                     x.scalar_type() == at::kBFloat16 && !needs_.second_moment_float64;
  const bool is_bfloat16 = x.scalar_type() == at::kBFloat16 && x.device().is_cpu() && x.size(0) > 0 &&
                           !needs_.second_moment_float64 && HasBfloat16Products();
  const at::ScalarType sums = needs_.second_moment_float64 ? at::kDouble : at::kFloat;
  const at::Tensor factor = is_bfloat16 || is_bfloat16_on_device ? x.contiguous() : x.to(sums);  // [tokens, C_in]
  const int64_t columns = x.size(1);
  if (!moment_.defined()) moment_ = at::zeros({columns, columns}, factor.options().dtype(sums));
  if (x.is_cpu()) {
    AddSymmetricProduct(factor.contiguous(), moment_);
    return;
  }
  const int64_t width = PanelWidth(columns);
  for (int64_t first = 0; first < columns; first += width) {
    const int64_t size = std::min(width, columns - first);
    const at::Tensor left = factor.narrow(1, first, size);
    const at::Tensor right = factor.narrow(1, first, columns - first);
    at::Tensor panel = moment_.narrow(0, first, size).narrow(1, first, columns - first);  // [size, C_in - first]
#if BITLAW_TORCH_AT_LEAST(2, 11)
    if (is_bfloat16_on_device) {
      panel.add_(at::mm(left.t(), right, at::kFloat));
      continue;
    }
#endif
    panel.addmm_(left.t(), right);
  }
}

void InputStatistics::AddCrossMoment(const at::Tensor& given, const at::Tensor& unquantized) {
  const at::ScalarType sums = needs_.second_moment_float64 ? at::kDouble : at::kFloat;
  const at::Tensor x = given.to(sums).contiguous();               // [tokens, C_in]
  const at::Tensor d = unquantized.to(sums).sub(x).contiguous();  // [tokens, C_in]
  const int64_t columns = x.size(1), tokens = x.size(0);
  if (!cross_.defined()) cross_ = at::zeros({columns, columns}, x.options());
  if (!x.is_cpu() || sums == at::kDouble || !HasFloat32Products() || tokens == 0) {
    cross_.addmm_(d.t(), x);
    return;
  }
  // Panels of a fixed width, each by one thread: the same bytes for any number of them.
  constexpr int64_t kWidth = 64;
  const float* const left = d.data_ptr<float>();
  const float* const right = x.data_ptr<float>();
  float* const cross = cross_.data_ptr<float>();
  at::parallel_for(0, (columns + kWidth - 1) / kWidth, 1, [&](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; ++panel) {
      const int64_t first = panel * kWidth, width = std::min(kWidth, columns - first);
      AddTransposedFloat32(width, columns, tokens, left + first, columns, right, columns, cross + first * columns,
                           columns);
    }
  });
}

LayerCalibration InputStatistics::Finish(int64_t sequences) {
  if (!held_.empty()) {
    const auto last_of = [](std::vector<at::Tensor>& held) {
      if (held.empty()) return at::Tensor();
      const at::Tensor last = std::move(held.back());
      held.pop_back();
      return last;
    };
    const at::Tensor last = last_of(held_);
    Add(last, last_of(held_unquantized_));
  }
  LayerCalibration result;
  result.sequences = sequences;
  result.tokens = tokens_;
  if (moment_.defined()) {
    MirrorUpper(moment_);
    result.second_moment = std::exchange(moment_, at::Tensor()).mul_(2.0 / static_cast<double>(sequences));  // [C_in, C_in]
  }
  if (cross_.defined())
    result.cross_moment = std::exchange(cross_, at::Tensor()).mul_(2.0 / static_cast<double>(sequences));
  if (abs_sum_.defined()) {
    result.abs_mean = abs_sum_.div(static_cast<double>(std::max<int64_t>(tokens_, 1))).to(at::kFloat);
  }
  result.abs_max = abs_max_;
  result.low = low_;
  result.high = high_;
  if (needs_.rows) result.rows = at::cat(rows_);
  rows_.clear();
  return result;
}

}  // namespace bitlaw
