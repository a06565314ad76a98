// Two quantizers that only plan, without libtorch, so that the grids of studies can be fuzzed in a build without it.
// They have the options of tests/support/fixture_plugins/quantizers.cc.
#include <algorithm>
#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

// Stands for the one of bitlaw/api/quantized_linear.h, which needs libtorch: none is ever made here.
struct QuantizedLinear {};

namespace {

class PlanningQuantizer : public Quantizer {
 public:
  PlanningQuantizer(const Options& options, bool wants_calibration)
      : bits_(options.Int("bits")), group_size_(options.Int("group_size")), wants_calibration_(wants_calibration) {}

  std::string ExplainUnsupported(const LinearShape& layer) const override {
    return layer.in_features % Group(layer) == 0 ? "" : "group_size does not divide C_in of '" + layer.name + "'";
  }
  double BitsRequested(const LinearShape&) const override { return static_cast<double>(bits_); }
  double BitsPerWeight(const LinearShape& layer) const override {
    return static_cast<double>(bits_) + 16.0 / static_cast<double>(Group(layer));
  }
  CalibrationNeeds needs() const override {
    CalibrationNeeds needs;
    needs.second_moment = wants_calibration_;
    return needs;
  }
  bool depends_on_shape_only() const override { return true; }
  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor&, const LayerCalibration&) const override {
    throw Error(ErrorKind::kUnsupported, "plans but does not quantize '" + layer.name + "'.");
  }

 private:
  int64_t Group(const LinearShape& layer) const {
    return group_size_ > 0 ? std::min(group_size_, layer.in_features) : layer.in_features;
  }
  int64_t bits_, group_size_;
  bool wants_calibration_;
};

OptionSchema GridSchema() {
  OptionSchema schema;
  schema.Int("bits").Range(2, 8).Default(4).Unit("bits").Doc("Width of a code.");
  schema.Int("group_size").Min(1).Word("row", -1).Default(128).Unit("weights").Doc("Weights that share a scale.");
  return schema;
}

void RegisterQuantizers(Registrar& registrar) {
  registrar.Add<Quantizer>({"fixture_free", "Plans without calibration.", ""}, GridSchema(), [](const Options& options) {
    return std::make_unique<PlanningQuantizer>(options, false);
  });
  OptionSchema schema = GridSchema();
  schema.Real("damp").Above(0).Below(1).Default(0.01).Doc("Any number.");
  schema.Choice("order", {"plain", "act"}).Default("plain").Doc("Any order.");
  OptionField name;
  name.type = OptionType::kString;
  schema.List("layers", name).Default(Value::List{}).Doc("Any layers.");
  registrar.Add<Quantizer>({"fixture", "Plans with calibration.", ""}, schema, [](const Options& options) {
    return std::make_unique<PlanningQuantizer>(options, true);
  });
}

}  // namespace
}  // namespace bitlaw

BITLAW_PLUGIN("bitlaw.fuzz.grid", "1.0.0", "Apache-2.0", "Quantizers that only plan, for fuzzing.",
              bitlaw::RegisterQuantizers)
