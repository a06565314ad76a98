#pragma once

#include <string>
#include <vector>

namespace bitlaw {

/// What an exit code of the program says.
struct ExitMeaning {
  int code;
  std::string meaning;
};
/// All of them, by code: the one table that --help, the manual page and docs/reference/command-line.md show.
const std::vector<ExitMeaning>& ExitMeanings();

/// "Exit codes:" and a line each.
std::string ExitCodesText();

}  // namespace bitlaw
