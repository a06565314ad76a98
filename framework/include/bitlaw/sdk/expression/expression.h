#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// The type of an expression or of one of its variables.
enum class ExpressionType {
  kNumber,  ///< double; NaN is "missing".
  kBool,    ///< As a variable: 0 is false, any other number true.
  kText,    ///< A string; the empty one is "missing".
};

/// A name that an expression may use.
struct BITLAW_EXPORT ExpressionVariable {
  std::string name;
  ExpressionType type = ExpressionType::kNumber;
};

/// An expression bound to its variables: a flat list of operations without names. Evaluation allocates nothing, throws
/// nothing and is safe from several threads.
///
/// Outside the domain of a function (log(-1), 0 / 0) the value is NaN. A comparison with a missing operand is false,
/// `!=` included; missing(x) asks.
class BITLAW_EXPORT CompiledExpression {
 public:
  /// The value of a number expression; values[i] belongs to variable i of the scope.
  double Number(std::span<const double> values) const { return Number(values, {}, {}); }

  /// The value, where the scope's variables are those of `first` followed by those of `rest`. If `gradient` is not
  /// empty it has first.size() slots and receives the derivatives by the variables of `first` (reverse accumulation:
  /// exact up to rounding, and one pass however many there are). abs, min and max take the one-sided derivative of the
  /// branch that gave the value; abs(0) gives 0.
  double Number(std::span<const double> first, std::span<const double> rest, std::span<double> gradient) const;

  /// The value, where text variables are used too: slots as for Truth().
  double NumberWithTexts(std::span<const double> numbers, std::span<const std::string_view> texts) const;

  /// The value computed in extended precision: for designs whose columns nearly cancel.
  long double NumberExtended(std::span<const double> values) const;

  /// The value of a condition. Both spans have one slot a variable of the scope; numbers[i] is read for kNumber and
  /// kBool variables, texts[i] for kText ones. `texts` may be empty if no text variable is used.
  bool Truth(std::span<const double> numbers, std::span<const std::string_view> texts = {}) const;

  ExpressionType type() const { return type_; }

  /// The longest list of operations that Compile() accepts.
  static constexpr size_t kMaxOperations = 400;

 private:
  friend class ExpressionCompiler;
  enum class Code : uint8_t {
    kConstant,
    kVariable,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kPower,
    kNegate,
    kLog,
    kLog2,
    kLog10,
    kExp,
    kSqrt,
    kAbs,
    kMin,
    kMax,
    kTanh,
    kSin,
    kCos,
    kAtan,
    kSigmoid,
    kLogit,
    kLess,
    kLessEqual,
    kEqual,
    kNotEqual,
    kAnd,
    kOr,
    kNot,
    kMissing,
    kTextEqual,
    kTextNotEqual,
    kTextMissing,
    kIf,
    kNormalCdf,
    kProbit,
  };
  struct Operation {
    Code code;
    uint16_t a = 0, b = 0;            // Operations that are the operands; 0 for leaves.
    uint16_t condition = 0;           // kIf: the operation that chooses between a and b.
    uint16_t text_a = 0, text_b = 0;  // Text operands: 2 * variable index, or 2 * literal index + 1.
    uint16_t variable = 0;
    // The smallest variable index that the value depends on: the operation is worth a derivative by variables below k
    // exactly if depends_from < k.
    uint16_t depends_from = UINT16_MAX;
    double constant = 0;
    bool operator==(const Operation&) const = default;
  };
  template <typename Real>
  void Run(std::span<const double> first, std::span<const double> rest, std::span<const std::string_view> texts,
           Real* value) const;
  std::string_view TextOperand(uint16_t operand, std::span<const std::string_view> texts) const;

  ExpressionType type_ = ExpressionType::kNumber;
  std::vector<Operation> operations_;  // The last one is the value.
  std::vector<std::string> literals_;
};

