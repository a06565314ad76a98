#include "device_sites.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>

#include "bitlaw/sdk/grids/device_grid.h"
#include "bitlaw/sdk/machine/torch_version.h"
#include "column_order.h"
#include "device_walk.h"

// Products of bfloat16 matrices with results in float32.
#define GPTQ_HAS_MIXED_PRODUCTS BITLAW_TORCH_AT_LEAST(2, 11)

// E sites, R rows of all readers of one, C columns.

namespace bitlaw {
namespace {

struct Factors {
  at::Tensor upper;  // [E, C, C] float32: U^T U = hessian^-1
  at::Tensor good;   // [E] bool: there is one
};

// As InverseFactor() of bitlaw/sdk/grids/inverse_factor.h, of several matrices at once.
Factors InverseFactors(const at::Tensor& hessians) {
  const auto [lower, status] = at::linalg_cholesky_ex(hessians.flip({1, 2}));  // [E, C, C], [E]
  const at::Tensor identity = at::eye(hessians.size(1), hessians.options());
  Factors factors;
  factors.upper =
      at::linalg_solve_triangular(lower, identity, /*upper=*/false).flip({1, 2}).to(at::kFloat).contiguous();
  // A factor whose diagonal left float32 would divide errors by zero.
  factors.good = at::isfinite(factors.upper).flatten(1).all(1).logical_and(status == 0).logical_and(
      factors.upper.diagonal(0, 1, 2).gt(0).all(1));
  return factors;
}

Factors FactorsWithDamping(const at::Tensor& hessians, double damp) {
  at::Tensor damped = hessians.clone();
  at::Tensor diagonal = damped.diagonal(0, 1, 2);  // [E, C]
  diagonal.add_(hessians.diagonal(0, 1, 2).mean(1, /*keepdim=*/true) * damp);
  return InverseFactors(damped);
}

#if GPTQ_HAS_MIXED_PRODUCTS

// D H of float32 matrices by three products in bfloat16, several times as fast together: each matrix is a sum of two of
// bfloat16 but for 2^-16 of an element, and the product of the two small ones is left out.
class SplitProduct {
 public:
  explicit SplitProduct(const at::Tensor& hessian) : hessian_(hessian) {}

  at::Tensor Of(const at::Tensor& d) const {
    const Halves left(d);
    at::Tensor product = at::mm(left.high, hessian_.high, at::kFloat);
    product.add_(at::mm(left.high, hessian_.low, at::kFloat));
    return product.add_(at::mm(left.low, hessian_.high, at::kFloat));
  }

 private:
  struct Halves {
    explicit Halves(const at::Tensor& x) : high(x.to(at::kBFloat16)), low((x - high).to(at::kBFloat16)) {}
    at::Tensor high, low;
  };
  Halves hessian_;
};

#endif

// tr(D H D^T) for many D.
class HessianNorm {
 public:
  explicit HessianNorm(const at::Tensor& hessian) : hessian_(hessian) {
#if GPTQ_HAS_MIXED_PRODUCTS
    if (hessian.is_cuda() && hessian.scalar_type() == at::kFloat) split_.emplace(hessian);
#endif
  }

  // [] float64, over products in H's dtype, or by SplitProduct, which leaves out less than 1e-5 of the result.
  at::Tensor Square(const at::Tensor& difference) const {
    const at::Tensor d = difference.to(hessian_.scalar_type());  // [C_out, C]
    return Product(d).mul_(d).sum(at::kDouble);
  }

 private:
  at::Tensor Product(const at::Tensor& d) const {
#if GPTQ_HAS_MIXED_PRODUCTS
    if (split_) return split_->Of(d);
#endif
    return at::mm(d, hessian_);
  }

  at::Tensor hessian_;
#if GPTQ_HAS_MIXED_PRODUCTS
  std::optional<SplitProduct> split_;
#endif
};

class SitesOnDevice {
 public:
  SitesOnDevice(const GptqSettings& settings, std::span<const SiteInput> sites)
      : settings_(settings),
        grid_(*settings.grid),
        sites_(sites),
        device_(sites.front().weights.front().device()),
        count_(static_cast<int64_t>(sites.size())),
        columns_(sites.front().shape->in_features()),
        groups_(GroupCount(settings.group_size, columns_)),
        one_grid_a_row_(settings.group_size == -1),
        is_static_(settings.group_params == GroupParams::kStatic && settings.group_size != -1) {
    for (const LinearShape& reader : sites.front().shape->readers) {
      first_rows_.push_back(rows_);
      rows_ += reader.out_features;
    }
  }

