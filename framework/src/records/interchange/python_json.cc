#include "records/interchange/python_json.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace bitlaw {

namespace {

std::string RealOf(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  // The shortest digits, as repr() finds them; a whole number keeps its point.
  std::string text = fmt::format("{}", value);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

class Printer {
 public:
  explicit Printer(const PythonJsonStyle& style) : style_(style) {}

  void Write(const Value& value, int depth) {
    switch (value.type()) {
      case Value::Type::kNull: out_ += "null"; break;
      case Value::Type::kBool: out_ += value.AsBool() ? "true" : "false"; break;
      case Value::Type::kInt: out_ += std::to_string(value.AsInt()); break;
      case Value::Type::kReal: out_ += RealOf(value.AsReal()); break;
      case Value::Type::kString: WriteText(value.AsString()); break;
      case Value::Type::kList:
        WriteParts('[', ']', value.AsList(), depth, [&](const Value& part) { Write(part, depth + 1); });
        break;
      case Value::Type::kMap:
        WriteParts('{', '}', value.AsMap(), depth, [&](const auto& part) {
          WriteText(part.first);
          out_ += ": ";
          Write(part.second, depth + 1);
        });
        break;
    }
  }

  std::string out_;

 private:
  template <class Parts, class WritePart>
  void WriteParts(char open, char close, const Parts& parts, int depth, const WritePart& write) {
    out_ += open;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) out_ += style_.indent > 0 ? "," : ", ";
      BreakLine(depth + 1);
      write(parts[i]);
    }
    if (!parts.empty()) BreakLine(depth);
    out_ += close;
  }

  void BreakLine(int depth) {
    if (style_.indent > 0)
      out_ += "\n" + std::string(static_cast<size_t>(depth) * static_cast<size_t>(style_.indent), ' ');
  }

  // Both escape the same characters in the same way.
  void WriteText(const std::string& text) {
    out_ += nlohmann::json(text).dump(-1, ' ', style_.ensure_ascii, nlohmann::json::error_handler_t::replace);
  }

  const PythonJsonStyle& style_;
};

}  // namespace

std::string PythonJson(const Value& value, const PythonJsonStyle& style) {
  Printer printer(style);
  printer.Write(value, 0);
  return printer.out_;
}

}  // namespace bitlaw
