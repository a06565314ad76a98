#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "fit/options/fit_settings.h"

namespace bitlaw {

/// One option of a fit. It is declared once, in fit_options.cc: `fit:` of a study, `bitlaw fit` and the table in
/// docs/reference/study.md have all of them.
struct BITLAW_EXPORT FitOption {
  std::string name;  ///< The key in `fit:`.
  /// Of the command line: "--starts 3". A list's is repeated; that of a truth value stands alone and says the opposite
  /// of the default ("--no-nulls").
  std::string flag;
  std::function<void(const Options&, FitSettings&)> read;
  std::function<Value(const FitSettings&)> write;  ///< What `read` reads as the same.
};
BITLAW_EXPORT const std::vector<FitOption>& FitOptions();
/// What values they may have, with defaults and docs, in the order of FitOptions().
BITLAW_EXPORT const OptionSchema& FitSchema();

}  // namespace bitlaw
