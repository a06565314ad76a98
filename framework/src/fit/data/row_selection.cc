#include "fit/data/row_selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/law/law_domain.h"
#include "fit/law/response_inverse.h"
#include "fit/options/quoted_text.h"
#include "fit/table/accuracy_checks.h"
#include "fit/table/baseline.h"
#include "fit/table/unset.h"
#include "records/responses/item_responses.h"

namespace bitlaw {

namespace {

// The first of these columns that the table has and that holds numbers.
const std::vector<double>* FirstNumbers(const Table& table, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const TableColumn* column = table.Find(name);
    if (column != nullptr && !column->is_text) return &column->numbers;
  }
  return nullptr;
}

}  // namespace

TableCounts CountsOf(const Table& table) {
  TableCounts counts;
  for (const char* name : {"correct", "total"}) {
    const TableColumn* column = table.Find(name);
    if (column == nullptr || !column->is_text) continue;
    counts.why_none = fmt::format("column '{}' holds texts{}", name,
                                  column->first_text.empty() ? "" : " (" + column->first_text + ")");
    return counts;
  }
  const auto* total = FirstNumbers(table, {"total", "items"});
  const auto* correct = FirstNumbers(table, {"correct"});
  const auto* value = FirstNumbers(table, {"value", "acc"});
  const auto* chance = FirstNumbers(table, {"chance"});
  const auto* tasks = FirstNumbers(table, {"tasks"});
  const auto* accuracy = FirstNumbers(table, {"acc_adj"});
  const auto* error = FirstNumbers(table, {"standard_error"});
  if (total == nullptr || (correct == nullptr && value == nullptr)) {
    counts.why_none = "the table has no counts (columns correct and total, or acc and items)";
    return counts;
  }
  if (chance == nullptr) {
    counts.why_none = "the table has counts but no column chance (0 where nothing can be guessed)";
    return counts;
  }
  for (size_t row = 0; row < table.rows(); ++row) {
    double n = (*total)[row], k = correct != nullptr ? (*correct)[row] : (*value)[row] * n;
    const double c = (*chance)[row];
    if (tasks != nullptr && (*tasks)[row] > 1 && accuracy != nullptr) {
      const double p = std::clamp(AccuracyOf((*accuracy)[row], c), 0.0, 1.0);
      const double spread = error == nullptr ? kUnset : (1 - c) * (*error)[row];
      if (spread > 0 && p > 0 && p < 1) n = p * (1 - p) / (spread * spread);
      k = p * n;
    }
    const bool is_count = n > 0 && k >= 0 && k <= n * (1 + 1e-12) && c >= 0 && c < 1;
    counts.total.push_back(is_count ? n : kUnset);
    counts.correct.push_back(is_count ? std::min(k, n) : kUnset);
    counts.chance.push_back(c);
  }
  return counts;
}

namespace {

std::vector<double> WeightsOf(const Law& law, const Table& table, const std::string& weights) {
  if (weights.empty()) return {};
  if (weights != "item_errors") return table.Evaluate(Expression::Parse(weights));
  const Expression response = Expression::Parse(law.response());
  const std::vector<std::string> scope = response.names();
  const auto given = std::find(scope.begin(), scope.end(), "acc_adj");
  const bool is_accuracy = std::all_of(scope.begin(), scope.end(), [](const std::string& name) {
    return name == "acc_adj" || name == "baseline_acc_adj";  // The unquantized model's, taken as exact.
  });
  if (given == scope.end() || !is_accuracy) {
    throw Error(ErrorKind::kSpec, "weights: item_errors needs a response of acc_adj alone, but law '" + law.name() +
                                      "' has " + law.response() + ". Give an expression instead.");
  }
  const CompiledExpression compiled = response.Compile(scope);
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : scope) columns.push_back(&table.Numbers(name, "weights: item_errors"));
  const std::vector<double>& error = table.Numbers("standard_error", "weights: item_errors");
  std::vector<double> values;
  for (size_t row = 0; row < table.rows(); ++row) {
    std::vector<double> x, slopes(scope.size());
    for (const std::vector<double>* column : columns) x.push_back((*column)[row]);
    compiled.Number(x, {}, slopes);
    values.push_back(1 / std::pow(slopes[static_cast<size_t>(given - scope.begin())] * error[row], 2));
  }
  return values;
}

