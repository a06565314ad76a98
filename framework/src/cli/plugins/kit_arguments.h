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

/// What the component does against the promises of its kind, by its kit in bitlaw/testing: a sentence a fault.
/// Errors   Error(kSpec) for arguments that the kit lacks; whatever making the component throws.
std::vector<std::string> KitFaults(const PluginHost& host, const Component& component, const KitArguments& arguments);

/// The same for the kinds that need libtorch: model, quantizer, grid, transform, exporter.
std::vector<std::string> TensorKitFaults(const PluginHost& host, const Component& component,
                                         const KitArguments& arguments);

}  // namespace bitlaw
