#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "fit/estimate/law_fit.h"
#include "fit/options/fit_settings.h"
#include "records/table.h"

namespace bitlaw {

/// Every law on every stratum.
struct BITLAW_EXPORT FitReport {
  struct Stratum {
    std::string name;
    std::vector<std::string> tasks;
    size_t incoming = 0;
    std::vector<Exclusion> incomplete;
  };
  FitSettings settings;
  std::vector<Control> controls;  ///< What every law is cleared of.
  std::vector<Stratum> strata;
  std::vector<LawFit> fits;  ///< Law by law, strata in order.
  std::vector<std::string> notes;
};
/// With settings.controls each law, and each null beside it, is fitted as a ControlledLaw.
BITLAW_EXPORT FitReport FitLaws(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                                const FitSettings& settings);

}  // namespace bitlaw
