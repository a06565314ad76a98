#include "my_law.h"

#include <cmath>
#include <cstdio>

#include "bitlaw/testing/law_conformance.h"

int main() {
  const auto law = MakeMyLaw("my_law", MyLawOptions().Resolve(bitlaw::Value(), "law 'my_law'"));

  // Where it is tried: a box of parameters A, alpha, K, b, and one of N and B. It falls with both; at 60 bits rounding
  // adds nothing.
  bitlaw::testing::LawDomain domain;
  domain.theta_low = {1, 0.1, 0.5, 0.3}, domain.theta_high = {5, 0.4, 5, 1};
  domain.x_low = {1e4, 2}, domain.x_high = {1e8, 8};
  domain.trends = {{"N", -1}, {"B", -1}};
  domain.limits = {{{{"B", 60}}, "A * N^-alpha", [](std::span<const double> theta, std::span<const double> x) {
                      return theta[0] * std::pow(x[0], -theta[1]);
                    }}};
  int faults = 0;
  const auto tell = [&](const std::vector<std::string>& found) {
    for (const std::string& fault : found) faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
  };
  tell(bitlaw::testing::LawFaults(*law, domain));
  tell(bitlaw::testing::LimitFaults(*law, domain));
  tell(bitlaw::testing::RecoveryFaults(*law, domain));

  // 2 * 100^-0.5 + 3 * exp(0) = 3.2
  const double theta[] = {2, 0.5, 3, 1}, x[] = {100, 0};
  const double value = law->Predict(theta, x, {});
  if (std::fabs(value - 3.2) > 1e-12)
    faults += std::fprintf(stderr, "at N = 100, B = 0 it is %g, not 3.2\n", value) > 0;
  return faults == 0 ? 0 : 1;
}
