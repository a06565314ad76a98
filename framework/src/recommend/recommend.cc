#include "recommend/recommend.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/solve/least_squares.h"
#include "recommend/recommender.h"

namespace bitlaw {

Recommender::Recommender(const RecommendInput& input, const Constraints& constraints)
    : input_(input), constraints_(constraints), strata_(SplitStrata(input.observations).strata) {
  z_ = NormalQuantile((1 + input.level) / 2);
  out_.constraints = constraints;
  out_.level = input.level;
  has_items_ = input.items != nullptr && input.items->why_none.empty();
  FindWeights();
  CheckModels();
  for (StratumData& stratum : strata_) {
    auto& rows = row_of_trial_.emplace_back();
    for (size_t row = 0; row < stratum.table.rows(); ++row) rows[stratum.table.TextAt("trial", row)] = row;
  }
  const Table& table = input.candidates.table;
  for (size_t row = 0; row < input.candidates.recorded; ++row) {
    if (table.TextAt("quantizer", row) == "none") baseline_of_[table.TextAt("model", row)] = table.TextAt("trial", row);
  }
  CheckFloors();
}

void Recommender::FindWeights() {
  const bool has_strata =
      std::any_of(strata_.begin(), strata_.end(), [](const StratumData& one) { return !one.is_pool; });
  std::map<std::string, double> weight_of;
  if (constraints_.weights.empty()) {
    for (const StratumData& stratum : strata_) {
      if (!stratum.is_pool || !has_strata) weight_of[stratum.name] = 1;
    }
  }
  const std::vector<std::string> names = StratumNames();
  for (const auto& [name, weight] : constraints_.weights) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      throw Error(ErrorKind::kSpec, fmt::format("--weight: '{}' is no stratum.{} Strata: {}.", name,
                                                DidYouMean(name, names), JoinNames(names)));
    }
    weight_of[name] = weight;
  }
  double sum = 0;
  for (const auto& [name, weight] : weight_of) sum += weight;
  for (const std::string& name : names) {
    if (weight_of[name] > 0) out_.weights.emplace_back(name, weight_of[name] / sum);
  }
}

void Recommender::CheckFloors() const {
  const std::vector<std::string> names = StratumNames();
  for (const Floor& floor : constraints_.floors) {
    if (std::find(names.begin(), names.end(), floor.stratum) != names.end()) continue;
    throw Error(ErrorKind::kSpec, fmt::format("--floor '{}': '{}' is no stratum.{} Strata: {}.", floor.Text(),
                                              floor.stratum, DidYouMean(floor.stratum, names), JoinNames(names)));
  }
  std::vector<std::string> models;
  for (const auto& [model, trial] : baseline_of_) models.push_back(model);
  for (const Floor& floor : constraints_.floors) {
    if (floor.reference.empty() || floor.reference == "best" || baseline_of_.contains(floor.reference)) continue;
    throw Error(
        ErrorKind::kSpec,
        fmt::format(
            "--floor '{}': no unquantized model '{}' is recorded.{} Write 'of 16-bit' for each model's own, 'of "
            "best', or one of: {}.",
            floor.Text(), floor.reference, DidYouMean(floor.reference, models), JoinNames(models)));
  }
}

void Recommender::CheckModels() const {
  const Table& table = input_.candidates.table;
  std::set<std::string> models;
  for (size_t row = 0; row < table.rows(); ++row) models.insert(table.TextAt("model", row));
  const std::vector<std::string> names(models.begin(), models.end());
  for (const std::string& wanted : constraints_.models) {
    const auto matches = [&](const std::string& name) { return ::fnmatch(wanted.c_str(), name.c_str(), 0) == 0; };
    if (std::any_of(names.begin(), names.end(), matches)) continue;
    throw Error(ErrorKind::kSpec, fmt::format("--model '{}': no such model.{} Models: {}.", wanted,
                                              DidYouMean(wanted, names), JoinNames(names)));
  }
}

std::string Recommender::WhyOut(Standing& standing, bool with_caps, bool with_floors) const {
  const Constraints& c = constraints_;
  const auto is_one = [&](const std::string& wanted) {
    return ::fnmatch(wanted.c_str(), standing.model.c_str(), 0) == 0;
  };
  if (!c.models.empty() && std::none_of(c.models.begin(), c.models.end(), is_one)) return "another model";
  if (!meets_need_[standing.row]) return "--need is not met";
  if (std::isnan(standing.score)) {
    return input_.study == nullptr ? "not measured, and no law is given"
                                   : "not measured, and the law lacks a factor or a fit";
  }
  if (with_caps) {
    if (!(standing.bits_effective <= c.most_bits) && std::isfinite(c.most_bits))
      return std::isnan(standing.bits_effective) ? "bits a weight are not known" : "too many bits a weight";
    if (std::isfinite(c.most_weight_bytes) && !(standing.weight_bytes <= c.most_weight_bytes))
      return std::isnan(standing.weight_bytes) ? "the size is not known" : "weights too large";
    if (c.needs_cache() && (std::isnan(standing.cache_bytes) || std::isnan(standing.weight_bytes)))
      return "the size of weights or cache is not known (columns size_bytes, kv_values)";
    if (standing.cache_bytes > c.most_cache_bytes) return "cache too large";
    if (std::isfinite(c.most_memory_bytes) && !(standing.memory_bytes() <= c.most_memory_bytes))
      return "weights and cache too large";
  }
  for (size_t i = 0; with_floors && i < c.floors.size(); ++i) {
    const FloorVerdict verdict = standing.floors[i].verdict;
    if (verdict == FloorVerdict::kMet || (verdict == FloorVerdict::kProbably && !c.is_sure)) continue;
    if (verdict == FloorVerdict::kUnknown)
      return c.floors[i].Text() + " cannot be judged: there is no unquantized result";
    return c.floors[i].Text() + (verdict == FloorVerdict::kProbably ? " not sure" : " missed");
  }
  return "";
}

