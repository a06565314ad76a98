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
/// that stands as a word for a number ("row"), is missing: comparisons with it are false, missing(x) asks. A map of
/// `skip` may also name models ("model", unless an option has that name): it leaves cells out of those alone.
class CellFilter {
 public:
  /// Error(kSpec) that points into `where` or at an entry of `skip`.
  CellFilter(const QuantizeSpec& entry, const OptionSchema& schema);

  bool keeps_all() const { return !where_ && skip_.empty(); }
  /// Whether the cell stays for any model. `options`: resolved, in the order of the schema. `calibration`: null if there
  /// is none.
  bool Keeps(const Value& options, const CalibrationSpec* calibration) const;
  /// Whether it does for this one, as far as maps say that name models.
  bool KeepsOf(const std::string& model, const Value& options, const CalibrationSpec* calibration) const;
  /// The models that `skip` names, with their places in the study.
  const std::vector<Value>& models() const { return models_; }

 private:
  struct Name {
    std::string name;
    const OptionField* field = nullptr;  // Null for calibration.
    size_t index = 0;                    // Of the option, or 0..3 for corpus, sequences, tokens, seed.
  };
  // What the options of a cell agree with if each name has one of its values.
  using Agreement = std::vector<std::pair<size_t, std::vector<Value>>>;
  bool Agrees(const Agreement& entries, const Value& options, const CalibrationSpec* calibration) const;
  static Value ValueOf(const Name& name, const Value& options, const CalibrationSpec* calibration);

  std::vector<Name> names_;
  std::optional<CompiledExpression> where_;
  std::vector<Agreement> skip_;  // One map of `skip` after the other, of those that name no model.
  std::vector<std::pair<std::vector<std::string>, Agreement>> skip_of_models_;
  std::vector<Value> models_;
};

}  // namespace bitlaw