/// A parsed formula or condition, as users write it in law files, filters and on the command line.
///
///     numbers     12  0.5  1e-3            names    N, bits, calibration.sequences, `any text` (a backquote doubled)
///     arithmetic  + - * / ^ and unary -    (^ binds tightest and to the right: -x^2 = -(x^2), 2^3^2 = 2^9)
///     functions   log (natural) log2 log10 exp sqrt abs sin cos atan tanh, sigmoid(x) = 1 / (1 + e^-x), logit(p) =
///                 log(p / (1 - p)), normal_cdf(x) of the standard normal distribution, probit(p) its quantile,
///                 min(a, b, ...) max(a, b, ...) pow(a, b), missing(x), if(condition, a, b)
///     conditions  < <= > >= == != between numbers, == != between texts ('gptq') and truth values, and, or, not, true,
///     false
///
/// Where a number is needed a condition counts as 1 or 0. if() has the value of the branch that its condition chooses,
/// whatever the other one is.
///
/// Nothing else is accepted. Every error is Error(kSpec), points at the character, quotes the text and names a close
/// alternative for an unknown name.
class BITLAW_EXPORT Expression {
 public:
  /// `mark` is where the first character of `text` stands; faults are reported at mark + offset (at `mark` itself for a
  /// text of several lines, whose layout in the file is unknown).
  static Expression Parse(const std::string& text, const SourceMark& mark = {});

  const std::string& text() const;
  /// The distinct variable names, in order of first appearance. Function names are not among them.
  std::vector<std::string> names() const;
  /// Where `name` is first used: mark + offset.
  SourceMark MarkOf(std::string_view name) const;
  /// "configs/laws/a.yaml:3:14: 'Nn' at character 5 of 'A * Nn'": the head of an error about the use of `name`.
  std::string Where(std::string_view name) const;

  /// Binds names to the slots of `scope` and checks types. `wanted` is the type of the whole. `what` says in error
  /// texts what the names are: "column", "axis", "parameter or column".
  CompiledExpression Compile(std::span<const ExpressionVariable> scope, ExpressionType wanted,
                             std::string_view what = "variable") const;
  /// The same for number variables.
  CompiledExpression Compile(std::span<const std::string> scope, std::string_view what = "variable") const;

  /// The expression with every name that stands as first in a pair replaced by the second.
  Expression Rename(std::span<const std::pair<std::string, std::string>> names) const;

  /// The expression without its comparisons of names with texts (quantizer == 'gptq'): each becomes a name, whose text
  /// is the comparison, and is listed in `tests`, once. For whoever can give numbers only to names.
  Expression LiftTextTests(std::vector<std::string>& tests) const;

  /// The expression written out with single spaces and the fewest parentheses. Parse(Text()) is the same expression.
  std::string Text() const;

  struct Tree;
  explicit Expression(std::shared_ptr<const Tree> tree) : tree_(std::move(tree)) {}
  const Tree& tree() const { return *tree_; }

 private:
  std::shared_ptr<const Tree> tree_;
};

/// A name as it stands in an expression: in backquotes unless it is a plain one, `acc,none`.
BITLAW_EXPORT std::string QuotedName(std::string_view name);
/// The name that a text stands for where a name alone is expected: without spaces around it and without backquotes.
BITLAW_EXPORT std::string UnquotedName(std::string_view text);

/// A formula that is linear in its parameters, as it stands or after a logarithm:
///
///     f = offset + sum_j p_j * feature_j            (of_log = false)
///     ln f = offset + sum_j c_j * feature_j         (of_log = true; c_j = ln p_j where is_log, else p_j)
///
/// with features and offset free of parameters.
struct BITLAW_EXPORT ExpressionLinearForm {
  struct Term {
    size_t parameter = 0;  ///< Index into the parameters given.
    bool is_log = false;   ///< The coefficient is ln(parameter): an amplitude.
    Expression feature;
  };
  bool of_log = false;
  std::vector<Term> terms;           ///< One a parameter, in the order of the parameters.
  std::optional<Expression> offset;  ///< Empty: 0.
};

/// The linear form of `formula`, or nullopt if no rule finds one. A formula that is linear as it stands is not taken to
/// logarithms. Purely structural: sums, products, quotients, powers, exp and sqrt are followed; every parameter must
/// appear, and in one role only.
BITLAW_EXPORT std::optional<ExpressionLinearForm> FindLinearForm(const Expression& formula,
                                                                 std::span<const std::string> parameters);

}  // namespace bitlaw
