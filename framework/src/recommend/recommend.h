#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/data/item_scores.h"
#include "fit/predict/point_answer.h"
#include "fit/table/strata_data.h"
#include "recommend/candidates.h"
#include "recommend/constraints.h"
#include "recommend/item_pairs.h"

namespace bitlaw {

/// One configuration in one stratum.
struct BITLAW_EXPORT StratumStanding {
  std::string stratum;
  StratumAnswer::Source source = StratumAnswer::Source::kNone;
  double value = kUnset;  ///< acc_adj: measured, and only where it was not, the law's.
  Interval interval;      ///< Of items where measured, else the law's prediction interval.
  /// Share of the same model's acc_adj at 16 bits, the items paired where both were measured.
  double kept = kUnset;
  Interval kept_interval;
  bool is_paired = false;
  std::string warning;  ///< StratumAnswer::Warning() of a law's number.
  /// Of a law's number: what was measured of the same model at the next fewer and more bits, all other factors of the
  /// law alike: "measured at B = 4 0.959, at B = 8 0.962"; "" for none.
  std::string beside;
};

/// Whether a floor is met.
enum class FloorVerdict { kMet, kProbably, kProbablyNot, kMissed, kUnknown };
BITLAW_EXPORT std::string Name(FloorVerdict verdict);  ///< "met", "probably", "probably not", "missed", "not known"

/// One floor and one configuration.
struct BITLAW_EXPORT FloorStanding {
  FloorVerdict verdict = FloorVerdict::kUnknown;
  double value = kUnset;  ///< acc_adj, or the share of the floor's reference.
  Interval interval;
};

struct BITLAW_EXPORT Standing {
  size_t row = 0;  ///< Of the candidates.
  std::string label, model, quantizer, trial;
  bool is_measured = false;  ///< In every stratum that counts.
  double bits_effective = kUnset;
  double weight_bytes = kUnset, cache_bytes = kUnset;  ///< NaN: not known.
  bool is_size_estimated = false;
  std::vector<StratumStanding> strata;  ///< Those of the table, the pool among them.
  std::vector<FloorStanding> floors;    ///< Of Constraints::floors.
  /// Weighted mean over the strata that count, with an interval: of independent strata where measured (Zou and Donner
  /// 2008, Statistics in Medicine 27:1693), else as if all strata were off together.
  double score = kUnset;
  Interval score_interval;
  /// score less that of the first, on the same items, and its standard error; both trials measured.
  ItemEstimate against_first;
  bool is_on_front = false;  ///< None that was measured has less memory and a higher score.
  std::string why_out;       ///< Why it is not among those that meet the constraints; "" if it is.
  double memory_bytes() const { return weight_bytes + (std::isnan(cache_bytes) ? 0 : cache_bytes); }
  const StratumStanding* Of(const std::string& stratum) const;
};

/// The first choice in one stratum, left out of the law's fit and predicted from all other rows.
struct BITLAW_EXPORT CheckedStratum {
  std::string stratum;
  double measured = kUnset, predicted = kUnset;  ///< acc_adj
  Interval interval;                             ///< Of the prediction.
  bool is_inside = false;
};

struct BITLAW_EXPORT Recommendation {
  Constraints constraints;
  double level = kUnset;
  std::string law;                                      ///< "" where none was needed.
  std::vector<std::pair<std::string, double>> weights;  ///< Of strata, their sum 1.
  std::vector<Standing> measured, predicted;            ///< That meet the constraints, best first.
  /// Of `measured`, the smallest that the items do not tell from the first: its difference lies within the interval of
  /// the paired error. Empty: none is smaller.
  std::optional<size_t> smaller_no_worse;
  std::vector<Standing> others;                          ///< That do not, with why_out.
  std::vector<std::pair<std::string, size_t>> left_out;  ///< Reasons and how many, most first.
  /// Where nothing measured meets all: the smallest that meets the floors, whatever its size, and the best of those
  /// that meet the rest, whatever floors they miss.
  std::optional<Standing> smallest_without_caps, best_without_floors;
  std::vector<CheckedStratum> check;  ///< CheckFirst(), where asked for.
  std::vector<std::string> notes;
};

struct BITLAW_EXPORT RecommendInput {
  const CandidateTable& candidates;
  const Table& observations;              ///< All rows, mapped.
  const PredictedStudy* study = nullptr;  ///< Of a law; null: what was not measured has no values.
  const ItemScores* items = nullptr;      ///< Null or with why_none: floors are compared without pairs.
  double level = 0.9;
};

/// Error(kSpec) for strata, columns and models that the table lacks.
BITLAW_EXPORT Recommendation Recommend(const RecommendInput& input, const Constraints& constraints);

/// measured[0] beside what the law says of it from all other rows; strata whose fit lacks it have no entry.
BITLAW_EXPORT std::vector<CheckedStratum> CheckFirst(const Recommendation& recommendation, const PredictedStudy& study);

}  // namespace bitlaw
