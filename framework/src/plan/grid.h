#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plugin/host.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// The cells of one `quantize:` entry, with every value resolved once.
class Grid {
 public:
  Grid(const QuantizeSpec& entry, const OptionSchema& schema);

  /// One cell. Cells with equal `combination` have equal options.
  struct Cell {
    size_t combination = 0;
    std::optional<CalibrationSpec> calibration;  ///< As written, whether or not the quantizer needs it.
  };

  /// Calls `visit` for every cell that `where` and `skip` keep, the last axis fastest.
  void ForEach(const std::function<void(const Cell&)>& visit);
  /// How many cells were left out by the last ForEach().
  size_t left_out() const { return left_out_; }

  /// The options of a combination that ForEach() has come by.
  const Options& options(size_t combination) const { return combinations_[combination]; }
  size_t num_combinations() const { return combinations_.size(); }

  /// Every value that an option (resolved) or "calibration.x" takes in this entry.
  std::vector<std::pair<std::string, std::vector<Value>>> values() const;
  const std::vector<std::string>& axis_names() const { return axis_names_; }

 private:
  struct Axis {
    bool is_calibration = false;
    size_t field = 0;  // Index into the options, or into CalibrationSchema().
    std::vector<Value> values;
  };

  void FindFreeDefaults();
  void SetFreeDefaults(Value& options) const;
  size_t CombinationAt(const std::vector<size_t>& position);
  std::optional<CalibrationSpec> CalibrationAt(const std::vector<size_t>& position) const;

  const QuantizeSpec& entry_;
  const OptionSchema& schema_;
  Value base_;         // Resolved options of the first cell.
  Value calibration_;  // The same for the calibration; null if there is none.
  std::vector<std::vector<Axis>> groups_;
  std::vector<std::string> axis_names_;
  std::vector<size_t> free_defaults_;  // Options that were not given, with OptionField::default_by.
  std::vector<Options> combinations_;
  std::vector<size_t> combination_of_;  // By the mixed-radix number of the groups that hold options.
  size_t left_out_ = 0;
};

/// A calibration map whose every field is resolved.
CalibrationSpec CalibrationFrom(const Value& resolved);

/// "lab-56k gptq bits=4 sequences=128": a cell's model, its quantizer and those options that differ between the quantizer's
/// trials. `varying`: their names. `options`: the cell's, as they are shown; those that do not count in it are left out.
/// `calibration` is null where the cell uses none.
std::string TrialLabel(const std::string& model, const QuantizeSpec& spec, const std::vector<std::string>& varying,
                       const Value& options, const CalibrationSpec* calibration);

/// What the column of an option or of a calibration setting holds for such a cell; null where it has none.
Value AxisValue(const std::string& name, const Value& options, const CalibrationSpec* calibration);

}  // namespace bitlaw
