#include "bitlaw/sdk/expression/expression.h"

#include <algorithm>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <limits>
#include <numbers>

#include "bitlaw/base/error.h"
#include "sdk/expression/expression_tree.h"

namespace bitlaw {

namespace {

using Tree = Expression::Tree;
using Kind = Tree::Kind;

std::string_view TypeName(ExpressionType type) {
  switch (type) {
    case ExpressionType::kNumber: return "a number";
    case ExpressionType::kBool: return "a condition";
    case ExpressionType::kText: return "a text";
  }
  throw InternalError("ExpressionType out of range");
}

// The quantile of the standard normal distribution; infinite at 0 and 1, NaN outside of [0, 1].
template <typename Real>
Real NormalQuantile(Real p) {
  constexpr Real kInfinity = std::numeric_limits<Real>::infinity();
  if (!(p >= 0 && p <= 1)) return std::numeric_limits<Real>::quiet_NaN();
  if (p == 0 || p == 1) return p == 0 ? -kInfinity : kInfinity;
  return -std::numbers::sqrt2_v<Real> * boost::math::erfc_inv(2 * p);
}

double NormalDensity(double x) { return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi); }

}  // namespace

/// Turns a tree into operations: types are checked, names become slots, constants are folded and equal operations
/// are computed once.
class ExpressionCompiler {
 public:
  using Code = CompiledExpression::Code;
  using Operation = CompiledExpression::Operation;

  ExpressionCompiler(const Tree& tree, std::span<const ExpressionVariable> scope, std::string_view what)
      : tree_(tree), scope_(scope), what_(what) {
    if (scope.size() >= UINT16_MAX / 2) throw InternalError("an expression's scope has 32767 variables or more");
  }

