#pragma once

#include <string>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// Options of `activations`: bits, per, group_size, symmetric, format, scale_rule.
const OptionSchema& ActivationSchema();

/// {bits, per, symmetric, format, group_size, scale_rule} of a cell from its resolved options: format only where it is
/// not int, group_size only with per: group, scale_rule only with mxfp4 and mxfp8 and where it is not floor, bits filled
/// in for formats that have their own. Null where inputs are not rounded (neither bits nor a format).
Value ActivationsOf(const Value& section);

/// Whether a static scale comes from the calibration set.
bool CalibratesInputs(const Value& activations);

/// Error(kUnsupported) for options that do not go together.
void CheckActivations(const Value& activations);

/// Why some layer of `model` cannot have inputs rounded so; empty if none.
std::string ExplainUnsupportedInputs(const Value& activations, const ModelSummary& model);

}  // namespace bitlaw
