#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/sdk/expression/expression.h"

namespace bitlaw {

/// The nodes of a parsed expression; children come before parents.
struct Expression::Tree {
  enum class Kind : uint8_t {
    kNumber,
    kTruth,
    kText,
    kName,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kPower,
    kNegate,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kEqual,
    kNotEqual,
    kAnd,
    kOr,
    kNot,
    kCall,
  };
  struct Node {
    Kind kind = Kind::kNumber;
    double number = 0;  // kNumber, kTruth
    std::string text;   // kText: the string; kName and kCall: the name
    std::vector<uint32_t> args;
    uint32_t offset = 0;  // Of the character in the text that stands for the node.
  };
  std::string text;
  SourceMark mark;
  std::vector<Node> nodes;
  uint32_t root = 0;

  SourceMark MarkAt(uint32_t offset) const;
  /// "file:1:5: <subject> at character 5 of '<text>'"; the text is cut when long.
  std::string At(uint32_t offset, const std::string& subject) const;
};

/// A function of the language with the number of arguments it takes.
struct ExpressionFunction {
  const char* name;
  int min_args, max_args;  // max_args < 0: any number.
};
const std::vector<ExpressionFunction>& ExpressionFunctions();

}  // namespace bitlaw
