#include <algorithm>
#include <cmath>
#include <map>

#include "bitlaw/base/error.h"
#include "sdk/expression/expression_tree.h"

namespace bitlaw {

namespace {

using Tree = Expression::Tree;
using Kind = Tree::Kind;

// Finds linear forms by rules, and builds the features as new expressions in its own arena.
class FormFinder {
 public:
  FormFinder(const Expression& formula, std::span<const std::string> parameters)
      : source_(formula.tree()), parameters_(parameters), arena_(formula.tree()) {
    // Which nodes of the source hold a parameter; children come before parents.
    holds_.resize(source_.nodes.size(), false);
    for (size_t i = 0; i < source_.nodes.size(); ++i) {
      const Tree::Node& node = source_.nodes[i];
      holds_[i] = node.kind == Kind::kName && ParameterIndex(node.text) >= 0;
      for (const uint32_t arg : node.args) holds_[i] = holds_[i] || holds_[arg];
    }
  }

  std::optional<ExpressionLinearForm> Run() {
    for (const bool of_log : {false, true}) {
      Sum sum;
      if (of_log ? !LogLinear(source_.root, Number(1), sum) : !Linear(source_.root, Number(1), sum)) continue;
      if (sum.terms.size() != parameters_.size()) continue;
      ExpressionLinearForm form;
      form.of_log = of_log;
      for (const auto& [parameter, term] : sum.terms) {
        form.terms.push_back({static_cast<size_t>(parameter), term.is_log, Extract(term.feature)});
      }
      if (sum.offset) form.offset = Extract(*sum.offset);
      return form;
    }
    return std::nullopt;
  }

 private:
  struct Term {
    bool is_log;
    uint32_t feature;
  };
  struct Sum {
    std::map<int, Term> terms;  // By parameter.
    std::optional<uint32_t> offset;
  };

  int ParameterIndex(const std::string& name) const {
    const auto found = std::find(parameters_.begin(), parameters_.end(), name);
    return found == parameters_.end() ? -1 : static_cast<int>(found - parameters_.begin());
  }

  // sum += factor * f, if f is linear in the parameters. `factor` is free of parameters.
  bool Linear(uint32_t index, uint32_t factor, Sum& sum) {
    const Tree::Node& node = source_.nodes[index];
    if (!holds_[index]) {
      AddOffset(sum, Multiply(factor, index));
      return true;
    }
    switch (node.kind) {
      case Kind::kName: return AddTerm(sum, ParameterIndex(node.text), false, factor);
      case Kind::kNegate: return Linear(node.args[0], Multiply(Number(-1), factor), sum);
      case Kind::kAdd: return Linear(node.args[0], factor, sum) && Linear(node.args[1], factor, sum);
      case Kind::kSubtract:
        return Linear(node.args[0], factor, sum) && Linear(node.args[1], Multiply(Number(-1), factor), sum);
      case Kind::kMultiply:
        if (!holds_[node.args[0]]) return Linear(node.args[1], Multiply(factor, node.args[0]), sum);
        if (!holds_[node.args[1]]) return Linear(node.args[0], Multiply(factor, node.args[1]), sum);
        return false;
      case Kind::kDivide: return !holds_[node.args[1]] && Linear(node.args[0], Divide(factor, node.args[1]), sum);
      default: return false;
    }
  }

  // sum += factor * ln f, if ln f is linear in the parameters or in their logarithms.
  bool LogLinear(uint32_t index, uint32_t factor, Sum& sum) {
    const Tree::Node& node = source_.nodes[index];
    if (!holds_[index]) {
      AddOffset(sum, Multiply(factor, Log(index)));
      return true;
    }
    switch (node.kind) {
      case Kind::kName: return AddTerm(sum, ParameterIndex(node.text), true, factor);
      case Kind::kMultiply: return LogLinear(node.args[0], factor, sum) && LogLinear(node.args[1], factor, sum);
      case Kind::kDivide:
        return LogLinear(node.args[0], factor, sum) && LogLinear(node.args[1], Multiply(Number(-1), factor), sum);
      case Kind::kPower: return LogPower(node.args[0], node.args[1], factor, sum);
      case Kind::kCall:
        if (node.text == "pow") return LogPower(node.args[0], node.args[1], factor, sum);
        if (node.text == "exp") return Linear(node.args[0], factor, sum);
        if (node.text == "sqrt") return LogLinear(node.args[0], Multiply(Number(0.5), factor), sum);
        return false;
      default: return false;
    }
  }

