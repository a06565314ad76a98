#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "fit/options/quoted_text.h"
#include "fit/table/baseline.h"
#include "recommend/recommender.h"

namespace bitlaw {

namespace {

// Ends of the sum of independent estimates: the distances of their ends add up as squares do.
Interval SumOfIndependent(const std::vector<std::pair<double, const StratumStanding*>>& parts, double sum) {
  double below = 0, above = 0;
  for (const auto& [weight, part] : parts) {
    below += std::pow(weight * (part->value - part->interval.low), 2);
    above += std::pow(weight * (part->interval.high - part->value), 2);
  }
  return {sum - std::sqrt(below), sum + std::sqrt(above)};
}

}  // namespace

void Recommender::FindCovariates() {
  const Table& table = input_.candidates.table;
  covariates_.assign(table.rows(), {});
  if (input_.study == nullptr) return;
  const Law& law = input_.study->law();
  for (const std::string& name : law.covariates()) {
    if (IsAnchorColumn(name)) {  // Each stratum has its own.
      for (std::vector<double>& x : covariates_) x.push_back(kUnset);
      continue;
    }
    const bool is_test = table.Find(name) == nullptr && IsTextTest(name);
    const std::vector<double> values =
        is_test ? table.Evaluate(Expression::Parse(name)) : table.Numbers(name, "law '" + law.name() + "'");
    for (size_t row = 0; row < table.rows(); ++row) covariates_[row].push_back(values[row]);
  }
}

StratumStanding Recommender::InStratum(size_t stratum, size_t row, const Standing& standing) {
  StratumStanding one;
  one.stratum = strata_[stratum].name;
  const auto found = row_of_trial_[stratum].find(standing.trial);
  if (!standing.trial.empty() && found != row_of_trial_[stratum].end()) {
    const Table& table = strata_[stratum].table;
    one.source = StratumAnswer::Source::kMeasured;
    one.value = table.NumberAt("acc_adj", found->second);
    const double chance = table.NumberAt("chance", found->second);
    one.interval =
        MeasuredInterval(one.value, std::isnan(chance) ? 0 : chance, table.NumberAt("standard_error", found->second),
                         table.NumberAt("items", found->second), input_.level);
  } else if (input_.study != nullptr) {
    for (const StratumPredictor& predictor : input_.study->strata()) {
      if (predictor.stratum() != one.stratum || !predictor.why_none().empty()) continue;
      std::string why;
      const std::vector<double> x = predictor.Anchored(covariates_[row], standing.model, {}, why);
      if (!why.empty() && unanchored_.emplace(standing.model, one.stratum).second) {
        out_.notes.push_back(fmt::format(
            "Law '{}' predicts nothing of model '{}' in {}: {}. It starts from what 'bitlaw run STUDY.yaml --only \"{} "
            "none\"' measures.",
            input_.study->law().name(), standing.model, one.stratum, why, standing.model));
      }
      if (!why.empty()) break;
      if (!std::all_of(x.begin(), x.end(), [](double value) { return std::isfinite(value); })) break;
      StratumAnswer answer;
      answer.prediction = predictor.predictor().At(x, standing.model);
      answer.place = predictor.Place(x);
      answer.source =
          answer.place.extrapolates() ? StratumAnswer::Source::kExtrapolated : StratumAnswer::Source::kInterpolated;
      one.source = answer.source;
      one.value = answer.prediction.value;
      one.interval = answer.prediction.interval;
      one.warning = answer.Warning();
      one.beside = Beside(predictor, row, standing);
    }
  }
  AddKept(stratum, BaselineOf(standing.model), standing, one);
  return one;
}

std::string Recommender::Beside(const StratumPredictor& predictor, size_t row, const Standing& standing) const {
  const Law& law = input_.study->law();
  const Table& table = predictor.table();
  const std::vector<double>& x = covariates_[row];
  const auto bits = std::find(law.covariates().begin(), law.covariates().end(), "B") - law.covariates().begin();
  if (static_cast<size_t>(bits) == x.size() || table.Find("model") == nullptr) return "";
  const double here = x[static_cast<size_t>(bits)];
  double fewer = kUnset, more = kUnset, at_fewer = kUnset, at_more = kUnset;
  for (size_t other = 0; other < table.rows(); ++other) {
    if (table.TextAt("model", other) != standing.model) continue;
    if (!standing.quantizer.empty() && table.TextAt("quantizer", other) != standing.quantizer) continue;
    bool is_alike = true;
    for (size_t j = 0; j < x.size() && is_alike; ++j) {
      is_alike = j == static_cast<size_t>(bits) || IsAnchorColumn(law.covariates()[j]) ||
                 IsSameFactor(table.NumberAt(law.covariates()[j], other), x[j]);
    }
    const double there = table.NumberAt("B", other), value = table.NumberAt("acc_adj", other);
    if (!is_alike || std::isnan(value)) continue;
    if (there < here && !(there <= fewer)) fewer = there, at_fewer = value;
    if (there > here && !(there >= more)) more = there, at_more = value;
  }
  std::string text;
  if (!std::isnan(fewer)) text = fmt::format("at B = {:.4g} {:.3f}", fewer, at_fewer);
  if (!std::isnan(more)) text += fmt::format("{}at B = {:.4g} {:.3f}", text.empty() ? "" : ", ", more, at_more);
  return text.empty() ? text : "measured " + text;
}

// one.value as a share of what the trial `reference` has in the stratum.
void Recommender::AddKept(size_t stratum, const std::string& reference, const Standing& standing,
                          StratumStanding& one) const {
  const auto at = row_of_trial_[stratum].find(reference);
  if (at == row_of_trial_[stratum].end() || std::isnan(one.value)) return;
  const Table& table = strata_[stratum].table;
  const double whole = table.NumberAt("acc_adj", at->second);
  if (!(whole > 0)) return;
  one.kept = one.value / whole;
  if (reference == standing.trial) {
    one.kept_interval = {1, 1};
    one.is_paired = true;
    return;
  }
  if (one.source != StratumAnswer::Source::kMeasured) {
    // What these items would measure: the reference on them is known.
    one.kept_interval = {one.interval.low / whole, one.interval.high / whole};
    return;
  }
  if (has_items_) {
    TaskWeights tasks;
    for (const std::string& task : strata_[stratum].tasks)
      tasks.emplace_back(task, 1 / static_cast<double>(strata_[stratum].tasks.size()));
    const ItemEstimate kept = KeptShare(*input_.items, tasks, standing.trial, reference);
    if (std::isfinite(kept.error)) {
      one.kept_interval = {kept.value - z_ * kept.error, kept.value + z_ * kept.error};
      one.is_paired = true;
      return;
    }
  }
  const double own = table.NumberAt("standard_error", row_of_trial_[stratum].at(standing.trial));
  const double error = std::hypot(own, one.kept * table.NumberAt("standard_error", at->second)) / whole;
  one.kept_interval = {one.kept - z_ * error, one.kept + z_ * error};
}

std::string Recommender::BaselineOf(const std::string& model) const {
  const auto found = baseline_of_.find(model);
  return found == baseline_of_.end() ? std::string() : found->second;
}

// The trial that a floor's shares are of.
std::string Recommender::ReferenceOf(const Floor& floor, size_t stratum, const Standing& standing) const {
  if (floor.reference.empty()) return BaselineOf(standing.model);
  if (floor.reference != "best") return BaselineOf(floor.reference);
  std::string best;
  double most = -std::numeric_limits<double>::infinity();
  for (const auto& [model, trial] : baseline_of_) {
    const auto at = row_of_trial_[stratum].find(trial);
    if (at == row_of_trial_[stratum].end()) continue;
    const double value = strata_[stratum].table.NumberAt("acc_adj", at->second);
    if (value > most) most = value, best = trial;
  }
  return best;
}

void Recommender::Score(Standing& standing) const {
  std::vector<std::pair<double, const StratumStanding*>> parts;
  standing.is_measured = true;
  standing.score = 0;
  double low = 0, high = 0;
  for (const auto& [name, weight] : out_.weights) {
    const StratumStanding* one = standing.Of(name);
    parts.emplace_back(weight, one);
    standing.is_measured = standing.is_measured && one->source == StratumAnswer::Source::kMeasured;
    standing.score += weight * one->value;
    low += weight * one->interval.low;
    high += weight * one->interval.high;
  }
  standing.score_interval = standing.is_measured ? SumOfIndependent(parts, standing.score) : Interval{low, high};
}

Standing Recommender::Stand(size_t row) {
  const Table& table = input_.candidates.table;
  Standing out;
  out.row = row;
  out.label = table.TextAt("label", row);
  out.model = table.TextAt("model", row);
  out.quantizer = table.TextAt("quantizer", row);
  out.trial = table.TextAt("trial", row);
  out.bits_effective = table.NumberAt("bits_effective", row);
  out.weight_bytes = table.NumberAt("size_bytes", row);
  out.is_size_estimated = input_.candidates.is_size_estimated[row];
  const auto bits = [&](const char* column) {
    const double value = table.NumberAt(column, row);
    return std::isnan(value) ? 16 : value;
  };
  const double kept = constraints_.context_tokens * constraints_.batch * (bits("B_k") + bits("B_v")) / 2 / 8;
  if (kept > 0) out.cache_bytes = table.NumberAt("kv_values", row) * kept;
  for (size_t stratum = 0; stratum < strata_.size(); ++stratum) out.strata.push_back(InStratum(stratum, row, out));
  Score(out);
  for (const Floor& floor : constraints_.floors) out.floors.push_back(Judge(floor, out));
  return out;
}

FloorStanding Recommender::Judge(const Floor& floor, const Standing& standing) const {
  FloorStanding out;
  for (size_t stratum = 0; stratum < strata_.size(); ++stratum) {
    if (strata_[stratum].name != floor.stratum) continue;
    StratumStanding one = standing.strata[stratum];
    if (floor.is_relative) {
      one.kept = kUnset;
      AddKept(stratum, ReferenceOf(floor, stratum, standing), standing, one);
    }
    out.value = floor.is_relative ? one.kept : one.value;
    out.interval = floor.is_relative ? one.kept_interval : one.interval;
  }
  constexpr double kRounding = 1e-9;  // 0.95 of 100 items is 95 of them.
  if (std::isnan(out.value)) return out;
  out.verdict = out.interval.low >= floor.least - kRounding ? FloorVerdict::kMet
                : out.value >= floor.least - kRounding      ? FloorVerdict::kProbably
                : out.interval.high < floor.least           ? FloorVerdict::kMissed
                                                            : FloorVerdict::kProbablyNot;
  return out;
}

const StratumStanding* Standing::Of(const std::string& stratum) const {
  for (const StratumStanding& one : strata) {
    if (one.stratum == stratum) return &one;
  }
  return nullptr;
}

std::string Name(FloorVerdict verdict) {
  switch (verdict) {
    case FloorVerdict::kMet: return "met";
    case FloorVerdict::kProbably: return "probably";
    case FloorVerdict::kProbablyNot: return "probably not";
    case FloorVerdict::kMissed: return "missed";
    case FloorVerdict::kUnknown: return "not known";
  }
  return "";
}

}  // namespace bitlaw
