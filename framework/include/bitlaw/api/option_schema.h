#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

enum class OptionType {
  kBool,
  kInt,
  kReal,      ///< An integer in the file is accepted.
  kString,
  kPath,      ///< A string; a relative path is resolved against the folder of the file that holds it.
  kChoice,    ///< One of `choices`.
  kList,      ///< A list whose elements are `element`.
  kGroup,     ///< A map with the fields of `children`.
  kGroupMap,  ///< A map from free names to groups with the fields of `children`.
};

/// One option: its name, type, unit, range, default and doc. Built by chaining on what OptionSchema returns.
struct BITLAW_EXPORT OptionField {
  std::string name;
  OptionType type = OptionType::kString;
  std::string doc;
  std::string unit;                                         ///< "" if there is none.
  bool required = true;                                     ///< Cleared by Default() and Optional().
  Value default_value;                                      ///< Null after Optional(): "not given" stays null.
  std::string default_by;                                   ///< "", or the earlier choice of the same schema ...
  std::vector<std::pair<std::string, Value>> defaults_by;   ///< ... with these values of which the default is another.
  std::optional<double> min, max;                           ///< Numbers only. NaN is always refused.
  bool min_exclusive = false, max_exclusive = false;
  std::vector<std::string> choices;                         ///< kChoice.
  std::vector<std::pair<std::string, int64_t>> named_ints;  ///< kInt: words that stand for a number.
  std::vector<OptionField> children;                        ///< kGroup, kGroupMap; kList: one, the element.
  std::optional<int64_t> min_items;                         ///< kList, kGroupMap.
  bool or_single = false;                                   ///< kList of texts: one may stand without brackets.

  OptionField& Doc(std::string text);
  OptionField& Unit(std::string text);
  OptionField& Default(Value value);
  /// Where the option `choice`, which stands before this one, has one of these values, the default is what stands beside it:
  /// Choice("preset", {"static", "ist"}), then Bool("act_order").Default(true).DefaultBy("preset", {{"ist", false}}).
  OptionField& DefaultBy(std::string choice, std::vector<std::pair<std::string, Value>> defaults);
  OptionField& Optional();
  OptionField& Range(double low, double high);  ///< Both ends included.
  OptionField& Min(double low);
  OptionField& Above(double low);  ///< low excluded.
  OptionField& Below(double high);  ///< high excluded.
  /// Lets the word stand for the number in a spec: Int("group_size").Word("row", -1).
  OptionField& Word(std::string word, int64_t number);
  OptionField& MinItems(int64_t count);
  /// Lets a single text stand for a list of it: `data: a.jsonl` is `data: [a.jsonl]`.
  OptionField& OrSingle();
};

class Options;

/// The options that a component understands, in the order in which help shows them.
///
///     OptionSchema schema;
///     schema.Int("bits").Range(2, 8).Default(4).Unit("bits").Doc("Width of one weight code.");
///     schema.Int("group_size").Min(1).Word("row", -1).Default(128).Unit("weights").Doc("...");
///     schema.Real("damp").Above(0).Below(1).Default(0.01).Doc("Fraction of mean(diag H) added to H.");
class BITLAW_EXPORT OptionSchema {
 public:
  OptionField& Bool(std::string name);
  OptionField& Int(std::string name);
  OptionField& Real(std::string name);
  OptionField& String(std::string name);
  OptionField& Path(std::string name);
  OptionField& Choice(std::string name, std::vector<std::string> choices);
  /// A list whose elements have the type, range and choices of `element` (its name is ignored).
  OptionField& List(std::string name, OptionField element);
  OptionField& Group(std::string name, OptionSchema children);
  OptionField& GroupMap(std::string name, OptionSchema children);

  const std::vector<OptionField>& fields() const { return fields_; }
  const OptionField* Find(std::string_view name) const;
  std::vector<std::string> names() const;

  /// Checks `given` (a map, or null for "nothing given") and fills in defaults.
  ///
  /// `owner` names the component in error texts: "quantizer 'gptq'". Throws one Error(kSpec) that holds every
  /// fault, a line each: unknown keys with a "did you mean", wrong types, values out of range, missing keys,
  /// each with file:line:column when `given` was read from a file.
  Options Resolve(const Value& given, std::string_view owner) const;

  /// Checks one value against one field and returns it normalized: words to numbers, integers to reals, `${NAME}`
  /// in paths replaced by the environment variable, paths made absolute. Every fault is appended to `faults`, and
  /// then what is returned has no meaning; with null `faults` they are thrown as one Error(kSpec). Used by the
  /// grid, where a list is an axis of values.
  static Value ResolveOne(const OptionField& field, const Value& given, std::string_view owner,
                          std::vector<std::string>* faults);

  /// The default of `field` beside the options `resolved` so far; not checked.
  static const Value& DefaultOf(const OptionField& field, const Value& resolved);

  /// True if a list given for `field` is a grid axis rather than the value itself: always, except that an
  /// option of type list needs a list of lists.
  static bool IsAxis(const OptionField& field, const Value& given);

  /// The table that `bitlaw plugins describe` prints: name, type, unit, range, default, doc.
  std::string HelpText() const;

 private:
  OptionField& AddField(std::string name, OptionType type);
  std::vector<OptionField> fields_;
};

/// Options that passed their schema: every field of the schema is present, with its type and in its range.
/// Asking for a name that the schema lacks, or for another type, is an InternalError.
class BITLAW_EXPORT Options {
 public:
  Options();  ///< No options at all.
  explicit Options(Value map);

  bool Has(std::string_view name) const;  ///< False for an Optional() field that was not given.
  bool Bool(std::string_view name) const;
  int64_t Int(std::string_view name) const;
  double Real(std::string_view name) const;
  const std::string& String(std::string_view name) const;  ///< kString, kPath and kChoice.
  std::vector<std::string> Strings(std::string_view name) const;
  std::vector<int64_t> Ints(std::string_view name) const;
  std::vector<double> Reals(std::string_view name) const;
  Options Group(std::string_view name) const;
  std::vector<std::pair<std::string, Options>> GroupMap(std::string_view name) const;
  const Value& Raw(std::string_view name) const;  ///< With its source mark, for errors a plugin finds itself.

  const Value& map() const { return *map_; }
  std::string CanonicalJson() const { return map_->CanonicalJson(); }

 private:
  std::shared_ptr<const Value> map_;  ///< Shared: a plan holds the same options in many trials.
};

}  // namespace bitlaw