  bool LogPower(uint32_t base, uint32_t exponent, uint32_t factor, Sum& sum) {
    if (!holds_[exponent]) return LogLinear(base, Multiply(factor, exponent), sum);
    if (!holds_[base]) return Linear(exponent, Multiply(factor, Log(base)), sum);
    return false;  // p^q with both unknown is a product of unknowns.
  }

  bool AddTerm(Sum& sum, int parameter, bool is_log, uint32_t feature) {
    const auto [place, is_new] = sum.terms.try_emplace(parameter, Term{is_log, feature});
    if (is_new) return true;
    if (place->second.is_log != is_log) return false;
    place->second.feature = Add(place->second.feature, feature);
    return true;
  }
  void AddOffset(Sum& sum, uint32_t value) {
    if (IsNumber(value, 0)) return;
    sum.offset = sum.offset ? Add(*sum.offset, value) : value;
  }

  uint32_t Push(Kind kind, std::vector<uint32_t> args, double number = 0, std::string text = "") {
    const uint32_t offset = args.empty() ? 0 : arena_.nodes[args[0]].offset;
    arena_.nodes.push_back({kind, number, std::move(text), std::move(args), offset});
    return static_cast<uint32_t>(arena_.nodes.size() - 1);
  }
  bool IsNumber(uint32_t index) const { return arena_.nodes[index].kind == Kind::kNumber; }
  bool IsNumber(uint32_t index, double value) const { return IsNumber(index) && arena_.nodes[index].number == value; }
  uint32_t Number(double value) { return Push(Kind::kNumber, {}, value); }
  uint32_t Multiply(uint32_t a, uint32_t b) {
    if (IsNumber(a) && IsNumber(b)) return Number(arena_.nodes[a].number * arena_.nodes[b].number);
    if (IsNumber(b)) std::swap(a, b);  // The number in front.
    if (IsNumber(a, 1)) return b;
    if (IsNumber(a, 0)) return a;
    if (IsNumber(a, -1)) {
      return arena_.nodes[b].kind == Kind::kNegate ? arena_.nodes[b].args[0] : Push(Kind::kNegate, {b});
    }
    return Push(Kind::kMultiply, {a, b});
  }
  uint32_t Divide(uint32_t a, uint32_t b) {
    if (IsNumber(a) && IsNumber(b)) return Number(arena_.nodes[a].number / arena_.nodes[b].number);
    if (IsNumber(b, 1)) return a;
    return Push(Kind::kDivide, {a, b});
  }
  uint32_t Add(uint32_t a, uint32_t b) {
    if (IsNumber(a) && IsNumber(b)) return Number(arena_.nodes[a].number + arena_.nodes[b].number);
    return Push(Kind::kAdd, {a, b});
  }
  uint32_t Log(uint32_t a) {
    if (IsNumber(a)) return Number(std::log(arena_.nodes[a].number));
    if (arena_.nodes[a].kind == Kind::kCall && arena_.nodes[a].text == "exp") return arena_.nodes[a].args[0];
    return Push(Kind::kCall, {a}, 0, "log");
  }

  // A copy of one subtree as an expression of its own.
  Expression Extract(uint32_t root) const {
    auto tree = std::make_shared<Tree>();
    tree->mark = source_.mark;
    tree->root = Copy(root, *tree);
    tree->text = Expression(tree).Text();
    return Expression(std::move(tree));
  }
  uint32_t Copy(uint32_t index, Tree& to) const {
    Tree::Node node = arena_.nodes[index];
    for (uint32_t& arg : node.args) arg = Copy(arg, to);
    node.offset = 0;
    to.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(to.nodes.size() - 1);
  }

  const Tree& source_;
  std::span<const std::string> parameters_;
  Tree arena_;  // Starts as the source, so that its node numbers hold here too.
  std::vector<bool> holds_;
};

}  // namespace

std::optional<ExpressionLinearForm> FindLinearForm(const Expression& formula, std::span<const std::string> parameters) {
  if (parameters.empty()) return std::nullopt;
  return FormFinder(formula, parameters).Run();
}

}  // namespace bitlaw
