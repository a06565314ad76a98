#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/rng.h"
#include "fit/table/strata_data.h"
#include "records/record_store.h"
#include "records/table.h"

namespace bitlaw {

/// The items behind accuracies: what every trial scored on each item of each task.
struct BITLAW_EXPORT ItemScores {
  struct Task {
    std::vector<std::string> ids;                        ///< [items]
    std::vector<double> chance;                          ///< [items]
    std::map<std::string, std::vector<float>> of_trial;  ///< [items] each
  };
  std::map<std::string, Task> tasks;
  std::string why_none;  ///< Why items cannot be drawn, if they cannot.
};

/// The items of the primary accuracy of each trial and task of observations (columns trial, task, record), from the
/// records of the same output folder. A record that is missing, or whose items differ from those of other trials, is
/// `why_none`: it names the task.
BITLAW_EXPORT ItemScores ReadItemScores(const Table& observations, const RecordStore& store);

/// Draws items for all rows of a stratum at once. Every trial scored the same items, so a draw of the items of a task
/// moves all trials together; what items leave uncertain does not average out over trials.
class BITLAW_EXPORT ItemSampler {
 public:
  ItemSampler(const ItemScores& scores, const StratumData& stratum);
  /// Why there is no sampler; nothing else may be called then.
  const std::string& why_none() const { return why_none_; }
  size_t items() const;

  /// acc_adj [rows of the stratum's table]: as many items of each task as it has, drawn with replacement.
  void Draw(Rng& rng, std::span<double> accuracy) const;

  /// Parts of the items, at most 50 a task, for a jackknife.
  struct Block {
    size_t task, begin, end;
  };
  const std::vector<Block>& blocks() const { return blocks_; }
  size_t blocks_of_task(size_t task) const { return tasks_[task].blocks; }
  /// acc_adj without the items of a block.
  void Without(const Block& block, std::span<double> accuracy) const;

 private:
  struct TaskPart {
    const ItemScores::Task* scores;
    size_t blocks = 0;
    std::vector<const float*> of_row;  // [rows]; null where the task is not one of the row's.
  };
  void Mean(const std::vector<std::vector<double>>& times, std::span<double> accuracy) const;

  std::string why_none_;
  size_t rows_ = 0;
  std::vector<TaskPart> tasks_;
  std::vector<Block> blocks_;
};

}  // namespace bitlaw
