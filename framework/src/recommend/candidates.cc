#include "recommend/candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "bitlaw/base/error.h"
#include "fit/table/column_map.h"
#include "records/responses/item_responses.h"

namespace bitlaw {

namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// A table with the same columns and one more row, missing but for what the two functions give.
Table WithRow(const Table& table, auto&& text_of, auto&& number_of) {
  Table out(table.origin());
  for (TableColumn column : table.columns()) {
    if (column.is_text) {
      column.texts.push_back(text_of(column.name));
    } else {
      column.numbers.push_back(number_of(column.name));
    }
    column.places.reset();
    out.Add(std::move(column));
  }
  return out;
}

double NumberOf(const Value& value) { return value.is_number() ? value.AsReal() : kMissing; }

const Value* AxisOf(const Trial& trial, const std::string& name) {
  for (const auto& [axis, value] : trial.axes) {
    if (axis == name) return &value;
  }
  return nullptr;
}

Table WithTrial(const Table& table, const Plan& plan, const Trial& trial) {
  const PlannedModel& model = plan.models[trial.model];
  const auto factor = [&](const std::string& name) -> const Value* {
    for (size_t i = 0; i < plan.factors.size(); ++i) {
      if (plan.factors[i].factor.column == name) return &trial.factors[i];
    }
    return AxisOf(trial, name);
  };
  return WithRow(
      table,
      [&](const std::string& name) -> std::string {
        if (name == "trial") return trial.id;
        if (name == "label") return trial.label;
        if (name == "model") return model.spec.name;
        if (name == "family") return model.spec.family.empty() ? model.summary.architecture : model.spec.family;
        if (name == "quantizer") return trial.quantizer;
        if (name == "corpus") return trial.calibration ? trial.calibration->corpus : "";
        const Value* value = factor(name);
        return value == nullptr || value->is_null() ? "" : value->is_string() ? value->AsString() : value->Text();
      },
      [&](const std::string& name) {
        const Value* value = factor(name);
        return value == nullptr ? kMissing : NumberOf(*value);
      });
}

}  // namespace

CandidateTable CollectCandidates(const Table& observations, const Plan* plan,
                                 const std::vector<std::pair<std::string, Value>>& map, const std::string& more_map) {
  for (const char* needed : {"trial", "model", "label"}) {
    if (observations.Find(needed) != nullptr) continue;
    throw Error(ErrorKind::kSpec,
                fmt::format("recommend: {} has no column '{}', so it is no table of trials. Give a study, its "
                            "output folder, or its observations.csv.",
                            observations.origin(), needed));
  }
  std::set<std::string> seen;
  std::vector<size_t> firsts;
  for (size_t row = 0; row < observations.rows(); ++row) {
    if (seen.insert(observations.TextAt("trial", row)).second) firsts.push_back(row);
  }
  CandidateTable out;
  out.table = observations.Rows(firsts);
  out.recorded = firsts.size();
  for (size_t i = 0; plan != nullptr && i < plan->trials.size(); ++i) {
    if (!seen.contains(plan->trials[i].id)) out.table = WithTrial(out.table, *plan, plan->trials[i]);
  }
  out.table = MapColumns(out.table, map);
  if (!more_map.empty()) out.table = MapColumns(out.table, more_map);
  out.is_size_estimated.assign(out.table.rows(), false);
  return out;
}

bool EstimateSize(const Table& table, size_t row, double& bits_effective, double& size_bytes) {
  const std::string model = table.TextAt("model", row), quantizer = table.TextAt("quantizer", row);
  // Two rows of the model far apart in bits, and one that costs as much beside the codes.
  double low_bits = kMissing, low_size = kMissing, high_bits = kMissing, high_size = kMissing;
  double overhead = kMissing, nearest = std::numeric_limits<double>::infinity();
  const double bits = table.NumberAt("B", row);
  for (size_t other = 0; other < table.rows(); ++other) {
    const double effective = table.NumberAt("bits_effective", other), size = table.NumberAt("size_bytes", other);
    if (other == row || table.TextAt("model", other) != model || std::isnan(effective) || std::isnan(size)) continue;
    if (!(effective >= low_bits)) low_bits = effective, low_size = size;
    if (!(effective <= high_bits)) high_bits = effective, high_size = size;
    const auto same = [&](const char* column) {
      const double here = table.NumberAt(column, row), there = table.NumberAt(column, other);
      return std::isnan(here) || IsSameFactor(here, there);
    };
    if (table.TextAt("quantizer", other) == "none" || !same("G") || !same("G_min")) continue;
    if (!quantizer.empty() && table.TextAt("quantizer", other) != quantizer) continue;
    const double away = std::fabs(table.NumberAt("B", other) - bits);
    if (away < nearest) nearest = away, overhead = effective - table.NumberAt("B", other);
  }
  if (std::isnan(bits_effective)) bits_effective = bits + overhead;
  if (std::isnan(bits_effective) || !(high_bits > low_bits)) return false;
  size_bytes = low_size + (high_size - low_size) / (high_bits - low_bits) * (bits_effective - low_bits);
  return std::isfinite(size_bytes) && size_bytes > 0;
}

