#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "bitlaw/base/error.h"
#include "sdk/expression/expression_names.h"
#include "sdk/expression/expression_tree.h"

namespace bitlaw {

namespace {

using Tree = Expression::Tree;
using Kind = Tree::Kind;

enum class Token { kEnd, kNumber, kText, kName, kQuotedName, kSymbol };

bool IsDigit(char c) { return std::isdigit(static_cast<unsigned char>(c)); }

// Recursive descent, one function a level of precedence:
// or < and < not < comparison < + - < * / < unary - < ^ < primary.
class Parser {
 public:
  Parser(const std::string& text, const SourceMark& mark) : tree_(std::make_shared<Tree>()), text_(tree_->text) {
    tree_->text = text;
    tree_->mark = mark;
  }

  std::shared_ptr<const Tree> Run() {
    Advance();
    if (token_ == Token::kEnd) {
      const std::string place = tree_->mark.Text();
      throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "the expression is empty.");
    }
    tree_->root = Or();
    if (token_ != Token::kEnd)
      Fail(begin_, Shown(),
           "does not continue the expression. An operator is missing before it, a parenthesis is closed twice, or a "
           "name with spaces lacks its backquotes.");
    return tree_;
  }

 private:
  static constexpr int kMaxDepth = 200;
  static constexpr size_t kMaxNodes = 2000;

  [[noreturn]] void Fail(size_t offset, const std::string& subject, const std::string& what) const {
    throw Error(ErrorKind::kSpec, tree_->At(static_cast<uint32_t>(offset), subject) + " " + what);
  }
  std::string Shown() const {
    return token_ == Token::kEnd ? "the end" : "'" + text_.substr(begin_, next_ - begin_) + "'";
  }