  CompiledExpression Run(ExpressionType wanted) {
    // Children stand before parents, so one walk in order does it; `of_[i]` is what node i became.
    of_.resize(tree_.nodes.size());
    for (size_t i = 0; i < tree_.nodes.size(); ++i) of_[i] = Lower(tree_.nodes[i]);
    const Lowered& root = of_[tree_.root];
    if (!CountsAs(root.type, wanted)) {
      const std::string place = tree_.mark.Text();
      throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "'" + tree_.text + "' is " +
                                        std::string(TypeName(root.type)) + ", but " + std::string(TypeName(wanted)) +
                                        " is needed here.");
    }
    KeepOnlyWhatTheRootNeeds(root.value);
    out_.type_ = wanted;
    return std::move(out_);
  }

 private:
  struct Lowered {
    ExpressionType type = ExpressionType::kNumber;
    uint16_t value = 0;  // Operation index, or a text operand.
  };

  [[noreturn]] void Fail(const Tree::Node& node, const std::string& what) const {
    throw Error(ErrorKind::kSpec, tree_.At(node.offset, "'" + Label(node) + "'") + " " + what);
  }
  std::string Label(const Tree::Node& node) const {
    switch (node.kind) {
      case Kind::kName:
      case Kind::kCall: return node.text;
      case Kind::kText: return node.text;
      case Kind::kTruth: return node.number != 0 ? "true" : "false";
      default: {
        size_t end = node.offset + 1;
        while (end < tree_.text.size() && std::string_view("=<>!").find(tree_.text[end]) != std::string_view::npos)
          ++end;
        if (node.kind == Kind::kAnd) return "and";
        if (node.kind == Kind::kOr) return "or";
        if (node.kind == Kind::kNot) return "not";
        if (node.kind == Kind::kNumber) {
          while (end < tree_.text.size() &&
                 (std::isalnum(static_cast<unsigned char>(tree_.text[end])) || tree_.text[end] == '.'))
            ++end;
        }
        return tree_.text.substr(node.offset, end - node.offset);
      }
    }
  }

  // A condition is 1 or 0 where a number is needed.
  static bool CountsAs(ExpressionType type, ExpressionType wanted) {
    return type == wanted || (type == ExpressionType::kBool && wanted == ExpressionType::kNumber);
  }

  uint16_t Arg(const Tree::Node& node, size_t i, ExpressionType type) {
    const Lowered& arg = of_[node.args[i]];
    if (!CountsAs(arg.type, type)) {
      Fail(node, "needs " + std::string(TypeName(type)) + ", but '" + Label(tree_.nodes[node.args[i]]) + "' is " +
                     std::string(TypeName(arg.type)) + ".");
    }
    return arg.value;
  }

  uint16_t Emit(Operation operation) {
    const auto found = std::find(out_.operations_.begin(), out_.operations_.end(), operation);
    if (found != out_.operations_.end()) return static_cast<uint16_t>(found - out_.operations_.begin());
    if (out_.operations_.size() == CompiledExpression::kMaxOperations) {
      const std::string place = tree_.mark.Text();
      throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "the expression has more than " +
                                        std::to_string(CompiledExpression::kMaxOperations) +
                                        " operations. Simplify it.");
    }
    out_.operations_.push_back(operation);
    return static_cast<uint16_t>(out_.operations_.size() - 1);
  }

  uint16_t Constant(double value) {
    Operation operation{Code::kConstant};
    operation.constant = value;
    return Emit(operation);
  }

  // Emits code(a[, b]); folds it when the operands are constants.
  uint16_t Emit(Code code, uint16_t a, int b = -1) {
    Operation operation{code};
    operation.a = a;
    operation.b = b < 0 ? a : static_cast<uint16_t>(b);
    const Operation& left = out_.operations_[a];
    const Operation& right = out_.operations_[operation.b];
    operation.depends_from = std::min(left.depends_from, right.depends_from);
    if (left.code == Code::kConstant && right.code == Code::kConstant) {
      CompiledExpression fold;
      fold.operations_ = {left, right, operation};
      fold.operations_[2].a = 0;
      fold.operations_[2].b = 1;
      double value[3];
      fold.Run({}, {}, {}, value);
      if (!std::isnan(value[2])) return Constant(value[2]);
    }
    return Emit(operation);
  }

  Lowered Compare(const Tree::Node& node) {
    const ExpressionType left = of_[node.args[0]].type, right = of_[node.args[1]].type;
    const bool equality = node.kind == Kind::kEqual || node.kind == Kind::kNotEqual;
    const bool of_texts = left == ExpressionType::kText || right == ExpressionType::kText;
    if (equality && (of_texts || left == right)) {
      const ExpressionType type = of_texts ? ExpressionType::kText : left;
      const uint16_t a = Arg(node, 0, type), b = Arg(node, 1, type);
      if (of_texts) {
        Operation operation{node.kind == Kind::kEqual ? Code::kTextEqual : Code::kTextNotEqual};
        operation.text_a = a;
        operation.text_b = b;
        return {ExpressionType::kBool, Emit(operation)};
      }
      return {ExpressionType::kBool, Emit(node.kind == Kind::kEqual ? Code::kEqual : Code::kNotEqual, a, b)};
    }
    const uint16_t a = Arg(node, 0, ExpressionType::kNumber), b = Arg(node, 1, ExpressionType::kNumber);
    uint16_t value = 0;
    switch (node.kind) {
      case Kind::kLess: value = Emit(Code::kLess, a, b); break;
      case Kind::kLessEqual: value = Emit(Code::kLessEqual, a, b); break;
      case Kind::kGreater: value = Emit(Code::kLess, b, a); break;
      case Kind::kGreaterEqual: value = Emit(Code::kLessEqual, b, a); break;
      case Kind::kEqual: value = Emit(Code::kEqual, a, b); break;
      default: value = Emit(Code::kNotEqual, a, b); break;
    }
    return {ExpressionType::kBool, value};
  }

  Lowered Name(const Tree::Node& node) {
    const auto found =
        std::find_if(scope_.begin(), scope_.end(), [&](const auto& variable) { return variable.name == node.text; });
    if (found == scope_.end()) {
      std::vector<std::string> known;
      for (const auto& variable : scope_) known.push_back(variable.name);
      Fail(node, "is not a known " + std::string(what_) + "." + DidYouMean(node.text, known) +
                     " Known: " + JoinNames(known) + ".");
    }
    const auto index = static_cast<uint16_t>(found - scope_.begin());
    if (found->type == ExpressionType::kText) return {ExpressionType::kText, static_cast<uint16_t>(2 * index)};
    Operation operation{Code::kVariable};
    operation.variable = index;
    operation.depends_from = index;
    uint16_t value = Emit(operation);
    if (found->type == ExpressionType::kBool) value = Emit(Code::kNotEqual, value, Constant(0));
    return {found->type, value};
  }

  Lowered Call(const Tree::Node& node) {
    const auto number = [&](size_t i) { return Arg(node, i, ExpressionType::kNumber); };
    if (node.text == "missing") {
      const Lowered& arg = of_[node.args[0]];
      if (arg.type == ExpressionType::kText) {
        Operation operation{Code::kTextMissing};
        operation.text_a = arg.value;
        return {ExpressionType::kBool, Emit(operation)};
      }
      return {ExpressionType::kBool, Emit(Code::kMissing, number(0))};
    }
    if (node.text == "if") {
      const Lowered &yes = of_[node.args[1]], &no = of_[node.args[2]];
      const bool of_conditions = yes.type == ExpressionType::kBool && no.type == ExpressionType::kBool;
      Operation operation{Code::kIf};
      operation.condition = Arg(node, 0, ExpressionType::kBool);
      operation.a = number(1);
      operation.b = number(2);
      operation.depends_from = UINT16_MAX;
      for (const uint16_t part : {operation.condition, operation.a, operation.b})
        operation.depends_from = std::min(operation.depends_from, out_.operations_[part].depends_from);
      return {of_conditions ? ExpressionType::kBool : ExpressionType::kNumber, Emit(operation)};
    }
    if (node.text == "pow") return {ExpressionType::kNumber, Emit(Code::kPower, number(0), number(1))};
    if (node.text == "min" || node.text == "max") {
      const Code code = node.text == "min" ? Code::kMin : Code::kMax;
      uint16_t value = number(0);
      for (size_t i = 1; i < node.args.size(); ++i) value = Emit(code, value, number(i));
      return {ExpressionType::kNumber, value};
    }
    static const std::pair<std::string_view, Code> kUnary[] = {
        {"log", Code::kLog},   {"log2", Code::kLog2}, {"log10", Code::kLog10},     {"exp", Code::kExp},
        {"sqrt", Code::kSqrt}, {"abs", Code::kAbs},   {"tanh", Code::kTanh},       {"sin", Code::kSin},
        {"cos", Code::kCos},   {"atan", Code::kAtan}, {"sigmoid", Code::kSigmoid}, {"logit", Code::kLogit},
        {"normal_cdf", Code::kNormalCdf},           {"probit", Code::kProbit}};
    for (const auto& [name, code] : kUnary) {
      if (node.text == name) return {ExpressionType::kNumber, Emit(code, number(0))};
    }
    throw InternalError("the parser let the unknown function '" + node.text + "' through");
  }

  Lowered Lower(const Tree::Node& node) {
    const auto binary = [&](Code code, ExpressionType type) {
      return Lowered{type, Emit(code, Arg(node, 0, type), Arg(node, 1, type))};
    };
    switch (node.kind) {
      case Kind::kNumber: return {ExpressionType::kNumber, Constant(node.number)};
      case Kind::kTruth: return {ExpressionType::kBool, Constant(node.number)};
      case Kind::kText:
        out_.literals_.push_back(node.text);
        return {ExpressionType::kText, static_cast<uint16_t>(2 * (out_.literals_.size() - 1) + 1)};
      case Kind::kName: return Name(node);
      case Kind::kAdd: return binary(Code::kAdd, ExpressionType::kNumber);
      case Kind::kSubtract: return binary(Code::kSubtract, ExpressionType::kNumber);
      case Kind::kMultiply: return binary(Code::kMultiply, ExpressionType::kNumber);
      case Kind::kDivide: return binary(Code::kDivide, ExpressionType::kNumber);
      case Kind::kPower: return binary(Code::kPower, ExpressionType::kNumber);
      case Kind::kNegate: return {ExpressionType::kNumber, Emit(Code::kNegate, Arg(node, 0, ExpressionType::kNumber))};
      case Kind::kAnd: return binary(Code::kAnd, ExpressionType::kBool);
      case Kind::kOr: return binary(Code::kOr, ExpressionType::kBool);
      case Kind::kNot: return {ExpressionType::kBool, Emit(Code::kNot, Arg(node, 0, ExpressionType::kBool))};
      case Kind::kCall: return Call(node);
      default: return Compare(node);
    }
  }

  void KeepOnlyWhatTheRootNeeds(uint16_t root) {
    std::vector<Operation>& operations = out_.operations_;
    std::vector<bool> needed(operations.size(), false);
    needed[root] = true;
    for (size_t i = root + 1; i-- > 0;) {
      if (!needed[i] || IsLeaf(operations[i].code)) continue;
      needed[operations[i].a] = true;
      needed[operations[i].b] = true;
      if (operations[i].code == Code::kIf) needed[operations[i].condition] = true;
    }
    std::vector<uint16_t> moved(operations.size(), 0);
    size_t kept = 0;
    for (size_t i = 0; i <= root; ++i) {
      if (!needed[i]) continue;
      Operation operation = operations[i];
      if (!IsLeaf(operation.code)) {
        operation.a = moved[operation.a];
        operation.b = moved[operation.b];
        operation.condition = moved[operation.condition];
      }
      moved[i] = static_cast<uint16_t>(kept);
      operations[kept++] = operation;
    }
    operations.resize(kept);
  }

  static bool IsLeaf(Code code) {
    return code == Code::kConstant || code == Code::kVariable || code == Code::kTextEqual ||
           code == Code::kTextNotEqual || code == Code::kTextMissing;
  }

  const Tree& tree_;
  std::span<const ExpressionVariable> scope_;
  std::string_view what_;
  std::vector<Lowered> of_;
  CompiledExpression out_;
};

