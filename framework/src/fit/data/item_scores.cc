#include "fit/data/item_scores.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// Adds the items of one record; why they cannot be used, if they cannot.
std::string AddItems(const TaskRecord& record, const std::vector<ItemScore>& items, const std::string& trial,
                     ItemScores::Task& task) {
  if (record.card.metrics.empty() || record.card.metrics[0].kind != MetricKind::kAccuracy)
    return "its first metric is no accuracy";
  const bool is_first = task.ids.empty();
  if (!is_first && items.size() != task.ids.size())
    return fmt::format("trials have {} and {} items of it", task.ids.size(), items.size());
  std::vector<float>& values = task.of_trial[trial];
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].values[0].weight != 1) return "its items have weights";
    if (is_first) {
      task.ids.push_back(items[i].id);
      task.chance.push_back(items[i].chance);
    } else if (items[i].id != task.ids[i]) {
      return fmt::format("item {} is '{}' in one trial and '{}' in another", i + 1, task.ids[i], items[i].id);
    }
    values.push_back(static_cast<float>(items[i].values[0].value));
  }
  return items.empty() ? "it has no items" : "";
}

}  // namespace

ItemScores ReadItemScores(const Table& observations, const RecordStore& store) {
  ItemScores scores;
  for (const char* needed : {"trial", "task", "record"}) {
    if (observations.Find(needed) == nullptr) {
      scores.why_none = fmt::format("the table has no column '{}' that leads to records", needed);
      return scores;
    }
  }
  const TableColumn &trial = observations.At("trial"), &task = observations.At("task"),
                    &digest = observations.At("record");
  const TableColumn *primary = observations.Find("primary"), *kind = observations.Find("metric_kind");
  std::vector<std::string> faults;
  for (size_t row = 0; row < observations.rows() && scores.why_none.empty(); ++row) {
    if (primary != nullptr && !observations.Flag(*primary, row, true)) continue;
    if (kind != nullptr && observations.CellText(*kind, row) != "accuracy") continue;
    const std::string name = observations.CellText(task, row), id = observations.CellText(digest, row);
    std::string why;
    try {
      const auto record = store.FindTask(id, faults);
      why = record ? AddItems(*record, store.Items(*record), observations.CellText(trial, row), scores.tasks[name])
                   : "there is no record " + id + " in " + store.output().string();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kIo) throw;
      why = error.what();
    }
    if (!why.empty()) scores.why_none = "task '" + name + "': " + why;
  }
  if (scores.tasks.empty() && scores.why_none.empty()) scores.why_none = "no row has an accuracy";
  return scores;
}

ItemSampler::ItemSampler(const ItemScores& scores, const StratumData& stratum)
    : why_none_(scores.why_none), rows_(stratum.table.rows()) {
  const TableColumn *trial = stratum.table.Find("trial"), *own_task = stratum.table.Find("task");
  if (why_none_.empty() && (trial == nullptr || stratum.tasks.empty()))
    why_none_ = "the rows are not those of trials and tasks";
  if (!why_none_.empty()) return;
  for (const std::string& name : stratum.tasks) {
    const auto found = scores.tasks.find(name);
    if (found == scores.tasks.end()) {
      why_none_ = "there are no items of task '" + name + "'";
      return;
    }
    TaskPart part;
    part.scores = &found->second;
    for (size_t row = 0; row < rows_; ++row) {
      const bool has_task = own_task == nullptr || stratum.table.CellText(*own_task, row) == name;
      const auto of_trial = found->second.of_trial.find(stratum.table.CellText(*trial, row));
      if (has_task && of_trial == found->second.of_trial.end()) {
        why_none_ = fmt::format("trial '{}' has no items of task '{}'", stratum.table.CellText(*trial, row), name);
        return;
      }
      part.of_row.push_back(has_task ? of_trial->second.data() : nullptr);
    }
    const size_t items = found->second.ids.size();
    part.blocks = std::min<size_t>(items, 50);
    for (size_t b = 0; b < part.blocks; ++b)
      blocks_.push_back({tasks_.size(), b * items / part.blocks, (b + 1) * items / part.blocks});
    tasks_.push_back(std::move(part));
  }
}

size_t ItemSampler::items() const {
  size_t items = 0;
  for (const TaskPart& task : tasks_) items += task.scores->ids.size();
  return items;
}

// acc_adj of every row, where item i of task t counts times[t][i] times.
void ItemSampler::Mean(const std::vector<std::vector<double>>& times, std::span<double> accuracy) const {
  std::vector<StratumMean> of_row(rows_);
  for (size_t t = 0; t < tasks_.size(); ++t) {
    const TaskPart& task = tasks_[t];
    double count = 0, chance = 0;
    for (size_t i = 0; i < times[t].size(); ++i) {
      count += times[t][i];
      chance += times[t][i] * task.scores->chance[i];
    }
    chance /= count;
    for (size_t row = 0; row < rows_; ++row) {
      if (task.of_row[row] == nullptr) continue;
      double sum = 0;
      for (size_t i = 0; i < times[t].size(); ++i) sum += times[t][i] * static_cast<double>(task.of_row[row][i]);
      of_row[row].Add(ChanceAdjusted(sum / count, chance), 0);
    }
  }
  for (size_t row = 0; row < rows_; ++row) accuracy[row] = of_row[row].acc_adj();
}

void ItemSampler::Draw(Rng& rng, std::span<double> accuracy) const {
  std::vector<std::vector<double>> times;
  for (const TaskPart& task : tasks_) {
    const size_t items = task.scores->ids.size();
    times.emplace_back(items, 0);
    for (size_t draw = 0; draw < items; ++draw) ++times.back()[rng.Below(items)];
  }
  Mean(times, accuracy);
}

void ItemSampler::Without(const Block& block, std::span<double> accuracy) const {
  std::vector<std::vector<double>> times;
  for (const TaskPart& task : tasks_) times.emplace_back(task.scores->ids.size(), 1);
  std::fill(times[block.task].begin() + static_cast<std::ptrdiff_t>(block.begin),
            times[block.task].begin() + static_cast<std::ptrdiff_t>(block.end), 0.0);
  Mean(times, accuracy);
}

}  // namespace bitlaw
