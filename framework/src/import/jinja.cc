#include "import/jinja.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

using Kind = JinjaNode::Kind;

[[noreturn]] void RefuseAt(const SourceMark& mark, const std::string& what) {
  throw Error(ErrorKind::kUnsupported, mark.Text() + ": Jinja: " + what);
}

bool IsNameBegin(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool IsName(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

constexpr int kMaxDepth = 50;

// Reads one expression; `text` is what stands between the braces.
class Parser {
 public:
  Parser(std::string_view text, const SourceMark& mark) : text_(text), mark_(mark) {}

  JinjaNode Parse() {
    JinjaNode node = Sum();
    Space();
    if (at_ < text_.size()) Refuse();
    return node;
  }

 private:
  [[noreturn]] void Refuse() const {
    const std::string rest(Trim(text_.substr(at_, 30)));
    RefuseAt(mark_, (rest.empty() ? "'" + std::string(Trim(text_)) + "' ends too early."
                                  : "'" + rest + "' in {{" + std::string(text_) +
                                        "}} has no counterpart in templates of task files."));
  }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void Space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool Take(char c) {
    Space();
    if (Peek() != c) return false;
    ++at_;
    return true;
  }
  void Need(char c) {
    if (!Take(c)) Refuse();
  }

  JinjaNode Sum() {
    if (++depth_ > kMaxDepth) RefuseAt(mark_, "an expression is nested deeper than " + std::to_string(kMaxDepth) + ".");
    JinjaNode sum = Postfix();
    for (Space(); Peek() == '+' || Peek() == '~' || Peek() == '-'; Space()) {
      const char sign = text_[at_++];
      JinjaNode joined{Kind::kSum, sign == '-' ? "-" : "+", {}};
      joined.parts.push_back(std::move(sum));
      joined.parts.push_back(Postfix());
      sum = std::move(joined);
    }
    --depth_;
    return sum;
  }

  std::string Name() {
    Space();
    const size_t begin = at_;
    if (!IsNameBegin(Peek())) Refuse();
    while (IsName(Peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string Quoted() {
    const char quote = text_[at_++];
    std::string out;
    for (; Peek() != quote; ++at_) {
      if (at_ >= text_.size()) Refuse();
      char c = text_[at_];
      if (c == '\\') {
        ++at_;
        static const std::map<char, char> kEscapes = {{'n', '\n'}, {'t', '\t'}, {'\\', '\\'}, {'\'', '\''}, {'"', '"'}};
        const auto escape = kEscapes.find(Peek());
        if (escape == kEscapes.end()) Refuse();
        c = escape->second;
      }
      out += c;
    }
    ++at_;
    return out;
  }

  std::string Digits() {
    std::string digits;
    if (Peek() == '-') digits += text_[at_++];
    while (std::isdigit(static_cast<unsigned char>(Peek())) != 0) digits += text_[at_++];
    if (digits.empty() || digits == "-" || digits.size() > 9 || Peek() == '.') Refuse();
    return digits;
  }

  std::vector<JinjaNode> List(char end) {
    std::vector<JinjaNode> entries;
    while (!Take(end)) {
      entries.push_back(Sum());
      if (!Take(',')) {
        Need(end);
        break;
      }
    }
    return entries;
  }

  JinjaNode Primary() {
    Space();
    if (Peek() == '\'' || Peek() == '"') return {Kind::kText, Quoted(), {}};
    if (std::isdigit(static_cast<unsigned char>(Peek())) != 0) return {Kind::kNumber, Digits(), {}};
    if (Take('[')) return {Kind::kList, "", List(']')};
    if (Take('(')) {
      JinjaNode inner = Sum();
      Need(')');
      return inner;
    }
    const size_t begin = at_;
    std::string name = Name();
    static const std::vector<std::string> kWords = {"not",  "if",    "true", "false", "none",
                                                    "True", "False", "None", "loop"};
    if (std::find(kWords.begin(), kWords.end(), name) != kWords.end() || Peek() == '(') {
      at_ = begin;
      Refuse();
    }
    return {Kind::kField, std::move(name), {}};
  }

  static JinjaNode Of(Kind kind, std::string text, JinjaNode object, std::vector<JinjaNode> arguments = {}) {
    JinjaNode node{kind, std::move(text), {}};
    node.parts.push_back(std::move(object));
    for (JinjaNode& argument : arguments) node.parts.push_back(std::move(argument));
    return node;
  }

  JinjaNode Postfix() {
    JinjaNode node = Primary();
    while (true) {
      Space();
      if (Take('.')) {
        std::string name = Name();
        if (Peek() == '(') {
          ++at_;
          node = Of(Kind::kCall, std::move(name), std::move(node), List(')'));
        } else if (node.kind == Kind::kField) {
          node.text += "." + name;
        } else {
          Refuse();
        }
      } else if (Take('|')) {
        std::string name = Name();
        node = Of(Kind::kFilter, std::move(name), std::move(node), Take('(') ? List(')') : std::vector<JinjaNode>());
      } else if (Take('[')) {
        Space();
        if (Peek() == '\'' || Peek() == '"') {
          const std::string name = Quoted();
          if (node.kind != Kind::kField || name.empty() || !std::all_of(name.begin(), name.end(), IsName)) Refuse();
          node.text += "." + name;
        } else if (Take(':')) {
          Space();
          if (Digits() != "-1") Refuse();
          node = Of(Kind::kAllButLast, "", std::move(node));
        } else if (node.kind == Kind::kList) {
          std::vector<JinjaNode> index;
          index.push_back(Sum());
          node = Of(Kind::kLookup, "", std::move(node), std::move(index));
        } else {
          node = Of(Kind::kItem, Digits(), std::move(node));
        }
        Need(']');
      } else {
        return node;
      }
    }
  }

  std::string_view text_;
  const SourceMark& mark_;
  size_t at_ = 0;
  int depth_ = 0;
};

std::string QuotedText(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : std::string(1, c);
  }
  return out + "'";
}

bool IsText(const JinjaNode& node) { return node.kind == Kind::kText; }

// split(x) with one text.
bool IsSplit(const JinjaNode& node) {
  return node.kind == Kind::kCall && node.text == "split" && node.parts.size() == 2 && IsText(node.parts[1]) &&
         !node.parts[1].text.empty();
}

}  // namespace

std::string LiteralTemplate(std::string_view text) {
  const bool is_plain = text.find("{{") == std::string_view::npos && !text.ends_with('{');
  return is_plain ? std::string(text) : "{{" + QuotedText(text) + "}}";
}

JinjaTemplate::JinjaTemplate(std::string_view text, const SourceMark& mark) : mark_(mark) {
  std::string plain;
  bool trims_next = false;
  const auto take_plain = [&](std::string_view part, bool trims_end) {
    if (trims_next) part = TrimLeft(part);
    if (trims_end) part = TrimRight(part);
    trims_next = false;
    plain += part;
  };
  while (!text.empty()) {
    size_t open = text.find('{');
    while (open != std::string_view::npos && open + 1 < text.size() &&
           std::string_view("{%#").find(text[open + 1]) == std::string_view::npos) {
      open = text.find('{', open + 1);
    }
    if (open == std::string_view::npos || open + 1 >= text.size()) {
      take_plain(text, false);
      break;
    }
    const char kind = text[open + 1];
    const bool trims = open + 2 < text.size() && text[open + 2] == '-';
    take_plain(text.substr(0, open), trims);
    text.remove_prefix(open + (trims ? 3 : 2));
    const std::string_view closing = kind == '{' ? "}}" : kind == '%' ? "%}" : "#}";
    // Braces within quoted texts close nothing.
    size_t close = 0;
    for (char quote = '\0'; close < text.size() && (quote != '\0' || text.substr(close, 2) != closing); ++close) {
      if (kind != '#' && (text[close] == '\'' || text[close] == '"') && (quote == '\0' || quote == text[close])) {
        quote = quote == '\0' ? text[close] : '\0';
      } else if (quote != '\0' && text[close] == '\\') {
        ++close;
      }
    }
    if (close >= text.size()) RefuseAt(mark_, "'{" + std::string(1, kind) + "' is not closed.");
    std::string_view inner = text.substr(0, close);
    text.remove_prefix(close + 2);
    if (inner.ends_with('-')) {
      inner.remove_suffix(1);
      trims_next = true;
    }
    if (kind == '#') continue;
    if (kind == '%') {
      RefuseAt(mark_,
               "the statement {% " + std::string(Trim(inner)) + " %} has no counterpart in templates of task files.");
    }
    if (!plain.empty()) pieces_.push_back({std::move(plain), {}});
    plain.clear();
    pieces_.push_back({"", Parser(inner, mark_).Parse()});
  }
  if (!plain.empty()) pieces_.push_back({std::move(plain), {}});
}

void JinjaTemplate::Refuse(const std::string& what) const {
  RefuseAt(mark_, what + " has no counterpart in templates of task files.");
}

const JinjaNode* JinjaTemplate::OnlyExpression() const {
  return pieces_.size() == 1 && pieces_[0].expression ? &*pieces_[0].expression : nullptr;
}

std::string JinjaTemplate::Translated() const {
  std::string out;
  for (const Piece& piece : pieces_)
    out += piece.expression ? Translated(*piece.expression) : LiteralTemplate(piece.text);
  return out;
}

std::string JinjaTemplate::Translated(const JinjaNode& node) const {
  if (node.kind == Kind::kText || node.kind == Kind::kNumber) return LiteralTemplate(node.text);
  if (node.kind == Kind::kSum) {
    for (const JinjaNode& part : node.parts) {
      if (node.text == "-" || part.kind == Kind::kNumber || part.kind == Kind::kList)
        Refuse("'" + node.text + "' of numbers or lists");
    }
    return Translated(node.parts[0]) + Translated(node.parts[1]);
  }
  return "{{" + Pipe(node) + "}}";
}

std::optional<std::string> JinjaTemplate::Path(const JinjaNode& node) const {
  if (node.kind == Kind::kField) return node.text;
  if (node.kind != Kind::kItem || node.text.starts_with('-')) return std::nullopt;
  const auto of = Path(node.parts[0]);
  return of ? std::optional(*of + "[" + node.text + "]") : std::nullopt;
}

// ['A', 'B'][x] and ['A', 'B'][x - 1].
std::string JinjaTemplate::Picked(const JinjaNode& node) const {
  const JinjaNode* index = &node.parts[1];
  const bool is_from_1 = index->kind == Kind::kSum && index->text == "-" && index->parts[1].text == "1";
  if (is_from_1) index = &index->parts[0];
  const auto path = Path(*index);
  if (!path) Refuse("a list of texts at something other than a field, or a field - 1,");
  std::string texts;
  for (const JinjaNode& entry : node.parts[0].parts) {
    if (!IsText(entry)) Refuse("a list of other things than texts, of which one is taken,");
    texts += (texts.empty() ? "" : ",") + QuotedText(entry.text);
  }
  if (texts.empty()) Refuse("an entry of an empty list");
  return *path + (is_from_1 ? "|pick_from_1:" : "|pick:") + texts;
}

std::string JinjaTemplate::Pipe(const JinjaNode& node) const {
  if (const auto path = Path(node)) return *path;
  if (node.kind == Kind::kText) return QuotedText(node.text);
  const std::string what = "'" + node.text + "'";
  if (node.kind == Kind::kLookup) return Picked(node);
  if (node.kind == Kind::kItem) {
    const JinjaNode& of = node.parts[0];
    if (IsSplit(of) && (node.text == "0" || node.text == "-1")) {
      return Pipe(of.parts[0]) + (node.text == "0" ? "|before:" : "|after_last:") + QuotedText(of.parts[1].text);
    }
    if (node.text == "-1") return Pipe(of) + "|last";
    Refuse("[" + node.text + "] of something other than a field");
  }
  if (node.kind != Kind::kCall && node.kind != Kind::kFilter)
    Refuse(node.kind == Kind::kList ? "a list as text" : "this expression");
  const JinjaNode& of = node.parts[0];
  const size_t arguments = node.parts.size() - 1;
  static const std::map<std::string, std::string> kMethods = {{"strip", "trim"},        {"lstrip", "trim_left"},
                                                              {"rstrip", "trim_right"}, {"lower", "lower"},
                                                              {"upper", "upper"},       {"capitalize", "capitalize"}};
  static const std::map<std::string, std::string> kFilters = {{"trim", "trim"},   {"lower", "lower"},
                                                              {"upper", "upper"}, {"capitalize", "capitalize"},
                                                              {"first", "first"}, {"last", "last"}};
  const auto& names = node.kind == Kind::kCall ? kMethods : kFilters;
  const auto known = names.find(node.text);
  if (known != names.end() && arguments == 0) return Pipe(of) + "|" + known->second;
  if (node.text == "replace" && arguments == 2 && IsText(node.parts[1]) && IsText(node.parts[2]) &&
      !node.parts[1].text.empty()) {
    return Pipe(of) + "|replace:" + QuotedText(node.parts[1].text) + "," + QuotedText(node.parts[2].text);
  }
  if (node.kind == Kind::kFilter && node.text == "string" && arguments == 0) return Pipe(of);
  if (node.kind == Kind::kFilter && node.text == "join" && arguments <= 1 &&
      (arguments == 0 || IsText(node.parts[1]))) {
    const std::string glue = arguments == 0 ? "" : node.parts[1].text;
    if (of.kind == Kind::kAllButLast && IsSplit(of.parts[0]) && of.parts[0].parts[1].text == glue) {
      return Pipe(of.parts[0].parts[0]) + "|before_last:" + QuotedText(glue);
    }
    if (Path(of)) return Pipe(of) + "|join:" + QuotedText(glue);
  }
  Refuse((node.kind == Kind::kCall ? "the method " : "the filter ") + what +
         (arguments > 0 ? " with these arguments" : ""));
}

}  // namespace bitlaw
