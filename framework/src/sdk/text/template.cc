#include "bitlaw/sdk/text/template.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/data_text.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

// One step of a path: a field name, or an index if `name` is empty.
struct Step {
  std::string name;
  int64_t index = 0;
};

struct Filter {
  std::string name;
  std::vector<std::string> arguments;
};

struct Expression {
  std::vector<Step> path;              // Empty: `literal` is the source.
  std::string literal;
  std::vector<Filter> filters;
  std::string text;                    // As written, for errors.
};

struct Piece {
  std::string text;                    // Ordinary text when there is no expression.
  std::optional<Expression> expression;
};

struct FilterRule {
  const char* name;
  size_t arguments;
  bool takes_more = false;
};
constexpr FilterRule kFilters[] = {{"trim", 0},        {"trim_left", 0},         {"trim_right", 0}, {"lower", 0},
                                   {"upper", 0},       {"capitalize", 0},        {"before", 1},     {"after", 1},
                                   {"before_last", 1}, {"after_last", 1},        {"replace", 2},    {"letter", 0},
                                   {"pick", 1, true},  {"pick_from_1", 1, true}, {"first", 0},      {"last", 0},
                                   {"join", 1},        {"lettered", 0}};

std::vector<std::string> FilterNames() {
  std::vector<std::string> names;
  for (const FilterRule& rule : kFilters) names.emplace_back(rule.name);
  return names;
}

// "configs/arc.yaml:9:9: " or "" for a place that is no file.
std::string Lead(const SourceMark& mark) {
  const std::string where = mark.Text();
  return where.empty() ? "" : where + ": ";
}

bool IsNameCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; }

constexpr size_t kMaxFilters = 64;

// Reads one expression between its braces.
class ExpressionParser {
 public:
  ExpressionParser(std::string_view text, size_t at, const SourceMark& mark) : text_(text), at_(at), mark_(mark) {}

  // Stands after "{{"; ends after "}}".
  Expression Parse() {
    const size_t begin = at_;
    Expression expression;
    SkipSpace();
    if (Peek() == '\'' || Peek() == '"') {
      expression.literal = ReadQuoted();
    } else {
      expression.path = ReadPath();
    }
    SkipSpace();
    while (Peek() == '|') {
      ++at_;
      // Each reads the whole text of the one before: 20,000 of them over a megabyte took minutes.
      if (expression.filters.size() == kMaxFilters) {
        Fail("an expression has more than " + std::to_string(kMaxFilters) + " filters. Use fewer, or change the data.");
      }
      expression.filters.push_back(ReadFilter());
      SkipSpace();
    }
    if (text_.substr(at_, 2) != "}}") {
      Fail("'" + std::string(text_.substr(begin, at_ - begin)) + "' is followed by " + Here() +
           ". An expression is field|filter|filter between {{ and }}. Write {{'{{'}} for literal braces.");
    }
    expression.text = std::string(Trim(text_.substr(begin, at_ - begin)));
    at_ += 2;
    return expression;
  }

  // A path that fills the whole text, without braces.
  std::vector<Step> ParsePathOnly() {
    std::vector<Step> path = ReadPath();
    if (at_ != text_.size()) Fail("'" + std::string(text_) + "' is no path: " + Here() + " is in the way.");
    return path;
  }

