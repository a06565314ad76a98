#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// The small language in which task files write prompts: text with {{ expressions }} over the fields of one item.
///
///     Question: {{question|trim}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nAnswer:
///
///     expression = source { '|' filter }
///     source     = field { '.' field | '[' index ']' }  or  'quoted text'
///     filter     = name [ ':' 'text' { ',' 'text' } ]
///
/// Filters      trim  trim_left  trim_right    without white space at the ends
///              lower  upper  capitalize       letter case; capitalize lowers all but the first character
///              before:'x'  after:'x'          the text before / after the first x, which must be there
///              before_last:'x'  after_last:'x'  the same of the last x
///              replace:'x','y'                every x by y
///              letter                         0 -> A, 1 -> B, ...
///              pick:'x','y'  pick_from_1:'x','y'   the text with this number, a whole one from 0 or from 1
///              first  last                    of a list
///              join:'x'                       the texts of a list with x between them
///              lettered                       a list as lines "A. text"
/// Quoted text  in ' or ", with the escapes \n \t \\ \' \" ; {{'{{'}} gives literal braces. Single braces are
///              ordinary text.
/// Values       As DataText(); null, maps and lists (without a filter that makes a text of them) are errors.
/// Errors       Parse: Error(kSpec) at the place of the template. Render: Error(kSpec) at the place of the item, and
///              Error(kBudget) for a text of more than kMaxRenderedBytes (data_text.h).
class BITLAW_EXPORT Template {
 public:
  /// `mark`: where the template is written, for errors.
  Template(std::string_view text, SourceMark mark);
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  /// The text for one item. `item` is a map whose mark says where it comes from; names in `locals` (a map, or null
  /// for none) go before the item's own.
  std::string Render(const Value& item, const Value& locals = Value()) const;

  /// The names that stand at the head of its expressions, in order, each once.
  const std::vector<std::string>& fields() const;
  bool Uses(std::string_view field) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// The entry of `item` that a path such as "answer.aliases" or "choices[0]" names. Error(kSpec) at the item's place
/// if there is none, with a "did you mean"; `wanted_by` says who asks: "option 'answer'".
BITLAW_EXPORT const Value& FindField(const Value& item, std::string_view path, std::string_view wanted_by);

}  // namespace bitlaw
