#include "math/symmetric_product.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include <algorithm>
#include <vector>

#include "math/matrix_product.h"
#include "math/shared_work.h"

namespace bitlaw {
namespace {

// Of the sums, blocks on and right of the diagonal, each by one thread: 5/8 of all work with four a row. Narrower
// ones would leave a BLAS too little to chew on.
constexpr int64_t kBlocks = 4;
constexpr int64_t kSmallestBlock = 96;
// Rows of a block on the diagonal that are multiplied at once: what lies left of them need not be.
constexpr int64_t kDiagonalRows = 48;
// Products of up to so many multiplications are left to the BLAS, which has kernels for small matrices; oneDNN is no
// faster there.
constexpr int64_t kSmallProduct = 1000000;
constexpr int64_t kRun = 320;

// How many of `rows` rows are summed before their sum is added; the last two runs are about equal.
int64_t RunOf(int64_t rows) {
  if (rows >= 2 * kRun) return kRun;
  return rows > kRun ? (rows / 2 + 15) / 16 * 16 : rows;
}

struct Part {
  int64_t top, left, height, width;
};

void AddPart(const at::Tensor& x, const at::Tensor& sums, const Part& part) {
  RECORD_FUNCTION("bitlaw::float32_product", std::vector<c10::IValue>());
  const int64_t rows = x.size(0), stride = x.stride(0), sums_stride = sums.stride(0);
  const float* const from = x.data_ptr<float>();
  float* const to = sums.data_ptr<float>() + part.top * sums_stride + part.left;
  for (int64_t row = 0; row < rows;) {
    const int64_t run = RunOf(rows - row);
    const float* const first = from + row * stride;
    AddTransposedFloat32(part.height, part.width, run, first + part.top, stride, first + part.left, stride, to, sums_stride);
    row += run;
  }
}

void AddBlock(const at::Tensor& x, const at::Tensor& sums, const Part& block) {
  if (x.scalar_type() == at::kBFloat16) {
    return AddTransposedProduct(x.narrow(1, block.top, block.height), x.narrow(1, block.left, block.width),
                                sums.narrow(0, block.top, block.height).narrow(1, block.left, block.width));
  }
  const bool is_small = block.height * block.width * x.size(0) <= kSmallProduct;
  if (x.scalar_type() != at::kFloat || !HasFloat32Products() || is_small) {
    sums.narrow(0, block.top, block.height)
        .narrow(1, block.left, block.width)
        .addmm_(x.narrow(1, block.top, block.height).t(), x.narrow(1, block.left, block.width));
    return;
  }
  if (block.top != block.left) return AddPart(x, sums, block);
  for (int64_t begin = 0; begin < block.height; begin += kDiagonalRows) {
    const int64_t at = block.top + begin;
    AddPart(x, sums, {at, at, std::min(kDiagonalRows, block.height - begin), block.width - begin});
  }
}

// In lanes, which the compiler may take abreast.
double DotInDouble(const float* __restrict a, const float* __restrict b, int64_t count) {
  constexpr int64_t kLanes = 8;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) lanes[l] += static_cast<double>(a[i + l]) * b[i + l];
  }
  double sum = 0;
  for (; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

void AddSymmetricProduct(const at::Tensor& x, at::Tensor sums) {
  const int64_t columns = x.size(1);
  const int64_t width = std::max(kSmallestBlock, (columns + kBlocks - 1) / kBlocks);
  std::vector<Part> blocks;
  for (int64_t top = 0; top < columns; top += width) {
    for (int64_t left = top; left < columns; left += width) {
      blocks.push_back({top, left, std::min(width, columns - top), std::min(width, columns - left)});
    }
  }
  std::stable_partition(blocks.begin(), blocks.end(), [](const Part& block) { return block.top != block.left; });
  ShareOut(static_cast<int64_t>(blocks.size()), [&](int64_t b) { AddBlock(x, sums, blocks[b]); });
}

double SymmetricForm(const at::Tensor& given_d, const at::Tensor& given_h) {
  const at::Tensor d = given_d.contiguous(), h = given_h.contiguous();
  const int64_t rows = d.size(0), columns = d.size(1);
  if (d.scalar_type() != at::kFloat || !HasFloat32Products() || rows == 0) {
    return at::mm(d, h).mul_(d).sum(at::kDouble).item<double>();
  }
  // Of D H only what lies left of a column's block and in it: the rest is the same once more.
  constexpr int64_t kRows = 192, kWidth = 192;
  const int64_t row_parts = (rows + kRows - 1) / kRows, column_parts = (columns + kWidth - 1) / kWidth;
  std::vector<double> sums(row_parts * column_parts);
  const float *const left = d.data_ptr<float>(), *const matrix = h.data_ptr<float>();
  ShareOut(row_parts * column_parts, [&](int64_t part) {
    RECORD_FUNCTION("bitlaw::float32_product", std::vector<c10::IValue>());
    const int64_t column = (column_parts - 1 - part / row_parts) * kWidth, row = part % row_parts * kRows;
    const int64_t height = std::min(kRows, rows - row), width = std::min(kWidth, columns - column);
    std::vector<float> product(height * width);
    double sum = 0;
    const auto add = [&](int64_t first, int64_t count, double times) {
      MultiplyFloat32(false, height, width, count, left + row * columns + first, columns, matrix + first * columns + column,
                      columns, product.data(), width);
      for (int64_t i = 0; i < height; ++i) {
        sum += times * DotInDouble(product.data() + i * width, left + (row + i) * columns + column, width);
      }
    };
    if (column > 0) add(0, column, 2);
    add(column, width, 1);
    sums[part] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace bitlaw
