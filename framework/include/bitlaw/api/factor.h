#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// What kind of quantity a factor is: fits, zones, hold-outs and tables go by it and never by a column's name.
enum class FactorRole {
  kScale,        ///< How large the unquantized model is, or how long it was trained: N, N_active, D.
  kPrecision,    ///< Bits, or what stands for them; more is closer to the unquantized model: B, bits_effective, B_a.
  kGranularity,  ///< How many numbers share a parameter of the grid; fewer is finer: G.
  kCalibration,  ///< How much data the quantizer saw: Cb, T.
  kOther,        ///< Any other, texts included.
};
BITLAW_EXPORT std::string_view Name(FactorRole role);             ///< "scale", "precision", ..., "other".
BITLAW_EXPORT FactorRole ParseFactorRole(std::string_view name);  ///< Error(kSpec) on another word.

/// One quantity that distinguishes trials and that a law may use as a covariate. Models, quantizers, corpora and tasks
/// report theirs; each becomes a column of observations.csv, and a name that a law may use.
///
/// Two reporters of one trial may not use the same column, nor the name of a column that the framework fills in itself:
/// that is an Error(kSpec) of the plan, which names both.
struct BITLAW_EXPORT Factor {
  std::string column;    ///< "G": a letter, then letters, digits and _, as names in laws are written.
  std::string symbol{};  ///< As papers write it, "N_active"; "": as the column.
  std::string unit{};    ///< "bits", "weights", ...; "": none.
  std::string doc{};     ///< One sentence.
  FactorRole role = FactorRole::kOther;
  Value value{};         ///< A number, true or false, or a text; null: missing.
  /// Its value for the unquantized model (bits: 16), which reports no factors of a quantizer; null: missing there.
  Value anchor{};
  bool operator==(const Factor&) const = default;
};

/// The factors that many share, without values: N, B, G, Cb, ... with the symbols of docs/notation.md. Whoever reports one
/// of them takes it from here, and a table of somebody else's with such columns is understood.
BITLAW_EXPORT const std::vector<Factor>& StandardFactors();
/// The one of this column; null if there is none.
BITLAW_EXPORT const Factor* FindStandardFactor(std::string_view column);
/// The same with a value: StandardFactor("G", 128). InternalError for a column that is none of them.
BITLAW_EXPORT Factor StandardFactor(std::string_view column, Value value);

/// Why a factor cannot be a column: a name that is none, a value or an anchor that is a list or a map, or not finite.
/// Empty exactly when it can.
BITLAW_EXPORT std::string ExplainFactor(const Factor& factor);

}  // namespace bitlaw
