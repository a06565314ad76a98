#include "my_model.h"

#include <cstdio>

#include "bitlaw/testing/model_conformance.h"

int main(int, char** arguments) {
  const MyModel backend(MyModel::Schema().Resolve(bitlaw::Value(), "model 'my_model'"));
  const auto checkpoint = std::filesystem::absolute(arguments[0]).parent_path() / "seven.my_model";
  std::ofstream(checkpoint) << "7\n";
  int faults = 0;
  for (const std::string& fault : bitlaw::testing::ModelFaults(backend, "my_model", checkpoint)) {
    faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
  }

  // Two blocks of q [32, 32], k and v [16, 32], o [32, 32], gate and up [64, 32], down [32, 64].
  const int64_t weights = backend.Inspect(checkpoint).parameters_quantizable;
  if (weights != 2 * (32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 64 * 32)) {
    faults += std::fprintf(stderr, "it has %lld weights\n", static_cast<long long>(weights)) > 0;
  }
  return faults == 0 ? 0 : 1;
}