  void Advance() {
    while (next_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[next_]))) ++next_;
    begin_ = next_;
    if (next_ == text_.size()) {
      token_ = Token::kEnd;
      return;
    }
    const char c = text_[next_];
    if (IsDigit(c) || (c == '.' && next_ + 1 < text_.size() && IsDigit(text_[next_ + 1]))) {
      ReadNumber();
    } else if (StartsName(c)) {
      token_ = Token::kName;
      while (next_ < text_.size() && (ContinuesName(text_[next_]) || (text_[next_] == '.' && next_ + 1 < text_.size() &&
                                                                      StartsName(text_[next_ + 1])))) {
        ++next_;
      }
      word_ = text_.substr(begin_, next_ - begin_);
    } else if (c == '\'' || c == '"') {
      token_ = Token::kText;
      ReadQuoted("the text");
    } else if (c == '`') {
      token_ = Token::kQuotedName;
      ReadQuoted("the name");
      if (word_.empty()) Fail(begin_, "'``'", "is a name without a character.");
    } else {
      ReadSymbol();
    }
  }

  void ReadNumber() {
    token_ = Token::kNumber;
    const char* end = text_.data() + text_.size();
    const auto [stop, status] = std::from_chars(text_.data() + begin_, end, number_);
    next_ = static_cast<size_t>(stop - text_.data());
    if (status != std::errc() || !std::isfinite(number_)) {
      Fail(begin_, Shown(), "is a number outside the range of double.");
    }
    if (next_ < text_.size() && (ContinuesName(text_[next_]) || text_[next_] == '.')) {
      while (next_ < text_.size() && (ContinuesName(text_[next_]) || text_[next_] == '.')) ++next_;
      Fail(begin_, Shown(), "is neither a number nor a name. Write products with *, as in 2 * N.");
    }
  }

  void ReadQuoted(const std::string& what) {
    const char quote = text_[begin_];
    word_.clear();
    for (++next_; next_ < text_.size(); ++next_) {
      if (text_[next_] != quote) {
        word_ += text_[next_];
      } else if (next_ + 1 < text_.size() && text_[next_ + 1] == quote) {
        word_ += quote;  // A doubled quote stands for itself.
        ++next_;
      } else {
        ++next_;
        return;
      }
    }
    Fail(begin_, what, "has no closing quote.");
  }

  void ReadSymbol() {
    token_ = Token::kSymbol;
    static constexpr std::string_view kTwo[] = {"<=", ">=", "==", "!="};
    for (const std::string_view two : kTwo) {
      if (text_.compare(begin_, 2, two) == 0) {
        word_ = two;
        next_ += 2;
        return;
      }
    }
    static const std::pair<std::string_view, const char*> kForeign[] = {
        {"**", "Use ^ for powers."}, {"&&", "Use 'and'."}, {"||", "Use 'or'."}, {"!", "Use 'not'."},
        {"=", "Use == to compare."}, {"&", "Use 'and'."},  {"|", "Use 'or'."},  {"~", "Use 'not'."}};
    for (const auto& [symbol, advice] : kForeign) {
      if (text_.compare(begin_, symbol.size(), symbol) == 0) {
        Fail(begin_, "'" + std::string(symbol) + "'", std::string("is not an operator of this language. ") + advice);
      }
    }
    ++next_;
    word_ = text_.substr(begin_, 1);
    if (std::string_view("+-*/^(),<>").find(word_[0]) == std::string_view::npos) {
      // A whole UTF-8 character is shown, not its first byte.
      while (next_ < text_.size() && (static_cast<unsigned char>(text_[next_]) & 0xC0) == 0x80) ++next_;
      Fail(begin_, Shown(),
           "is not a character of this language. Operators are + - * / ^ < <= > >= == != and, or, not; a name with "
           "other "
           "characters stands in backquotes: `acc,none`.");
    }
  }

  bool AtSymbol(std::string_view symbol) const { return token_ == Token::kSymbol && word_ == symbol; }
  bool AtWord(std::string_view word) const { return token_ == Token::kName && word_ == word; }

  uint32_t Add(Tree::Node node) {
    if (tree_->nodes.size() == kMaxNodes) {
      Fail(node.offset, "the expression", "has more than " + std::to_string(kMaxNodes) + " parts. Simplify it.");
    }
    tree_->nodes.push_back(std::move(node));
    return static_cast<uint32_t>(tree_->nodes.size() - 1);
  }
  uint32_t AddOperator(Kind kind, size_t offset, std::vector<uint32_t> args) {
    return Add({kind, 0, "", std::move(args), static_cast<uint32_t>(offset)});
  }

  uint32_t Or() {
    uint32_t left = And();
    while (AtWord("or")) {
      const size_t offset = begin_;
      Advance();
      left = AddOperator(Kind::kOr, offset, {left, And()});
    }
    return left;
  }

  uint32_t And() {
    uint32_t left = Not();
    while (AtWord("and")) {
      const size_t offset = begin_;
      Advance();
      left = AddOperator(Kind::kAnd, offset, {left, Not()});
    }
    return left;
  }

  uint32_t Not() {
    if (!AtWord("not")) return Comparison();
    const size_t offset = begin_;
    Deeper deeper(this);
    Advance();
    return AddOperator(Kind::kNot, offset, {Not()});
  }

  std::optional<Kind> ComparisonKind() const {
    if (token_ != Token::kSymbol) return std::nullopt;
    if (word_ == "<") return Kind::kLess;
    if (word_ == "<=") return Kind::kLessEqual;
    if (word_ == ">") return Kind::kGreater;
    if (word_ == ">=") return Kind::kGreaterEqual;
    if (word_ == "==") return Kind::kEqual;
    if (word_ == "!=") return Kind::kNotEqual;
    return std::nullopt;
  }

  uint32_t Comparison() {
    const uint32_t left = Sum();
    const auto kind = ComparisonKind();
    if (!kind) return left;
    const size_t offset = begin_;
    Advance();
    const uint32_t right = Sum();
    if (ComparisonKind()) Fail(begin_, Shown(), "follows another comparison. Write a < b and b < c.");
    return AddOperator(*kind, offset, {left, right});
  }

  uint32_t Sum() {
    uint32_t left = Product();
    while (AtSymbol("+") || AtSymbol("-")) {
      const Kind kind = AtSymbol("+") ? Kind::kAdd : Kind::kSubtract;
      const size_t offset = begin_;
      Advance();
      left = AddOperator(kind, offset, {left, Product()});
    }
    return left;
  }

  uint32_t Product() {
    uint32_t left = Unary();
    while (AtSymbol("*") || AtSymbol("/")) {
      const Kind kind = AtSymbol("*") ? Kind::kMultiply : Kind::kDivide;
      const size_t offset = begin_;
      Advance();
      left = AddOperator(kind, offset, {left, Unary()});
    }
    return left;
  }

  uint32_t Unary() {
    if (!AtSymbol("-") && !AtSymbol("+")) return Power();
    const bool negative = AtSymbol("-");
    const size_t offset = begin_;
    Deeper deeper(this);
    Advance();
    const uint32_t operand = Unary();
    return negative ? AddOperator(Kind::kNegate, offset, {operand}) : operand;
  }

  uint32_t Power() {
    const uint32_t base = Primary();
    if (!AtSymbol("^")) return base;
    const size_t offset = begin_;
    Deeper deeper(this);
    Advance();
    return AddOperator(Kind::kPower, offset,
                       {base, Unary()});  // Unary, so that 2^-1 and 2^3^2 read as people mean them.
  }

  uint32_t Primary() {
    Deeper deeper(this);
    const size_t offset = begin_;
    const auto place = static_cast<uint32_t>(offset);
    if (token_ == Token::kNumber) {
      const double number = number_;
      Advance();
      return Add({Kind::kNumber, number, "", {}, place});
    }
    if (token_ == Token::kText) {
      std::string text = word_;
      Advance();
      return Add({Kind::kText, 0, std::move(text), {}, place});
    }
    if (token_ == Token::kQuotedName) {
      std::string name = word_;
      Advance();
      return Add({Kind::kName, 0, std::move(name), {}, place});
    }
    if (token_ == Token::kName) {
      std::string name = word_;
      if (name == "and" || name == "or" || name == "not") {
        Fail(begin_, Shown(), "stands where a value is needed.");
      }
      Advance();
      if (name == "true" || name == "false") return Add({Kind::kTruth, name == "true" ? 1.0 : 0.0, "", {}, place});
      if (AtSymbol("(")) return Call(std::move(name), offset);
      return Add({Kind::kName, 0, std::move(name), {}, place});
    }
    if (AtSymbol("(")) {
      Advance();
      const uint32_t inner = Or();
      if (!AtSymbol(")")) Fail(offset, "'('", "is not closed.");
      Advance();
      return inner;
    }
    Fail(begin_, Shown(), "stands where a value is needed. Values are numbers, names, function calls and (...).");
  }

  uint32_t Call(std::string name, size_t offset) {
    const auto& functions = ExpressionFunctions();
    const auto function =
        std::find_if(functions.begin(), functions.end(), [&](const auto& candidate) { return name == candidate.name; });
    if (function == functions.end()) {
      std::vector<std::string> known;
      for (const auto& candidate : functions) known.emplace_back(candidate.name);
      // What other languages call them.
      static const std::map<std::string, std::string, std::less<>> kElsewhere = {
          {"ln", "log"},   {"power", "pow"},     {"logistic", "sigmoid"}, {"expit", "sigmoid"}, {"ifelse", "if"},
          {"where", "if"}, {"isnan", "missing"}, {"arctan", "atan"},      {"absolute", "abs"},  {"lg", "log10"},
          {"ld", "log2"},  {"minimum", "min"},   {"maximum", "max"},      {"pnorm", "normal_cdf"}, {"qnorm", "probit"},
          {"Phi", "normal_cdf"}, {"phi", "normal_cdf"}, {"ppf", "probit"}};
      const auto elsewhere = kElsewhere.find(name);
      const std::string hint =
          elsewhere != kElsewhere.end() ? " Did you mean '" + elsewhere->second + "'?" : DidYouMean(name, known);
      Fail(offset, "'" + name + "'", "is not a function." + hint + " Functions: " + JoinNames(known) + ".");
    }
    Advance();  // (
    std::vector<uint32_t> args;
    if (!AtSymbol(")")) {
      args.push_back(Or());
      while (AtSymbol(",")) {
        Advance();
        args.push_back(Or());
      }
    }
    if (!AtSymbol(")")) Fail(offset, "the argument list of '" + name + "'", "is not closed.");
    Advance();
    const int count = static_cast<int>(args.size());
    if (count < function->min_args || (function->max_args >= 0 && count > function->max_args)) {
      Fail(offset, "'" + name + "'",
           "is called with " + std::to_string(count) + (count == 1 ? " argument; it takes " : " arguments; it takes ") +
               (function->max_args < 0 ? "at least " : "") + std::to_string(function->min_args) + ".");
    }
    return Add({Kind::kCall, 0, std::move(name), std::move(args), static_cast<uint32_t>(offset)});
  }

  // Bounds the recursion, so that ten thousand parentheses are an error rather than a stack overflow.
  struct Deeper {
    explicit Deeper(Parser* parser) : parser(parser) {
      if (++parser->depth_ > kMaxDepth) {
        parser->Fail(parser->begin_, parser->Shown(),
                     "is nested more than " + std::to_string(kMaxDepth) + " levels deep. Simplify the expression.");
      }
    }
    ~Deeper() { --parser->depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;
    Parser* parser;
  };

  std::shared_ptr<Tree> tree_;
  const std::string& text_;
  size_t begin_ = 0, next_ = 0;
  int depth_ = 0;
  Token token_ = Token::kEnd;
  std::string word_;
  double number_ = 0;
};

}  // namespace

Expression Expression::Parse(const std::string& text, const SourceMark& mark) {
  if (text.size() > 100'000) {
    const std::string place = mark.Text();
    throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "the expression has " +
                                      std::to_string(text.size()) + " characters. At most 100000 are read.");
  }
  return Expression(Parser(text, mark).Run());
}

}  // namespace bitlaw
