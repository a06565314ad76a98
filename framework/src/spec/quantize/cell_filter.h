#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/sdk/expression/expression.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// Decides which cells of one `quantize:` entry stay: those for which `where` is true and that agree with no map of
/// `skip`. Names are the quantizer's options (numbers, booleans, texts) and calibration.corpus, .sequences, .tokens and
/// .seed; the last three also without "calibration." unless an option has that name. An option that is not given, or
/// that stands as a word for a number ("row"), is missing: comparisons with it are false, missing(x) asks.
class CellFilter {
 public:
  /// Error(kSpec) that points into `where` or at an entry of `skip`.
  CellFilter(const QuantizeSpec& entry, const OptionSchema& schema);

  bool keeps_all() const { return !where_ && skip_.empty(); }
  /// `options`: resolved, in the order of the schema. `calibration`: null if there is none.
  bool Keeps(const Value& options, const CalibrationSpec* calibration) const;

 private:
  struct Name {
    std::string name;
    const OptionField* field = nullptr;  // Null for calibration.
    size_t index = 0;                    // Of the option, or 0..3 for corpus, sequences, tokens, seed.
  };
  static Value ValueOf(const Name& name, const Value& options, const CalibrationSpec* calibration);

  std::vector<Name> names_;
  std::optional<CompiledExpression> where_;
  // One map of `skip` after the other; a cell agrees if each name has one of its values.
  std::vector<std::vector<std::pair<size_t, std::vector<Value>>>> skip_;
};

}  // namespace bitlaw
