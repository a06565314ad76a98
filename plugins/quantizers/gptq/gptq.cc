#include "gptq.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/grid_options.h"

namespace bitlaw {
namespace {

// U with U^T U = hessian^-1, or nullopt if the hessian is not positive definite in its dtype.
std::optional<at::Tensor> InverseFactor(const at::Tensor& hessian) {
  const auto [lower, lower_status] = at::linalg_cholesky_ex(hessian);
  if (lower_status.item<int>() != 0) return std::nullopt;
  const at::Tensor inverse = at::cholesky_inverse(lower);  // [C_in, C_in]
  const auto [upper, upper_status] = at::linalg_cholesky_ex(inverse, /*upper=*/true);
  if (upper_status.item<int>() != 0) return std::nullopt;
  const at::Tensor factor = upper.to(at::kFloat).contiguous();  // [C_in, C_in]
  // A factor whose diagonal left float32 would divide errors by zero.
  if (!at::isfinite(factor).all().item<bool>() || !factor.diagonal().gt(0).all().item<bool>()) return std::nullopt;
  return factor;
}

// tr(D H D^T) in float64 over products in H's dtype.
double WeightedSquare(const at::Tensor& difference, const at::Tensor& hessian) {
  const at::Tensor d = difference.to(hessian.scalar_type());  // [C_out, C_in]
  return at::mm(d, hessian).mul_(d).sum(at::kDouble).item<double>();
}

struct Damped {
  at::Tensor factor;  // [C_in, C_in] float32
  double damp = 0;
};

Damped FactorWithDamping(const GptqSettings& settings, const LinearShape& layer, const at::Tensor& hessian,
                         int64_t tokens) {
  const at::Tensor mean = hessian.diagonal().mean();
  for (double damp = settings.damp; damp < 1; damp *= 10) {
    at::Tensor damped = hessian.clone();
    damped.diagonal().add_(mean * damp);
    if (std::optional<at::Tensor> factor = InverseFactor(damped)) return {*std::move(factor), damp};
    if (!settings.raise_damping) break;
  }
  throw Error(ErrorKind::kNumerical,
              fmt::format("quantizer 'gptq', {}: the Hessian [{}, {}] of {} calibration tokens is not positive definite "
                          "with damp = {}{}. Use more calibration tokens, a larger damp, factor_dtype: float64{}.",
                          layer.name, layer.in_features, layer.in_features, tokens, settings.damp,
                          settings.raise_damping ? " nor with ten times as much, below 1" : "",
                          settings.raise_damping ? "" : ", or on_singular: raise_damping, which the record will name"));
}

}  // namespace

OptionSchema GptqSettings::Schema() {
  OptionSchema schema;
  AddGridOptions(schema);
  schema.Int("block_size").Min(1).Default(128).Unit("columns").Doc(
      "Columns between two updates of the rest of the row.");
  schema.Real("damp").Above(0).Below(1).Default(0.01).Doc("Fraction of mean(diag H) added to the diagonal of H.");
  schema.Bool("act_order").Default(false).Doc("Visit columns by falling diagonal of H.");
  schema.Choice("group_params", {"ref", "in_block", "static"})
      .Default("ref")
      .Doc("Which weights a group's grid is found from: ref: those that finished blocks have compensated, as the "
           "reference does; in_block: those of the current block too; static: the weights before any compensation.");
  schema.Choice("on_singular", {"fail", "raise_damping"})
      .Default("fail")
      .Doc("When H is not positive definite: fail the trial, or raise damp tenfold while it is below 1 and record it.");
  schema.Choice("on_unseen", {"fail", "rtn"})
      .Default("fail")
      .Doc("When a layer saw no calibration token, as an expert may to which none was routed: fail the trial, or round "
           "that layer to nearest and record it.");
  schema.Choice("hessian_dtype", {"float32", "float64"}).Default("float32").Doc("Dtype in which H is summed.");
  schema.Choice("factor_dtype", {"float32", "float64"})
      .Default("float32")
      .Doc("Dtype in which H is inverted and factored.");
  return schema;
}

GptqSettings GptqSettings::From(const Options& options) {
  GptqSettings settings;
  settings.grid = std::make_shared<UniformGrid>(GridRuleFrom(options));
  settings.group_size = options.Int("group_size");
  settings.allow_partial_group = options.Bool("allow_partial_group");
  settings.block_size = options.Int("block_size");
  settings.damp = options.Real("damp");
  settings.act_order = options.Bool("act_order");
  const std::string& rule = options.String("group_params");
  settings.group_params = rule == "static"     ? GroupParams::kStatic
                          : rule == "in_block" ? GroupParams::kInBlock
                                               : GroupParams::kRef;
  settings.raise_damping = options.String("on_singular") == "raise_damping";
  settings.round_unseen = options.String("on_unseen") == "rtn";
  settings.hessian_float64 = options.String("hessian_dtype") == "float64";
  settings.factor_float64 = options.String("factor_dtype") == "float64";
  return settings;
}

std::string GptqQuantizer::ExplainUnsupported(const LinearShape& layer) const {
  return ExplainGroupSize(layer, settings_.group_size, settings_.allow_partial_group);
}

double GptqQuantizer::BitsRequested(const LinearShape&) const { return settings_.grid->bits(); }

double GptqQuantizer::BitsPerWeight(const LinearShape& layer) const {
  const bool scattered_groups = settings_.act_order && settings_.group_params != GroupParams::kStatic &&
                                GroupCount(settings_.group_size, layer.in_features) > 1;
  return StoredBitsPerWeight(layer, StorageOf(*settings_.grid, settings_.group_size, scattered_groups));
}

CalibrationNeeds GptqQuantizer::needs() const {
  CalibrationNeeds needs;
  needs.second_moment = true;
  needs.second_moment_float64 = settings_.hessian_float64;
  return needs;
}

QuantizedLinear GptqQuantizer::Quantize(const LinearShape& layer, const at::Tensor& weight,
                                        const LayerCalibration& calibration) const {
  if (const std::string reason = ExplainUnsupported(layer); !reason.empty()) {
    throw Error(ErrorKind::kUnsupported, "quantizer 'gptq': " + reason);
  }
  if (!calibration.second_moment.defined() ||
      calibration.second_moment.sizes() != at::IntArrayRef({layer.in_features, layer.in_features})) {
    throw InternalError("quantizer 'gptq', " + layer.name + ": got no second moment [C_in, C_in]");
  }
  if (calibration.tokens == 0 && !settings_.round_unseen) {
    throw Error(ErrorKind::kNumerical,
                fmt::format("quantizer 'gptq', {}: saw 0 of the calibration tokens. GPTQ needs inputs of every layer. "
                            "Use more calibration sequences, leave this layer out, or set on_unseen: rtn, which the "
                            "record will name.",
                            layer.name));
  }
  return WithTorchErrors("quantizer 'gptq', " + layer.name, [&] {
    if (calibration.tokens > 0) return Run(layer, weight, calibration);
    CheckFinite(weight, layer.name);
    QuantizedLinear nearest = RoundToNearest(*settings_.grid, weight, settings_.group_size, layer.name);
    nearest.fallback = QuantizeFallback::kRoundToNearest;
    return nearest;
  });
}

QuantizedLinear GptqQuantizer::Run(const LinearShape& layer, const at::Tensor& given_weight,
                                   const LayerCalibration& calibration) const {
  const at::NoGradGuard no_grad;
  CheckFinite(given_weight, layer.name);
  const at::Tensor given_hessian = calibration.second_moment.to(at::kCPU);  // [C_in, C_in]
  if (!at::isfinite(given_hessian).all().item<bool>()) {
    throw Error(ErrorKind::kNumerical,
                fmt::format("quantizer 'gptq', {}: the Hessian of {} calibration tokens is not finite. The layer's inputs "
                            "overflow. Compute the model in float32.",
                            layer.name, calibration.tokens));
  }
  const at::Tensor original = given_weight.detach().to(at::kCPU, at::kFloat).contiguous();  // [C_out, C_in]
  at::Tensor weight = original.clone();
  at::Tensor hessian = given_hessian.to(settings_.factor_float64 ? at::kDouble : at::kFloat, false, /*copy=*/true);

  const int64_t rows = layer.out_features, columns = layer.in_features;
  const int64_t group_size = EffectiveGroupSize(settings_.group_size, columns);
  const int64_t groups = GroupCount(settings_.group_size, columns);
  const bool one_grid_a_row = settings_.group_size == -1;
  const bool is_static = settings_.group_params == GroupParams::kStatic && !one_grid_a_row;

  ColumnWalkPlan plan;
  plan.grid = settings_.grid.get();
  plan.group_params = settings_.group_params;
  plan.group_size = group_size;
  plan.block_size = std::min(settings_.block_size, columns);
  plan.grids_are_given = one_grid_a_row || is_static;
  plan.group_of_position.resize(columns);

  at::Tensor codes = at::empty({rows, columns}, at::kByte);
  at::Tensor scales = at::empty({rows, groups}, at::kFloat);
  at::Tensor zeros = at::empty({rows, groups}, at::kFloat);
  const auto find_all_grids = [&](const at::Tensor& w) {
    const QuantizedLinear plain = RoundToNearest(*settings_.grid, w, settings_.group_size, layer.name);
    scales.copy_(plain.scales);
    zeros.copy_(plain.zeros);
  };
  if (one_grid_a_row) find_all_grids(weight);

  const at::Tensor dead = hessian.diagonal() == 0;  // [C_in]
  const int64_t dead_columns = dead.sum().item<int64_t>();
  if (dead_columns > 0) {
    hessian.diagonal().masked_fill_(dead, 1.0);
    weight.masked_fill_(dead.unsqueeze(0), 0.0);
  }
  if (is_static) find_all_grids(weight);

  at::Tensor order;  // [C_in] int64: column of the k-th step
  if (settings_.act_order) {
    order = std::get<1>(at::sort(hessian.diagonal(), /*stable=*/true, /*dim=*/0, /*descending=*/true));
    weight = weight.index_select(1, order);
    hessian = hessian.index_select(0, order).index_select(1, order);
  } else {
    order = at::arange(columns, at::kLong);
  }
  const int64_t* column_of = order.data_ptr<int64_t>();
  at::Tensor group_index = at::empty({columns}, at::kInt);
  int32_t* group_of_column = group_index.data_ptr<int32_t>();
  for (int64_t k = 0; k < columns; ++k) {
    plan.group_of_position[k] = static_cast<int32_t>((is_static ? column_of[k] : k) / group_size);
    group_of_column[column_of[k]] = plan.group_of_position[k];
  }

  const Damped damped = FactorWithDamping(settings_, layer, hessian, calibration.tokens);
  hessian.reset();
  WalkColumns(plan, weight, damped.factor, codes, scales, zeros);
  const ScaleCheck check = CheckScales(settings_.grid->scale_dtype(), scales, layer.name);

  QuantizedLinear result = OnGrid(*settings_.grid);
  result.group_size = group_size;
  result.codes = settings_.act_order ? at::empty_like(codes).index_copy_(1, order, codes) : codes;
  result.scales = scales;
  result.zeros = zeros.to(at::kByte);
  result.group_index = group_index;
  if (damped.damp != settings_.damp) result.fallback = QuantizeFallback::kDampingRaised;

  const QuantizedLinear nearest = RoundToNearest(*settings_.grid, original, settings_.group_size, layer.name);
  const double whole = WeightedSquare(original, given_hessian);
  const auto relative_error = [&](const QuantizedLinear& q) {
    return whole > 0 ? WeightedSquare(original - q.Dequantize(), given_hessian) / whole : 0.0;
  };
  result.diagnostics = {{"damp", damped.damp},
                        {"dead_columns", static_cast<double>(dead_columns)},
                        {"calibration_tokens", static_cast<double>(calibration.tokens)},
                        {"hessian_error", relative_error(result)},
                        {"hessian_error_rtn", relative_error(nearest)}};
  AddScaleDiagnostics(check, result);
  return result;
}

}  // namespace bitlaw
