#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/record.h"

namespace bitlaw {

/// Why a trial did not finish. Failures never stand in the way of another try: the file is for people.
struct BITLAW_EXPORT FailureRecord {
  std::string trial, label;
  std::string stage;        ///< What was being done: "quantize model.layers.3", "evaluate arc_easy", ...
  std::string kind;         ///< "spec", "numerical", ..., "memory", "signal", "timeout", "device", "crash".
  std::string reason;       ///< One sentence.
  std::string stderr_tail;  ///< The last lines that the worker wrote, "" if none.
  std::string date;         ///< UTC, ISO 8601.
  std::string worker{};     ///< "process 4711 on node7": who tried.
  int64_t attempt = 1;      ///< Of the campaign, from 1.
};

/// The records of one output folder. docs/records.md shows the layout.
///
///   records/<2 hex>/<digest>.json       task and quantization records, immutable
///   records/<2 hex>/<digest>.<items>.items.csv  the items of a task record, written before it; <items> are the first 16
///                                       digits of their own digest, which the record names
///   timings/<2 hex>/<digest>.json       how long it took, where and when
///   failures/<trial>.json               why a trial did not finish; gone once it did
///   quarantine/                         files that were no records
///
/// Copying the records of another machine into the folder merges them. Several processes may write at once.
class BITLAW_EXPORT RecordStore {
 public:
  explicit RecordStore(std::filesystem::path output) : output_(std::move(output)) {}

  const std::filesystem::path& output() const { return output_; }
  std::filesystem::path RecordPath(const std::string& digest) const;
  /// Where the items of a record are: of that name, or of the one that older records' items have, <digest>.items.csv.
  std::filesystem::path ItemsPath(const TaskRecord& record) const;
  std::filesystem::path TimingsPath(const std::string& digest) const;
  std::filesystem::path FailurePath(const std::string& trial) const;

  /// Error(kIo) if the output folder is gone. What writes asks first: a folder that somebody deleted must not come back
  /// with half of its records.
  void CheckFolder() const;

  /// Puts items and then the record on the disk; fills record.items. Returns the record's digest. A whole record that is
  /// there already stays with its items, `is_new` is then false: of several writers on any machines the first one counts.
  std::string Write(TaskRecord& record, const std::vector<ItemScore>& items, bool* is_new = nullptr) const;
  std::string Write(const QuantizationRecord& record, bool* is_new = nullptr) const;

  /// The record, or nullopt if there is none. A file that is no whole record, or whose items file is missing or not the
  /// one that the record names by size and digest, counts as none; why is appended to `faults`.
  std::optional<TaskRecord> FindTask(const std::string& digest, std::vector<std::string>& faults) const;
  std::optional<QuantizationRecord> FindQuantization(const std::string& digest, std::vector<std::string>& faults) const;

  /// The items of a record. Error(kIo) if they are not those whose digest the record holds.
  std::vector<ItemScore> Items(const TaskRecord& record) const;

  /// Records of tasks and quantizations, by the names of their files: none is read.
  size_t Count() const;
  /// Records of a format that this bitlaw does not read. They are left where they are.
  size_t CountOtherFormats() const;

  /// Moves whatever stands under `digest` out of the way, so that the trial can be done again.
  void Quarantine(const std::string& digest) const;
  /// Moves one file of the folder to quarantine/, where it replaces none: the second of a name gets ".2" at its end.
  void QuarantineFile(const std::filesystem::path& path) const;

  /// Puts a whole record of another folder into this one, as its text is, with its items; what is named by `digest`
  /// here already stays, if it is whole, and false is returned. `items`: the text of its items file; "" of a quantization.
  bool Adopt(const std::string& digest, const std::string& text, const std::string& items) const;

  void WriteTimings(const std::string& digest, const Value& timings) const;
  /// Null if there are none, or none that can be read: nothing depends on them.
  Value Timings(const std::string& digest) const;
  /// Adds an attempt: the file says of the last one what it was, and lists all that were before it, 20 at most.
  void WriteFailure(const FailureRecord& failure) const;
  /// The last attempt; nullopt if there is no such file, or none that can be read.
  std::optional<FailureRecord> Failure(const std::string& trial) const;
  void ForgetFailure(const std::string& trial) const;

  /// Removes what killed writers left half-written: not what belongs to a writer that lives (NameTemporaries()).
  void RemoveTemporaries(const std::vector<std::string>& live_writers = {}) const;

 private:
  std::string ItemsText(const TaskRecord& record, const std::string& digest) const;
  std::filesystem::path FoundItemsPath(const TaskRecord& record, const std::string& digest) const;
  std::filesystem::path ItemsPath(const std::string& digest, const std::string& items_digest) const;
  /// Puts a record's text where none is, its items before; false where a whole one is.
  bool Place(const std::string& digest, const std::string& text, const std::function<bool()>& is_whole,
             const std::function<void()>& write_items) const;
  std::filesystem::path output_;
};

}  // namespace bitlaw
