#pragma once

#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "run/machine/machine.h"

namespace bitlaw {

/// Measured on this machine, in GFLOP/s. A rate that is not finite or not above 0 is a measurement that failed.
struct MeasuredRates {
  double model_float32 = 0;   ///< x W^T as models compute it (math/matrix_product.h)
  double model_bfloat16 = 0;  ///< the same in bfloat16
  double blas_float32 = 0;    ///< libtorch's mm, which ends in the system's BLAS
  double cholesky = 0;        ///< [576, 576] in float32, n^3 / 3 a factor
};

/// What makes quantization and evaluation slow on this machine, a sentence each, with what to do. Empty: nothing found.
BITLAW_EXPORT std::vector<std::string> MachineProblems(const BlasLibrary& blas, const Cpu& cpu,
                                                       const MeasuredRates& rates);

/// What is wrong with a load average (processes that run or wait, over the last minute) of a machine whose cores this
/// process is to have to itself; "" for less than half of its cores and for NaN.
BITLAW_EXPORT std::string LoadProblem(double load, const Cpu& cpu);

}  // namespace bitlaw
