#include "gptq.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <initializer_list>
#include <numeric>
#include <optional>
#include <utility>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/finite.h"
#include "bitlaw/sdk/grids/grid_options.h"
#include "bitlaw/sdk/grids/hessian_error.h"
#include "bitlaw/sdk/grids/inverse_factor.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "column_order.h"
#include "device_sites.h"
#include "device_walk.h"

namespace bitlaw {
namespace {

struct Damped {
  at::Tensor factor;  // [C_in, C_in] float32
  double damp = 0;
  double added = 0;  // To each entry of the diagonal.
};

// Takes `hessian`, which only raise_damping needs once more.
Damped FactorWithDamping(const GptqSettings& settings, const LinearShape& layer, at::Tensor hessian,
                         const LayerCalibration& calibration) {
  const at::Tensor mean = hessian.diagonal().mean(), diagonal = hessian.diagonal().clone();
  for (double damp = settings.damp; damp < 1; damp *= 10) {
    hessian.diagonal().copy_(diagonal + mean * damp);
    std::optional<at::Tensor> factor = InverseFactor(settings.raise_damping ? hessian.clone() : std::move(hessian));
    if (factor) return {*std::move(factor), damp, mean.item<double>() * damp};
    if (!settings.raise_damping) break;
  }
  ThrowNotPositiveDefinite(settings, layer, calibration);
}

// `stored` [groups]: which run of columns each group of the walk is; parameters [C_out, groups].
void SortGroupsBack(const at::Tensor& stored, std::initializer_list<at::Tensor*> parameters) {
  for (at::Tensor* found : parameters) *found = at::empty_like(*found).index_copy_(1, stored, *found);
}

// P = alpha triu(D U^T, 1) U, strictly upper triangular; both [C_in, C_in].
at::Tensor DriftOf(const at::Tensor& cross, const at::Tensor& factor, double alpha) {
  constexpr int64_t kRows = 64;  // Of one product: the same bytes for any number of threads.
  const int64_t columns = cross.size(0);
  const at::Tensor turned = factor.t(), drift = at::empty_like(factor);
  at::parallel_for(0, (columns + kRows - 1) / kRows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      const int64_t first = piece * kRows, rows = std::min(kRows, columns - first);
      const at::Tensor upper = at::mm(cross.narrow(0, first, rows), turned).triu_(first + 1);  // [rows, C_in]
      drift.narrow(0, first, rows).copy_(at::mm(upper, factor).mul_(alpha));
    }
  });
  return drift;
}

}  // namespace

size_t SitesTogether(const SiteShape& site, bool is_float64) {
  constexpr int64_t kBytesTogether = int64_t{1} << 30;
  int64_t rows = 0;
  for (const LinearShape& reader : site.readers) rows += reader.out_features;
  const int64_t columns = site.in_features(), matrix = columns * columns * (is_float64 ? 8 : 4), weight = rows * columns * 4;
  // While it is factored: the Hessian, damped, turned, the two factors and what lies between. Then copies of the weights.
  const int64_t bytes = std::max(7 * matrix + weight, 2 * matrix + 6 * weight);
  return static_cast<size_t>(std::max<int64_t>(1, kBytesTogether / bytes));
}

int64_t OrderGroupOf(const GptqSettings& settings, int64_t columns) {
  return settings.order_within_groups ? EffectiveGroupSize(settings.group_size, columns) : 0;
}

bool SortsGroupsBack(const GptqSettings& settings, int64_t columns) {
  return settings.act_order && settings.order_within_groups && settings.group_params != GroupParams::kStatic &&
         GroupCount(settings.group_size, columns) > 1;
}

ColumnWalkPlan WalkPlanOf(const GptqSettings& settings, int64_t columns) {
  ColumnWalkPlan plan;
  plan.grid = settings.grid.get();
  plan.group_params = settings.group_params;
  plan.group_size = EffectiveGroupSize(settings.group_size, columns);
  plan.block_size = std::min(settings.block_size, columns);
  plan.grids_are_given = settings.group_size == -1 || settings.group_params == GroupParams::kStatic;
  return plan;
}

void ThrowHessianNotFinite(const LinearShape& layer, const LayerCalibration& calibration) {
  throw Error(ErrorKind::kNumerical,
              fmt::format("quantizer 'gptq', {}: the Hessian of {} calibration tokens is not finite. The layer's inputs "
                          "overflow. Compute the model in float32.",
                          layer.name, calibration.tokens));
}