std::string_view CompiledExpression::TextOperand(uint16_t operand, std::span<const std::string_view> texts) const {
  const size_t index = operand / 2;
  if (operand % 2 == 1) return literals_[index];
  return index < texts.size() ? texts[index] : std::string_view();
}

template <typename Real>
void CompiledExpression::Run(std::span<const double> first, std::span<const double> rest,
                             std::span<const std::string_view> texts, Real* value) const {
  value[0] = 0;  // Read as the unused operands of a leaf that comes first.
  for (size_t i = 0; i < operations_.size(); ++i) {
    const Operation& op = operations_[i];
    const Real a = value[op.a], b = value[op.b];
    Real result = 0;
    switch (op.code) {
      case Code::kConstant: result = op.constant; break;
      case Code::kVariable:
        result = op.variable < first.size() ? first[op.variable] : rest[op.variable - first.size()];
        break;
      case Code::kAdd: result = a + b; break;
      case Code::kSubtract: result = a - b; break;
      case Code::kMultiply: result = a * b; break;
      case Code::kDivide: result = a / b; break;
      case Code::kPower: result = std::pow(a, b); break;
      case Code::kNegate: result = -a; break;
      case Code::kLog: result = std::log(a); break;
      case Code::kLog2: result = std::log2(a); break;
      case Code::kLog10: result = std::log10(a); break;
      case Code::kExp: result = std::exp(a); break;
      case Code::kSqrt: result = std::sqrt(a); break;
      case Code::kAbs: result = std::fabs(a); break;
      case Code::kMin:
        result = std::isnan(a) || std::isnan(b) ? std::numeric_limits<Real>::quiet_NaN() : std::min(a, b);
        break;
      case Code::kMax:
        result = std::isnan(a) || std::isnan(b) ? std::numeric_limits<Real>::quiet_NaN() : std::max(a, b);
        break;
      case Code::kTanh: result = std::tanh(a); break;
      case Code::kSin: result = std::sin(a); break;
      case Code::kCos: result = std::cos(a); break;
      case Code::kAtan: result = std::atan(a); break;
      case Code::kSigmoid: {
        // The exponential of a negative number only: no overflow on either side.
        const Real e = std::exp(-std::fabs(a));
        result = a >= 0 ? 1 / (1 + e) : e / (1 + e);
        break;
      }
      case Code::kLogit: result = std::log(a) - std::log1p(-a); break;
      case Code::kNormalCdf: result = std::erfc(-a / std::numbers::sqrt2_v<Real>) / 2; break;
      case Code::kProbit: result = NormalQuantile(a); break;
      case Code::kLess: result = a < b; break;
      case Code::kLessEqual: result = a <= b; break;
      case Code::kEqual: result = a == b; break;
      case Code::kNotEqual: result = a < b || a > b; break;  // False when one of them is NaN.
      case Code::kAnd: result = a != 0 && b != 0; break;
      case Code::kOr: result = a != 0 || b != 0; break;
      case Code::kNot: result = a == 0; break;
      case Code::kMissing: result = std::isnan(a); break;
      case Code::kTextEqual:
      case Code::kTextNotEqual: {
        const std::string_view left = TextOperand(op.text_a, texts), right = TextOperand(op.text_b, texts);
        result = !left.empty() && !right.empty() && (left == right) == (op.code == Code::kTextEqual);
        break;
      }
      case Code::kTextMissing: result = TextOperand(op.text_a, texts).empty(); break;
      case Code::kIf: result = value[op.condition] != 0 ? a : b; break;
    }
    value[i] = result;
  }
}