// Whether each row with counts is below chance beyond what guessing gives in so many rows.
std::vector<bool> BelowChance(const TableCounts& counts, size_t rows) {
  std::vector<bool> below(rows, false);
  if (counts.total.empty()) return below;
  const auto compared = static_cast<double>(
      std::count_if(counts.total.begin(), counts.total.end(), [](double total) { return !std::isnan(total); }));
  for (size_t row = 0; row < rows; ++row) {
    below[row] =
        GuessTail(counts.correct[row], counts.total[row], counts.chance[row]) * compared < kBelowChanceLevel;
  }
  return below;
}

std::string BelowChanceWarning(const std::vector<std::string>& names, bool far) {
  constexpr size_t kShown = 5;
  std::string list;
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) list += (i > 0 ? "; " : "") + names[i];
  if (names.size() > kShown) list += fmt::format("; and {} more", names.size() - kShown);
  return fmt::format(
      "{} row{} {}below chance, which guessing does not explain (binomial tail): {}. {}", names.size(),
      names.size() == 1 ? " is" : "s are", far ? "far " : "", list,
      far ? "Answers were probably not extracted, or choices mixed up; no fit has them"
          : "Look at how their answers are scored; the fits have them like other rows at chance");
}

// "3 of 40 rows have a loss that is not positive: row 9 (line 10): 0; ...". A law of a single column predicts what is
// measured of every row; where most are positive, those that are not were rather not measured. "" for accuracies, which
// can be 0, for differences, and for columns that are negative as often as not.
std::string NotPositiveWarning(const Table& table, const Expression& response, const std::vector<double>& y,
                               const std::vector<size_t>& rows, bool take_log) {
  static const std::set<std::string, std::less<>> accuracies = {"acc_adj", "acc", "value", "accuracy"};
  const std::vector<std::string> names = response.names();
  if (names.size() != 1 || response.Text() != QuotedName(names[0]) || accuracies.contains(names[0])) return "";
  constexpr size_t kShown = 5;
  size_t found = 0;
  std::string list;
  for (const size_t row : rows) {
    if (y[row] > 0) continue;
    if (found < kShown) list += (found > 0 ? "; " : "") + RowLabel(table, row) + ": " + ShortestText(y[row]);
    ++found;
  }
  if (found == 0 || 2 * found >= rows.size()) return "";
  if (found > kShown) list += fmt::format("; and {} more", found - kShown);
  return fmt::format("{} of {} rows {} a {} that is not positive: {}. {}", found, rows.size(),
                     found == 1 ? "has" : "have", response.Text(), list,
                     take_log ? "Left out, since a fit of the law takes the logarithm"
                              : "Kept, since no fit of the law takes the logarithm; if nothing was measured there, leave "
                                "them out: --where '" + response.Text() + " > 0'");
}

std::vector<double> Responses(const Law& law, const Table& table, const Expression& response) {
  try {
    return table.Evaluate(response);
  } catch (const Error& error) {
    const std::vector<std::string> names = response.names();
    const bool lacks = std::find(names.begin(), names.end(), "acc_adj") != names.end() && table.Find("acc_adj") == nullptr;
    const bool of_items = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return !TasksTelling(name).empty() && table.Find(name) == nullptr;
    });
    if (of_items) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("law '{}', response {}: {} lacks it. Observations have it of the items of records: give "
                              "the study's file in place of its folder or table, or renew observations.csv with "
                              "'bitlaw report STUDY.yaml'.",
                              law.name(), law.response(), table.origin().empty() ? "the table" : table.origin()));
    }
    throw Error(ErrorKind::kSpec,
                fmt::format("law '{}', response {}{}", law.name(), error.what(),
                            lacks ? " acc_adj follows from chance (0 where nothing can be guessed) and acc, or correct and "
                                    "total: add what is missing, with --map chance=0.25 for instance."
                                  : ""));
  }
}

// OutsideDomain() of the rows that have all covariates.
std::vector<bool> RowsOutside(const Law& law, const std::vector<const std::vector<double>*>& columns, size_t rows) {
  std::vector<double> x;
  std::vector<size_t> complete;
  for (size_t row = 0; row < rows; ++row) {
    const auto is_missing = [&](const std::vector<double>* column) { return !std::isfinite((*column)[row]); };
    if (std::any_of(columns.begin(), columns.end(), is_missing)) continue;
    complete.push_back(row);
    for (const std::vector<double>* column : columns) x.push_back((*column)[row]);
  }
  std::vector<bool> outside(rows, false);
  if (columns.empty()) return outside;
  const std::vector<bool> of_complete = OutsideDomain(law, x);
  for (size_t i = 0; i < complete.size(); ++i) outside[complete[i]] = of_complete[i];
  return outside;
}