void ThrowNotPositiveDefinite(const GptqSettings& settings, const LinearShape& layer,
                              const LayerCalibration& calibration) {
  throw Error(ErrorKind::kNumerical,
              fmt::format("quantizer 'gptq', {}: the Hessian [{}, {}] of {} calibration tokens is not positive definite "
                          "with damp = {}{}. Use more calibration tokens, a larger damp, factor_dtype: float64{}.",
                          layer.name, layer.in_features, layer.in_features, calibration.tokens, settings.damp,
                          settings.raise_damping ? " nor with ten times as much, below 1" : "",
                          settings.raise_damping ? "" : ", or on_singular: raise_damping, which the record will name"));
}

// tr(W H W^T), from an earlier recipe where statistics are kept: the weights are the same then.
double WholeError(const LinearShape& layer, const at::Tensor& weight, const LayerCalibration& calibration,
                  const at::Tensor& hessian) {
  if (calibration.derived == nullptr) return HessianError(weight, hessian);
  const std::string key = "gptq whole error: " + layer.name;
  if (const auto known = calibration.derived->Find(key)) return *static_cast<const double*>(known.get());
  const double error = HessianError(weight, hessian);
  calibration.derived->Keep(key, std::make_shared<const double>(error));
  return error;
}

// What the layers of one input share: all of GPTQ that comes from the Hessian.
struct GptqQuantizer::SharedFactor {
  at::Tensor hessian;  // [C_in, C_in] as given, on the host
  at::Tensor dead;     // [C_in] bool: H[j, j] = 0
  int64_t dead_columns = 0;
  std::vector<int64_t> order;  // [C_in] column of the k-th step
  Damped damped;
  at::Tensor drift;  // [C_in, C_in] P in the order of the walk; undefined without gptaq_alpha.
};

OptionSchema GptqSettings::Schema() {
  OptionSchema schema;
  AddGridOptions(schema);
  schema.Int("block_size").Min(1).Default(128).Unit("columns").Doc(
      "Columns between two updates of the rest of the row.");
  schema.Real("damp").Above(0).Below(1).Default(0.01).Doc("Fraction of mean(diag H) added to the diagonal of H.");
  schema.Choice("preset", {"static_order", "ist", "group_aware"})
      .Default("static_order")
      .Doc(
          "Defaults of act_order, order_scope and group_params: static_order: what errs least and needs no group "
          "index; "
          "ist: the reference of 2022 as it defaults; group_aware: GPTQModel as it defaults.");
  schema.Bool("act_order").Default(true).DefaultBy("preset", {{"ist", false}}).Doc(
      "Visit columns by falling diagonal of H.");
  schema.Choice("order_scope", {"row", "groups"})
      .Default("row")
      .DefaultBy("preset", {{"group_aware", "groups"}})
      .Doc(
          "What act_order sorts: row: all columns; groups: the columns of each group, and the groups by their largest, "
          "so "
          "that no group index is needed. Read only with act_order.");
  schema.Choice("group_params", {"ref", "in_block", "static"})
      .Default("static")
      .DefaultBy("preset", {{"ist", "ref"}, {"group_aware", "ref"}})
      .Doc("Which weights a group's grid is found from: ref: those that finished blocks have compensated, as the "
           "reference does; in_block: those of the current block too; static: the weights before any compensation.");
  schema.Real("gptaq_alpha")
      .Range(0, 1)
      .Default(0)
      .Doc(
          "How much of what the quantized layers before have changed in this layer's inputs its weights make up for "
          "(GPTAQ's "
          "asymmetric calibration): 0: nothing; GPTQModel has 0.25. Takes a second pass of the calibration text, "
          "through the "
          "unquantized model.");
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
  settings.order_within_groups = settings.act_order && options.String("order_scope") == "groups";
  settings.gptaq_alpha = options.Real("gptaq_alpha");
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
  return ExplainGroupsOn(*settings_.grid, layer, settings_.group_size, settings_.allow_partial_group);
}

double GptqQuantizer::BitsRequested(const LinearShape&) const { return settings_.grid->bits(); }

double GptqQuantizer::BitsPerWeight(const LinearShape& layer) const {
  const bool scattered_groups = settings_.act_order && !settings_.order_within_groups &&
                                settings_.group_params != GroupParams::kStatic &&
                                GroupCount(settings_.group_size, layer.in_features) > 1;
  return StoredBitsPerWeight(layer, StorageOf(*settings_.grid, settings_.group_size, scattered_groups));
}