  std::vector<std::vector<QuantizedLinear>> Run() {
    GatherWeights();
    Factor();
    FindGrids();
    Walk();
    return Results();
  }

 private:
  const std::vector<LinearShape>& readers(int64_t e) const { return sites_[e].shape->readers; }
  at::Tensor RowsOf(const at::Tensor& all, int64_t e, size_t reader) const {
    return all.narrow(0, e * rows_ + first_rows_[reader], readers(e)[reader].out_features);
  }
  at::Tensor OfSites(const at::Tensor& all) const { return all.view({count_, rows_, columns_}); }
  at::TensorOptions Options(at::ScalarType dtype) const { return at::TensorOptions(device_).dtype(dtype); }

  void GatherWeights() {
    original_ = at::empty({count_ * rows_, columns_}, Options(at::kFloat));
    for (int64_t e = 0; e < count_; ++e) {
      for (size_t i = 0; i < readers(e).size(); ++i) RowsOf(original_, e, i).copy_(sites_[e].weights[i]);
    }
  }

  // Dead columns, the order of columns, the factor of each site; and all that would be an error of it.
  void Factor() {
    const int64_t group_size = EffectiveGroupSize(settings_.group_size, columns_);
    at::Tensor hessians =
        at::empty({count_, columns_, columns_}, Options(settings_.factor_float64 ? at::kDouble : at::kFloat));
    for (int64_t e = 0; e < count_; ++e) hessians.select(0, e).copy_(sites_[e].calibration->second_moment);
    at::Tensor diagonal = hessians.diagonal(0, 1, 2);  // [E, C]
    dead_ = diagonal == 0;
    diagonal.masked_fill_(dead_, 1.0);
    const at::Tensor finite = at::isfinite(hessians).flatten(1).all(1);
    at::Tensor group_of_step =
        at::arange(columns_, Options(at::kLong)).floor_divide(group_size).expand({count_, columns_});
    if (settings_.act_order) {
      order_ = ColumnOrder(diagonal, OrderGroupOf(settings_, columns_));  // [E, C]
      hessians = hessians.gather(1, order_.unsqueeze(2).expand_as(hessians));
      hessians = hessians.gather(2, order_.unsqueeze(1).expand_as(hessians));
      if (is_static_) group_of_step = order_.floor_divide(group_size);
    }
    group_of_ = group_of_step.to(at::kInt).contiguous();  // [E, C]
    Factors factors = FactorsWithDamping(hessians, settings_.damp);
    factor_ = factors.upper;
    const at::Tensor whole = at::isfinite(original_).view({count_, rows_ * columns_}).all(1);
    const at::Tensor facts =  // [4, E]
        at::stack({finite.to(at::kLong), factors.good.to(at::kLong), whole.to(at::kLong), dead_.sum(1)}).cpu();
    const auto fact = facts.accessor<int64_t, 2>();
    for (int64_t e = 0; e < count_; ++e) {
      if (fact[0][e] == 0) ThrowHessianNotFinite(readers(e).front(), *sites_[e].calibration);
      damp_.push_back(fact[1][e] != 0 ? settings_.damp : RaiseDamping(hessians, e));
      if (fact[2][e] == 0) {
        for (size_t i = 0; i < readers(e).size(); ++i) CheckFinite(sites_[e].weights[i], readers(e)[i].name);
      }
      dead_columns_.push_back(fact[3][e]);
    }
  }

  // Of a site whose Hessian is not positive definite with the damping that was asked for.
  double RaiseDamping(const at::Tensor& hessians, int64_t e) {
    for (double damp = settings_.damp * 10; settings_.raise_damping && damp < 1; damp *= 10) {
      const Factors factors = FactorsWithDamping(hessians.narrow(0, e, 1), damp);
      if (!factors.good.item<bool>()) continue;
      factor_.select(0, e).copy_(factors.upper[0]);
      return damp;
    }
    ThrowNotPositiveDefinite(settings_, readers(e).front(), *sites_[e].calibration);
  }

