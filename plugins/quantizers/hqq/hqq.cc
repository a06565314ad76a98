#include "hqq.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <limits>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "bitlaw/sdk/grids/grid_options.h"

namespace bitlaw {
namespace {

constexpr double kLargestInverse = 2e4, kSmallestRange = 1e-4;

// sign(x) max(|x| - |x|^(p - 1) / beta, 0); 0 at 0, where the power is infinite.
at::Tensor Shrink(const at::Tensor& x, double beta, double lp_norm) {
  at::Tensor size = x.abs();
  const at::Tensor shift = lp_norm == 1 ? at::ones_like(size) : size.pow(lp_norm - 1);
  return size.sub_(shift.mul(1.0 / beta)).clamp_min_(0.0).mul_(x.sign());
}

// One layer as groups, with one dimension of each group reduced.
struct Solver {
  const HqqSettings& settings;
  int64_t dim;             // Of `w` along which a group lies.
  at::Tensor w;            // Groups along rows: [C_out, groups, G]; along columns: [G, C_out / G, C_in].
  at::Tensor inverse;      // 1 / s, dimension `dim` of size 1.
  at::Tensor zero;
  int64_t steps = 0;
  double first_error = 0, last_error = 0;

  at::Tensor Codes() const {
    return w.mul(inverse).add_(zero).round_().clamp_(0, (1 << settings.bits) - 1);
  }

  void Start() {
    const at::Tensor low = w.amin(dim, /*keepdim=*/true), range = w.amax(dim, /*keepdim=*/true) - low;
    const double codes = (1 << settings.bits) - 1;
    inverse = at::where(range.abs() <= kSmallestRange, at::ones_like(range), at::full_like(range, codes).div(range))
                  .clamp_max(kLargestInverse);
    zero = low.neg().mul(inverse);
    if (settings.rounds_zero) zero.round_();
  }

  void Improve() {
    double best = std::numeric_limits<double>::infinity(), beta = settings.beta;
    for (; steps < settings.iterations;) {
      const at::Tensor codes = Codes();
      const at::Tensor error = w - (codes - zero).div_(inverse);
      zero = (codes - (w - Shrink(error, beta, settings.lp_norm)).mul_(inverse)).mean(dim, /*keepdim=*/true);
      last_error = error.abs().mean().item<double>();
      if (steps++ == 0) first_error = last_error;
      if (!(last_error < best)) return;
      best = last_error;
      beta *= settings.kappa;
    }
  }
};

}  // namespace

OptionSchema HqqSettings::Schema() {
  OptionSchema schema;
  schema.Int("bits").Range(1, 8).Default(4).Unit("bits").Doc("Width B of one weight code.");
  schema.Int("group_size").Min(2).Word("row", -1).Default(64).Unit("weights").Doc(
      "Weights G that share a scale and a zero point; 'row': all of a row, or of a column.");
  schema.Choice("group_axis", {"row", "column"})
      .Default("row")
      .Doc("Where a group lies: row: neighbouring weights of a row (hqq's axis 1); column: weights of one column, C_out / G "
           "rows apart (axis 0).");
  schema.Real("lp_norm").Range(0, 1).Above(0).Default(0.7).Doc("Exponent p of the norm of errors.");
  schema.Real("beta").Above(0).Default(10.0).Doc("How little errors shrink in a step: |x|^(p - 1) / beta.");
  schema.Real("kappa").Min(1).Default(1.0).Doc("Factor of beta from step to step.");
  schema.Int("iterations").Range(0, 1000).Default(20).Unit("steps").Doc(
      "Steps at most; 0 keeps the range of each group as it is.");
  schema.Choice("round_zero", {"at_4_bits", "always", "never"})
      .Default("at_4_bits")
      .Doc("Where zero points begin at whole numbers, before they move; the package's own default is at_4_bits.");
  AddScaleDtypeOption(schema, "float16");
  return schema;
}

HqqSettings HqqSettings::From(const Options& options) {
  const int bits = static_cast<int>(options.Int("bits"));
  const std::string& rounds = options.String("round_zero");
  return {.bits = bits,
          .group_size = options.Int("group_size"),
          .along_rows = options.String("group_axis") == "row",
          .lp_norm = options.Real("lp_norm"),
          .beta = options.Real("beta"),
          .kappa = options.Real("kappa"),
          .iterations = options.Int("iterations"),
          .rounds_zero = rounds == "always" || (rounds == "at_4_bits" && bits == 4),
          .scale_dtype = ScaleDtypeFrom(options)};
}

int64_t HqqQuantizer::GroupSizeOf(const LinearShape& layer) const {
  return EffectiveGroupSize(settings_.group_size, settings_.along_rows ? layer.in_features : layer.out_features);
}

std::string HqqQuantizer::ExplainUnsupported(const LinearShape& layer) const {
  const int64_t length = settings_.along_rows ? layer.in_features : layer.out_features;
  if (length % GroupSizeOf(layer) == 0) return "";
  std::string fitting;
  for (int64_t size = 8; size <= 1024; size *= 2) {
    if (length % size == 0) fitting += std::to_string(size) + ", ";
  }
  return "group_size = " + std::to_string(settings_.group_size) + " does not divide " +
         (settings_.along_rows ? "C_in = " : "C_out = ") + std::to_string(length) + " of '" + layer.name + "'. Use " +
         fitting + "row.";
}

double HqqQuantizer::BitsPerWeight(const LinearShape& layer) const {
  return settings_.bits + 2.0 * ScaleBits(settings_.scale_dtype) / static_cast<double>(GroupSizeOf(layer));
}

std::vector<Factor> HqqQuantizer::factors(const ModelSummary& model) const {
  if (settings_.along_rows) return GroupFactors(settings_.group_size, model);
  ModelSummary turned;
  for (LinearShape layer : model.linears) {
    std::swap(layer.in_features, layer.out_features);
    turned.linears.push_back(std::move(layer));
  }
  return GroupFactors(settings_.group_size, turned);
}

void HqqQuantizer::RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                                  std::vector<QuantizedLinear>& rounded) const {
  for (size_t i = 0; i < weights.size(); ++i) rounded[i] = Quantize(site.readers[i], weights[i], {});
}

