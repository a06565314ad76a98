#include "column_walk.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "bitlaw/sdk/machine/vector_code.h"

namespace bitlaw {
namespace {

// BITLAW_VECTOR_CODE with vectors of 512 bits beside: this file is compiled without fused multiply-adds (CMakeLists.txt),
// so that these give the same bits too.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define WIDE_VECTOR_CODE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE_VECTOR_CODE
#endif

constexpr int64_t kLanes = 32;         // Rows that one tile takes abreast: a vector is a column of the tile.
constexpr int64_t kRowsPerPiece = 96;  // Rows of one matrix product and of one unit of parallel work.

// Quantizes one column of a tile and spreads its error over the columns to the right.
//   tile [columns, kLanes], w = tile + i * kLanes; u = U[i, i ...]
WIDE_VECTOR_CODE void StepColumn(float* __restrict w, const float* __restrict u, int64_t columns_right,
                                   const float* __restrict scale, const float* __restrict zero, float max_code,
                                   float* __restrict code, float* __restrict error) {
  const float diagonal = u[0];
  for (int64_t l = 0; l < kLanes; ++l) {
    code[l] = CodeOf(w[l], scale[l], zero[l], max_code);
    error[l] = (w[l] - scale[l] * (code[l] - zero[l])) / diagonal;
  }
  for (int64_t k = 1; k <= columns_right; ++k) {
    float* __restrict right = w + k * kLanes;
    const float factor = u[k];
    for (int64_t l = 0; l < kLanes; ++l) right[l] -= error[l] * factor;
  }
}

// The same on a grid of levels.
WIDE_VECTOR_CODE void StepLevels(float* __restrict w, const float* __restrict u, int64_t columns_right,
                                   const float* __restrict scale, const float* __restrict bounds,
                                   const float* __restrict levels, int64_t bound_count, float* __restrict code,
                                   float* __restrict error) {
  const float diagonal = u[0];
  int32_t nearest[kLanes] = {};
  float x[kLanes];
  for (int64_t l = 0; l < kLanes; ++l) x[l] = w[l] / scale[l];
  if (bound_count < 16) {
    for (int64_t k = 0; k < bound_count; ++k) {
      const float bound = bounds[k];
      for (int64_t l = 0; l < kLanes; ++l) nearest[l] += x[l] > bound ? 1 : 0;
    }
  } else {
    for (auto step = static_cast<int32_t>((bound_count + 1) / 2); step > 0; step /= 2) {  // NearestLevel() abreast.
      for (int64_t l = 0; l < kLanes; ++l) nearest[l] += x[l] > bounds[nearest[l] + step - 1] ? step : 0;
    }
  }
  for (int64_t l = 0; l < kLanes; ++l) {
    code[l] = static_cast<float>(nearest[l]);
    error[l] = (w[l] - scale[l] * levels[nearest[l]]) / diagonal;
  }
  for (int64_t k = 1; k <= columns_right; ++k) {
    float* __restrict right = w + k * kLanes;
    const float factor = u[k];
    for (int64_t l = 0; l < kLanes; ++l) right[l] -= error[l] * factor;
  }
}

// What lies right of a column takes its error, and its drift: p = P[i, i ...].
WIDE_VECTOR_CODE void SpreadWithDrift(float* __restrict w, const float* __restrict u, const float* __restrict p,
                                        int64_t columns_right, const float* __restrict error) {
  for (int64_t k = 1; k <= columns_right; ++k) {
    float* __restrict right = w + k * kLanes;
    const float factor = u[k], drift = p[k];
    for (int64_t l = 0; l < kLanes; ++l) right[l] -= error[l] * factor - w[l] * drift;
  }
}

// One piece of rows, walked on one thread.
class PieceWalk {
 public:
  PieceWalk(const ColumnWalkPlan& plan, const at::Tensor& weight, const at::Tensor& factor, at::Tensor& codes,
            at::Tensor& scales, at::Tensor& zeros, const at::Tensor& drift, int64_t first_row, int64_t rows)
      : plan_(plan),
        columns_(weight.size(1)),
        groups_(scales.size(1)),
        rows_(rows),
        weight_piece_(at::empty({rows, weight.size(1)}, at::kFloat)),
        factor_(factor),
        drift_(drift),
        p_(drift.defined() ? drift.data_ptr<float>() : nullptr),
        weight_(weight_piece_.data_ptr<float>()),
        u_(factor.data_ptr<float>()),
        codes_(codes.data_ptr<uint8_t>() + first_row * columns_),
        scales_(scales.data_ptr<float>() + first_row * groups_),
        zeros_(zeros.data_ptr<float>() + first_row * groups_),
        bounds_(BoundsOf(*plan.grid)),
        tile_(static_cast<size_t>(plan.block_size * kLanes)),
        errors_(at::empty({rows, plan.block_size}, at::kFloat)) {
    const float* from = weight.data_ptr<float>() + first_row * columns_;
    const std::vector<int64_t>& order = plan.column_of_position;
    for (int64_t r = 0; r < rows; ++r, from += columns_) {
      float* const to = weight_ + r * columns_;
      if (order.empty()) {
        std::copy_n(from, columns_, to);
      } else {
        for (int64_t k = 0; k < columns_; ++k) to[k] = from[order[k]];
      }
    }
    if (p_ != nullptr) rounded_ = at::empty({rows, plan.block_size}, at::kFloat);
  }