  // The grid of each reader's weight, where it is the tensor's own; now that all weights are known to be finite.
  void FindGrids() {
    for (int64_t e = 0; e < count_; ++e) {
      std::vector<at::Tensor> weights;
      for (size_t i = 0; i < readers(e).size(); ++i) weights.push_back(RowsOf(original_, e, i));
      for (const auto& own : GridsForSite(grid_, *sites_[e].shape, weights)) own_grids_.push_back(own);
      for (size_t i = 0; i < readers(e).size(); ++i) {
        tensors_.push_back({e * rows_ + first_rows_[i], readers(e)[i].out_features, own_grids_[static_cast<size_t>(e) * readers(e).size() + i].get()});
      }
    }
    const bool is_shared = std::all_of(tensors_.begin(), tensors_.end(),
                                       [&](const RowsOnGrid& tensor) { return tensor.grid == &grid_; });
    if (is_shared) tensors_ = {{0, count_ * rows_, &grid_}};
  }

  void FindAllGroups(const at::Tensor& weight, const at::Tensor& scales, const at::Tensor& zeros) const {
    for (const auto& [first, rows, grid] : tensors_) {
      FindAllGroupsOf(*grid, weight.narrow(0, first, rows), settings_.group_size, scales.narrow(0, first, rows),
                      zeros.narrow(0, first, rows));
    }
  }

  void Walk() {
    at::Tensor weight = original_.clone();
    codes_ = at::empty(weight.sizes(), Options(at::kByte));
    scales_ = at::empty({count_ * rows_, groups_}, Options(at::kFloat));
    zeros_ = at::empty_like(scales_);
    if (one_grid_a_row_) FindAllGroups(weight, scales_, zeros_);
    OfSites(weight).masked_fill_(dead_.unsqueeze(1), 0.0);
    if (is_static_) FindAllGroups(weight, scales_, zeros_);
    if (settings_.act_order) weight = OfSites(weight).gather(2, OrderOfRows()).view_as(weight);
    ColumnWalkPlan plan = WalkPlanOf(settings_, columns_);
    plan.tensors = tensors_;
    WalkColumnsOnDevice(plan, group_of_, weight, factor_, codes_, scales_, zeros_);
    factor_.reset();
    if (!settings_.act_order) return;
    codes_ = OfSites(at::empty_like(codes_)).scatter_(2, OrderOfRows(), OfSites(codes_)).view_as(codes_);
    group_of_ = at::empty_like(group_of_).scatter_(1, order_, group_of_);
    if (SortsGroupsBack(settings_, columns_)) SortGroupsBack(plan.group_size);
  }

  void SortGroupsBack(int64_t group_size) {
    const at::Tensor stored =  // [E, R, groups]
        GroupOrder(order_, group_size).unsqueeze(1).expand({count_, rows_, groups_});
    for (at::Tensor* parameters : {&scales_, &zeros_}) {
      const at::Tensor found = parameters->view({count_, rows_, groups_});
      *parameters = at::empty_like(found).scatter_(2, stored, found).view({count_ * rows_, groups_});
    }
    group_of_ = at::arange(columns_, Options(at::kLong))
                    .floor_divide(group_size)
                    .to(at::kInt)
                    .expand({count_, columns_})
                    .contiguous();
  }

  at::Tensor OrderOfRows() const { return order_.unsqueeze(1).expand({count_, rows_, columns_}); }

