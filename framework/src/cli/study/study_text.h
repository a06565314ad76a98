#pragma once

#include <string>

#include "plan/plan.h"

namespace bitlaw {

/// "bits {2, 3} x group_size {32, row}": the axes of one `quantize:` entry; zipped axes stand in brackets.
std::string AxesText(const QuantizeSpec& entry);

/// "134.5 M", "7.2 B": parameters for people.
std::string CountText(double count);

/// "88.3 MB", "1.2 GB": powers of ten.
std::string SizeText(double bytes);

/// "25 trials (1 unquantized), 2 cells skipped, 3 left out by where or skip, 4 said twice".
std::string TotalsText(const Plan& plan);

}  // namespace bitlaw
