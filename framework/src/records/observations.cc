#include "records/observations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "records/plan_records.h"

namespace bitlaw {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct Row {
  const Trial* trial;
  size_t task, metric;
  const TaskRecord* record;
};

const char* KindName(MetricKind kind) {
  switch (kind) {
    case MetricKind::kAccuracy: return "accuracy";
    case MetricKind::kPerplexity: return "perplexity";
    case MetricKind::kMean: return "mean";
    case MetricKind::kRatio: return "ratio";
  }
  return "";
}

std::string StratumOf(const StudySpec& study, const TaskRecord& record) {
  if (study.strata.empty()) return record.card.stratum;
  for (const auto& [stratum, tasks] : study.strata) {
    if (std::find(tasks.begin(), tasks.end(), record.card.name) != tasks.end()) return stratum;
  }
  return "";
}

const Value* AxisValue(const Trial& trial, const std::string& axis) {
  for (const auto& [name, value] : trial.axes)
    if (name == axis) return &value;
  return nullptr;
}

// A column of an axis: numbers if every value that is there is one.
void AddAxis(Table& table, const std::string& name, const std::vector<Row>& rows) {
  std::vector<const Value*> values;
  for (const Row& row : rows) values.push_back(AxisValue(*row.trial, name));
  const bool numbers = std::all_of(values.begin(), values.end(),
                                   [](const Value* v) { return v == nullptr || v->is_null() || v->is_number(); });
  if (numbers) {
    std::vector<double> column;
    for (const Value* v : values) column.push_back(v == nullptr || v->is_null() ? kMissing : v->AsReal());
    table.AddNumbers(name, std::move(column));
  } else {
    std::vector<std::string> column;
    for (const Value* v : values) column.push_back(v == nullptr || v->is_null() ? "" : v->is_string() ? v->AsString() : v->Text());
    table.AddTexts(name, std::move(column));
  }
}

}  // namespace