// The columns of a law's covariates.
std::vector<const std::vector<double>*> CovariatesOf(const Law& law, const Table& table) {
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : law.covariates()) {
    if (table.Find(name) == nullptr && IsTextTest(name)) {
      // A comparison with a text that could not be made into a column.
      try {
        table.Evaluate(Expression::Parse(name));
      } catch (const Error& error) {
        throw Error(ErrorKind::kSpec, fmt::format("law '{}': {}", law.name(), error.what()));
      }
    }
    if (table.Find(name) == nullptr && name == kBaselineAccuracy) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("law '{}' needs the accuracy of each unquantized model ({}), and {} has no row of one "
                              "(quantizer 'none', or 16 bits). Add them, a trial `quantizer: none` a model, or the "
                              "column: --map {}=COLUMN.",
                              law.name(), name, table.origin().empty() ? "the table" : table.origin(), name));
    }
    if (table.Find(name) == nullptr) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("law '{}' needs the column '{}', which {} lacks.{} Columns: {}. Name it with --map "
                              "{}=COLUMN if the table calls it otherwise.",
                              law.name(), name, table.origin().empty() ? "the table" : table.origin(),
                              DidYouMean(name, table.names()), JoinNames(table.names()), name));
    }
    columns.push_back(&table.Numbers(name, "law '" + law.name() + "'"));
  }
  return columns;
}

// Goes through a table once, for SelectRows().
class RowSelector {
 public:
  RowSelector(const Law& law, const Table& table, const RowOptions& options)
      : law_(law),
        table_(table),
        options_(options),
        response_(Expression::Parse(law.response())),
        y_(Responses(law, table, response_)),
        columns_(CovariatesOf(law, table)),
        form_(law.linear_form()),
        features_(form_ ? form_->columns.size() : 0),
        weights_(WeightsOf(law, table, options.weights)),
        counts_(CountsOf(table)) {
    const std::vector<std::string> names = response_.names();
    const bool has_accuracy = std::find(names.begin(), names.end(), "acc_adj") != names.end();
    accuracy_ = has_accuracy ? table.Find("acc_adj") : nullptr;
    hold_out_ = table.Find("hold_out");
    chance_ = FirstNumbers(table, {"chance"});
    below_ = has_accuracy ? BelowChance(counts_, table.rows()) : std::vector<bool>(table.rows());
    const FactorRoles standard, &roles = options.roles == nullptr ? standard : *options.roles;
    const std::span<const std::string> covariates = law.covariates();
    if (std::any_of(covariates.begin(), covariates.end(), IsAnchorColumn)) unquantized_ = UnquantizedRows(table, roles);
    if (IsAnchored(law)) {
      selected_.baseline_rows = BaselineRowsOf(table, roles);
      CheckBaselines();
    }
    outside_ = form_ ? std::vector<bool>(table.rows(), false) : RowsOutside(law, columns_, table.rows());
    if (options.rule == ChanceRule::kExclude) counts_.why_none = "the rule for accuracies at chance is to exclude them";
    if (counts_.why_none.empty() && !ResponseInverse(law.response()).exists())
      counts_.why_none = "no accuracy follows from the response " + law.response();
    selected_.why_no_counts = counts_.why_none;
  }

  LawRows Select() {
    for (size_t row = 0; row < table_.rows(); ++row) {
      is_held_out_ = IsHeldOut(hold_out_, table_, row);
      (is_held_out_ ? selected_.held_out_incoming : selected_.incoming) += 1;
      if (!HasAnchor(row) || !HasCovariates(row) || !IsInDomain(row) || !HasPossibleAccuracy(row)) continue;
      KeepCounts(row);
      if (HasAccuracyWithin(row) && HasResponse(row)) Keep(row);
    }
    AddWarnings();
    return std::move(selected_);
  }

 private:
  static std::string Shown(double value) { return fmt::format(": acc_adj = {:.6g}", value); }

  void LeaveOut(size_t row, const std::string& reason, const std::string& value) {
    CountExclusion(is_held_out_ ? selected_.held_out_excluded : selected_.excluded, reason,
                   RowLabel(table_, row) + value);
  }

