#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "spec/study_spec.h"

namespace bitlaw {

/// The law that `name` means on the command line: a path if it holds a '/' or ends in .yaml, otherwise the name of a
/// file laws/**/<name>.yaml in one of `folders`. Error(kSpec) with a "did you mean"; the options are not checked yet.
LawSpec ReadLawFile(const std::string& name, const std::vector<std::filesystem::path>& folders);

}  // namespace bitlaw
