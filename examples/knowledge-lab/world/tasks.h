#pragma once

#include <filesystem>
#include <string>

#include "world.h"

namespace bitlaw::lab {

struct TaskFiles {
  std::string prefix = "lab";  ///< Tasks are named <prefix>_fact and so on.
  size_t items = 500;          ///< Items a task.
  size_t text_tokens = 30000;  ///< Tokens a calibration text.
};

/// Writes <folder>/tasks/<prefix>/<name>.yaml with the items beside it, thirteen tasks in three strata, and
/// <folder>/text/<prefix>_{general,facts,reasoning}.jsonl for calibration: other draws than the training text.
void WriteTasks(const World& world, const TaskFiles& files, const std::filesystem::path& folder);

}  // namespace bitlaw::lab
