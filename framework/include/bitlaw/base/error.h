#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// What kind of outside cause an Error reports. Each kind has its own exit code of the command line.
enum class ErrorKind {
  kSpec,         ///< A file the user wrote is wrong: spec, task, law, option, command line.   exit 2
  kUnsupported,  ///< A correct request that this component cannot carry out.                  exit 3
  kPlugin,       ///< A shared library that is no plugin, or not one for this build.           exit 4
  kIo,           ///< A file or folder that is missing, cut off, unreadable, or not what it says.  exit 5
  kNumerical,    ///< Arithmetic that has no answer: indefinite Hessian, degenerate design.    exit 6
  kBudget,       ///< A limit of memory, time or size that the request would pass.             exit 7
};

BITLAW_EXPORT std::string_view Name(ErrorKind kind);

/// A fault whose cause lies outside the program and that its user can mend.
///
/// The text reads "where: what, with the value. Constraint. What to do." and is complete in itself: nothing
/// below main() prints. All faults of one object come in one Error, a line each.
class BITLAW_EXPORT Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// A bug in bitlaw or in a plugin: a broken promise between parts of the program, never a user's mistake.
class BITLAW_EXPORT InternalError : public std::logic_error {
 public:
  explicit InternalError(const std::string& text) : std::logic_error(text) {}
};

/// The name in `known` that `given` most likely meant, or "" if none is close.
/// Close: Damerau-Levenshtein distance of at most max(1, length / 3), case folded; the first of equals wins.
BITLAW_EXPORT std::string ClosestName(std::string_view given, const std::vector<std::string>& known);

/// " Did you mean 'bits'?" or "", ready to append to a sentence.
BITLAW_EXPORT std::string DidYouMean(std::string_view given, const std::vector<std::string>& known);

/// "a, b, c" for error texts; an empty list reads "(none)".
BITLAW_EXPORT std::string JoinNames(const std::vector<std::string>& names);

}  // namespace bitlaw
