#include "cli/usage/value_checks.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// The whole of `text` as a number; false if it is none, or none that T can hold.
template <typename T>
bool Parse(const std::string& text, T& number) {
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(begin, end, number);
  return error == std::errc() && rest == end;
}

CLI::Validator Check(std::string description, std::string must, std::function<bool(const std::string&)> is_right) {
  return {[must = std::move(must), is_right = std::move(is_right)](const std::string& given) {
            return is_right(given) ? std::string() : fmt::format("'{}' is not {}.", given, must);
          },
          std::move(description)};
}

}  // namespace

CLI::Validator WholeNumber(int64_t min, int64_t max) {
  const bool has_max = max != std::numeric_limits<int64_t>::max();
  const std::string range = has_max ? fmt::format("{} to {}", min, max) : fmt::format("{} or more", min);
  return Check(range, "a whole number" + (has_max ? " from " + range : ", " + range), [=](const std::string& given) {
    int64_t number = 0;
    return Parse(given, number) && number >= min && number <= max;
  });
}

CLI::Validator Number(double min, double max) {
  const std::string range = fmt::format("{} to {}", min, max);
  return Check(range, "a number from " + range, [=](const std::string& given) {
    double number = 0;
    return Parse(given, number) && number >= min && number <= max;
  });
}

CLI::Validator NumberAbove(double bound) {
  return Check(fmt::format("above {}", bound), fmt::format("a number above {}", bound), [=](const std::string& given) {
    double number = 0;
    return Parse(given, number) && std::isfinite(number) && number > bound;
  });
}

CLI::Validator OneOf(std::vector<std::string> names) {
  std::string description;
  for (const std::string& name : names) description += (description.empty() ? "{" : ",") + name;
  return {[names](const std::string& given) {
            for (const std::string& name : names) {
              if (given == name) return std::string();
            }
            return fmt::format("'{}' is none of its values.{} Values: {}.", given, DidYouMean(given, names),
                               JoinNames(names));
          },
          description + "}"};
}

}  // namespace bitlaw
