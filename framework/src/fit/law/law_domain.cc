#include "fit/law/law_domain.h"

#include <algorithm>
#include <cmath>

#include "bitlaw/base/rng.h"

namespace bitlaw {

namespace {

constexpr int kWide = 64, kDirections = 24;
constexpr double kScales[] = {1e-9, 1e-6, 1e-3, 1};

// A value of the parameter at `size` from 0, or from the bound that keeps it away from 0.
double At(const LawParameter& parameter, bool negative, double size) {
  const bool from_min = parameter.min >= 0, from_max = !from_min && parameter.max <= 0;
  double value = from_min ? parameter.min + size : from_max ? parameter.max - size : negative ? -size : size;
  return std::clamp(value, parameter.min, parameter.max);
}

std::vector<std::vector<double>> WideProbes(const Law& law, Rng& rng) {
  std::vector<std::vector<double>> probes;
  std::vector<double> start, published;
  for (const LawParameter& parameter : law.parameters()) {
    start.push_back(parameter.start);
    published.push_back(parameter.published);
  }
  for (const auto& given : {published, start}) {
    if (std::none_of(given.begin(), given.end(), [](double value) { return std::isnan(value); }))
      probes.push_back(given);
  }
  for (int i = 0; i < kWide; ++i) {
    std::vector<double> theta;
    for (const LawParameter& parameter : law.parameters()) {
      const double u = rng.Uniform();
      const bool negative = rng.Uniform() < 0.5;
      const double spread = parameter.max - parameter.min;
      // Within bounds evenly; else half of them of the size of exponents, half of any size.
      theta.push_back(std::isfinite(spread) ? parameter.min + u * spread
                                            : At(parameter, negative, i % 2 == 0 ? u : std::pow(10, 27 * u - 12)));
    }
    probes.push_back(std::move(theta));
  }
  return probes;
}

}  // namespace

std::vector<bool> OutsideDomain(const Law& law, std::span<const double> x) {
  const size_t c = law.covariates().size(), k = law.parameters().size();
  const size_t rows = c == 0 ? 0 : x.size() / c;
  std::vector<bool> outside(rows, false);
  const auto value = [&](const std::vector<double>& theta, size_t row) {
    return law.Predict(theta, x.subspan(row * c, c), {});
  };
  std::vector<double> gradient(k);
  const auto is_usable = [&](const std::vector<double>& theta, size_t row) {
    return std::isfinite(law.Predict(theta, x.subspan(row * c, c), gradient)) &&
           std::all_of(gradient.begin(), gradient.end(), [](double slope) { return std::isfinite(slope); });
  };
  Rng rng = Rng(0).Fork(UINT64_MAX - 7);

  // Nowhere finite, value or slopes. Most rows are finite at the first probe and cost no more.
  const std::vector<std::vector<double>> probes = WideProbes(law, rng);
  size_t anywhere = 0;
  for (size_t row = 0; row < rows; ++row) {
    outside[row] =
        std::none_of(probes.begin(), probes.end(), [&](const auto& theta) { return is_usable(theta, row); });
    anywhere += !outside[row];
  }
  if (anywhere == 0) return std::vector<bool>(rows, false);  // That is the law's fault, not the rows'.

  // Poles.
  const int directions = k < 4 ? 1 << k : kDirections;
  for (int direction = 0; direction < directions; ++direction) {
    std::vector<double> sizes;
    std::vector<bool> signs;
    for (size_t j = 0; j < k; ++j) {
      sizes.push_back(0.3 + rng.Uniform());
      signs.push_back(rng.Uniform() < 0.5);
    }
    // Of few parameters every combination of signs has its turn.
    if (k < 4) {
      for (size_t j = 0; j < k; ++j) signs[j] = (direction >> j) % 2 != 0;
    }
    const auto theta_at = [&](double scale) {
      std::vector<double> theta;
      for (size_t j = 0; j < k; ++j) theta.push_back(At(law.parameters()[j], signs[j], scale * sizes[j]));
      return theta;
    };
    std::vector<size_t> poles;
    size_t finite = 0;
    const std::vector<double> nearest = theta_at(kScales[0]);
    for (size_t row = 0; row < rows; ++row) {
      const double at = value(nearest, row);
      finite += std::isfinite(at);
      if (std::isinf(at) && !outside[row]) poles.push_back(row);
    }
    if (poles.empty() || finite == 0) continue;
    for (const double scale : kScales) {
      const std::vector<double> theta = theta_at(scale);
      std::erase_if(poles, [&](size_t row) { return std::isfinite(value(theta, row)); });
    }
    for (const size_t row : poles) outside[row] = true;
  }
  return outside;
}

}  // namespace bitlaw
