// Three quantizers, a grid and a transform for tests of planning. See README.md.
//
// They name torch's types but hand no tensor over, so the fingerprint may say "no torch" and tests that are built
// without it can load them.
#undef BITLAW_USES_TORCH
#include <ATen/ATen.h>

#include <algorithm>

#include "bitlaw/api/plugin.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "fixture_grid.h"

namespace bitlaw {
namespace {

class FixtureQuantizer : public Quantizer {
 public:
  FixtureQuantizer(const Options& options, bool wants_calibration)
      : bits_(options.Int("bits")), group_size_(options.Int("group_size")), wants_calibration_(wants_calibration) {
    if (!wants_calibration) return;
    layers_ = options.Strings("layers");
    if (options.String("order") == "act" && options.Real("damp") < 1e-4) {
      throw Error(ErrorKind::kSpec, "quantizer 'fixture': order 'act' needs damp of at least 1e-4.");
    }
  }

  std::string ExplainUnsupported(const LinearShape& layer) const override {
    if (layer.in_features % Group(layer) == 0) return "";
    return "group_size = " + std::to_string(group_size_) + " does not divide C_in = " +
           std::to_string(layer.in_features) + " of '" + layer.name + "'";
  }
  void TakeGrid(std::shared_ptr<const WeightGrid> grid) override {
    if (wants_calibration_) return Quantizer::TakeGrid(std::move(grid));
    bits_ = grid->bits();
  }

  // Layers of the list `layers` keep eight bits.
  double BitsRequested(const LinearShape& layer) const override {
    const bool is_kept = std::find(layers_.begin(), layers_.end(), layer.name) != layers_.end();
    return is_kept ? 8 : static_cast<double>(bits_);
  }
  // Codes, and a scale of 16 bits with a zero of `bits` bits a group.
  double BitsPerWeight(const LinearShape& layer) const override {
    const double bits = BitsRequested(layer);
    return bits + (16 + bits) / static_cast<double>(Group(layer));
  }
  std::vector<Factor> factors(const ModelSummary& model) const override { return GroupFactors(group_size_, model); }
  CalibrationNeeds needs() const override {
    CalibrationNeeds needs;
    needs.second_moment = wants_calibration_;
    return needs;
  }
  bool depends_on_shape_only() const override { return layers_.empty(); }

  QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor&, const LayerCalibration&) const override {
    throw Error(ErrorKind::kUnsupported, "quantizer 'fixture' plans but does not quantize '" + layer.name + "'.");
  }

 private:
  int64_t Group(const LinearShape& layer) const {
    return group_size_ > 0 ? std::min(group_size_, layer.in_features) : layer.in_features;
  }

  int64_t bits_, group_size_;
  bool wants_calibration_;
  std::vector<std::string> layers_;
};

// Changes layers whose names do not end in "up".
class FixtureTransform : public Transform {
 public:
  std::string ExplainUnsupported(const SiteShape& site) const override {
    return site.name.ends_with("up") ? "'" + site.name + "' is wide" : "";
  }
  CalibrationNeeds needs() const override {
    CalibrationNeeds needs;
    needs.abs_max = true;
    return needs;
  }
  void Apply(const Site&, const LayerCalibration&) const override {}
};

// One with an axis that no other has: a share of each layer's weights that keeps 16 bits. What it says of itself is told
// by the option `report`, for tests of what two reporters may not do.
class OutlierQuantizer final : public FixtureQuantizer {
 public:
  explicit OutlierQuantizer(const Options& options)
      : FixtureQuantizer(options, false), outliers_(options.Real("outliers")), report_(options.String("report")) {}

  double BitsPerWeight(const LinearShape& layer) const override {
    return (1 - outliers_) * FixtureQuantizer::BitsPerWeight(layer) + outliers_ * 16;
  }
  std::vector<Factor> factors(const ModelSummary& model) const override {
    std::vector<Factor> factors = FixtureQuantizer::factors(model);
    Factor own{.column = "outliers", .doc = "Share of weights that keep 16 bits.", .value = outliers_};
    if (report_ == "another_value") own.value = outliers_ + 1;
    if (report_ == "taken") own.column = "N";
    if (report_ == "reserved") own.column = "task";
    if (report_ == "malformed") own.column = "out-liers";
    factors.push_back(own);
    if (report_ == "twice") factors.push_back(own);
    return factors;
  }

 private:
  double outliers_;
  std::string report_;
};

OptionSchema GridSchema() {
  OptionSchema schema;
  schema.Int("bits").Range(2, 8).Default(4).Unit("bits").Doc("Width of a code.");
  schema.Int("group_size").Min(1).Word("row", -1).Default(128).Unit("weights").Doc("Weights that share a scale.");
  return schema;
}

void RegisterQuantizers(Registrar& registrar) {
  OptionSchema five;
  five.Bool("rounded").Default(false).Doc("Any.");
  registrar.Add<WeightGrid>({"fixture_levels", "Five bits.", ""}, five,
                            [](const Options&) { return std::make_unique<FixtureGrid>(5); });
  OptionSchema turn;
  turn.Real("strength").Range(0, 1).Default(0.5).Doc("Any number.");
  registrar.Add<Transform>({"fixture_turn", "Changes nothing.", ""}, turn,
                           [](const Options&) { return std::make_unique<FixtureTransform>(); });
  registrar.Add<Quantizer>({"fixture_free", "Plans without calibration.", ""}, GridSchema(), [](const Options& options) {
    return std::make_unique<FixtureQuantizer>(options, false);
  });
  OptionSchema outliers = GridSchema();
  outliers.Real("outliers").Range(0, 1).Default(0).Doc("Share of weights that keep 16 bits.");
  outliers.Choice("report", {"right", "another_value", "taken", "reserved", "malformed", "twice"})
      .Default("right")
      .Doc("What factors() says.");
  registrar.Add<Quantizer>({"fixture_outliers", "Plans with an axis of its own.", ""}, outliers,
                           [](const Options& options) { return std::make_unique<OutlierQuantizer>(options); });
  OptionSchema schema = GridSchema();
  schema.Real("damp").Above(0).Below(1).Default(0.01).Doc("Any number.");
  schema.Choice("order", {"plain", "act"}).Default("plain").Doc("Any order.");
  OptionField name;
  name.type = OptionType::kString;
  schema.List("layers", name).Default(Value::List{}).Doc("Layers that keep eight bits.");
  registrar.Add<Quantizer>({"fixture", "Plans with calibration.", ""}, schema, [](const Options& options) {
    return std::make_unique<FixtureQuantizer>(options, true);
  });
}

}  // namespace
}  // namespace bitlaw

BITLAW_PLUGIN("bitlaw.fixture.quantizers", "1.0.0", "Apache-2.0", "Quantizers that only plan, for tests.",
              bitlaw::RegisterQuantizers)
