#include <ATen/ATen.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "bitlaw/api/plugin.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/integer_grid.h"

namespace {

// Rounds to nearest, unless it was told to do something else on the way.
class Misbehave final : public bitlaw::Quantizer {
 public:
  explicit Misbehave(const bitlaw::Options& options) : act_(options.String("act")) {
    rule_.bits = static_cast<int>(options.Int("bits"));
  }
  std::string ExplainUnsupported(const bitlaw::LinearShape&) const override { return ""; }
  double BitsRequested(const bitlaw::LinearShape&) const override { return rule_.bits; }
  double BitsPerWeight(const bitlaw::LinearShape&) const override { return rule_.bits; }
  bitlaw::CalibrationNeeds needs() const override { return {}; }

  bitlaw::QuantizedLinear Quantize(const bitlaw::LinearShape& layer, const at::Tensor& weight,
                                   const bitlaw::LayerCalibration&) const override {
    std::fprintf(stderr, "about to %s on %s\n", act_.c_str(), layer.name.c_str());
    if (act_ == "segfault") ::raise(SIGSEGV);
    if (act_ == "abort") std::abort();
    if (act_ == "exit") std::_Exit(77);
    if (act_ == "memory") ::raise(SIGKILL);  // As the kernel does when memory runs out.
    if (act_ == "sleep") ::sleep(600);
    if (act_ == "throw") throw bitlaw::Error(bitlaw::ErrorKind::kNumerical, layer.name + ": told to throw.");
    if (act_ == "throw_int") throw 7;
    return bitlaw::RoundToNearest(rule_, weight, -1, layer.name);
  }

 private:
  std::string act_;
  bitlaw::GridRule rule_;
};

void Register(bitlaw::Registrar& registrar) {
  bitlaw::OptionSchema schema;
  schema.Int("bits").Range(2, 8).Default(4).Unit("bits").Doc("Width of one weight code.");
  schema.Choice("act", {"well", "segfault", "abort", "exit", "memory", "sleep", "throw", "throw_int"})
      .Default("well")
      .Doc("What to do instead of rounding.");
  registrar.AddQuantizer({"misbehave", "Does what no quantizer should.", ""}, schema,
                         [](const bitlaw::Options& options) { return std::make_unique<Misbehave>(options); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.tests.misbehave", "1.0.0", "Apache-2.0", "Does what no quantizer should.", Register)
