#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "cli/common/session.h"
#include "records/record_store.h"
#include "records/table.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// What a study has recorded, for verbs that look at single items: the observations and the records behind them.
class RecordedItems {
 public:
  /// `source`: a study file, or the output folder of a study that has been run.
  RecordedItems(const std::string& source, Session& session);

  const Table& observations() const { return observations_; }

  /// One (trial, task) with a record.
  struct Entry {
    std::string trial, label, model, quantizer, task, stratum, digest;
  };
  /// In the order of the observations.
  const std::vector<Entry>& entries() const { return entries_; }
  /// Entries of `task` and of `trial` (its id or label); "" takes all. Error(kSpec) if nothing is left.
  std::vector<Entry> Select(const std::string& trial, const std::string& task) const;
  /// The unquantized model's result of the same task; null if there is none.
  const Entry* BaselineOf(const Entry& entry) const;

  /// The task as the study has it: of a study file its entry, of an output folder that of its last run (work.json), and
  /// where neither has it the task file of that name. `data_paths` are looked in first. Error(kSpec) if there is none.
  TaskSpec TaskOf(const Entry& entry, const std::vector<std::string>& data_paths, Session& session) const;

  /// The task of a record, with what a study limits it to.
  struct OpenedTask {
    TaskSpec spec;
    Options options;  ///< With the record's limit.
    std::unique_ptr<Task> task;
  };
  /// Error(kSpec), which `option` leads, unless it is the one that the record was made of.
  OpenedTask Open(const Entry& entry, const TaskRecord& record, const std::vector<std::string>& data_paths,
                  const std::string& option, Session& session) const;

  TaskRecord Record(const Entry& entry) const;
  std::vector<ItemScore> Items(const TaskRecord& record) const { return store_.Items(record); }

 private:
  std::string source_;
  std::filesystem::path output_;
  std::vector<TaskSpec> tasks_;
  RecordStore store_;
  Table observations_;
  std::vector<Entry> entries_;
};

/// The index of a metric of a card by name; "" is the first. Error(kSpec) with the metrics that there are.
size_t MetricIndex(const TaskCard& card, const std::string& name);

}  // namespace bitlaw
