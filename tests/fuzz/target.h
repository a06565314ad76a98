#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/value.h"

namespace bitlaw::fuzz {

/// One reader under test. `run` reads an input as the reader's file would be read and returns, or throws Error, which
/// is a fine answer to a bad file. Any other exception, a failed Require() and whatever a sanitizer finds are faults.
struct Target {
  const char* name;
  void (*run)(std::string_view input);
  /// Seeds beside those of the folder seeds/<name>, in a format that only the code itself writes; null: none.
  std::vector<std::string> (*samples)() = nullptr;
};

/// Every target of this build, by name.
const std::vector<Target>& Targets();
/// The target called `name`; null if there is none.
const Target* FindTarget(std::string_view name);

/// Runs a target on one input; false if it ended in an Error.
bool RunOnce(const Target& target, std::string_view input);

/// Makes a target known. At namespace scope.
struct Register {
  Register(const char* name, void (*run)(std::string_view input), std::vector<std::string> (*samples)() = nullptr);
};

/// Ends the process with `what` unless `holds`: a property that every input must have.
void Require(bool holds, std::string_view what);

/// The parts of an input of several files: a line "%%%%" stands between them. Always `count` parts; what is missing is
/// empty, and the last part takes the rest.
std::vector<std::string_view> Parts(std::string_view input, size_t count);

/// The input of several files that Parts() takes apart.
std::string Join(const std::vector<std::string>& parts);

/// Sets a record's content_digest to what docs/records.md says it is. `record` is a map.
void SetContentDigest(Value& record);

/// A folder of this process in memory (or in $TMPDIR), removed when it ends.
const std::filesystem::path& ScratchFolder();
/// Writes a file of the scratch folder, with its folders, and returns its path.
std::filesystem::path WriteScratch(const std::string& name, std::string_view bytes);

}  // namespace bitlaw::fuzz