  std::string CovariatesText() const {
    std::string values;
    for (size_t c = 0; c < x_.size(); ++c)
      values += (c > 0 ? ", " : ": ") + law_.covariates()[c] + " = " + ShortestText(x_[c]);
    return values;
  }

  // Names the quantized models without an unquantized one. Error(kSpec) where that is all of them.
  void CheckBaselines() {
    std::vector<bool> quantized = unquantized_;
    quantized.flip();
    const std::vector<std::string> lacking = ModelsWithoutBaseline(table_, quantized);
    if (lacking.empty()) return;
    const std::vector<double>& baseline = table_.Numbers(kBaselineAccuracy);
    const bool all = std::all_of(baseline.begin(), baseline.end(), [](double value) { return std::isnan(value); });
    const std::string text =
        fmt::format("no row has the accuracy of the unquantized model ({}) of {}. Add a trial `quantizer: none` of {}",
                    kBaselineAccuracy, JoinNames(lacking), lacking.size() == 1 ? "it" : "each");
    if (all) throw Error(ErrorKind::kSpec, fmt::format("law '{}': {}.", law_.name(), text));
    selected_.warnings.push_back(text + "; rows without one are left out");
  }

  // The steps, in the order in which reasons are given; false: the row is left out, and counted.
  bool HasAnchor(size_t row) {
    if (unquantized_.empty()) return true;
    if (unquantized_[row]) {
      LeaveOut(row, "the unquantized model itself, which the law is anchored on", "");
      return false;
    }
    const double baseline = IsAnchored(law_) ? table_.NumberAt(kBaselineAccuracy, row) : kUnset;
    if (std::isnan(baseline) || baseline > 0) return true;
    LeaveOut(row, "the unquantized model is at or below chance", fmt::format(": {} = {:.6g}", kBaselineAccuracy, baseline));
    return false;
  }

  bool HasCovariates(size_t row) {
    x_.clear();
    std::string missing, infinite;
    for (size_t j = 0; j < columns_.size(); ++j) {
      x_.push_back((*columns_[j])[row]);
      if (std::isnan(x_.back())) missing += (missing.empty() ? "" : ", ") + law_.covariates()[j];
      if (std::isinf(x_.back())) infinite += (infinite.empty() ? "" : ", ") + law_.covariates()[j];
    }
    if (!missing.empty()) {
      LeaveOut(row, "no value of " + missing, "");
    } else if (!infinite.empty()) {
      LeaveOut(row, "no finite value of " + infinite, "");
    }
    return missing.empty() && infinite.empty();
  }

  bool IsInDomain(size_t row) {
    if (outside_[row]) {
      LeaveOut(row, "no finite value of the law", CovariatesText());
      return false;
    }
    if (!form_) return true;
    if (!std::isfinite(law_.LinearFeatures(x_, features_))) {
      LeaveOut(row, "no finite value of the fixed part of the law", CovariatesText());
      return false;
    }
    for (size_t j = 0; j < features_.size(); ++j) {
      if (std::isfinite(features_[j])) continue;
      LeaveOut(row, "no finite value of " + form_->columns[j].name, CovariatesText());
      return false;
    }
    return true;
  }

  bool HasPossibleAccuracy(size_t row) {
    if (accuracy_ == nullptr) return true;
    const double value = accuracy_->numbers[row];
    const std::string impossible = ExplainImpossibleAccuracy(value, chance_ == nullptr ? kUnset : (*chance_)[row]);
    if (!impossible.empty()) {
      LeaveOut(row, impossible, Shown(value));
      return false;
    }
    if (!below_[row]) return true;
    const bool far = value < kFarBelowChance;
    (far ? far_below_names_ : below_names_).push_back(RowLabel(table_, row) + Shown(value));
    if (far) LeaveOut(row, "accuracy far below chance, which guessing does not explain", Shown(value));
    return !far;
  }

  void KeepCounts(size_t row) {
    if (!counts_.why_none.empty() || is_held_out_ || std::isnan(counts_.total[row])) return;
    FitRows& into = selected_.counted;
    into.x.insert(into.x.end(), x_.begin(), x_.end());
    into.y.push_back(std::isfinite(y_[row]) ? y_[row] : kUnset);
    into.correct.push_back(counts_.correct[row]);
    into.total.push_back(counts_.total[row]);
    into.chance.push_back(counts_.chance[row]);
    selected_.counted_index.push_back(row);
  }

