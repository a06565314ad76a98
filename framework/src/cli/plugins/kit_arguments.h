#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "plugin/host.h"

namespace bitlaw {

/// What a conformance kit is run with beside the component.
struct KitArguments {
  Options options;
  std::filesystem::path model;                              ///< A checkpoint; "" if none was named.
  std::filesystem::path lab_model;                          ///< The one that is tried where none was named.
  std::vector<std::string> data_paths;                      ///< Where a task looks for data files.
  std::map<std::string, std::pair<double, double>> ranges;  ///< Of a law's parameters and covariates.
};

/// What ran and what it found.
struct KitOutcome {
  /// "LawFaults (bitlaw/testing/law_conformance.h): names, bounds, ...", one a kit that ran.
  std::vector<std::string> ran;
  std::vector<std::string> left_out;  ///< "RecoveryFaults: ..., for ...": kits that did not.
  std::vector<std::string> faults;    ///< A sentence each.
};

/// What the component does against the promises of its kind, by its kits in bitlaw/testing.
/// Errors   Error(kSpec) for arguments that the kit lacks; whatever making the component throws.
KitOutcome RunKits(const PluginHost& host, const Component& component, const KitArguments& arguments);

/// The same for the kinds that need libtorch: model, quantizer, grid, transform, exporter.
KitOutcome RunTensorKits(const PluginHost& host, const Component& component, const KitArguments& arguments);

}  // namespace bitlaw
