#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/variables.h"
#include "bitlaw/api/option_schema.h"

namespace bitlaw {

/// Checks values against fields and normalizes them. Every fault becomes one line of `faults`:
/// "g.yaml:3:9: quantizer 'gptq': bits = 9 is out of range. It must be an integer from 2 to 8."
class OptionChecker {
 public:
  /// Both arguments must outlive the checker.
  OptionChecker(std::string_view owner, std::vector<std::string>& faults) : owner_(owner), faults_(faults) {}

  /// `path` is how the sentence names the value: "bits", "parameters.alpha.min", "layers[2]".
  Value Check(const OptionField& field, const Value& given, const std::string& path);

  /// One map (or null: nothing given) against its fields; the result has every field, in their order.
  Value CheckMap(const std::vector<OptionField>& fields, const Value& given, const std::string& path);

 private:
  Value CheckContent(const OptionField& field, const Value& given, const std::string& path);
  Value CheckInt(const OptionField& field, const Value& given, const std::string& path);
  Value CheckReal(const OptionField& field, const Value& given, const std::string& path);
  Value CheckPath(const OptionField& field, const Value& given, const std::string& path);
  Value CheckList(const OptionField& field, const Value& given, const std::string& path);
  Value CheckGroupMap(const OptionField& field, const Value& given, const std::string& path);
  void CheckKeysKnown(const std::vector<OptionField>& fields, const Value& given, const std::string& path);
  // `parent` as given, and what of it is resolved: the fields before this one.
  Value Missing(const OptionField& field, const Value& parent, const Value& resolved, const std::string& path);

  void Fault(const SourceMark& mark, const std::string& text);
  Value Refuse(const OptionField& field, const Value& given, const std::string& path, const std::string& problem,
               const std::string& hint = "");
  std::string Owned(const std::string& text) const;

  std::string_view owner_;
  std::vector<std::string>& faults_;
};

}  // namespace bitlaw