  bool HasAccuracyWithin(size_t row) {
    if (accuracy_ == nullptr) return true;
    const double value = accuracy_->numbers[row];
    if (std::isnan(value)) {
      LeaveOut(row, "no value of acc_adj", "");
      return false;
    }
    if (value > 0 && value < 1) return true;
    selected_.complete_index.push_back(row);
    if (value <= 0) {
      if (!is_held_out_) ++selected_.at_chance;
      LeaveOut(row, "accuracy at or below chance (acc_adj <= 0)", Shown(value));
    } else {
      LeaveOut(row, "accuracy of 1 or more (acc_adj >= 1)", Shown(value));
    }
    return false;
  }

  bool HasResponse(size_t row) {
    if (!std::isfinite(y_[row])) {
      LeaveOut(row, "no finite response " + law_.response(), "");
      return false;
    }
    measured_.push_back(row);
    if (options_.take_log && !(y_[row] > 0)) {
      LeaveOut(row, "response " + law_.response() + " not positive, and the fit takes its logarithm",
               ": " + ShortestText(y_[row]));
      return false;
    }
    if (!weights_.empty() && !(weights_[row] > 0 && std::isfinite(weights_[row]))) {
      LeaveOut(row, "no positive weight " + options_.weights, ": " + ShortestText(weights_[row]));
      return false;
    }
    return true;
  }

  void Keep(size_t row) {
    selected_.complete_index.push_back(row);
    FitRows& into = is_held_out_ ? selected_.held_out : selected_.fit;
    into.x.insert(into.x.end(), x_.begin(), x_.end());
    into.y.push_back(y_[row]);
    if (!weights_.empty()) into.weights.push_back(weights_[row]);
    (is_held_out_ ? selected_.held_out_index : selected_.fit_index).push_back(row);
  }

  // Of what only some tasks of the stratum measure (KL, of those with choices), the mean is of these.
  void AddPartialMeans() {
    std::set<std::string> counts;
    std::vector<std::string> names = response_.names();
    names.insert(names.end(), law_.covariates().begin(), law_.covariates().end());
    for (const std::string& name : names) {
      const std::string column = TasksTelling(name);
      if (column.empty() || table_.Find(column) == nullptr || table_.rows() == 0) continue;
      if (!counts.insert(column).second) continue;
      const double telling = table_.NumberAt(column, 0), tasks = table_.NumberAt("tasks", 0);
      if (telling == 0) {
        selected_.warnings.push_back(fmt::format("no item of the tasks tells {}", name));
      } else if (telling < tasks) {
        selected_.warnings.push_back(
            fmt::format("{} is of {} of the {} tasks; no items of the others tell it", name, telling, tasks));
      }
    }
  }

  void AddWarnings() {
    AddPartialMeans();
    if (!far_below_names_.empty()) selected_.warnings.push_back(BelowChanceWarning(far_below_names_, true));
    if (!below_names_.empty()) selected_.warnings.push_back(BelowChanceWarning(below_names_, false));
    const std::string not_positive = NotPositiveWarning(table_, response_, y_, measured_, options_.take_log);
    if (!not_positive.empty()) selected_.warnings.push_back(not_positive);
    if (selected_.counted_index.empty() && selected_.why_no_counts.empty())
      selected_.why_no_counts = "no row has counts of a law's covariates";
  }

  const Law& law_;
  const Table& table_;
  const RowOptions& options_;
  const Expression response_;
  const std::vector<double> y_;
  const std::vector<const std::vector<double>*> columns_;
  const std::optional<LinearForm> form_;
  std::vector<double> features_;
  const std::vector<double> weights_;
  TableCounts counts_;
  const TableColumn *accuracy_ = nullptr, *hold_out_ = nullptr;
  const std::vector<double>* chance_ = nullptr;
  std::vector<bool> below_, outside_;
  std::vector<bool> unquantized_;  // Of an anchored law; else empty.
  LawRows selected_;
  std::vector<std::string> below_names_, far_below_names_;
  std::vector<size_t> measured_;  // With a finite response.
  // Of the row that is looked at.
  bool is_held_out_ = false;
  std::vector<double> x_;
};

}  // namespace

LawRows SelectRows(const Law& law, const Table& table, const RowOptions& options) {
  return RowSelector(law, table, options).Select();
}

bool TakesLog(const Law& law) {
  const auto form = law.linear_form();
  const FitProcedure own = law.procedure();
  return (form && form->of_log) ||
         (own.loss != FitProcedure::Loss::kBinomial && own.space == FitProcedure::Space::kLog);
}

}  // namespace bitlaw
