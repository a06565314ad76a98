#include "round_off_law.h"

#include <cmath>
#include <limits>
#include <utility>

double ExpectedMaximum(double group_size) {
  if (!(group_size >= 1)) return std::numeric_limits<double>::quiet_NaN();
  // Simpson's rule on [0, 12]: beyond, the integrand is under 1e-16 even for a million weights.
  constexpr int kIntervals = 240;
  constexpr double kWidth = 12.0 / kIntervals;
  auto integrand = [&](double x) { return -std::expm1(group_size * std::log(std::erf(x * M_SQRT1_2))); };
  double sum = 1 + integrand(12.0);  // At 0 the integrand is 1.
  for (int i = 1; i < kIntervals; ++i) sum += (i % 2 == 1 ? 4 : 2) * integrand(i * kWidth);
  return sum * kWidth / 3;
}

double RoundOffNoise(double bits, double group_size) {
  if (!(bits > 0)) return std::numeric_limits<double>::quiet_NaN();
  const double step = 2 * ExpectedMaximum(group_size) / (std::exp2(bits) - 1);
  return step * step / 12;
}

bitlaw::OptionSchema RoundOffLaw::Schema() {
  bitlaw::OptionSchema schema;
  schema.String("response").Default("-log(acc_adj)").Doc("What the law predicts, an expression over table columns.");
  schema.String("size").Default("N").Doc("Column of the model size.");
  schema.String("bits").Default("B").Doc("Column of the bits of a weight.");
  schema.String("group_size").Default("G").Doc("Column of the group size.");
  return schema;
}

RoundOffLaw::RoundOffLaw(std::string name, const bitlaw::Options& options)
    : name_(std::move(name)),
      response_(options.String("response")),
      covariates_{options.String("size"), options.String("bits"), options.String("group_size")} {
  parameters_.resize(3);
  parameters_[0].name = "A";
  parameters_[0].min = 0;
  parameters_[1].name = "alpha";
  parameters_[2].name = "beta";
}

double RoundOffLaw::Predict(std::span<const double> theta, std::span<const double> x,
                            std::span<double> gradient) const {
  const double log_size = std::log(x[0]), log_noise = std::log(RoundOffNoise(x[1], x[2]));
  const double shape = std::exp(theta[1] * log_size + theta[2] * log_noise);  // N^alpha D^beta
  if (!gradient.empty()) {
    gradient[0] = shape;
    gradient[1] = theta[0] * shape * log_size;
    gradient[2] = theta[0] * shape * log_noise;
  }
  return theta[0] * shape;
}

std::optional<bitlaw::LinearForm> RoundOffLaw::linear_form() const {
  bitlaw::LinearForm form;
  form.columns = {{"1", 0, true}, {"log(N)", 1, false}, {"log(D)", 2, false}};
  return form;
}

double RoundOffLaw::LinearFeatures(std::span<const double> x, std::span<double> features) const {
  features[0] = 1;
  features[1] = std::log(x[0]);
  features[2] = std::log(RoundOffNoise(x[1], x[2]));
  return 0;
}