  void Run() {
    for (int64_t begin = 0; begin < columns_; begin += plan_.block_size) {
      const int64_t count = std::min(plan_.block_size, columns_ - begin);
      for (int64_t row = 0; row < rows_; row += kLanes) WalkTile(begin, count, row, std::min(kLanes, rows_ - row));
      const int64_t end = begin + count;
      if (end == columns_) break;
      weight_piece_.narrow(1, end, columns_ - end)
          .addmm_(errors_.narrow(1, 0, count), factor_.narrow(0, begin, count).narrow(1, end, columns_ - end),
                  /*beta=*/1, /*alpha=*/-1);  // [rows, C_in - end]
      if (p_ == nullptr) continue;
      weight_piece_.narrow(1, end, columns_ - end)
          .addmm_(rounded_.narrow(1, 0, count), drift_.narrow(0, begin, count).narrow(1, end, columns_ - end));
    }
  }

  double squared_errors() const { return squared_errors_; }

 private:
  // Columns [begin, begin + count) of rows [row, row + lanes); the tile's spare lanes hold zeros on a unit grid.
  void WalkTile(int64_t begin, int64_t count, int64_t row, int64_t lanes) {
    for (int64_t j = 0; j < count; ++j) {
      for (int64_t l = 0; l < kLanes; ++l) {
        tile_[j * kLanes + l] = l < lanes ? weight_[(row + l) * columns_ + begin + j] : 0.0f;
      }
    }
    float* errors = errors_.data_ptr<float>();
    const float max_code = static_cast<float>((1 << plan_.grid->bits()) - 1);
    const std::span<const float> levels = plan_.grid->levels();
    float scale[kLanes], zero[kLanes], code[kLanes], error[kLanes];
    float squares[kLanes] = {};  // Of each row's errors.
    std::fill_n(scale, kLanes, 1.0f);
    std::fill_n(zero, kLanes, 0.0f);
    int32_t loaded_group = -1;
    for (int64_t j = 0; j < count; ++j) {
      const int64_t position = begin + j;
      const int32_t group = plan_.group_of_position[position];
      if (!plan_.grids_are_given && position % plan_.group_size == 0) FindGroupGrid(begin, count, position, row, lanes);
      if (group != loaded_group || j == 0) {
        for (int64_t l = 0; l < lanes; ++l) {
          scale[l] = scales_[(row + l) * groups_ + group];
          zero[l] = zeros_[(row + l) * groups_ + group];
        }
        loaded_group = group;
      }
      const float* u = u_ + position * columns_ + position;
      const int64_t right = p_ == nullptr ? count - j - 1 : 0;
      if (levels.empty()) {
        StepColumn(&tile_[j * kLanes], u, right, scale, zero, max_code, code, error);
      } else {
        StepLevels(&tile_[j * kLanes], u, right, scale, bounds_.data(), levels.data(),
                   static_cast<int64_t>(bounds_.size()), code, error);
      }
      if (p_ != nullptr) {
        SpreadWithDrift(&tile_[j * kLanes], u, p_ + position * columns_ + position, count - j - 1, error);
        float* rounded = rounded_.data_ptr<float>();
        for (int64_t l = 0; l < lanes; ++l) {
          const float level = levels.empty() ? code[l] - zero[l] : levels[static_cast<size_t>(code[l])];
          rounded[(row + l) * plan_.block_size + j] = scale[l] * level;
        }
      }
      const int64_t column = plan_.column_of_position.empty() ? position : plan_.column_of_position[position];
      for (int64_t l = 0; l < lanes; ++l) {
        codes_[(row + l) * columns_ + column] = static_cast<uint8_t>(code[l]);
        errors[(row + l) * plan_.block_size + j] = error[l];
      }
      for (int64_t l = 0; l < kLanes; ++l) squares[l] += error[l] * error[l];
    }
    for (int64_t l = 0; l < lanes; ++l) squared_errors_ += squares[l];
  }

