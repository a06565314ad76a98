#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/value.h"
#include "spec/decoder.h"

namespace bitlaw {

/// A task or law file with what it includes and what the study writes over it.
struct ComponentFile {
  Value map;           ///< Own keys (type, name) and options together; every value keeps the mark of its own file.
  std::string chain;   ///< For faults in the file: "task 'arc_easy' of study.yaml:12:5, included by a.yaml:2:10".
  bool is_read = true; ///< False if a fault was reported instead.
};

/// Reads `file` of `kind` ("task file", "law file"). `include: other.yaml` (relative to the including file; a chain of
/// at most eight) is read first; keys of the including file replace those of the included one as a whole.
/// `chain` says who asked for the file. Faults go to `faults`.
ComponentFile ReadComponentFile(const std::filesystem::path& file, const std::string& kind, const std::string& chain,
                                Faults& faults);

/// `base` with the entries of `over` added or put in their place. Null in `over` takes the entry of `base` out, so that
/// its default holds again.
Value Overlay(const Value& base, const Value& over);

}  // namespace bitlaw
