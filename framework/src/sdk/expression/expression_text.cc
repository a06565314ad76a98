// A parsed expression as text: printed, its names found, replaced and quoted.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "bitlaw/base/error.h"
#include "sdk/expression/expression_names.h"
#include "sdk/expression/expression_tree.h"

namespace bitlaw {

namespace {

using Tree = Expression::Tree;
using Kind = Tree::Kind;

// Precedence for printing; larger binds tighter.
int Precedence(Kind kind) {
  switch (kind) {
    case Kind::kOr: return 1;
    case Kind::kAnd: return 2;
    case Kind::kNot: return 3;
    case Kind::kLess:
    case Kind::kLessEqual:
    case Kind::kGreater:
    case Kind::kGreaterEqual:
    case Kind::kEqual:
    case Kind::kNotEqual: return 4;
    case Kind::kAdd:
    case Kind::kSubtract: return 5;
    case Kind::kMultiply:
    case Kind::kDivide: return 6;
    case Kind::kNegate: return 7;
    case Kind::kPower: return 8;
    default: return 9;
  }
}

std::string_view Symbol(Kind kind) {
  switch (kind) {
    case Kind::kOr: return " or ";
    case Kind::kAnd: return " and ";
    case Kind::kLess: return " < ";
    case Kind::kLessEqual: return " <= ";
    case Kind::kGreater: return " > ";
    case Kind::kGreaterEqual: return " >= ";
    case Kind::kEqual: return " == ";
    case Kind::kNotEqual: return " != ";
    case Kind::kAdd: return " + ";
    case Kind::kSubtract: return " - ";
    case Kind::kMultiply: return " * ";
    case Kind::kDivide: return " / ";
    case Kind::kPower: return "^";
    default: throw InternalError("not a binary operator");
  }
}

std::string Print(const Tree& tree, uint32_t index) {
  const Tree::Node& node = tree.nodes[index];
  const int own = Precedence(node.kind);
  const auto operand = [&](uint32_t child, bool wrap_equal) {
    const Tree::Node& below = tree.nodes[child];
    // A negative number prints with a sign and binds like one.
    const bool negative = below.kind == Kind::kNumber && std::signbit(below.number);
    const int inner = negative ? Precedence(Kind::kNegate) : Precedence(below.kind);
    const std::string text = Print(tree, child);
    return inner < own || (wrap_equal && inner == own) ? "(" + text + ")" : text;
  };
  switch (node.kind) {
    case Kind::kNumber: {
      char buffer[32];
      const auto result = std::to_chars(buffer, buffer + sizeof buffer, node.number);
      return std::string(buffer, result.ptr);
    }
    case Kind::kTruth: return node.number != 0 ? "true" : "false";
    case Kind::kText: {
      std::string quoted = "'";
      for (const char c : node.text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
      return quoted + "'";
    }
    case Kind::kName: return QuotedName(node.text);
    case Kind::kCall: {
      std::string text = node.text + "(";
      for (size_t i = 0; i < node.args.size(); ++i) text += (i > 0 ? ", " : "") + Print(tree, node.args[i]);
      return text + ")";
    }
    case Kind::kNegate: return "-" + operand(node.args[0], false);
    case Kind::kNot: return "not " + operand(node.args[0], false);
    case Kind::kPower: {
      // The exponent is read as a unary expression, so a sign needs no parentheses there; the base does.
      const Tree::Node& exponent = tree.nodes[node.args[1]];
      const bool bare = exponent.kind == Kind::kNegate || exponent.kind == Kind::kNumber;
      return operand(node.args[0], true) + "^" + (bare ? Print(tree, node.args[1]) : operand(node.args[1], false));
    }
    default: {
      const bool comparison = own == 4;
      return operand(node.args[0], comparison) + std::string(Symbol(node.kind)) + operand(node.args[1], true);
    }
  }
}

uint32_t FirstUse(const Tree& tree, std::string_view name) {
  uint32_t offset = UINT32_MAX;
  for (const Tree::Node& node : tree.nodes) {
    if (node.kind == Kind::kName && node.text == name) offset = std::min(offset, node.offset);
  }
  return offset == UINT32_MAX ? 0 : offset;
}

}  // namespace

const std::string& Expression::text() const { return tree_->text; }

std::vector<std::string> Expression::names() const {
  std::vector<std::pair<uint32_t, std::string>> found;
  for (const Tree::Node& node : tree_->nodes) {
    if (node.kind == Kind::kName) found.emplace_back(node.offset, node.text);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> names;
  for (auto& [offset, name] : found) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  return names;
}

SourceMark Expression::MarkOf(std::string_view name) const { return tree_->MarkAt(FirstUse(*tree_, name)); }

std::string Expression::Where(std::string_view name) const {
  return tree_->At(FirstUse(*tree_, name), "'" + std::string(name) + "'");
}

Expression Expression::Rename(std::span<const std::pair<std::string, std::string>> names) const {
  auto tree = std::make_shared<Tree>(*tree_);
  for (Tree::Node& node : tree->nodes) {
    if (node.kind != Kind::kName) continue;
    for (const auto& [from, to] : names) {
      if (node.text == from) {
        node.text = to;
        break;
      }
    }
  }
  return Expression(std::move(tree));
}

Expression Expression::LiftTextTests(std::vector<std::string>& tests) const {
  auto tree = std::make_shared<Tree>(*tree_);
  for (Tree::Node& node : tree->nodes) {
    if (node.kind != Kind::kEqual && node.kind != Kind::kNotEqual) continue;
    const auto is_text = [&](uint32_t arg) { return tree->nodes[arg].kind == Kind::kText; };
    if (std::none_of(node.args.begin(), node.args.end(), is_text)) continue;
    const std::string test = Print(*tree, static_cast<uint32_t>(&node - tree->nodes.data()));
    if (std::find(tests.begin(), tests.end(), test) == tests.end()) tests.push_back(test);
    for (const uint32_t arg : node.args) tree->nodes[arg] = {};  // Their names are not the expression's any more.
    node.kind = Kind::kName;
    node.text = test;
    node.args.clear();
  }
  return Expression(std::move(tree));
}

std::string QuotedName(std::string_view name) {
  bool plain = !name.empty() && StartsName(name[0]) && !IsWord(name);
  for (size_t i = 0; i < name.size() && plain; ++i) {
    plain = ContinuesName(name[i]) || (name[i] == '.' && i + 1 < name.size() && StartsName(name[i + 1]));
  }
  if (plain) return std::string(name);
  std::string quoted = "`";
  for (const char c : name) quoted += c == '`' ? std::string("``") : std::string(1, c);
  return quoted + "`";
}

std::string UnquotedName(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  if (text.size() < 3 || text.front() != '`' || text.back() != '`') return std::string(text);
  std::string name;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    if (text[i] == '`' && (i + 2 >= text.size() || text[++i] != '`')) return std::string(text);  // Not one name.
    name += text[i];
  }
  return name;
}

std::string Expression::Text() const { return Print(*tree_, tree_->root); }

}  // namespace bitlaw
