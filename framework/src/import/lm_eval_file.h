#pragma once

#include <filesystem>

#include "bitlaw/base/value.h"

namespace bitlaw {

/// A YAML file of lm-evaluation-harness with what it includes, whose keys it replaces; every value has the place where
/// it is written. `!function x.y` becomes the text "!function x.y". Error(kSpec) and Error(kIo) as ParseYaml() and for
/// a file that includes itself.
Value ReadLmEvalFile(const std::filesystem::path& path);

/// True if the value is a function of Python.
bool IsLmEvalFunction(const Value& value);

}  // namespace bitlaw
