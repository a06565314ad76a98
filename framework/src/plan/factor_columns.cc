#include "plan/factor_columns.h"

#include <algorithm>
#include <numeric>

namespace bitlaw {
namespace {

// What two reports of one column must agree in.
std::string MeaningOf(const Factor& factor) {
  return "role " + std::string(Name(factor.role)) + (factor.anchor.is_null() ? "" : ", anchor " + factor.anchor.Text());
}

}  // namespace

const std::vector<std::string>& ReservedColumns() {
  static const std::vector<std::string> kNames = {
      // Of observations.csv.
      "study", "trial", "label", "model", "family", "hold_out", "quantizer", "corpus", "dtype", "task", "stratum",
      "metric", "metric_kind", "primary", "value", "standard_error", "items", "chance", "acc_adj", "limit",
      "baseline_value", "bits_per_byte", "bits_per_byte_error", "baseline_bits_per_byte", "added_bits_per_byte",
      "added_bits_per_byte_error", "kl_choices", "kl_choices_error", "answer_characters", "answer_characters_error",
      "baseline_answer_characters", "fallbacks", "overlap", "record",
      // Of tables of fits: what accuracies are computed from, and what means over tasks bring.
      "acc", "correct", "total", "baseline_acc_adj", "tasks", "signal_to_noise",
      "bits_per_byte_tasks", "kl_choices_tasks", "answer_characters_tasks"};
  return kNames;
}

const FactorColumn* FactorColumns::Find(std::string_view column) const {
  const auto found = std::find_if(columns_.begin(), columns_.end(),
                                  [&](const FactorColumn& one) { return one.factor.column == column; });
  return found == columns_.end() ? nullptr : &*found;
}

FactorColumns::Values FactorColumns::Add(FactorSource source, const std::vector<Factor>& factors,
                                         const std::string& origin, const SourceMark& mark) {
  Values values;
  std::set<std::string> own;
  for (const Factor& factor : factors) {
    if (const std::string why = ExplainFactor(factor); !why.empty()) {
      faults_.Add(mark, origin + ": " + why + ".");
      continue;
    }
    if (!own.insert(factor.column).second) {
      faults_.Add(mark, "column '" + factor.column + "' is reported twice by " + origin + ".");
      continue;
    }
    const auto& reserved = ReservedColumns();
    if (std::find(reserved.begin(), reserved.end(), factor.column) != reserved.end()) {
      faults_.Add(mark, "column '" + factor.column + "' of " + origin + " has the name of a column that observations " +
                            "and fits fill in themselves. Call it otherwise.");
      continue;
    }
    auto* known = const_cast<FactorColumn*>(Find(factor.column));
    if (known != nullptr && (known->source != source || (known->origin == kOwnOrigin) != (origin == kOwnOrigin))) {
      faults_.Add(mark, "column '" + factor.column + "' comes from " + known->origin + " and from " + origin +
                            ". Call one of them otherwise.");
      continue;
    }
    if (known != nullptr && (known->factor.role != factor.role || !(known->factor.anchor == factor.anchor))) {
      faults_.Add(mark, "column '" + factor.column + "' means one thing to " + known->origin + " (" +
                            MeaningOf(known->factor) + ") and another to " + origin + " (" + MeaningOf(factor) +
                            "). Call one of them otherwise.");
      continue;
    }
    if (known == nullptr) {
      FactorColumn column{factor, source, origin, true};
      column.factor.value = Value();
      columns_.push_back(std::move(column));
      known = &columns_.back();
    }
    for (const Value* one : {&factor.value, &factor.anchor}) {
      known->is_number = known->is_number && (one->is_null() || one->is_number());
    }
    Value value = factor.value;
    value.set_mark({});
    values.emplace_back(static_cast<size_t>(known - columns_.data()), std::move(value));
  }
  return values;
}

std::vector<size_t> FactorColumns::Sort() {
  std::vector<size_t> order(columns_.size()), place(columns_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return columns_[a].source < columns_[b].source; });
  std::vector<FactorColumn> sorted;
  for (const size_t index : order) {
    place[index] = sorted.size();
    sorted.push_back(std::move(columns_[index]));
  }
  columns_ = std::move(sorted);
  return place;
}

// Outputs of the projections of keys and values, by the names that checkpoints give them; null if none is so called.
static Value CachedValues(const ModelSummary& summary) {
  int64_t count = 0;
  for (const LinearShape& linear : summary.linears) {
    if (linear.name.ends_with(".k_proj") || linear.name.ends_with(".v_proj")) count += linear.out_features;
  }
  return count > 0 ? Value(count) : Value();
}

std::vector<Factor> OwnFactors(const ModelSummary& summary) {
  const int64_t active = summary.parameters_active > 0 ? summary.parameters_active : summary.parameters_total;
  return {StandardFactor("N", summary.parameters_non_embedding()),
          StandardFactor("N_active", active - summary.parameters_embedding),
          StandardFactor("parameters_total", summary.parameters_total),
          StandardFactor("layers", summary.num_blocks),
          StandardFactor("hidden_size", summary.hidden_size),
          StandardFactor("vocab_size", summary.vocab_size),
          StandardFactor("kv_values", CachedValues(summary))};
}

std::vector<Factor> OwnFactors(const ModelSummary& summary, double bits_requested, double bits_per_weight,
                               const WeightsBeside& beside) {
  return {StandardFactor("B", bits_requested), StandardFactor("bits_effective", bits_per_weight),
          StandardFactor("size_bytes", WeightBytes(summary, bits_per_weight, beside))};
}

Factor StudyFactor(const std::string& column, const Value& value) {
  if (FindStandardFactor(column) != nullptr) return StandardFactor(column, value);
  Factor factor;
  factor.column = column;
  factor.value = value;
  return factor;
}

double WeightBytes(const ModelSummary& summary, double bits_per_weight, const WeightsBeside& beside) {
  const double quantizable = static_cast<double>(summary.parameters_quantizable) + beside.rounded_tables;
  const double total = static_cast<double>(summary.parameters_total) + beside.added;
  return (quantizable * bits_per_weight + (total - quantizable) * 16) / 8;
}

}  // namespace bitlaw
