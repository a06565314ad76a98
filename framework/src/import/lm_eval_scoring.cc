#include <algorithm>
#include <cctype>
#include <optional>

#include "bitlaw/sdk/text/unicode_text.h"
#include "import/lm_eval_reader.h"

namespace bitlaw {

void LmEvalReader::Metrics(const std::vector<std::string>& known, const std::vector<std::string>& defaults) {
  Value::List names;
  for (const std::string& name : ListedMetrics(known)) names.emplace_back(name);
  if (!defaults.empty() && names.empty()) names = {defaults.begin(), defaults.end()};
  if (!defaults.empty()) Set("metrics", names);
}

std::vector<std::string> LmEvalReader::ListedMetrics(const std::vector<std::string>& known) {
  std::vector<std::string> names, others;
  std::vector<ImportFault> faults;
  const Value* list = Given("metric_list");
  if (list == nullptr || !list->is_list()) return names;
  for (const Value& entry : list->AsList()) {
    const Value* name = entry.Find("metric");
    if (name == nullptr || !name->is_string() || IsLmEvalFunction(*name) ||
        std::find(known.begin(), known.end(), name->AsString()) == known.end()) {
      const Value& text = name == nullptr ? entry : *name;
      faults.push_back({"metric", text.mark().Text() + ": the metric " + text.Text() +
                                      " has no counterpart here. There are " + JoinNames(known) + "."});
      others.push_back(text.Text());
      continue;
    }
    const Value* aggregation = entry.Find("aggregation");
    if (aggregation != nullptr && IsLmEvalFunction(*aggregation)) {
      Add(*aggregation, "metric", "the aggregation of '" + name->AsString() + "' is Python, which is not run.");
    }
    names.push_back(name->AsString());
  }
  // What is asked does not depend on metrics, so that one of them is enough; a task without any has no score.
  if (names.empty()) {
    for (ImportFault& fault : faults) AddFault(std::move(fault));
  } else if (!others.empty()) {
    matches_ += "; without its metrics " + JoinNames(others);
  }
  return names;
}

void LmEvalReader::Generation() {
  Value::List until;
  bool has_until = false;  // An empty list is one: nothing but the end of the text then ends an answer.
  int64_t tokens = 256;
  const Value* delimiter = Given("fewshot_delimiter");
  const Value* given = Given("generation_kwargs");
  if (given != nullptr && given->is_map()) {
    for (const auto& [key, value] : given->AsMap()) {
      if (key == "until" && value.is_list()) {
        until = value.AsList();
        has_until = true;
      } else if (key == "until" && value.is_string()) {
        until.push_back(value);
        has_until = true;
      } else if ((key == "max_gen_toks" || key == "max_new_tokens" || key == "max_tokens") && value.is_int()) {
        tokens = value.AsInt();
      } else if (!(key == "do_sample" && value == Value(false)) &&
                 !(key == "temperature" && value.is_number() && value.AsReal() == 0)) {
        Add(value, "generation_kwargs",
            "generation_kwargs." + key + ": " + value.Text() + " has no counterpart: answers are greedy.");
      }
    }
  }
  if (!has_until) until.emplace_back(delimiter != nullptr && delimiter->is_string() ? delimiter->AsString() : "\n\n");
  Set("until", until);
  Set("max_new_tokens", tokens);
}

void LmEvalReader::Filters() {
  const Value* list = Given("filter_list");
  if (list == nullptr || !list->is_list()) {
    matches_ += "; but white space at the ends of an answer does not count";
    return;
  }
  Value extract;
  for (const Value& chain : list->AsList()) {
    const Value *name = chain.Find("name"), *steps = chain.Find("filter");
    if (name == nullptr || steps == nullptr || !steps->is_list()) {
      Add(chain, "filter", "an entry of filter_list has no name or no filter.");
      continue;
    }
    Value way;
    for (const Value& step : steps->AsList()) TakeFilter(step, way);
    // Beside other chains one without a pattern is a way of its own: the whole text.
    if (!way.is_map() && list->AsList().size() > 1) way.Set("pattern", "(?s).*");
    if (way.is_map()) extract.Set(ReplaceAll(name->Text(), "'", ""), way);
  }
  if (extract.is_map()) {
    Set("extract", extract);
  } else {
    matches_ += "; but white space at both ends of an answer does not count";
  }
}

void LmEvalReader::TakeFilter(const Value& step, Value& way) {
  const Value* function = step.Find("function");
  const std::string name = function != nullptr && function->is_string() ? function->AsString() : "";
  if (name == "take_first" || (name == "remove_whitespace" && !way.is_map())) return;
  if (name != "regex" || way.is_map()) {
    Add(step, "filter",
        "the filter '" + name + "' has no counterpart here. There are regex, remove_whitespace before it, take_first.");
    return;
  }
  way.Set("pattern", "#### (\\-?[0-9\\.\\,]+)");
  way.Set("take", "first");
  for (const auto& [key, value] : step.AsMap()) {
    if (key == "regex_pattern" && value.is_string() && !IsLmEvalFunction(value)) {
      way.Set("pattern", value.AsString());
    } else if (key == "group_select" && (value == Value(0) || value == Value(-1))) {
      way.Set("take", value == Value(0) ? "first" : "last");
    } else if (key != "function" && !(key == "fallback" && value == Value("[invalid]"))) {
      Add(value, "filter", "regex with " + key + ": " + value.Text() + " has no counterpart here.");
    }
  }
}

void LmEvalReader::ExactMatch() {
  ListedMetrics({"exact_match"});
  bool lower = false, punctuation = false;
  Value::List ignored;
  const Value* list = Given("metric_list");
  const Value* metric = nullptr;
  if (list != nullptr && list->is_list()) {
    for (const Value& entry : list->AsList()) {
      const Value* name = entry.Find("metric");
      if (metric == nullptr && name != nullptr && *name == Value("exact_match")) metric = &entry;
    }
  }
  if (metric != nullptr) {
    for (const auto& [key, value] : metric->AsMap()) {
      if (key == "ignore_case") {
        lower = value == Value(true);
      } else if (key == "ignore_punctuation") {
        punctuation = value == Value(true);
      } else if (key == "regexes_to_ignore" && value.is_list()) {
        ignored = value.AsList();
      } else if (key != "metric" && key != "aggregation" && key != "higher_is_better" && value != Value(false)) {
        Add(value, "metric", "exact_match with " + key + ": " + value.Text() + " has no counterpart here.");
      }
    }
  }
  Set("normalization", punctuation && lower ? "harness" : punctuation ? "punctuation" : lower ? "lower" : "none");
  if (!ignored.empty()) Set("ignore", ignored);
}

}  // namespace bitlaw