  size_t at() const { return at_; }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  std::string Here() const {
    return at_ < text_.size() ? "'" + std::string(text_.substr(at_, 12)) + "'" : std::string("the end of the text");
  }
  void SkipSpace() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n') ++at_;
  }

  [[noreturn]] void Fail(const std::string& what) const { throw Error(ErrorKind::kSpec, Lead(mark_) + what); }

  std::string ReadName() {
    const size_t begin = at_;
    while (IsNameCharacter(Peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::vector<Step> ReadPath() {
    std::vector<Step> path;
    path.push_back({ReadName(), 0});
    if (path[0].name.empty()) Fail("a field name is missing before " + Here() + ". Write {{field}} or {{field|filter}}.");
    while (Peek() == '.' || Peek() == '[') {
      if (text_[at_++] == '.') {
        path.push_back({ReadName(), 0});
        if (path.back().name.empty()) Fail("a field name is missing after '.' before " + Here() + ".");
      } else {
        const size_t begin = at_;
        while (std::isdigit(static_cast<unsigned char>(Peek()))) ++at_;
        if (at_ == begin || at_ - begin > 9 || Peek() != ']') {
          Fail("a list index is missing after '[' before " + Here() + ". Write {{choices[0]}}: a number from 0.");
        }
        path.push_back({"", std::stoll(std::string(text_.substr(begin, at_ - begin)))});
        ++at_;
      }
    }
    return path;
  }

  std::string ReadQuoted() {
    const char quote = text_[at_++];
    std::string out;
    for (;; ++at_) {
      if (at_ >= text_.size()) Fail(std::string("a quoted text is not closed by ") + quote + ".");
      char c = text_[at_];
      if (c == quote) break;
      if (c == '\\') {
        ++at_;
        switch (Peek()) {
          case 'n': c = '\n'; break;
          case 't': c = '\t'; break;
          case '\\': case '\'': case '"': c = text_[at_]; break;
          default: Fail("'\\" + std::string(1, Peek()) + "' is no escape of a quoted text. Escapes: \\n \\t \\\\ \\' \\\".");
        }
      }
      out += c;
    }
    ++at_;
    return out;
  }

  Filter ReadFilter() {
    SkipSpace();
    Filter filter{ReadName(), {}};
    const auto rule = std::find_if(std::begin(kFilters), std::end(kFilters),
                                   [&](const FilterRule& known) { return filter.name == known.name; });
    if (rule == std::end(kFilters)) {
      Fail("'" + filter.name + "' is no filter." + DidYouMean(filter.name, FilterNames()) +
           " Filters: " + JoinNames(FilterNames()) + ".");
    }
    SkipSpace();
    if (Peek() == ':') {
      do {
        ++at_;
        SkipSpace();
        if (Peek() != '\'' && Peek() != '"') {
          Fail("filter '" + filter.name + "' needs a quoted text before " + Here() + ".");
        }
        filter.arguments.push_back(ReadQuoted());
        SkipSpace();
      } while (Peek() == ',');
    }
    if (filter.arguments.size() < rule->arguments || (filter.arguments.size() > rule->arguments && !rule->takes_more)) {
      Fail("filter '" + filter.name + "' has " + std::to_string(filter.arguments.size()) +
           " texts after it. It takes " + std::to_string(rule->arguments) + (rule->takes_more ? " or more." : "."));
    }
    return filter;
  }

  std::string_view text_;
  size_t at_;
  const SourceMark& mark_;
};

std::vector<std::string> KeysOf(const Value& map) {
  std::vector<std::string> keys;
  if (map.is_map()) {
    for (const auto& entry : map.AsMap()) keys.push_back(entry.first);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

const Value& Walk(const Value& item, const Value& locals, const std::vector<Step>& path, std::string_view wanted_by) {
  const auto fail = [&](const std::string& what) -> const Value& {
    throw Error(ErrorKind::kSpec, Lead(item.mark()) + what + " (" + std::string(wanted_by) + ").");
  };
  const Value* here = locals.Find(path[0].name);
  if (here == nullptr) here = item.Find(path[0].name);
  std::string walked = path[0].name;
  if (here == nullptr) {
    return fail("the item has no field '" + walked + "'." + DidYouMean(walked, KeysOf(item)) +
                " Fields: " + JoinNames(KeysOf(item)));
  }
  for (size_t i = 1; i < path.size(); ++i) {
    const Step& step = path[i];
    if (!step.name.empty()) {
      if (!here->is_map()) return fail("'" + walked + "' is " + std::string(Article(here->type())) + ", not a map");
      const Value* next = here->Find(step.name);
      if (next == nullptr) {
        return fail("'" + walked + "' has no field '" + step.name + "'." + DidYouMean(step.name, KeysOf(*here)) +
                    " Fields: " + JoinNames(KeysOf(*here)));
      }
      here = next;
      walked += "." + step.name;
    } else {
      if (!here->is_list()) return fail("'" + walked + "' is " + std::string(Article(here->type())) + ", not a list");
      const Value::List& list = here->AsList();
      if (step.index >= static_cast<int64_t>(list.size())) {
        return fail("'" + walked + "' has " + std::to_string(list.size()) + " entries, so there is no [" +
                    std::to_string(step.index) + "]");
      }
      here = &list[step.index];
      walked += "[" + std::to_string(step.index) + "]";
    }
  }
  return *here;
}

// What turns a value into text and applies filters; knows the item and expression for errors.
class Evaluation {
 public:
  Evaluation(const Value& item, const Expression& expression) : item_(item), expression_(expression) {}

  std::string Run(const Value& locals) const {
    Value value = expression_.path.empty()
                      ? Value(expression_.literal)
                      : Walk(item_, locals, expression_.path, "template {{" + expression_.text + "}}");
    for (const Filter& filter : expression_.filters) value = Apply(filter, value);
    return Text(value);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorKind::kSpec, Lead(item_.mark()) + what + " (template {{" + expression_.text + "}}).");
  }

  std::string Text(const Value& value) const {
    if (!HasDataText(value)) Fail("the value is " + std::string(Article(value.type())) + ", where a text is needed");
    return DataText(value);
  }

  // Before a text is made: filters that lengthen it can be chained until no memory holds it.
  void CheckSize(const std::string& maker, double size_bytes) const {
    if (size_bytes <= static_cast<double>(kMaxRenderedBytes)) return;
    throw Error(ErrorKind::kBudget, Lead(item_.mark()) + maker + " makes a text of more than " +
                                        std::to_string(kMaxRenderedBytes) + " bytes, which is the limit (template {{" +
                                        expression_.text + "}}).");
  }

  std::string Replaced(const std::string& text, const std::string& from, const std::string& to) const {
    if (from.empty()) return text;
    size_t hits = 0;
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += from.size()) ++hits;
    CheckSize("filter 'replace'", static_cast<double>(text.size()) + static_cast<double>(hits) *
                                      (static_cast<double>(to.size()) - static_cast<double>(from.size())));
    return ReplaceAll(text, from, to);
  }

  const Value::List& List(const Filter& filter, const Value& value) const {
    if (!value.is_list()) {
      Fail("filter '" + filter.name + "' got " + std::string(Article(value.type())) + ", where a list is needed");
    }
    return value.AsList();
  }

  std::string Letter(int64_t index) const {
    if (index < 0 || index > 25) Fail("there is no letter for " + std::to_string(index) + ". Letters go from 0 to 25");
    return ChoiceLetter(index);
  }

  Value Apply(const Filter& filter, const Value& value) const {
    const std::string& name = filter.name;
    if (name == "trim") return std::string(Trim(Text(value)));
    if (name == "trim_left") return std::string(TrimLeft(Text(value)));
    if (name == "trim_right") return std::string(TrimRight(Text(value)));
    if (name == "lower") return ToLower(Text(value));
    if (name == "upper") return ToUpper(Text(value));
    if (name == "capitalize") return Capitalize(Text(value));
    if (name == "replace") return Replaced(Text(value), filter.arguments[0], filter.arguments[1]);
    if (name == "letter") {
      if (!value.is_int()) Fail("filter 'letter' got " + std::string(Article(value.type())) + ", where an integer is needed");
      return Letter(value.AsInt());
    }
    if (name == "pick" || name == "pick_from_1") {
      const int64_t first = name == "pick" ? 0 : 1, count = static_cast<int64_t>(filter.arguments.size());
      if (!value.is_int())
        Fail("filter '" + name + "' got " + std::string(Article(value.type())) + ", where an integer is needed");
      if (value.AsInt() < first || value.AsInt() - first >= count) {
        Fail("filter '" + name + "' has " + std::to_string(count) + " texts, and none with number " + value.Text());
      }
      return filter.arguments[static_cast<size_t>(value.AsInt() - first)];
    }
    if (name.starts_with("before") || name.starts_with("after")) {
      const std::string text = Text(value);
      const size_t hit = name.ends_with("_last") ? text.rfind(filter.arguments[0]) : text.find(filter.arguments[0]);
      if (hit == std::string::npos) Fail("'" + filter.arguments[0] + "' does not occur in '" + text + "'");
      return name.starts_with("before") ? text.substr(0, hit) : text.substr(hit + filter.arguments[0].size());
    }
    const Value::List& list = List(filter, value);
    if (name == "first" || name == "last") {
      if (list.empty()) Fail("the list is empty");
      return name == "first" ? list.front() : list.back();
    }
    std::string joined;
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) joined += name == "join" ? filter.arguments[0] : "\n";
      if (name == "lettered") joined += Letter(static_cast<int64_t>(i)) + ". ";
      joined += Text(list[i]);
      CheckSize("filter '" + name + "'", static_cast<double>(joined.size()));
    }
    return joined;
  }

  const Value& item_;
  const Expression& expression_;
};

}  // namespace

