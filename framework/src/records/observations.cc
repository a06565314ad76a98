#include "records/observations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <set>

#include "api/chance_adjusted.h"
#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "records/plan_records.h"
#include "records/responses/item_responses.h"

namespace bitlaw {
namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

/// A (trial, task, metric): recorded, or still to come.
struct Row {
  const Trial* trial;
  size_t task, metric;
  const TaskCard* card;      // Of the record; of the task as it is now if there is none.
  const TaskRecord* record;  // Null: planned, and what is measured has stand-ins.
  double baseline_value = kMissing;
  ItemResponses responses{};

  const MetricCard& metric_card() const { return card->metrics[metric]; }
  bool is_accuracy() const { return metric_card().kind == MetricKind::kAccuracy; }
};

const Value* AxisValue(const Trial& trial, const std::string& axis) {
  for (const auto& [name, value] : trial.axes)
    if (name == axis) return &value;
  return nullptr;
}

// What a measured score is taken to be before it is measured: half way between chance and perfect, of 100 items.
constexpr double kPlannedAccuracy = 0.75, kPlannedChance = 0.5, kPlannedItems = 100, kPlannedError = 0.04;

MetricSummary SummaryOf(const Row& row) {
  if (row.record != nullptr) return row.record->metrics[row.metric];
  MetricSummary planned;
  planned.name = row.metric_card().name;
  planned.value = kPlannedAccuracy;
  planned.standard_error = kPlannedError;
  planned.items = static_cast<int64_t>(kPlannedItems);
  planned.chance = kPlannedChance;
  return planned;
}

// The same of what items tell; with an unquantized model, as half way to it.
ItemResponses PlannedResponses(bool has_unquantized) {
  ItemResponses planned;
  for (const ItemResponseColumn& column : ItemResponseColumns()) {
    const auto member = column.member;
    const bool is_own = member == &ItemResponses::bits_per_byte || member == &ItemResponses::answer_characters;
    if (is_own || has_unquantized) planned.*member = is_own ? 1 : 0.5;
  }
  planned.bits_per_byte_error = planned.answer_characters_error = 0.1;
  return planned;
}

/// One column of the observations: where its cells come from. Exactly one of the two functions is set.
struct Column {
  std::string name;
  std::function<std::string(const Row&)> text;
  std::function<double(const Row&)> number;
  const FactorColumn* factor = nullptr;  // Of the plan; null for columns that hold none.
};

// A column of plain values: of numbers if every value that is there is one.
using ValueOf = std::function<const Value*(const Row&)>;
Column ValueColumn(const std::string& name, bool is_numbers, ValueOf of) {
  if (is_numbers) {
    return {name, {}, [of](const Row& row) {
              const Value* v = of(row);
              return v == nullptr || !v->is_number() ? kMissing : v->AsReal();
            }, nullptr};
  }
  return {name, [of](const Row& row) -> std::string {
            const Value* v = of(row);
            return v == nullptr || v->is_null() ? "" : v->is_string() ? v->AsString() : v->Text();
          }, {}, nullptr};
}

Column AxisColumn(const Plan& plan, const std::string& name) {
  const bool is_numbers = std::all_of(plan.trials.begin(), plan.trials.end(), [&](const Trial& trial) {
    const Value* v = AxisValue(trial, name);
    return v == nullptr || v->is_null() || v->is_number();
  });
  return ValueColumn(name, is_numbers, [name](const Row& row) { return AxisValue(*row.trial, name); });
}

// Of what a record has, the record's: it may know better what quantizing came to.
Column TrialFactorColumn(const Plan& plan, size_t index) {
  const FactorColumn& column = plan.factors[index];
  const bool is_recorded = column.source != FactorSource::kStudy;
  const std::string name = column.factor.column;
  Column made = ValueColumn(name, column.is_number, [=](const Row& row) {
    const Value* recorded =
        is_recorded && row.record != nullptr ? FindFactor(row.record->factors, name) : nullptr;
    return recorded != nullptr ? recorded : &row.trial->factors[index];
  });
  made.factor = &column;
  return made;
}

// Of a task as it is now: what its card says, and a stand-in for what its items will have.
Column TaskFactorColumn(const FactorColumn& column) {
  const std::string name = column.factor.column;
  Column made = ValueColumn(name, column.is_number, [name](const Row& row) -> const Value* {
    static const Value kPlannedMean = 1.0;
    if (row.record != nullptr) return FindFactor(row.record->factors, name);
    for (const Factor& factor : row.card->factors)
      if (factor.column == name) return &factor.value;
    for (const Factor& factor : row.card->item_factors)
      if (factor.column == name) return &kPlannedMean;
    return nullptr;
  });
  made.factor = &column;
  return made;
}

// Every column of observations.csv, in its order: the one list from which tables are written and laws are checked.
std::vector<Column> ColumnsOf(const Plan& plan) {
  std::vector<Column> columns;
  const auto text = [&](const char* name, std::function<std::string(const Row&)> of) {
    columns.push_back({name, std::move(of), {}, nullptr});
  };
  const auto number = [&](const char* name, std::function<double(const Row&)> of) {
    columns.push_back({name, {}, std::move(of), nullptr});
  };
  const auto model = [&plan](const Row& row) -> const PlannedModel& { return plan.models[row.trial->model]; };
  const auto add_factors = [&](FactorSource source) {
    for (size_t i = 0; i < plan.factors.size(); ++i) {
      if (plan.factors[i].source == source) columns.push_back(TrialFactorColumn(plan, i));
    }
  };

  text("study", [&plan](const Row&) { return plan.study.name; });
  text("trial", [](const Row& row) { return row.trial->id; });
  text("label", [](const Row& row) { return row.trial->label; });
  text("model", [=](const Row& row) { return model(row).spec.name; });
  text("family", [=](const Row& row) {
    return model(row).spec.family.empty() ? model(row).summary.architecture : model(row).spec.family;
  });
  number("hold_out", [=](const Row& row) { return model(row).spec.hold_out ? 1 : 0; });
  add_factors(FactorSource::kModel);
  text("quantizer", [](const Row& row) { return row.trial->quantizer; });
  add_factors(FactorSource::kQuantizer);
  add_factors(FactorSource::kCalibration);
  text("corpus", [](const Row& row) { return row.trial->calibration ? row.trial->calibration->corpus : ""; });
  text("dtype", [](const Row& row) { return std::string(Name(row.trial->compute.dtype)); });
  add_factors(FactorSource::kStudy);
  const size_t axes_at = columns.size();

  text("task", [](const Row& row) { return row.card->name; });
  text("stratum", [&plan](const Row& row) { return StratumOf(plan.study, *row.card); });
  for (const FactorColumn& column : plan.task_factors) {
    if (column.origin == kOwnOrigin) {
      number("few_shot", [](const Row& row) { return static_cast<double>(row.card->few_shot); });
      columns.back().factor = &column;
    } else {
      columns.push_back(TaskFactorColumn(column));
    }
  }
  text("metric", [](const Row& row) { return row.metric_card().name; });
  text("metric_kind", [](const Row& row) { return MetricKindName(row.metric_card().kind); });
  number("primary", [](const Row& row) { return row.metric == 0 ? 1 : 0; });
  number("value", [](const Row& row) { return SummaryOf(row).value; });
  number("standard_error", [](const Row& row) { return SummaryOf(row).standard_error; });
  number("items", [](const Row& row) { return static_cast<double>(SummaryOf(row).items); });
  number("chance", [](const Row& row) { return row.is_accuracy() ? SummaryOf(row).chance : kMissing; });
  number("acc_adj", [](const Row& row) {
    const MetricSummary x = SummaryOf(row);
    return row.is_accuracy() ? ChanceAdjusted(x.value, x.chance) : kMissing;
  });
  number("limit", [](const Row& row) { return row.card->limit ? static_cast<double>(*row.card->limit) : kMissing; });
  number("baseline_value", [](const Row& row) { return row.baseline_value; });
  for (const ItemResponseColumn& column : ItemResponseColumns()) {
    number(column.name, [member = column.member](const Row& row) { return row.responses.*member; });
  }
  number("fallbacks", [](const Row& row) {
    return row.record != nullptr && row.record->quantization
               ? static_cast<double>(row.record->quantization->fallbacks.size())
               : 0.0;
  });
  number("overlap", [](const Row& row) {
    const auto count = [&](const char* name) {
      for (const auto& [counted, value] : row.record->counts)
        if (counted == name) return static_cast<double>(value);
      return kMissing;
    };
    return row.record == nullptr ? kMissing : count("overlap_items") / count("overlap_items_compared");
  });
  text("record", [](const Row& row) { return row.record != nullptr ? RecordDigest(row.record->key) : ""; });

  // The axes come in the order of the plan; their names must not hide a column of our own.
  std::set<std::string> names;
  for (const Column& column : columns) names.insert(column.name);
  std::vector<Column> axes;
  for (const std::string& name : plan.axis_names()) {
    if (names.insert(name).second) axes.push_back(AxisColumn(plan, name));
  }
  columns.insert(columns.begin() + static_cast<std::ptrdiff_t>(axes_at), axes.begin(), axes.end());
  return columns;
}

// Whose scores those of a model are losses against: its own, unless its weights were quantized before they came here.
std::optional<size_t> OriginalOf(const Plan& plan, size_t model) {
  const PlannedModel& planned = plan.models[model];
  if (!planned.summary.stored_quantization) return model;
  for (size_t i = 0; i < plan.models.size(); ++i) {
    if (!planned.spec.original.empty() && plan.models[i].spec.name == planned.spec.original) return i;
  }
  return std::nullopt;
}

Table TableOf(const std::vector<Column>& columns, const std::vector<Row>& rows) {
  Table table("observations");
  for (const Column& column : columns) {
    if (column.text) {
      std::vector<std::string> cells;
      cells.reserve(rows.size());
      for (const Row& row : rows) cells.push_back(column.text(row));
      table.AddTexts(column.name, std::move(cells));
    } else {
      std::vector<double> cells;
      cells.reserve(rows.size());
      for (const Row& row : rows) cells.push_back(column.number(row));
      table.AddNumbers(column.name, std::move(cells));
    }
  }
  return table;
}

}  // namespace

