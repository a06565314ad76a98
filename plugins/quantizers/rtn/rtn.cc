#include "rtn.h"

#include <ATen/ATen.h>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/grid_options.h"

namespace bitlaw {

OptionSchema RtnSettings::Schema() {
  OptionSchema schema;
  AddGridOptions(schema);
  return schema;
}

RtnSettings RtnSettings::From(const Options& options) {
  return {std::make_shared<UniformGrid>(GridRuleFrom(options)), options.Int("group_size"), options.Bool("allow_partial_group")};
}

std::string RtnQuantizer::ExplainUnsupported(const LinearShape& layer) const {
  return ExplainGroupSize(layer, settings_.group_size, settings_.allow_partial_group);
}

double RtnQuantizer::BitsRequested(const LinearShape&) const { return settings_.grid->bits(); }

double RtnQuantizer::BitsPerWeight(const LinearShape& layer) const {
  return StoredBitsPerWeight(layer, StorageOf(*settings_.grid, settings_.group_size));
}

QuantizedLinear RtnQuantizer::Quantize(const LinearShape& layer, const at::Tensor& weight,
                                       const LayerCalibration&) const {
  if (const std::string reason = ExplainUnsupported(layer); !reason.empty()) {
    throw Error(ErrorKind::kUnsupported, "quantizer 'rtn': " + reason);
  }
  return WithTorchErrors("quantizer 'rtn', " + layer.name, [&] {
    return RoundToNearest(*settings_.grid, weight, settings_.group_size, layer.name);
  });
}

}  // namespace bitlaw
