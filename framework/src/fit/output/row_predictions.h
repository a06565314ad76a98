#pragma once

#include <memory>
#include <span>

#include "bitlaw/base/export.h"
#include "fit/estimate/fit_laws.h"

namespace bitlaw {

/// What each fit of `report`, which is FitLaws() of the same arguments, says of each row: one row a law, stratum, method
/// and row that was fitted or judged.
///
///   set          "fit", "held out", "counts only" (at or below chance: the binomial fit alone has it) or "not fitted"
///   line, row    where it stands in the file (both from 1; missing where the row is a mean over several, see `name`)
///   name         its label or trial, or "row 3 (line 4)"
///   model        as the table has it; standard_error likewise, of acc_adj by its items
///   residual     response - predicted; residual_acc_adj likewise
///   low, high    prediction interval (LawPredictor) at settings.confidence of what a model that the law does not know would
///                measure there, in units of acc_adj, of the response where no accuracy follows from it; only of the first
///                method of a stratum, and where the rows determine one
///   leverage     h_i of the weighted, linearized fit: h = diag(J (J^T W J)^-1 J^T W) over the rows fitted, with J the
///                slopes of what was fitted (ln f for logarithms, p for counts) by the parameters off their bounds; a
///                Huber loss is taken for squares. The sum is the number of those parameters.
///   studentized  residual in the fit's space over s sqrt(1 - h); for OLS and least squares
/// Then a column for each covariate of the laws, comparisons with a text apart.
BITLAW_EXPORT Table RowPredictions(std::span<const std::unique_ptr<Law>> laws, const Table& table,
                                   const FitSettings& settings, const FitReport& report);

}  // namespace bitlaw