void AddPoints(const std::vector<LawPoint>& points, CandidateTable& candidates) {
  for (const LawPoint& point : points) {
    const std::string model = point.Word("model");
    Table& table = candidates.table;
    if (model.empty()) {
      throw Error(
          ErrorKind::kSpec,
          fmt::format("--at '{}': name the model, of which size and baseline are taken: model=NAME.", point.Text()));
    }
    // Rows of the model, and of the quantizer and the like that the point names.
    std::vector<size_t> of_model, like;
    std::set<std::string> models;
    for (size_t row = 0; row < candidates.recorded; ++row) {
      models.insert(table.TextAt("model", row));
      if (table.TextAt("model", row) != model) continue;
      of_model.push_back(row);
      const bool has_words = std::all_of(point.words.begin(), point.words.end(), [&](const auto& word) {
        return table.TextAt(word.first, row) == word.second;
      });
      if (has_words && table.TextAt("quantizer", row) != "none") like.push_back(row);
    }
    const std::vector<std::string> names(models.begin(), models.end());
    if (of_model.empty()) {
      throw Error(ErrorKind::kSpec, fmt::format("--at: no row has model = '{}'.{} Recorded: {}.", model,
                                                DidYouMean(model, names), JoinNames(names)));
    }
    for (const auto& [name, number] : point.numbers) {
      if (table.Find(name) == nullptr)
        throw Error(ErrorKind::kSpec,
                    fmt::format("--at: '{}' is no column of the table.{}", name, DidYouMean(name, table.names())));
    }
    const auto only = [&](const std::vector<size_t>& rows, const std::string& name) {
      double value = kMissing;
      for (const size_t row : rows) {
        const double here = table.NumberAt(name, row);
        if (std::isnan(here) || (!std::isnan(value) && !IsSameFactor(here, value))) return kMissing;
        value = here;
      }
      return value;
    };
    static const std::set<std::string, std::less<>> kMeasured = {"value",          "standard_error", "items",
                                                                 "acc_adj",        "baseline_value", "size_bytes",
                                                                 "bits_effective", "fallbacks",      "overlap"};
    table = WithRow(
        table,
        [&](const std::string& name) -> std::string {
          if (name == "label") return point.Text();
          if (name == "trial" || name == "record") return "";
          return point.Word(name);
        },
        [&](const std::string& name) {
          if (const double* given = point.Number(name)) return *given;
          const auto is_it = [&](const ItemResponseColumn& column) { return name == column.name; };
          if (kMeasured.contains(name) || std::ranges::any_of(ItemResponseColumns(), is_it)) return kMissing;
          const double of_all = only(of_model, name);
          return std::isnan(of_all) && point.words.size() > 1 ? only(like, name) : of_all;
        });
    const size_t row = table.rows() - 1;
    double bits = table.NumberAt("bits_effective", row), size = table.NumberAt("size_bytes", row);
    const bool is_given = !std::isnan(size);
    if (!is_given && EstimateSize(table, row, bits, size)) {
      Table sized(table.origin());
      for (TableColumn column : table.columns()) {
        if (column.name == "bits_effective") column.numbers[row] = bits;
        if (column.name == "size_bytes") column.numbers[row] = size;
        sized.Add(std::move(column));
      }
      table = std::move(sized);
    }
    candidates.is_size_estimated.push_back(!is_given);
  }
}

}  // namespace bitlaw