long double CompiledExpression::NumberExtended(std::span<const double> values) const {
  long double value[kMaxOperations];
  Run(values, {}, {}, value);
  return value[operations_.size() - 1];
}

double CompiledExpression::Number(std::span<const double> first, std::span<const double> rest,
                                  std::span<double> gradient) const {
  double value[kMaxOperations];
  Run(first, rest, {}, value);
  const size_t count = operations_.size();
  if (gradient.empty()) return value[count - 1];

  std::fill(gradient.begin(), gradient.end(), 0.0);
  double adjoint[kMaxOperations];
  std::fill(adjoint, adjoint + count, 0.0);
  adjoint[count - 1] = 1;
  const size_t wanted = first.size();
  for (size_t i = count; i-- > 0;) {
    const Operation& op = operations_[i];
    const double up = adjoint[i];
    if (op.depends_from >= wanted || up == 0) continue;
    if (op.code == Code::kVariable) {
      gradient[op.variable] += up;
      continue;
    }
    const double a = value[op.a], b = value[op.b], f = value[i];
    const bool wants_a = operations_[op.a].depends_from < wanted;
    const bool wants_b = operations_[op.b].depends_from < wanted;
    switch (op.code) {
      case Code::kAdd:
        adjoint[op.a] += up;
        adjoint[op.b] += up;
        break;
      case Code::kSubtract:
        adjoint[op.a] += up;
        adjoint[op.b] -= up;
        break;
      case Code::kMultiply:
        adjoint[op.a] += up * b;
        adjoint[op.b] += up * a;
        break;
      case Code::kDivide:
        adjoint[op.a] += up / b;
        if (wants_b) adjoint[op.b] -= up * f / b;
        break;
      case Code::kPower:
        // d(a^b) = b a^(b-1) da + a^b ln(a) db; the limits at a = 0 are those from the right.
        if (wants_a && b != 0) adjoint[op.a] += up * b * (a != 0 ? f / a : std::pow(a, b - 1));
        if (wants_b) adjoint[op.b] += a == 0 && b > 0 ? 0.0 : up * f * std::log(a);
        break;
      case Code::kNegate: adjoint[op.a] -= up; break;
      case Code::kLog: adjoint[op.a] += up / a; break;
      case Code::kLog2: adjoint[op.a] += up / (a * 0.69314718055994530942); break;
      case Code::kLog10: adjoint[op.a] += up / (a * 2.30258509299404568402); break;
      case Code::kExp: adjoint[op.a] += up * f; break;
      case Code::kSqrt: adjoint[op.a] += up * 0.5 / f; break;
      case Code::kAbs: adjoint[op.a] += a > 0 ? up : (a < 0 ? -up : 0.0); break;
      case Code::kMin: adjoint[b < a ? op.b : op.a] += up; break;
      case Code::kMax: adjoint[a < b ? op.b : op.a] += up; break;
      case Code::kTanh: adjoint[op.a] += up * (1 - f * f); break;
      case Code::kSin: adjoint[op.a] += up * std::cos(a); break;
      case Code::kCos: adjoint[op.a] -= up * std::sin(a); break;
      case Code::kAtan: adjoint[op.a] += up / (1 + a * a); break;
      case Code::kSigmoid: adjoint[op.a] += up * f * (1 - f); break;
      case Code::kLogit: adjoint[op.a] += up / (a * (1 - a)); break;
      case Code::kNormalCdf: adjoint[op.a] += up * NormalDensity(a); break;
      case Code::kProbit: adjoint[op.a] += up / NormalDensity(f); break;
      case Code::kIf: adjoint[value[op.condition] != 0 ? op.a : op.b] += up; break;
      default: break;
    }
  }
  return value[count - 1];
}

double CompiledExpression::NumberWithTexts(std::span<const double> numbers,
                                           std::span<const std::string_view> texts) const {
  double value[kMaxOperations];
  Run(numbers, {}, texts, value);
  return value[operations_.size() - 1];
}

bool CompiledExpression::Truth(std::span<const double> numbers, std::span<const std::string_view> texts) const {
  double value[kMaxOperations];
  Run(numbers, {}, texts, value);
  return value[operations_.size() - 1] != 0;
}

CompiledExpression Expression::Compile(std::span<const ExpressionVariable> scope, ExpressionType wanted,
                                       std::string_view what) const {
  return ExpressionCompiler(*tree_, scope, what).Run(wanted);
}

CompiledExpression Expression::Compile(std::span<const std::string> scope, std::string_view what) const {
  std::vector<ExpressionVariable> variables;
  for (const std::string& name : scope) variables.push_back({name, ExpressionType::kNumber});
  return Compile(variables, ExpressionType::kNumber, what);
}

}  // namespace bitlaw