CalibrationNeeds GptqQuantizer::needs() const {
  CalibrationNeeds needs;
  needs.second_moment = true;
  needs.second_moment_float64 = settings_.hessian_float64;
  needs.cross_moment = settings_.gptaq_alpha > 0;
  return needs;
}

void GptqQuantizer::RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                                   std::vector<QuantizedLinear>& rounded) const {
  rounded = RoundSiteToNearest(*settings_.grid, site, weights, settings_.group_size);
}

void GptqQuantizer::Check(const LinearShape& layer, const LayerCalibration& calibration) const {
  if (const std::string reason = ExplainUnsupported(layer); !reason.empty()) {
    throw Error(ErrorKind::kUnsupported, "quantizer 'gptq': " + reason);
  }
  if (!calibration.second_moment.defined() ||
      calibration.second_moment.sizes() != at::IntArrayRef({layer.in_features, layer.in_features})) {
    throw InternalError("quantizer 'gptq', " + layer.name + ": got no second moment [C_in, C_in]");
  }
  if (settings_.gptaq_alpha > 0 && calibration.tokens > 0 &&
      (!calibration.cross_moment.defined() ||
       calibration.cross_moment.sizes() != at::IntArrayRef({layer.in_features, layer.in_features}))) {
    throw InternalError("quantizer 'gptq', " + layer.name + ": got no cross moment [C_in, C_in]");
  }
  if (calibration.tokens == 0 && !settings_.round_unseen) {
    throw Error(ErrorKind::kNumerical,
                fmt::format("quantizer 'gptq', {}: saw 0 of the calibration tokens. GPTQ needs inputs of every layer. "
                            "Use more calibration sequences, leave this layer out, or set on_unseen: rtn, which the "
                            "record will name.",
                            layer.name));
  }
}

// The kernels know no P.
bool GptqQuantizer::RunsOn(const at::Device& device) const { return settings_.gptaq_alpha == 0 && WalksOn(device); }

QuantizedLinear GptqQuantizer::Quantize(const LinearShape& layer, const at::Tensor& weight,
                                        const LayerCalibration& calibration) const {
  Check(layer, calibration);
  SiteShape site;
  site.readers = {layer};
  return WithTorchErrors("quantizer 'gptq', " + layer.name, [&]() -> QuantizedLinear {
    if (calibration.tokens == 0) return std::move(RoundUnseen(site, {&weight, 1}).front());
    if (RunsOn(weight.device())) {
      const SiteInput input{&site, {&weight, 1}, &calibration};
      return std::move(QuantizeOnDevice(settings_, {&input, 1}).front().front());
    }
    return Run(layer, *settings_.grid, weight, calibration, *FactorOf(layer, calibration));
  });
}

std::vector<QuantizedLinear> GptqQuantizer::RoundUnseen(const SiteShape& site,
                                                        std::span<const at::Tensor> weights) const {
  std::vector<QuantizedLinear> nearest;
  RoundToNearest(site, weights, nearest);
  for (QuantizedLinear& layer : nearest) layer.fallback = QuantizeFallback::kRoundToNearest;
  return nearest;
}

bool GptqQuantizer::QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights,
                                 const LayerCalibration& calibration, std::vector<QuantizedLinear>& results) const {
  if (weights.size() < 2) return false;
  for (const LinearShape& layer : site.readers) Check(layer, calibration);
  if (calibration.tokens == 0) {
    results = WithTorchErrors("quantizer 'gptq', " + site.name, [&] { return RoundUnseen(site, weights); });
    return true;
  }
  if (RunsOn(weights.front().device())) {
    const SiteInput input{&site, weights, &calibration};
    results = WithTorchErrors("quantizer 'gptq', " + site.name, [&] {
      return std::move(QuantizeOnDevice(settings_, {&input, 1}).front());
    });
    return true;
  }
  const std::vector<std::shared_ptr<const WeightGrid>> grids = GridsForSite(*settings_.grid, site, weights);
  std::shared_ptr<const SharedFactor> factor;
  for (size_t i = 0; i < weights.size(); ++i) {
    const LinearShape& layer = site.readers[i];
    results[i] = WithTorchErrors("quantizer 'gptq', " + layer.name, [&] {
      if (!factor) factor = FactorOf(layer, calibration);
      return Run(layer, *grids[i], weights[i], calibration, *factor);
    });
  }
  return true;
}