std::string StratumOf(const StudySpec& study, const TaskCard& card) {
  if (study.strata.empty()) return card.stratum;
  for (const auto& [stratum, tasks] : study.strata) {
    if (std::find(tasks.begin(), tasks.end(), card.name) != tasks.end()) return stratum;
  }
  return "";
}

const char* MetricKindName(MetricKind kind) {
  switch (kind) {
    case MetricKind::kAccuracy: return "accuracy";
    case MetricKind::kPerplexity: return "perplexity";
    case MetricKind::kMean: return "mean";
    case MetricKind::kRatio: return "ratio";
  }
  return "";
}

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
  ItemResponseReader responses(store);
  std::vector<Row> rows;
  for (size_t i = 0; i < records.size(); ++i) {
    for (size_t t = 0; t < records[i].size(); ++t) {
      if (!records[i][t]) continue;
      const TaskRecord& record = *records[i][t];
      const std::optional<size_t> original = OriginalOf(plan, plan.trials[i].model);
      const auto* baselines_of = original ? baselines[*original] : nullptr;
      const TaskRecord* baseline = baselines_of != nullptr && (*baselines_of)[t] ? &*(*baselines_of)[t] : nullptr;
      const ItemResponses told = responses.Of(record, baseline);
      for (size_t m = 0; m < record.metrics.size(); ++m) {
        Row row{&plan.trials[i], t, m, &record.card, &record, kMissing, told};
        if (baseline != nullptr) {
          // By name: whoever edits a record may leave it fewer metrics than this one has.
          for (const MetricSummary& one : baseline->metrics) {
            if (one.name == record.metrics[m].name) row.baseline_value = one.value;
          }
        }
        rows.push_back(row);
      }
    }
  }
  if (warnings != nullptr) {
    *warnings = std::move(faults);
    if (const size_t others = store.CountOtherFormats(); others > 0) {
      warnings->push_back(fmt::format(
          "{} in {} {} another format than {}, which this bitlaw reads. Such records are not used "
          "(docs/records.md).",
          Counted(others, "record"), (folder / "records").string(), others == 1 ? "has" : "have", kRecordFormat));
    }
    for (const size_t model : unread) {
      warnings->push_back(fmt::format("model '{}': not all of its trials have been begun in {}; those give no rows.",
                                      plan.models[model].spec.name, folder.string()));
    }
  }

  return TableOf(ColumnsOf(plan), rows);
}

