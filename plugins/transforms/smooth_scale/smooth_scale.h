#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/transform.h"

namespace bitlaw {

/// Divides each input channel of a site by a scale and multiplies the readers' weights by it:
///
///   s_c = max |x_c|^alpha / max |W_c|^(1 - alpha)
///
/// over all calibration tokens, all readers and their rows, and all inputs that share channel c of the producer (one,
/// but for grouped-query attention). A channel without inputs or without weights keeps s_c = 1. Statistics: abs_max.
///
/// Units    alpha in [0, 1]: 0 leaves the inputs' outliers where they are and evens out the weights, 1 the reverse.
/// Errors   Error(kNumerical) with the site's name for a scale that is not finite.
/// Threads  Same inputs, same bytes. No random numbers. Safe from several threads.
/// Source   Xiao et al. 2022, arXiv:2211.10438, equation 4; the README names what differs.
class SmoothScale final : public Transform {
 public:
  explicit SmoothScale(double alpha) : alpha_(alpha) {}

  static OptionSchema Schema();

  std::string ExplainUnsupported(const SiteShape& site) const override;
  CalibrationNeeds needs() const override;
  std::vector<Factor> factors(const ModelSummary& model) const override;
  void Apply(const Site& site, const LayerCalibration& calibration) const override;

 private:
  double alpha_;
};

}  // namespace bitlaw