Table Observations(const Plan& plan, const PluginHost& host, const std::filesystem::path& output,
                   std::vector<std::string>* warnings) {
  const std::filesystem::path folder = output.empty() ? plan.study.output : output;
  const RecordStore store(folder);
  DigestCache cache = CacheOf(folder);
  PlanContents contents(plan, host, cache);
  std::vector<std::string> faults;

  // records[trial][task]; the unquantized model's records, by model.
  std::vector<std::vector<std::optional<TaskRecord>>> records(plan.trials.size());
  std::vector<const std::vector<std::optional<TaskRecord>>*> baselines(plan.models.size(), nullptr);
  std::set<size_t> unread;
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const Trial& trial = plan.trials[i];
    const auto content = contents.Cached(trial);
    if (!content) {
      unread.insert(trial.model);
      continue;
    }
    for (size_t t = 0; t < plan.study.tasks.size(); ++t) {
      records[i].push_back(FindUsable(store, plan, *content, contents.task_content(t), faults));
    }
    if (trial.quantizer == "none") baselines[trial.model] = &records[i];
  }
  std::vector<Row> rows;
  for (size_t i = 0; i < records.size(); ++i) {
    for (size_t t = 0; t < records[i].size(); ++t) {
      if (!records[i][t]) continue;
      for (size_t m = 0; m < records[i][t]->metrics.size(); ++m) rows.push_back({&plan.trials[i], t, m, &*records[i][t]});
    }
  }
  if (warnings != nullptr) {
    *warnings = std::move(faults);
    for (const size_t model : unread) {
      warnings->push_back(fmt::format("model '{}': not all of its trials have been begun in {}; those give no rows.",
                                      plan.models[model].spec.name, folder.string()));
    }
  }

  Table table("observations");
  auto texts = [&](const char* name, auto&& of) {
    std::vector<std::string> column;
    for (const Row& row : rows) column.emplace_back(of(row));
    table.AddTexts(name, std::move(column));
  };
  auto numbers = [&](const char* name, auto&& of) {
    std::vector<double> column;
    for (const Row& row : rows) column.push_back(static_cast<double>(of(row)));
    table.AddNumbers(name, std::move(column));
  };
  auto model = [&](const Row& row) -> const PlannedModel& { return plan.models[row.trial->model]; };
  auto metric = [](const Row& row) -> const MetricSummary& { return row.record->metrics[row.metric]; };
  auto card = [](const Row& row) -> const MetricCard& { return row.record->card.metrics[row.metric]; };

  texts("study", [&](const Row&) { return plan.study.name; });
  texts("trial", [](const Row& row) { return row.trial->id; });
  texts("label", [](const Row& row) { return row.trial->label; });
  texts("model", [&](const Row& row) { return model(row).spec.name; });
  texts("family", [&](const Row& row) {
    return model(row).spec.family.empty() ? model(row).summary.architecture : model(row).spec.family;
  });
  numbers("hold_out", [&](const Row& row) { return model(row).spec.hold_out ? 1 : 0; });
  numbers("N", [](const Row& row) { return row.record->model.parameters_non_embedding(); });
  numbers("parameters_total", [](const Row& row) { return row.record->model.parameters_total; });
  texts("quantizer", [](const Row& row) { return row.trial->quantizer; });
  numbers("B", [](const Row& row) {
    return row.record->quantization ? row.record->quantization->bits_requested : row.trial->bits_requested;
  });
  numbers("bits_effective", [](const Row& row) {
    return row.record->quantization ? row.record->quantization->bits_effective : row.trial->bits_per_weight;
  });
  numbers("G", [](const Row& row) {
    return row.record->quantization ? static_cast<double>(row.record->quantization->group_size) : kMissing;
  });
  numbers("Cb", [](const Row& row) {
    return row.record->calibration ? static_cast<double>(row.record->calibration->sequences) : kMissing;
  });
  numbers("T", [](const Row& row) {
    return row.record->calibration ? static_cast<double>(row.record->calibration->tokens) : kMissing;
  });
  texts("corpus", [](const Row& row) { return row.trial->calibration ? row.trial->calibration->corpus : ""; });
  texts("dtype", [](const Row& row) { return std::string(Name(row.trial->compute.dtype)); });

  // The axes come in the order of the plan; their names must not hide a column of our own.
  static const std::set<std::string> kOwn = {"study", "trial", "label", "model", "family", "hold_out", "N",
      "parameters_total", "quantizer", "B", "bits_effective", "G", "Cb", "T", "corpus", "dtype", "task", "stratum",
      "metric", "metric_kind", "primary", "value", "standard_error", "items", "chance", "acc_adj", "limit",
      "baseline_value", "fallbacks", "record"};
  std::vector<std::string> axes;
  for (const Trial& trial : plan.trials) {
    for (const auto& [name, ignored] : trial.axes) {
      if (!kOwn.contains(name) && std::find(axes.begin(), axes.end(), name) == axes.end()) axes.push_back(name);
    }
  }
  for (const std::string& axis : axes) AddAxis(table, axis, rows);

  texts("task", [](const Row& row) { return row.record->card.name; });
  texts("stratum", [&](const Row& row) { return StratumOf(plan.study, *row.record); });
  texts("metric", [&](const Row& row) { return metric(row).name; });
  texts("metric_kind", [&](const Row& row) { return KindName(card(row).kind); });
  numbers("primary", [](const Row& row) { return row.metric == 0 ? 1 : 0; });
  numbers("value", [&](const Row& row) { return metric(row).value; });
  numbers("standard_error", [&](const Row& row) { return metric(row).standard_error; });
  numbers("items", [&](const Row& row) { return metric(row).items; });
  numbers("chance", [&](const Row& row) { return card(row).kind == MetricKind::kAccuracy ? metric(row).chance : kMissing; });
  numbers("acc_adj", [&](const Row& row) {
    const MetricSummary& x = metric(row);
    return card(row).kind == MetricKind::kAccuracy ? (x.value - x.chance) / (1 - x.chance) : kMissing;
  });
  numbers("limit", [](const Row& row) {
    return row.record->card.limit ? static_cast<double>(*row.record->card.limit) : kMissing;
  });
  numbers("baseline_value", [&](const Row& row) {
    const auto* baseline = baselines[row.trial->model];
    if (baseline == nullptr || !(*baseline)[row.task]) return kMissing;
    // By name: whoever edits a record may leave it fewer metrics than this one has.
    for (const MetricSummary& one : (*baseline)[row.task]->metrics) {
      if (one.name == metric(row).name) return one.value;
    }
    return kMissing;
  });
  numbers("fallbacks", [](const Row& row) {
    return row.record->quantization ? row.record->quantization->fallbacks.size() : size_t{0};
  });
  texts("record", [](const Row& row) { return RecordDigest(row.record->key); });
  return table;
}

}  // namespace bitlaw
