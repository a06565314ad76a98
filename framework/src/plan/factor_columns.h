#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "spec/decoder.h"
#include "spec/quantize/table_part.h"

namespace bitlaw {

/// Who says a factor's value, in the order in which its column comes.
enum class FactorSource { kModel, kQuantizer, kCalibration, kStudy, kTask };

/// A factor as a column of every trial.
struct BITLAW_EXPORT FactorColumn {
  Factor factor;       ///< Without a value.
  FactorSource source = FactorSource::kModel;
  std::string origin;  ///< For people: "bitlaw itself", "quantizer 'gptq'", "'columns' of model 'big'".
  bool is_number = true;  ///< Whether every value that is there is a number; otherwise the column holds texts.
};

/// The names of columns of observations.csv that hold no factor, and of those that fits add to them: no factor, and no
/// axis of a study, may be called so.
BITLAW_EXPORT const std::vector<std::string>& ReservedColumns();

/// How a factor's origin is called where the framework itself fills it in.
inline constexpr std::string_view kOwnOrigin = "bitlaw itself";

/// Collects the factors of a study's trials: one column a name, whoever reports it.
///
/// Several components of one kind may report the same column (every quantizer has its G), if they mean the same by it:
/// equal role and anchor. Anything else that is called alike is a fault that names both.
class BITLAW_EXPORT FactorColumns {
 public:
  explicit FactorColumns(Faults& faults) : faults_(faults) {}

  /// Values of a report, by index into columns().
  using Values = std::vector<std::pair<size_t, Value>>;

  /// All that one reporter says of one model, quantizer, ...: each factor's column and value. What is at fault is left
  /// out. `mark` is the place of the study that asked for the reporter.
  Values Add(FactorSource source, const std::vector<Factor>& factors, const std::string& origin,
             const SourceMark& mark = {});

  const std::vector<FactorColumn>& columns() const { return columns_; }
  const FactorColumn* Find(std::string_view column) const;

  /// Sorts the columns by source; what Add() returned goes by the old order, and place[index] is the new one.
  std::vector<size_t> Sort();

 private:
  Faults& faults_;
  std::vector<FactorColumn> columns_;
};

/// What the framework itself says of every model: N, N_active, layers, ...
std::vector<Factor> OwnFactors(const ModelSummary& summary);
/// What it says of every quantization, of the unquantized model with 16 bits: B, bits_effective, size_bytes.
std::vector<Factor> OwnFactors(const ModelSummary& summary, double bits_requested, double bits_per_weight,
                               const WeightsBeside& beside = {});
/// A column of a model that the study gives: of a standard name with what is known of it.
Factor StudyFactor(const std::string& column, const Value& value);
/// Bytes that a model's weights take: quantized ones by bits_per_weight, the others in 16 bits.
BITLAW_EXPORT double WeightBytes(const ModelSummary& summary, double bits_per_weight,
                                 const WeightsBeside& beside = {});

}  // namespace bitlaw
