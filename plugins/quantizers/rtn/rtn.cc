#include "rtn.h"

#include <ATen/ATen.h>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/grid_options.h"
#include "range_search.h"

namespace bitlaw {

OptionSchema RtnSettings::Schema() {
  OptionSchema schema;
  AddGridOptions(schema);
  schema.Choice("range_search", {"none", "outputs"})
      .Default("none")
      .Doc("outputs: shrink each group's range, by 5 % of it at a time down to half, where that lowers the error of the "
           "group's outputs on calibration text, as AWQ clips weights.");
  schema.Bool("range_search_qk").Default(false).Doc(
      "Search in layers whose names end in q_proj and k_proj too; read only with range_search.");
  return schema;
}

RtnSettings RtnSettings::From(const Options& options) {
  return {std::make_shared<UniformGrid>(GridRuleFrom(options)), options.Int("group_size"),
          options.Bool("allow_partial_group"), options.String("range_search") == "outputs",
          options.Bool("range_search_qk")};
}

std::string RtnQuantizer::ExplainUnsupported(const LinearShape& layer) const {
  return ExplainGroupsOn(*settings_.grid, layer, settings_.group_size, settings_.allow_partial_group);
}

double RtnQuantizer::BitsRequested(const LinearShape&) const { return settings_.grid->bits(); }

double RtnQuantizer::BitsPerWeight(const LinearShape& layer) const {
  return StoredBitsPerWeight(layer, StorageOf(*settings_.grid, settings_.group_size));
}

CalibrationNeeds RtnQuantizer::needs() const {
  CalibrationNeeds needs;
  needs.second_moment = settings_.searches_ranges;
  return needs;
}

QuantizedLinear RtnQuantizer::Quantize(const LinearShape& layer, const at::Tensor& weight,
                                       const LayerCalibration& calibration) const {
  return QuantizeOn(*settings_.grid, layer, weight, calibration);
}

bool RtnQuantizer::QuantizeSite(const SiteShape& site, std::span<const at::Tensor> weights,
                                const LayerCalibration& calibration, std::vector<QuantizedLinear>& results) const {
  if (weights.size() < 2 || settings_.grid->ForSite(weights) == nullptr) return false;
  const std::vector<std::shared_ptr<const WeightGrid>> grids = GridsForSite(*settings_.grid, site, weights);
  for (size_t i = 0; i < weights.size(); ++i) {
    results[i] = QuantizeOn(*grids[i], site.readers[i], weights[i], calibration);
  }
  return true;
}

QuantizedLinear RtnQuantizer::QuantizeOn(const WeightGrid& grid, const LinearShape& layer, const at::Tensor& weight,
                                         const LayerCalibration& calibration) const {
  if (const std::string reason = ExplainUnsupported(layer); !reason.empty()) {
    throw Error(ErrorKind::kUnsupported, "quantizer 'rtn': " + reason);
  }
  const bool is_qk = layer.name.ends_with("q_proj") || layer.name.ends_with("k_proj");
  return WithTorchErrors("quantizer 'rtn', " + layer.name, [&] {
    // An expert that saw no token has nothing to search by.
    if (settings_.searches_ranges && (settings_.searches_qk || !is_qk) && calibration.tokens > 0) {
      return RoundToSearchedRanges(grid, weight, settings_.group_size, calibration, layer.name);
    }
    return bitlaw::RoundToNearest(grid, weight, settings_.group_size, layer.name);
  });
}

void RtnQuantizer::RoundToNearest(const SiteShape& site, std::span<const at::Tensor> weights,
                                  std::vector<QuantizedLinear>& rounded) const {
  rounded = RoundSiteToNearest(*settings_.grid, site, weights, settings_.group_size);
}

}  // namespace bitlaw