size_t GptqQuantizer::QuantizeAlike(std::span<const SiteInput> sites,
                                    std::vector<std::vector<QuantizedLinear>>& results) const {
  const bool is_float64 = settings_.factor_float64 || settings_.hessian_float64;
  size_t count = std::min(sites.size(), SitesTogether(*sites.front().shape, is_float64));
  for (size_t e = 0; e < count; ++e) {
    if (sites[e].calibration->tokens == 0) count = e;
  }
  const at::Device device = sites.front().weights.front().device();
  if (count < 2 || (!RunsOn(device) && at::get_num_threads() == 1)) return 0;
  for (const SiteInput& site : sites.first(count)) {
    for (const LinearShape& layer : site.shape->readers) Check(layer, *site.calibration);
  }
  if (RunsOn(device)) {
    std::vector<std::vector<QuantizedLinear>> made =
        WithTorchErrors("quantizer 'gptq', " + sites.front().shape->name,
                        [&] { return QuantizeOnDevice(settings_, sites.first(count)); });
    std::move(made.begin(), made.end(), results.begin());
    return count;
  }
  // Results do not depend on threads.
  std::vector<std::exception_ptr> failures(count);
  at::parallel_for(0, static_cast<int64_t>(count), 1, [&](int64_t begin, int64_t end) {
    const OneThread alone;
    for (int64_t e = begin; e < end; ++e) {
      const SiteInput& site = sites[e];
      try {
        if (site.weights.size() > 1) {
          QuantizeSite(*site.shape, site.weights, *site.calibration, results[e]);
        } else {
          results[e][0] = Quantize(site.shape->readers[0], site.weights[0], *site.calibration);
        }
      } catch (...) {
        failures[e] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return count;
}

std::shared_ptr<const GptqQuantizer::SharedFactor> GptqQuantizer::FactorOf(const LinearShape& layer,
                                                                           const LayerCalibration& calibration) const {
  if (calibration.derived == nullptr) return std::make_shared<SharedFactor>(MakeFactor(layer, calibration));
  const std::string key =
      fmt::format("gptq factor: damp {} act_order {} of groups of {} float64 {} raises {} alpha {}", settings_.damp,
                  settings_.act_order, OrderGroupOf(settings_, layer.in_features), settings_.factor_float64,
                  settings_.raise_damping, settings_.gptaq_alpha);
  if (auto known = calibration.derived->Find(key)) return std::static_pointer_cast<const SharedFactor>(known);
  auto made = std::make_shared<const SharedFactor>(MakeFactor(layer, calibration));
  calibration.derived->Keep(key, made);
  return made;
}

GptqQuantizer::SharedFactor GptqQuantizer::MakeFactor(const LinearShape& layer,
                                                    const LayerCalibration& calibration) const {
  const at::NoGradGuard no_grad;
  SharedFactor shared;
  shared.hessian = calibration.second_moment.cpu();  // [C_in, C_in]
  if (!IsFinite(shared.hessian)) ThrowHessianNotFinite(layer, calibration);
  at::Tensor hessian = shared.hessian.to(settings_.factor_float64 ? at::kDouble : at::kFloat, false, /*copy=*/true);
  shared.dead = hessian.diagonal() == 0;  // [C_in]
  shared.dead_columns = shared.dead.sum().item<int64_t>();
  if (shared.dead_columns > 0) hessian.diagonal().masked_fill_(shared.dead, 1.0);
  shared.order.resize(layer.in_features);
  at::Tensor order;  // [C_in]
  if (settings_.act_order) {
    order = ColumnOrder(hessian.diagonal().unsqueeze(0), OrderGroupOf(settings_, layer.in_features))[0].contiguous();
    hessian = hessian.index_select(0, order);
    hessian = hessian.index_select(1, order);
    std::copy_n(order.data_ptr<int64_t>(), layer.in_features, shared.order.begin());
  } else {
    std::iota(shared.order.begin(), shared.order.end(), int64_t{0});
  }
  shared.damped = FactorWithDamping(settings_, layer, std::move(hessian), calibration);
  if (settings_.gptaq_alpha > 0) {
    at::Tensor cross = calibration.cross_moment.to(at::kCPU, at::kFloat).masked_fill(shared.dead.unsqueeze(0), 0.0);
    if (order.defined()) cross = cross.index_select(0, order).index_select(1, order);
    shared.drift = DriftOf(cross, shared.damped.factor, settings_.gptaq_alpha);
  }
  return shared;
}

QuantizedLinear GptqQuantizer::Run(const LinearShape& layer, const WeightGrid& given, const at::Tensor& given_weight,
                                   const LayerCalibration& calibration, const SharedFactor& factor) const {
  const at::NoGradGuard no_grad;
  const at::Tensor original = given_weight.detach().to(at::kCPU, at::kFloat).contiguous();  // [C_out, C_in]
  const std::shared_ptr<const WeightGrid> grid = GridFor(given, original);
  QuantizedLinear nearest = bitlaw::RoundToNearest(*grid, original, settings_.group_size, layer.name);
  const double whole = WholeError(layer, original, calibration, factor.hessian);
  at::Tensor difference;  // [C_out, C_in]
  const auto relative_error = [&](const QuantizedLinear& q) {
    if (!(whole > 0)) return 0.0;
    if (!difference.defined()) difference = at::empty_like(original);
    q.Difference(original, difference);
    return HessianError(difference, factor.hessian) / whole;
  };
  const double nearest_error = relative_error(nearest);
  nearest.codes.reset();

  const int64_t rows = layer.out_features, columns = layer.in_features;
  const int64_t groups = GroupCount(settings_.group_size, columns);
  const bool one_grid_a_row = settings_.group_size == -1;
  const bool is_static = settings_.group_params == GroupParams::kStatic && !one_grid_a_row;
  ColumnWalkPlan plan = WalkPlanOf(settings_, columns);
  plan.grid = grid.get();
  plan.group_of_position.resize(columns);
  std::vector<int32_t> group_of_column(columns);
  for (int64_t k = 0; k < columns; ++k) {
    plan.group_of_position[k] = static_cast<int32_t>((is_static ? factor.order[k] : k) / plan.group_size);
    group_of_column[factor.order[k]] = plan.group_of_position[k];
  }

  const at::Tensor weight =
      factor.dead_columns > 0 ? original.masked_fill(factor.dead.unsqueeze(0), 0.0) : original;  // [C_out, C_in]
  at::Tensor codes = at::empty({rows, columns}, weight.options().dtype(at::kByte));
  at::Tensor scales = at::empty({rows, groups}, weight.options()), zeros = at::empty({rows, groups}, weight.options());
  const auto take_grids_of = [&](const QuantizedLinear& plain) {
    scales.copy_(plain.scales);
    zeros.copy_(plain.zeros);
  };
  if (one_grid_a_row) take_grids_of(nearest);
  if (is_static && factor.dead_columns > 0) {
    take_grids_of(bitlaw::RoundToNearest(*grid, weight, settings_.group_size, layer.name));
  } else if (is_static) {
    take_grids_of(nearest);
  }
  if (settings_.act_order) plan.column_of_position = factor.order;
  const double squared_errors = WalkColumns(plan, weight, factor.damped.factor, codes, scales, zeros, factor.drift);
  const ScaleCheck check = CheckScales(grid->scale_dtype(), scales, layer.name);
  if (SortsGroupsBack(settings_, columns)) {
    const at::Tensor order = at::tensor(at::ArrayRef<int64_t>(factor.order), at::kLong);
    SortGroupsBack(GroupOrder(order.unsqueeze(0), plan.group_size)[0], {&scales, &zeros});
    for (int64_t j = 0; j < columns; ++j) group_of_column[j] = static_cast<int32_t>(j / plan.group_size);
  }

  QuantizedLinear result = OnGrid(*grid);
  result.group_size = plan.group_size;
  result.codes = codes;
  result.scales = scales;
  result.zeros = zeros.to(at::kByte);
  result.group_index = at::tensor(at::ArrayRef<int32_t>(group_of_column), at::kInt);
  // The walk's sum holds what damping adds; columns that are dead to H are not dead to it, and with P it is another
  // sum.
  const auto walked_error = [&] {
    if (factor.dead_columns > 0 || factor.drift.defined() || !(whole > 0)) return relative_error(result);
    const double damping = factor.damped.added * result.SquaredDifference(original);
    return std::max(squared_errors - damping, 0.0) / whole;
  };
  if (factor.damped.damp != settings_.damp) result.fallback = QuantizeFallback::kDampingRaised;

  result.diagnostics = {{"damp", factor.damped.damp},
                        {"dead_columns", static_cast<double>(factor.dead_columns)},
                        {"calibration_tokens", static_cast<double>(calibration.tokens)},
                        {"hessian_error", walked_error()},
                        {"hessian_error_rtn", nearest_error}};
  AddScaleDiagnostics(check, result);
  return result;
}

}  // namespace bitlaw
