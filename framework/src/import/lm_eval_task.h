#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "import/dataset_files.h"

namespace bitlaw {

/// A task of lm-evaluation-harness as a task file.
struct BITLAW_EXPORT ImportedTask {
  std::string name;
  Value options;  ///< The task file, with `data` and `few_shot.data` as below.
  DatasetSplit items,
      examples;  ///< Where "<name>.jsonl" and "<name>.fewshot.jsonl" come from; examples.split "" for none.
  std::vector<Value> own_examples;  ///< Examples that the harness' file itself holds (fewshot_config.samples).

  /// The text of the task file. `source`: what a comment at its head says it was made of.
  std::string Yaml(const std::string& source) const;
};

/// What keeps a task from being imported. `reason` is a short word for counts, `text` says where and what is missing.
struct BITLAW_EXPORT ImportFault {
  std::string reason, text;
};

/// A task that cannot be imported: all of its faults, a line each.
class BITLAW_EXPORT ImportError : public Error {
 public:
  explicit ImportError(std::vector<ImportFault> faults);
  const std::vector<ImportFault>& faults() const { return faults_; }

 private:
  std::vector<ImportFault> faults_;
};

/// Reads a task file of lm-evaluation-harness 0.4.13 with what it includes.
///
/// Read is the declarative part: doc_to_text, doc_to_target and doc_to_choice as templates (jinja.h) or names of
/// fields, description, delimiters, splits, few-shot examples, output_type, metric_list, filter_list and
/// generation_kwargs where a task here has the same. Python (!function), other keys and values are refused by line.
///
/// Errors   ImportError; Error(kIo) and Error(kSpec) for a file that is no YAML.
/// Source   lm_eval/config/task.py and lm_eval/api/task.py (ConfigurableTask) of lm-evaluation-harness 0.4.13.
BITLAW_EXPORT ImportedTask ReadLmEvalTask(const std::filesystem::path& path);

}  // namespace bitlaw