  std::vector<std::vector<QuantizedLinear>> Results() {
    const at::Tensor nearest_scales = at::empty_like(scales_), nearest_zeros = at::empty_like(scales_);
    FindAllGroups(original_, nearest_scales, nearest_zeros);
    const at::Tensor group =
        at::arange(columns_, Options(at::kLong)).floor_divide(EffectiveGroupSize(settings_.group_size, columns_));
    const at::Tensor nearest_codes = NearestCodesOf(grid_, original_, nearest_scales, nearest_zeros, group);
    const QuantizedLinear on_grid = OnDeviceGrid();
    std::vector<std::vector<QuantizedLinear>> results(count_);
    std::vector<at::Tensor> squares;  // Of the weights, what GPTQ and what rounding to nearest leave; a layer.
    for (int64_t e = 0; e < count_; ++e) {
      const HessianNorm norm(sites_[e].calibration->second_moment.to(device_));
      for (size_t i = 0; i < readers(e).size(); ++i) {
        const auto layer = [&](const at::Tensor& codes, const at::Tensor& scales, const at::Tensor& zeros,
                               at::Tensor index) {
          QuantizedLinear made = on_grid;
          made.scale_divisor = own_grids_[static_cast<size_t>(e) * readers(e).size() + i]->scale_divisor();
          made.codes = RowsOf(codes, e, i);
          made.scales = RowsOf(scales, e, i);
          made.zeros = RowsOf(zeros, e, i).to(at::kByte);
          made.group_index = std::move(index);
          return made;
        };
        QuantizedLinear result = layer(codes_, scales_, zeros_, group_of_.select(0, e));
        const QuantizedLinear nearest = layer(nearest_codes, nearest_scales, nearest_zeros, group.to(at::kInt));
        const at::Tensor original = RowsOf(original_, e, i);
        squares.push_back(norm.Square(original));
        squares.push_back(norm.Square(original - result.Dequantize()));
        squares.push_back(norm.Square(original - nearest.Dequantize()));
        results[e].push_back(std::move(result));
      }
    }
    Report(at::stack(squares).cpu(), at::stack({scales_, nearest_scales}).cpu(), results);
    return results;
  }

  QuantizedLinear OnDeviceGrid() const {
    QuantizedLinear on_grid = OnGrid(grid_);
    if (on_grid.levels.defined()) on_grid.levels = on_grid.levels.to(device_);
    on_grid.group_size = EffectiveGroupSize(settings_.group_size, columns_);
    return on_grid;
  }

  // Checks and diagnostics.
  //   squares [layers * 3] float64;  scales [2, E R, groups]: GPTQ's and those of rounding to nearest
  void Report(const at::Tensor& squares, const at::Tensor& scales,
              std::vector<std::vector<QuantizedLinear>>& results) const {
    const double* square = squares.data_ptr<double>();
    for (int64_t e = 0; e < count_; ++e) {
      for (size_t i = 0; i < readers(e).size(); ++i, square += 3) {
        const std::string& name = readers(e)[i].name;
        const ScaleCheck check = CheckScales(grid_.scale_dtype(), RowsOf(scales[0], e, i), name);
        CheckScales(grid_.scale_dtype(), RowsOf(scales[1], e, i), name);
        QuantizedLinear& result = results[e][i];
        if (damp_[e] != settings_.damp) result.fallback = QuantizeFallback::kDampingRaised;
        result.diagnostics = {{"damp", damp_[e]},
                              {"dead_columns", static_cast<double>(dead_columns_[e])},
                              {"calibration_tokens", static_cast<double>(sites_[e].calibration->tokens)},
                              {"hessian_error", square[0] > 0 ? square[1] / square[0] : 0.0},
                              {"hessian_error_rtn", square[0] > 0 ? square[2] / square[0] : 0.0}};
        AddScaleDiagnostics(check, result);
      }
    }
  }

  const GptqSettings& settings_;
  const WeightGrid& grid_;
  const std::span<const SiteInput> sites_;
  const at::Device device_;
  const int64_t count_, columns_, groups_;
  const bool one_grid_a_row_, is_static_;
  std::vector<int64_t> first_rows_;  // Of each reader within a site's rows.
  int64_t rows_ = 0;
  std::vector<std::shared_ptr<const WeightGrid>> own_grids_;  // [E, readers]
  std::vector<RowsOnGrid> tensors_;    // All rows, in runs of one grid.
  at::Tensor original_;                // [E R, C] float32
  at::Tensor dead_;                    // [E, C] bool: H[j, j] = 0
  at::Tensor order_;                   // [E, C] int64: the column of each step; only with act_order.
  at::Tensor group_of_;                // [E, C] int32: of each step, and in the end of each column.
  at::Tensor factor_;                  // [E, C, C] float32
  std::vector<double> damp_;           // [E]
  std::vector<int64_t> dead_columns_;  // [E]
  at::Tensor codes_;                   // [E R, C] uint8
  at::Tensor scales_, zeros_;          // [E R, groups] float32
};

}  // namespace

std::vector<std::vector<QuantizedLinear>> QuantizeOnDevice(const GptqSettings& settings,
                                                           std::span<const SiteInput> sites) {
  const at::NoGradGuard no_grad;
  return SitesOnDevice(settings, sites).Run();
}

}  // namespace bitlaw