std::vector<ObservationColumn> ObservationColumns(const Plan& plan) {
  std::vector<ObservationColumn> columns;
  for (const Column& column : ColumnsOf(plan)) {
    ObservationColumn one{column.name, static_cast<bool>(column.text), std::nullopt, ""};
    if (column.factor != nullptr) {
      one.factor = column.factor->factor;
      one.origin = column.factor->origin;
    }
    columns.push_back(std::move(one));
  }
  return columns;
}

std::string WriteColumns(const std::vector<ObservationColumn>& columns) {
  Value::List list;
  for (const ObservationColumn& column : columns) {
    Value one = Value::Map{{"name", column.name}, {"type", column.is_text ? "text" : "number"}};
    if (column.factor) {
      one.Set("role", std::string(Name(column.factor->role)));
      one.Set("symbol", column.factor->symbol);
      one.Set("unit", column.factor->unit);
      one.Set("doc", column.factor->doc);
      one.Set("anchor", column.factor->anchor);
      one.Set("origin", column.origin);
    }
    list.push_back(std::move(one));
  }
  return PrettyJson(Value::Map{{"format", 1}, {"columns", std::move(list)}});
}

std::vector<ObservationColumn> ReadColumns(const std::string& text, const std::string& origin) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorKind::kIo, origin + ": " + what + ". The file is written by 'bitlaw run' and 'bitlaw report'; make it "
                                         "again from the study.");
  };
  const Value json = ParseJson(text, origin);
  const Value* list = json.Find("columns");
  if (list == nullptr || !list->is_list()) refuse("'columns' is not a list");
  std::vector<ObservationColumn> columns;
  for (const Value& one : list->AsList()) {
    const auto text_of = [&](const char* key) {
      const Value* value = one.Find(key);
      if (value == nullptr || !value->is_string()) refuse("'" + std::string(key) + "' of a column is not a text");
      return value->AsString();
    };
    ObservationColumn column{text_of("name"), text_of("type") == "text", std::nullopt, ""};
    if (one.Find("role") != nullptr) {
      Factor factor;
      factor.column = column.name;
      try {
        factor.role = ParseFactorRole(text_of("role"));
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::kSpec) throw;
        refuse("column '" + column.name + "': " + error.what());
      }
      factor.symbol = text_of("symbol");
      factor.unit = text_of("unit");
      factor.doc = text_of("doc");
      if (const Value* anchor = one.Find("anchor")) factor.anchor = *anchor;
      column.factor = std::move(factor);
      column.origin = text_of("origin");
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

Table PlannedObservations(const Plan& plan, const std::vector<TaskCard>& cards) {
  constexpr size_t kEnoughTrials = 500;
  const std::vector<Column> columns = ColumnsOf(plan);
  std::set<size_t> unquantized;  // Models with a trial that will measure them as they are.
  for (const Trial& trial : plan.trials) {
    if (trial.quantizer == "none") unquantized.insert(trial.model);
  }
  std::set<std::vector<bool>> known;
  std::vector<Row> rows;
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    std::vector<Row> of_trial;
    const std::optional<size_t> original = OriginalOf(plan, plan.trials[i].model);
    const double baseline = original && unquantized.contains(*original) ? kPlannedAccuracy : kMissing;
    for (size_t t = 0; t < cards.size(); ++t) {
      for (size_t m = 0; m < cards[t].metrics.size(); ++m) {
        of_trial.push_back({&plan.trials[i], t, m, &cards[t], nullptr, baseline, {}});
        if (of_trial.back().is_accuracy()) of_trial.back().responses = PlannedResponses(!std::isnan(baseline));
      }
    }
    if (of_trial.empty()) break;
    std::vector<bool> has_value;
    for (const Column& column : columns) {
      has_value.push_back(column.text ? !column.text(of_trial[0]).empty() : !std::isnan(column.number(of_trial[0])));
    }
    const bool is_new = known.insert(std::move(has_value)).second;
    if (is_new || i < kEnoughTrials) rows.insert(rows.end(), of_trial.begin(), of_trial.end());
  }
  return TableOf(columns, rows);
}

}  // namespace bitlaw
