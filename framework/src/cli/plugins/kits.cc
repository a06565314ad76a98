#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/factor.h"
#include "bitlaw/api/law.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/error.h"
#include "bitlaw/testing/byte_tokenizer.h"
#include "bitlaw/testing/corpus_conformance.h"
#include "bitlaw/testing/law_conformance.h"
#include "bitlaw/testing/task_conformance.h"
#include "cli/plugins/kit_arguments.h"

namespace bitlaw {
namespace {

using Range = std::pair<double, double>;

// Where a parameter is tried: within its bounds, about its start if it has one, otherwise at the size of an exponent
// or, where it cannot be negative, of an amplitude.
Range RangeOf(const LawParameter& parameter) {
  const bool has_low = std::isfinite(parameter.min), has_high = std::isfinite(parameter.max);
  if (has_low && has_high) {
    const double width = parameter.max - parameter.min;
    return {parameter.min + width / 4, parameter.max - width / 4};
  }
  if (std::isfinite(parameter.start) && parameter.start != 0) {
    const double near = parameter.start * 0.8, far = parameter.start * 1.25;
    return {std::max(std::min(near, far), parameter.min), std::min(std::max(near, far), parameter.max)};
  }
  if (has_low) return {parameter.min + 0.5, parameter.min + 2};
  if (has_high) return {parameter.max - 2, parameter.max - 0.5};
  return {0.1, 0.5};
}

// The values that a column usually has, by its role.
Range RangeOf(const std::string& column) {
  const Factor* known = FindStandardFactor(column);
  switch (known == nullptr ? FactorRole::kOther : known->role) {
    case FactorRole::kScale: return {1e8, 1e10};
    case FactorRole::kPrecision: return {2, 8};
    case FactorRole::kGranularity: return {16, 128};
    case FactorRole::kCalibration: return {8, 1024};
    case FactorRole::kOther: return {0.5, 4};
  }
  throw InternalError("FactorRole out of range");
}

KitOutcome LawKit(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  const std::unique_ptr<Law> law = host.MakeLaw(component.info.name, component.info.name, arguments.options);
  testing::LawDomain domain;
  std::vector<std::string> names;
  const auto add = [&](const std::string& name, Range range, std::vector<double>& low, std::vector<double>& high) {
    if (const auto given = arguments.ranges.find(name); given != arguments.ranges.end()) range = given->second;
    low.push_back(range.first), high.push_back(range.second);
    names.push_back(name);
  };
  for (const LawParameter& parameter : law->parameters()) {
    add(parameter.name, RangeOf(parameter), domain.theta_low, domain.theta_high);
  }
  for (const std::string& column : law->covariates()) add(column, RangeOf(column), domain.x_low, domain.x_high);
  for (const auto& [name, range] : arguments.ranges) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    throw Error(ErrorKind::kSpec, "--range " + name + ": law '" + component.info.name +
                                      "' has no such parameter or covariate." + DidYouMean(name, names) + " It has " +
                                      JoinNames(names) + ".");
  }
  std::string tried;
  for (size_t i = 0; i < names.size(); ++i) {
    const size_t j = i - domain.theta_low.size();
    const bool is_parameter = i < domain.theta_low.size();
    tried += fmt::format("{}{} {:.4g} to {:.4g}", i == 0 ? "" : ", ", names[i],
                         is_parameter ? domain.theta_low[i] : domain.x_low[j],
                         is_parameter ? domain.theta_high[i] : domain.x_high[j]);
  }
  KitOutcome outcome;
  outcome.ran = {
      "LawFaults (bitlaw/testing/law_conformance.h): names, bounds, values, gradient and linear form, with " + tried};
  outcome.faults = testing::LawFaults(*law, domain);
  if (outcome.faults.empty()) {
    outcome.ran.emplace_back("RecoveryFaults (bitlaw/testing/law_conformance.h): planted parameters are found back");
    outcome.faults = testing::RecoveryFaults(*law, domain);
  } else {
    outcome.left_out.emplace_back("RecoveryFaults, for a law with faults cannot be fitted");
  }
  outcome.left_out.emplace_back("LimitFaults, for which trends and limits must be told: in a test of its own");
  return outcome;
}

KitOutcome CorpusKit(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  const auto make = [&] { return host.MakeCorpus(component.info.name, arguments.options); };
  if (const auto parts = make()->part_names(); !parts.empty()) {
    throw Error(ErrorKind::kUnsupported,
                component.full_name() + " is made of other corpora (" + JoinNames(parts) +
                    "), which no option gives. Try it in a test of its own with CorpusFaults().");
  }
  return {{"CorpusFaults (bitlaw/testing/corpus_conformance.h): counts, lengths, ids, prefixes, seeds, errors, digest, "
           "factors"},
          {},
          testing::CorpusFaults(make, component.info.name, testing::ByteTokenizer())};
}

KitOutcome TaskKit(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  const TaskContext context{component.info.name, arguments.data_paths};
  return {
      {"TaskFaults (bitlaw/testing/task_conformance.h): card, items, requests, digest, scores of made-up responses"},
      {},
      testing::TaskFaults([&] { return host.MakeTask(component.info.name, arguments.options, context); },
                          component.info.name)};
}

}  // namespace

KitOutcome RunKits(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  switch (component.kind) {
    case ComponentKind::kLaw: return LawKit(host, component, arguments);
    case ComponentKind::kCorpus: return CorpusKit(host, component, arguments);
    case ComponentKind::kTask: return TaskKit(host, component, arguments);
    default: break;
  }
#ifdef BITLAW_HAS_TENSOR
  return RunTensorKits(host, component, arguments);
#else
  throw Error(ErrorKind::kUnsupported, component.full_name() + ": this bitlaw was built without libtorch.");
#endif
}

}  // namespace bitlaw
