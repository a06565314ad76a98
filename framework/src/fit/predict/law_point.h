#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/law.h"
#include "bitlaw/base/export.h"
#include "records/table.h"

namespace bitlaw {

/// One configuration that somebody asks about: numbers of columns, and words of others (model, quantizer).
struct BITLAW_EXPORT LawPoint {
  std::vector<std::pair<std::string, double>> numbers;
  std::vector<std::pair<std::string, std::string>> words;
  const double* Number(const std::string& name) const;  ///< Null if it is not given.
  std::string Word(const std::string& name) const;      ///< "" if it is not given.
  std::string Text() const;                             ///< "N=1.7e+09, B=3, model=small"
};

/// Reads "N=1.7e9, B=2|3|4, G=32..128*2, model=small": a point for each combination, the last list fastest.
///
///     3            a number                      2..4         2, 3, 4
///     2|3|4        each of them                  1..2..0.5    1, 1.5, 2
///     small        a word                        32..128*2    32, 64, 128
///
/// At most 10,000 points. Error(kSpec) that shows the part that cannot be read.
BITLAW_EXPORT std::vector<LawPoint> ParsePoints(const std::string& text);

/// The covariates of a law at a point. What is not given follows where only one value is possible: that of all rows of
/// the point's model, or of all rows of the table. Error(kSpec) that names what is missing and the values recorded, or
/// a name that is neither a column of the table nor one that the law needs.
///   `table`: what the law was fitted to. Anchors (IsAnchorColumn() of baseline.h) that are not given are NaN: each
/// stratum has its own (StratumPredictor::Anchored()).
BITLAW_EXPORT std::vector<double> CovariatesAt(const LawPoint& point, const Law& law, const Table& table);

/// The model (or other unit, a column of the table) that a point means: the one it names; else the only one with the
/// point's values of every covariate that is constant within each of them and differs between some. "": none, or
/// several.
///   x: CovariatesAt(). Error(kSpec) for a name that the column lacks.
BITLAW_EXPORT std::string UnitAt(const LawPoint& point, const Law& law, const Table& table, const std::string& unit,
                                 const std::vector<double>& x);

/// Whether two values of a factor are the same but for how they were printed.
BITLAW_EXPORT bool IsSameFactor(double a, double b);

}  // namespace bitlaw
