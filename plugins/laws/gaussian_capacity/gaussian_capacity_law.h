#pragma once

#include <memory>
#include <string>

#include "bitlaw/api/law.h"

namespace bitlaw {

/// Mean squared error of the best uniform quantizer with 2^bits levels for a normal variable of variance 1.
/// Source: Max, Quantizing for Minimum Distortion, IRE Trans. Inf. Theory 6, 1960, Table II; logarithms interpolated.
double GaussianQuantizationError(double bits);

/// A * (N * (1 - mse(B))^kappa)^alpha * G^delta over columns N, B, G.
std::unique_ptr<Law> MakeGaussianCapacityLaw(const std::string& name);

}  // namespace bitlaw
