#include "sdk/expression/expression_tree.h"

#include <algorithm>

namespace bitlaw {

const std::vector<ExpressionFunction>& ExpressionFunctions() {
  static const std::vector<ExpressionFunction> functions = {
      {"log", 1, 1},     {"log2", 1, 1},  {"log10", 1, 1}, {"exp", 1, 1},    {"sqrt", 1, 1}, {"abs", 1, 1},
      {"min", 2, -1},    {"max", 2, -1},  {"tanh", 1, 1},  {"sin", 1, 1},    {"cos", 1, 1},  {"atan", 1, 1},
      {"sigmoid", 1, 1}, {"logit", 1, 1}, {"normal_cdf", 1, 1}, {"probit", 1, 1}, {"pow", 2, 2},
      {"missing", 1, 1}, {"if", 3, 3}};
  return functions;
}

SourceMark Expression::Tree::MarkAt(uint32_t offset) const {
  SourceMark place = mark;
  if (text.find('\n') == std::string::npos) place.column += static_cast<int>(offset);
  return place;
}

std::string Expression::Tree::At(uint32_t offset, const std::string& subject) const {
  // A long text is cut around the place, so that the sentence stays one line that can be read.
  constexpr size_t kShown = 100;
  std::string shown = text;
  if (shown.size() > kShown) {
    const size_t begin = offset < kShown / 2 ? 0 : offset - kShown / 2;
    shown = (begin > 0 ? "..." : "") + text.substr(begin, kShown) + (begin + kShown < text.size() ? "..." : "");
  }
  std::replace(shown.begin(), shown.end(), '\n', ' ');
  const std::string place = MarkAt(offset).Text();
  return (place.empty() ? "" : place + ": ") + subject + " at character " + std::to_string(offset + 1) + " of '" +
         shown + "'";
}

}  // namespace bitlaw
