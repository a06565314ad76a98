#include "base/variables.h"

#include <cstdlib>

namespace bitlaw {

std::string ExpandVariables(const std::string& text, std::string* unset) {
  std::string expanded;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find("${", at);
    const size_t close = open == std::string::npos ? open : text.find('}', open);
    if (close == std::string::npos) break;
    const std::string variable = text.substr(open + 2, close - open - 2);
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0') {
      *unset = variable.empty() ? "${}" : variable;
      return "";
    }
    expanded += text.substr(at, open - at) + value;
    at = close + 1;
  }
  return expanded + text.substr(at);
}

}  // namespace bitlaw
