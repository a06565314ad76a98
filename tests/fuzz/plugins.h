#pragma once

#include <filesystem>

#include "plugin/host.h"

namespace bitlaw::fuzz {

/// A host with the fixture components, quantizers that only plan, and the tasks, laws and corpora of the build.
const PluginHost& Host();

/// A scratch folder with what a study finds around it: two models of shapes alone, a text, a task and a law.
const std::filesystem::path& StudyHome();

/// Makes StudyHome() the working directory for a scope: that of a fuzzer itself, whose corpus has relative paths, is
/// put back.
class AtStudyHome {
 public:
  AtStudyHome();
  ~AtStudyHome();
  AtStudyHome(const AtStudyHome&) = delete;
  AtStudyHome& operator=(const AtStudyHome&) = delete;

 private:
  std::filesystem::path before_;
};

}  // namespace bitlaw::fuzz
