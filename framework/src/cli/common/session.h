#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cost/rates.h"
#include "plugin/host.h"
#include "resolve/machine.h"

namespace bitlaw {

/// What every verb shares: the global options and the plugins, loaded when first asked for.
class Session {
 public:
  std::vector<std::filesystem::path> plugin_paths;  ///< --plugin: files or folders beside the default ones.
  std::vector<std::filesystem::path> config_paths;  ///< --configs: folders with tasks/ and laws/.
  bool quiet = false;  ///< --quiet: no progress.
  bool parse_only = false;  ///< --parse-only: the command line is read and nothing is done; documentation is checked by it.

  /// The default folders' plugins and those of --plugin. One Error(kPlugin) names every library that failed.
  PluginHost& plugins();
  /// As plugins(), but leaves the failures, a text each, to the caller.
  PluginHost& plugins(std::vector<std::string>* faults);

  /// The machine that the program runs on; `threads` and `workers` as the command line gives them (0: chosen).
  static Machine ThisMachine(int threads = 0, int workers = 0);

  /// How fast a worker of so many threads computes here, or a device of this machine: products are measured for 0.2 s, all
  /// else is assumed. Where the device is not here, or there is no libtorch, all is, and Rates::source says so.
  /// `only_memory`: nothing is measured, and memory_bytes alone is of this machine.
  static Rates MeasuredRates(const ComputeSetting& compute, int threads, bool only_memory);

  /// <program>/../share/bitlaw, where it should be; it need not be there. Empty where the system does not tell.
  static std::filesystem::path SharedFolder();

  /// config_paths, then <program>/../share/bitlaw/configs if it exists. (In a build tree that is a link to the
  /// sources' configs folder.)
  std::vector<std::filesystem::path> SearchFolders() const;

  /// The names of the .yaml files below <folder>/<kind> of all SearchFolders(), sorted; `kind` is "tasks" or "laws". Error(kIo)
  /// if there are none.
  std::vector<std::string> NamesOfFiles(const std::string& kind) const;

  /// Set by the verb that the command line chose; main() runs it and returns its exit code.
  std::function<int()> action;

 private:
  std::unique_ptr<PluginHost> plugins_;
  std::vector<std::string> plugin_faults_;
};

}  // namespace bitlaw
