#include "fit/study/study_laws.h"

#include <utility>

#include "fit/law/restricted_law.h"

namespace bitlaw {
namespace {

template <class Step>
bool Try(OpenedLaws& opened, const std::string& law, Step&& step) {
  try {
    step();
    return true;
  } catch (const Error& error) {
    opened.faults.push_back({law, error});
    return false;
  }
}

}  // namespace

OpenedLaws OpenStudyLaws(const std::vector<LawSpec>& specs, const PluginHost& host, std::span<const HeldValue> fix,
                         std::span<const HeldValue> others) {
  OpenedLaws opened;
  std::vector<std::unique_ptr<Law>> whole;
  for (const LawSpec& spec : specs) Try(opened, spec.name, [&] { whole.push_back(OpenLaw(spec, host)); });
  if (whole.size() == specs.size() && !Try(opened, "", [&] { CheckHeldNames(whole, fix); })) return opened;
  std::vector<HeldValue> held(others.begin(), others.end());
  held.insert(held.end(), fix.begin(), fix.end());
  for (std::unique_ptr<Law>& law : whole) {
    const std::string name = law->name();
    Try(opened, name, [&] { opened.laws.push_back(HoldIn(std::move(law), held)); });
  }
  return opened;
}

}  // namespace bitlaw
