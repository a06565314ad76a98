#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/files/file_watch.h"
#include "bitlaw/api/model.h"
#include "cli/plugins/option_arguments.h"
#include "cli/common/session.h"

namespace bitlaw {

/// A checkpoint that the command line names, opened.
struct OpenedModel {
  std::string backend;  ///< "gguf"
  std::unique_ptr<ModelBackend> component;
  std::unique_ptr<Model> model;
  double seconds = 0;  ///< What opening took.
  std::vector<std::pair<std::filesystem::path, FileStamp>> files;  ///< As they were before it was opened.

  /// Error(kIo) if a file of the model was written to or replaced since: what was computed may be of two models.
  void CheckUnchanged() const;
};

/// The backend that claims `path`, or `backend` if that is not empty. Error(kSpec) if none or several claim it.
std::string BackendFor(const PluginHost& host, const std::filesystem::path& path, const std::string& backend);

/// Opens `path`. Errors as BackendFor() and those of the backend; Error(kUnsupported) with its reason.
OpenedModel OpenModelArgument(const PluginHost& host, const std::filesystem::path& path, const std::string& backend,
                              const ComputeSetting& compute);

/// Peak resident memory of this process so far, in bytes.
int64_t PeakMemoryBytes();

}  // namespace bitlaw
