#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// An expression of Jinja, of the part that the templates of task files have a counterpart of.
struct JinjaNode {
  enum class Kind { kField, kText, kNumber, kList, kSum, kCall, kFilter, kItem, kAllButLast, kLookup };
  Kind kind = Kind::kField;
  std::string text;  ///< Path, text, digits, or the name of the method or filter; "+" or "-" of a sum.
  std::vector<JinjaNode>
      parts;  ///< Entries, summands; of methods, filters and items: what they are of, then arguments.
};

/// A Jinja template: text and expressions in turns.
///
/// Read are fields (`a.b`, `a[0]`, `a['b']`), texts, whole numbers, lists and the entry of a list,
/// + and ~ of texts, the methods strip, lstrip,
/// rstrip, lower, upper, capitalize, replace, split and index, and the filters trim, lower, upper, capitalize, replace,
/// join, first, last, int and string. Comments are left out, `-` at braces takes white space away.
///
/// Errors   Error(kUnsupported) with the template's place and what has no counterpart, statements ({% if %}) among it.
class BITLAW_EXPORT JinjaTemplate {
 public:
  JinjaTemplate(std::string_view text, const SourceMark& mark);

  /// As a template of task files (bitlaw/sdk/text/template.h), which gives the same text, or an Error where a field is
  /// missing, or a text that is split does not hold what it is split at.
  std::string Translated() const;

  /// The expression, if there is nothing beside it.
  const JinjaNode* OnlyExpression() const;

  /// An expression of this template as a template of task files.
  std::string Translated(const JinjaNode& node) const;
  /// The path of a field, "choices.text"; nothing for all else.
  std::optional<std::string> Path(const JinjaNode& node) const;

 private:
  [[noreturn]] void Refuse(const std::string& what) const;
  std::string Pipe(const JinjaNode& node) const;
  std::string Picked(const JinjaNode& lookup) const;

  struct Piece {
    std::string text;
    std::optional<JinjaNode> expression;
  };
  SourceMark mark_;
  std::vector<Piece> pieces_;
};

/// A text as a template that gives just that text.
BITLAW_EXPORT std::string LiteralTemplate(std::string_view text);

}  // namespace bitlaw
