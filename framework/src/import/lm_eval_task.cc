#include "import/lm_eval_task.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "bitlaw/sdk/text/unicode_text.h"
#include "import/lm_eval_reader.h"

namespace bitlaw {

namespace {

std::string AllTexts(const std::vector<ImportFault>& faults) {
  std::string text;
  for (const ImportFault& fault : faults) text += (text.empty() ? "" : "\n") + fault.text;
  return text;
}

// Keys that say nothing about what is asked and how it is scored.
const std::set<std::string> kPassedOver = {"task",
                                           "include",
                                           "tag",
                                           "group",
                                           "task_alias",
                                           "group_alias",
                                           "metadata",
                                           "should_decontaminate",
                                           "doc_to_decontamination_query",
                                           "dataset_kwargs",
                                           "dataset_path",
                                           "dataset_name",
                                           "training_split",
                                           "validation_split",
                                           "test_split",
                                           "fewshot_split"};
const std::set<std::string> kUnderstood = {"output_type", "doc_to_text",      "doc_to_target",     "doc_to_choice",
                                           "description", "target_delimiter", "fewshot_delimiter", "fewshot_config",
                                           "num_fewshot", "metric_list",      "filter_list",       "generation_kwargs",
                                           "repeats"};

}  // namespace

ImportedTask LmEvalReader::Read() {
  task_.name = Text("task");
  task_.items = {Text("dataset_path"), Text("dataset_name"), Text("test_split")};
  if (task_.items.split.empty()) task_.items.split = Text("validation_split");
  if (task_.items.split.empty()) Add(root_, "no split", "neither test_split nor validation_split names the items.");
  for (const auto& [key, value] : root_.AsMap()) CheckKey(key, value);
  const std::string type = Text("output_type").empty() ? "generate_until" : Text("output_type");
  const std::string version = root_.Find("metadata") != nullptr && root_.Find("metadata")->is_map() &&
                                      root_.Find("metadata")->Find("version") != nullptr
                                  ? root_.Find("metadata")->Find("version")->Text()
                                  : "0";
  Set("type", type == "multiple_choice"         ? "multiple_choice"
              : type == "loglikelihood"         ? "cloze"
              : type == "loglikelihood_rolling" ? "perplexity"
                                                : "short_answer");
  Set("version", "lm-eval " + std::string(version));
  matches_ = "lm-evaluation-harness 0.4.13, " + task_.name;
  Set("data", task_.name + ".jsonl");
  Set("get", "bitlaw tasks import with --from, the folder of " + task_.items.Text());
  if (type == "multiple_choice") {
    Prompt();
    Choices();
    RightChoice();
    Metrics({"acc", "acc_norm", "acc_bytes"}, {"acc", "acc_norm"});
  } else if (type == "loglikelihood") {
    Prompt();
    Set("target", Target());
    Metrics({"acc", "perplexity"}, {});
    task_.options.Set("target_delimiter", "");
    if (shots_ > 0 && Delimiter() != "")
      Add(root_, "few-shot of loglikelihood",
          "examples are joined by target_delimiter and items without it, which is not offered.");
  } else if (type == "loglikelihood_rolling") {
    Rolling();
  } else if (type == "generate_until") {
    Prompt();
    Answers();
    Generation();
    Filters();
    ExactMatch();
  } else {
    Add(*root_.Find("output_type"), "output_type",
        "output_type '" + type + "' is none of multiple_choice, loglikelihood, loglikelihood_rolling, generate_until.");
  }
  Set("matches", matches_);
  if (!faults_.empty()) throw ImportError(std::move(faults_));
  return std::move(task_);
}

void LmEvalReader::Add(const Value& at, const std::string& reason, const std::string& what) {
  AddFault({reason, at.mark().Text() + ": " + what});
}

void LmEvalReader::AddFault(ImportFault fault) {
  const auto is_same = [&](const ImportFault& other) { return other.text == fault.text; };
  if (std::none_of(faults_.begin(), faults_.end(), is_same)) faults_.push_back(std::move(fault));
}

void LmEvalReader::Set(const std::string& key, Value value) { task_.options.Set(key, std::move(value)); }

const Value* LmEvalReader::Given(const std::string& key) const {
  const Value* value = root_.Find(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::string LmEvalReader::Text(const std::string& key) const {
  const Value* value = Given(key);
  return value != nullptr && value->is_string() ? value->AsString() : "";
}

std::string LmEvalReader::Delimiter() const {
  const Value* value = Given("target_delimiter");
  return value != nullptr && value->is_string() ? value->AsString() : " ";
}

void LmEvalReader::CheckKey(const std::string& key, const Value& value) {
  if (value.is_null()) return;
  if (IsLmEvalFunction(value)) {
    if (kPassedOver.count(key) == 0) {
      Add(value, key + ": !function",
          key + " is Python (" + value.AsString() +
              "), which is not run. Make the items as it does, and import a task without the key.");
    }
  } else if (kPassedOver.count(key) == 0 && kUnderstood.count(key) == 0) {
    Add(value, "key " + key, "'" + key + "' has no counterpart here.");
  } else if (key == "repeats" && value != Value(1)) {
    Add(value, "repeats",
        "repeats: " + value.Text() + " needs several answers to an item. Here there is one, the greedy one.");
  }
}

void LmEvalReader::WithTemplate(const std::string& key, const std::function<void(const JinjaTemplate&)>& take) {
  const Value* value = Given(key);
  if (value == nullptr || IsLmEvalFunction(*value)) return;
  try {
    take(JinjaTemplate(value->is_string() ? value->AsString() : value->Text(), value->mark()));
  } catch (const ImportError&) {
    throw;
  } catch (const Error& error) {
    const std::string text = error.what();
    const std::string reason = text.find("{%") != std::string::npos ? "Jinja statement" : "Jinja expression";
    AddFault({reason, text + " (" + key + ")"});
  }
}

bool LmEvalReader::IsColumn(const Value& value) {
  if (!value.is_string() || value.AsString().empty()) return false;
  const std::string& text = value.AsString();
  return std::isdigit(static_cast<unsigned char>(text[0])) == 0 &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

std::string LmEvalReader::TextOf(const std::string& key) {
  const Value* value = Given(key);
  if (value != nullptr && IsColumn(*value)) return "{{" + value->AsString() + "}}";
  std::string text;
  WithTemplate(key, [&](const JinjaTemplate& jinja) { text = jinja.Translated(); });
  return text;
}

void LmEvalReader::Prompt() {
  const Value* value = Given("doc_to_text");
  if (value == nullptr) {
    Add(root_, "no doc_to_text", "there is no doc_to_text.");
  } else if (!value->is_string()) {
    Add(*value, "doc_to_text",
        "doc_to_text is " + std::string(Article(value->type())) + ", where a template is needed.");
  }
  Set("prompt", TextOf("doc_to_text"));
  WithTemplate("description", [&](const JinjaTemplate& jinja) { Set("preamble", jinja.Translated()); });
  if (Delimiter() != " ") Set("target_delimiter", Delimiter());
  FewShot();
}

void LmEvalReader::FewShot() {
  const Value* count = Given("num_fewshot");
  shots_ = count != nullptr && count->is_int() ? count->AsInt() : 0;
  const Value* config = Given("fewshot_config");
  std::string split = Text("fewshot_split"), sampler = "default";
  if (split.empty()) split = Text("training_split");
  if (split.empty()) split = task_.items.split;
  if (config != nullptr && config->is_map()) {
    for (const auto& [key, value] : config->AsMap()) {
      if (key == "sampler" && (value == Value("first_n") || value == Value("default"))) {
        sampler = value.AsString();
      } else if (key == "split" && value.is_string()) {
        split = value.AsString();
      } else if (key == "samples" && value.is_list()) {
        task_.own_examples = value.AsList();
      } else if (shots_ > 0) {
        Add(value, "fewshot_config", "fewshot_config." + key + ": " + value.Text() + " has no counterpart here.");
      }
    }
  }
  if (shots_ == 0) {
    task_.own_examples.clear();
    return;
  }
  Value few_shot;
  few_shot.Set("data", task_.name + ".fewshot.jsonl");
  few_shot.Set("count", shots_);
  if (sampler == "default" && task_.own_examples.empty()) {
    few_shot.Set("choose", "random");
    matches_ += "; but one draw of examples for all items";
  }
  if (task_.own_examples.empty()) task_.examples = {task_.items.dataset, task_.items.config, split};
  Set("few_shot", few_shot);
  const Value* delimiter = Given("fewshot_delimiter");
  if (delimiter != nullptr && delimiter->is_string()) Set("fewshot_delimiter", *delimiter);
}

ImportError::ImportError(std::vector<ImportFault> faults)
    : Error(ErrorKind::kUnsupported, AllTexts(faults)), faults_(std::move(faults)) {}

std::string ImportedTask::Yaml(const std::string& source) const {
  std::string text = "# Made by bitlaw tasks import of " + ReplaceAll(source, "\n", " ") + "\n";
  for (const auto& [key, value] : options.AsMap()) {
    const std::string line = JsonLine(Value(Value::Map{{key, value}}));
    const size_t colon = line.find(": ");
    text += key + ": " + line.substr(colon + 2, line.size() - colon - 4) + "\n";
  }
  return text;
}

ImportedTask ReadLmEvalTask(const std::filesystem::path& path) {
  const Value root = ReadLmEvalFile(path);
  const Value* task = root.Find("task");
  if (task == nullptr || !task->is_string()) {
    throw ImportError(
        {{"no task", (task == nullptr ? root : *task).mark().Text() +
                         ": the file is no task but a group, or a part that others include. Import its tasks."}});
  }
  return LmEvalReader(root).Read();
}

}  // namespace bitlaw