bool Recommender::IsBefore(const Standing& a, const Standing& b, Constraints::Order order) const {
  if (order != Constraints::Order::kAccuracy) {
    const bool is_weights = order == Constraints::Order::kWeights;
    const double left = is_weights ? a.weight_bytes : a.memory_bytes(),
                 right = is_weights ? b.weight_bytes : b.memory_bytes();
    if (std::isnan(left) != std::isnan(right)) return std::isnan(right);
    if (left < right || right < left) return left < right;
  }
  if (a.score < b.score || b.score < a.score) return a.score > b.score;
  if (a.weight_bytes < b.weight_bytes || b.weight_bytes < a.weight_bytes) return a.weight_bytes < b.weight_bytes;
  return a.label < b.label;
}

// Over all that were asked for, whatever their size: a plot of what there is.
void Recommender::MarkFront() {
  std::vector<Standing*> all;
  for (auto* list : {&out_.measured, &out_.predicted, &out_.others}) {
    for (Standing& one : *list) all.push_back(&one);
  }
  for (Standing* one : all) {
    if (std::isnan(one->memory_bytes()) || std::isnan(one->score) || one->why_out == "another model") continue;
    one->is_on_front = std::none_of(all.begin(), all.end(), [&](const Standing* other) {
      if (other == one || !other->is_measured || other->why_out == "another model") return false;
      const bool no_worse = other->memory_bytes() <= one->memory_bytes() && other->score >= one->score;
      return no_worse && (other->memory_bytes() < one->memory_bytes() || other->score > one->score);
    });
  }
}

void Recommender::Compare() {
  if (out_.measured.empty() || !has_items_) return;
  TaskWeights tasks;
  for (const auto& [name, weight] : out_.weights) {
    for (const StratumData& stratum : strata_) {
      if (stratum.name != name) continue;
      for (const std::string& task : stratum.tasks)
        tasks.emplace_back(task, weight / static_cast<double>(stratum.tasks.size()));
    }
  }
  for (size_t i = 1; i < out_.measured.size(); ++i) {
    out_.measured[i].against_first =
        PairedDifferenceOf(*input_.items, tasks, out_.measured[i].trial, out_.measured[0].trial, 1);
    const ItemEstimate& less = out_.measured[i].against_first;
    const Standing& smallest = out_.measured[out_.smaller_no_worse.value_or(0)];
    if (less.value >= -z_ * less.error && out_.measured[i].memory_bytes() < smallest.memory_bytes())
      out_.smaller_no_worse = i;
  }
}

Recommendation Recommender::Run() {
  FindCovariates();
  const Table& table = input_.candidates.table;
  meets_need_.assign(table.rows(), constraints_.need.empty());
  if (!constraints_.need.empty()) {
    for (const size_t row : table.Where(Expression::Parse(constraints_.need))) meets_need_[row] = true;
  }
  if (input_.study != nullptr) out_.law = input_.study->law().name();
  std::map<std::string, size_t> reasons;
  for (size_t row = 0; row < table.rows(); ++row) {
    Standing one = Stand(row);
    one.why_out = WhyOut(one, true, true);
    if (!one.why_out.empty()) {
      ++reasons[one.why_out];
      out_.others.push_back(std::move(one));
    } else {
      (one.is_measured ? out_.measured : out_.predicted).push_back(std::move(one));
    }
  }
  const auto before = [&](const Standing& a, const Standing& b) { return IsBefore(a, b, constraints_.order); };
  std::stable_sort(out_.measured.begin(), out_.measured.end(), before);
  std::stable_sort(out_.predicted.begin(), out_.predicted.end(), before);
  out_.left_out.assign(reasons.begin(), reasons.end());
  std::stable_sort(out_.left_out.begin(), out_.left_out.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (out_.measured.empty()) {
    for (Standing& one : out_.others) {
      if (!one.is_measured) continue;
      if (WhyOut(one, false, true).empty() &&
          (!out_.smallest_without_caps || IsBefore(one, *out_.smallest_without_caps, Constraints::Order::kWeights)))
        out_.smallest_without_caps = one;
      if (WhyOut(one, true, false).empty() &&
          (!out_.best_without_floors || IsBefore(one, *out_.best_without_floors, Constraints::Order::kAccuracy)))
        out_.best_without_floors = one;
    }
  }
  MarkFront();
  Compare();
  if (!has_items_ && !constraints_.floors.empty()) {
    out_.notes.push_back(
        "Shares of 16-bit are compared without pairing the items" +
        (input_.items != nullptr && !input_.items->why_none.empty() ? ": " + input_.items->why_none : std::string()) +
        ". Their intervals are wider than they need be.");
  }
  return std::move(out_);
}

Recommendation Recommend(const RecommendInput& input, const Constraints& constraints) {
  return Recommender(input, constraints).Run();
}

std::vector<CheckedStratum> CheckFirst(const Recommendation& recommendation, const PredictedStudy& study) {
  std::vector<CheckedStratum> check;
  for (const StratumPredictor& stratum : study.strata()) {
    if (!stratum.why_none().empty()) continue;
    const Coverage coverage = stratum.LeaveOut(Coverage::LeftOut::kConfiguration);
    for (const Coverage::Row& row : coverage.rows) {
      if (stratum.table().TextAt("trial", row.row) != recommendation.measured.at(0).trial) continue;
      const LawPrediction& at = row.prediction;
      check.push_back({stratum.stratum(), row.measured, at.value, at.interval, row.is_covered});
    }
  }
  return check;
}

}  // namespace bitlaw
