#pragma once

#include <concepts>
#include <string>
#include <string_view>

namespace bitlaw {

/// "1 trial", "2 trials", "0 trials": a count of what has a name. `many` where an s does not make the plural:
/// Counted(2, "row is", "rows are").
template <std::integral Count>
std::string Counted(Count count, std::string_view one, std::string_view many = {}) {
  const bool takes_s = count != 1 && many.empty();
  return std::to_string(count) + " " + std::string(count == 1 || takes_s ? one : many) + (takes_s ? "s" : "");
}

}  // namespace bitlaw
