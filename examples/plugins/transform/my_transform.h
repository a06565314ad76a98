#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>

#include "bitlaw/api/model.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/transform.h"

/// Gives every input channel of a site the same largest weight, without calibration.
///
/// A site is one input and all that reads it. Its producer, a norm or a linear layer, is divided by a scale a channel,
/// and the readers' columns are multiplied by it: the unquantized model computes what it did.
class MyTransform final : public bitlaw::Transform {
 public:
  static bitlaw::OptionSchema Schema() {
    bitlaw::OptionSchema schema;
    schema.Real("strength").Range(0, 1).Default(1).Doc("1: channels become equal; 0: nothing changes.");
    return schema;
  }

  explicit MyTransform(const bitlaw::Options& options) : strength_(options.Real("strength")) {}

  std::string ExplainUnsupported(const bitlaw::SiteShape& site) const override {
    return site.producer.empty() ? "no scale folds into what makes the input of '" + site.name + "'" : "";
  }
  bitlaw::CalibrationNeeds needs() const override { return {}; }

  void Apply(const bitlaw::Site& site, const bitlaw::LayerCalibration&) const override {
    const at::Tensor& channels = site.producer->channels();                            // [C_in]
    at::Tensor largest = at::zeros({channels.max().item<int64_t>() + 1}, at::kFloat);  // A channel of the producer.
    for (const bitlaw::Linear* reader : site.readers) {
      const at::Tensor columns = reader->weight().abs().amax(0).to(at::kFloat).cpu();  // [C_in]
      for (int64_t j = 0; j < columns.size(0); ++j) {
        const int64_t channel = channels[j].item<int64_t>();
        largest[channel] = at::maximum(largest[channel], columns[j]);
      }
    }
    largest.clamp_min_(1e-6);
    site.Fold((largest.log().mean().exp() / largest).pow(strength_));
  }

 private:
  double strength_;
};
