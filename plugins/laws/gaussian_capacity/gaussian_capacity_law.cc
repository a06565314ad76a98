#include "gaussian_capacity_law.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "bitlaw/sdk/expression/autodiff_law.h"

namespace bitlaw {

namespace {

struct GaussianCapacity {
  template <typename T>
  T operator()(const T* theta, const double* x) const {
    using std::exp;
    // ln of N (1 - mse)^kappa: a product of powers is exact and quick as one exponential.
    const double log_share = std::log1p(-GaussianQuantizationError(x[1]));
    const T log_size = std::log(x[0]) + theta[2] * log_share;
    return theta[0] * exp(theta[1] * log_size + theta[3] * std::log(x[2]));
  }
};

}  // namespace

double GaussianQuantizationError(double bits) {
  constexpr std::array<double, 9> kError = {1,          0.3633802,   0.1188461,    0.03743966,   0.01154288,
                                            0.003495211, 0.001040045, 0.0003043328, 0.00008768619};
  if (!(bits >= 0)) return std::numeric_limits<double>::quiet_NaN();
  if (bits >= 8) return kError[8] * std::pow(4.0, 8 - bits);
  const auto below = static_cast<size_t>(bits);
  const double part = bits - static_cast<double>(below);
  return kError[below] * std::pow(kError[below + 1] / kError[below], part);
}

std::unique_ptr<Law> MakeGaussianCapacityLaw(const std::string& name) {
  std::vector<LawParameter> parameters(4);
  parameters[0].name = "A", parameters[0].min = 0;
  parameters[1].name = "alpha", parameters[1].min = -3, parameters[1].max = 0;
  parameters[2].name = "kappa", parameters[2].min = 0, parameters[2].max = 200;
  parameters[3].name = "delta";
  return std::make_unique<AutoDiffLaw<GaussianCapacity, 4>>(
      name, std::move(parameters), std::vector<std::string>{"N", "B", "G"}, "-log(acc_adj)",
      "A * (N * (1 - mse(B))^kappa)^alpha * G^delta", "Error of a normal weight: Max 1960");
}

}  // namespace bitlaw