struct Template::Parts {
  std::vector<Piece> pieces;
  std::vector<std::string> fields;
};

Template::Template(std::string_view text, SourceMark mark) : parts_(std::make_unique<Parts>()) {
  std::string plain;
  for (size_t at = 0; at < text.size();) {
    if (text.substr(at, 2) != "{{") {
      plain += text[at++];
      continue;
    }
    if (!plain.empty()) parts_->pieces.push_back({std::move(plain), {}});
    plain.clear();
    ExpressionParser parser(text, at + 2, mark);
    Expression expression = parser.Parse();
    at = parser.at();
    if (!expression.path.empty() && !Uses(expression.path[0].name)) {
      parts_->fields.push_back(expression.path[0].name);
    }
    parts_->pieces.push_back({"", std::move(expression)});
  }
  if (!plain.empty()) parts_->pieces.push_back({std::move(plain), {}});
}

Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

std::string Template::Render(const Value& item, const Value& locals) const {
  std::string out;
  for (const Piece& piece : parts_->pieces) {
    out += piece.expression ? Evaluation(item, *piece.expression).Run(locals) : piece.text;
    if (out.size() > static_cast<size_t>(kMaxRenderedBytes)) {
      throw Error(ErrorKind::kBudget, Lead(item.mark()) + "a template makes a text of more than " +
                                          std::to_string(kMaxRenderedBytes) + " bytes, which is the limit.");
    }
  }
  return out;
}

const std::vector<std::string>& Template::fields() const { return parts_->fields; }

bool Template::Uses(std::string_view field) const {
  return std::find(parts_->fields.begin(), parts_->fields.end(), field) != parts_->fields.end();
}

const Value& FindField(const Value& item, std::string_view path, std::string_view wanted_by) {
  const SourceMark nowhere;
  return Walk(item, Value(), ExpressionParser(path, 0, nowhere).ParsePathOnly(), wanted_by);
}

}  // namespace bitlaw