QuantizedLinear HqqQuantizer::Quantize(const LinearShape& layer, const at::Tensor& weight,
                                       const LayerCalibration&) const {
  if (const std::string reason = ExplainUnsupported(layer); !reason.empty()) {
    throw Error(ErrorKind::kUnsupported, "quantizer 'hqq': " + reason);
  }
  CheckFinite(weight, layer.name);
  return WithTorchErrors("quantizer 'hqq', " + layer.name, [&] {
    const at::NoGradGuard no_grad;
    const int64_t rows = layer.out_features, columns = layer.in_features, group = GroupSizeOf(layer);
    const at::Tensor w = weight.detach().to(at::kFloat).contiguous();  // [C_out, C_in]
    Solver solver{.settings = settings_,
                  .dim = settings_.along_rows ? 2 : 0,
                  .w = settings_.along_rows ? w.view({rows, columns / group, group}) : w.view({group, rows / group, columns}),
                  .inverse = {},
                  .zero = {}};
    solver.Start();
    solver.Improve();

    // Rounded before codes are found, so that what is evaluated is what is stored.
    at::Tensor scale = solver.inverse.reciprocal();
    if (settings_.scale_dtype == ScaleDtype::kFloat16) {
      scale = scale.to(at::kHalf).to(at::kFloat).clamp_min_(StoredScale(0.0F, settings_.scale_dtype));
      solver.inverse = scale.reciprocal();
      solver.zero = solver.zero.to(at::kHalf).to(at::kFloat);
    }
    QuantizedLinear result;
    result.bits = settings_.bits;
    result.scale_dtype = Name(settings_.scale_dtype);
    result.codes = solver.Codes().to(at::kByte).view({rows, columns});
    result.scales = scale.squeeze(solver.dim).contiguous();
    result.zeros = solver.zero.squeeze(solver.dim).contiguous();
    const auto index = w.options().dtype(at::kInt);
    result.group_size = settings_.along_rows ? group : 1;
    result.group_index = at::arange(columns, index).floor_divide(result.group_size);
    if (!settings_.along_rows) result.row_index = at::arange(rows, index).remainder(rows / group);
    AddScaleDiagnostics(CheckScales(result.scale_dtype, result.scales, layer.name), result);
    result.diagnostics.insert(result.diagnostics.begin(), {{"iterations", static_cast<double>(solver.steps)},
                                                           {"mean_abs_error", solver.last_error},
                                                           {"mean_abs_error_first", solver.first_error}});
    return result;
  });
}

}  // namespace bitlaw
