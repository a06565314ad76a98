#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"
#include "fit/options/held_value.h"
#include "plugin/host.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// Laws as they are fitted, and why others are not among them.
struct BITLAW_EXPORT OpenedLaws {
  struct Fault {
    std::string law;  ///< "": of all laws; then there are none.
    Error error;
  };
  std::vector<std::unique_ptr<Law>> laws;  ///< In their order.
  std::vector<Fault> faults;
};

/// Opens laws and holds parameters in them, each law by itself: what is wrong with one costs no other. A name of `fix`
/// that none of them has is a fault of all, unless one could not be opened, which may be the one that has it. `others`
/// are held as well, before `fix`, in laws that have them; where none has, that is no fault.
BITLAW_EXPORT OpenedLaws OpenStudyLaws(const std::vector<LawSpec>& laws, const PluginHost& host,
                                       std::span<const HeldValue> fix, std::span<const HeldValue> others = {});

}  // namespace bitlaw
