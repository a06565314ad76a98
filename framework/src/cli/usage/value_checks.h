#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace bitlaw {

/// Checks of the value of an option, for CLI::Option::check(). A refusal tells the value, what it must be and, of names,
/// the closest one. Their descriptions are what --help shows behind the type.

/// A whole number from `min` to `max`, digits alone (with a sign).
CLI::Validator WholeNumber(int64_t min, int64_t max = std::numeric_limits<int64_t>::max());

/// A number from `min` to `max`, both finite; without the bounds themselves: NumberAbove().
CLI::Validator Number(double min, double max);

/// A finite number above `bound`.
CLI::Validator NumberAbove(double bound);

/// One of `names`, as they are written.
CLI::Validator OneOf(std::vector<std::string> names);

}  // namespace bitlaw