  // The grid of the group that starts at `position`, for the rows of the current tile.
  void FindGroupGrid(int64_t begin, int64_t count, int64_t position, int64_t row, int64_t lanes) {
    const int64_t size = std::min(plan_.group_size, columns_ - position);
    const int64_t group = position / plan_.group_size;
    if (plan_.group_params == GroupParams::kInBlock) {
      // What the tile holds of the group is newer than the weights; the rest of it lies in later blocks.
      const int64_t held = std::min(size, begin + count - position);
      for (int64_t l = 0; l < lanes; ++l) {
        for (int64_t j = 0; j < held; ++j) {
          weight_[(row + l) * columns_ + position + j] = tile_[(position - begin + j) * kLanes + l];
        }
      }
    }
    float scale[kLanes], zero[kLanes];
    plan_.grid->FindGroups(weight_ + row * columns_ + position, lanes, size, columns_, scale, zero);
    for (int64_t l = 0; l < lanes; ++l) {
      scales_[(row + l) * groups_ + group] = scale[l];
      zeros_[(row + l) * groups_ + group] = zero[l];
    }
  }

  const ColumnWalkPlan& plan_;
  const int64_t columns_, groups_, rows_;
  at::Tensor weight_piece_;  // [rows, C_in] in the order of the walk
  const at::Tensor& factor_;
  const at::Tensor& drift_;
  const float* p_;  // P, null without.
  float* weight_;
  const float* u_;
  uint8_t* codes_;
  float* scales_;
  float* zeros_;
  std::vector<float> bounds_;  // BoundsOf() the grid.
  std::vector<float> tile_;  // [block_size, kLanes]
  at::Tensor errors_;        // [rows, block_size]
  double squared_errors_ = 0;
  at::Tensor rounded_;       // [rows, block_size] only with P
};

}  // namespace

double WalkColumns(const ColumnWalkPlan& plan, const at::Tensor& weight, const at::Tensor& factor, at::Tensor& codes,
                   at::Tensor& scales, at::Tensor& zeros, const at::Tensor& drift) {
  const int64_t rows = weight.size(0);
  const int64_t pieces = (rows + kRowsPerPiece - 1) / kRowsPerPiece;
  std::vector<double> squared_errors(static_cast<size_t>(pieces));
  at::parallel_for(0, pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * kRowsPerPiece;
      PieceWalk walk(plan, weight, factor, codes, scales, zeros, drift, first, std::min(kRowsPerPiece, rows - first));
      walk.Run();
      squared_errors[static_cast<size_t>(piece)] = walk.squared_errors();
    }
  });
  return std::accumulate(squared_errors.begin(), squared_errors.end(), 0.0);
}

}  // namespace bitlaw
