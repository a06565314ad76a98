#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/transform.h"

namespace bitlaw {

/// Divides each input channel of a site by a scale and multiplies the readers' weights by it, the scale being that of a
/// few candidates with which rounding to nearest changes the readers' outputs least:
///
///   kInputs      s_c(a) = mean |x_c|^a                             a = 0, 1 / n, 2 / n, .. (n - 1) / n
///   kBoth        s_c(a) = mean |x_c|^a / (m_c^(1 - a) + 1e-4)      m_c = mean of |w| / max |w of its group|
///   kEither      all of both
///   s is at least 1e-4, then divided by sqrt(max s min s)
///   loss(a) = sum over readers of tr(D H D^T),             D = W - Q(W diag(s)) diag(s)^-1,  H = (2 / n) sum x x^T
///
/// Q is the recipe's own rounding: Quantizer::RoundToNearest() of its bits, groups and grid, a layer's own where it has
/// others; readers that stay as they are count in neither sum nor mean. The least loss wins, the first one where several
/// have it. Means are over all calibration tokens, over all rows of all readers, and over all inputs
/// that share channel c of the producer (one, but for grouped-query attention). Statistics: abs_mean, second_moment.
///
/// Errors   Error(kNumerical) with the site's name for a second moment that is not finite; those of the quantizer.
/// Threads  Same inputs, same bytes. No random numbers. Safe from several threads.
/// Source   Lin et al. 2023, arXiv:2306.00978, section 3.2; the README names what differs.
class AwqScale final : public Transform {
 public:
  enum class Scaling { kInputs, kBoth, kEither };
  struct Settings {
    int64_t candidates = 20;
    Scaling scaling = Scaling::kInputs;
  };

  static OptionSchema Schema();
  static Settings SettingsFrom(const Options& options);
  explicit AwqScale(Settings settings) : settings_(settings) {}

  void TakeQuantizer(const Quantizer* quantizer) override { quantizer_ = quantizer; }
  std::string ExplainUnsupported(const SiteShape& site) const override;
  CalibrationNeeds needs() const override;
  void Apply(const Site& site, const LayerCalibration& calibration) const override;

 private:
  at::Tensor BestScale(const Site& site, const LayerCalibration& calibration) const;

  Settings settings_;
  const Quantizer* quantizer_ = nullptr;
};

}  // namespace bitlaw
