#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bitlaw/base/value.h"
#include "import/jinja.h"
#include "import/lm_eval_file.h"
#include "import/lm_eval_task.h"

namespace bitlaw {

/// Makes an ImportedTask of the keys of lm-evaluation-harness, part by part; what has no counterpart is collected as
/// faults. lm_eval_task.cc: keys and prompts; lm_eval_answers.cc: which answer is right; lm_eval_scoring.cc: metrics,
/// generated answers.
class LmEvalReader {
 public:
  explicit LmEvalReader(const Value& root) : root_(root) {}
  ImportedTask Read();

 private:
  void Add(const Value& at, const std::string& reason, const std::string& what);
  void AddFault(ImportFault fault);  // A key that is read twice has its faults once.
  void Set(const std::string& key, Value value);
  // A key's value; null also stands for none.
  const Value* Given(const std::string& key) const;
  std::string Text(const std::string& key) const;
  std::string Delimiter() const;
  void CheckKey(const std::string& key, const Value& value);
  // Reads a template; its faults become the task's.
  void WithTemplate(const std::string& key, const std::function<void(const JinjaTemplate&)>& take);
  // The harness takes a text that is the name of a column for that column.
  static bool IsColumn(const Value& value);
  std::string TextOf(const std::string& key);
  void Prompt();
  void FewShot();
  void Choices();
  // answer, labels_field and answer_form.
  void RightChoice();
  // ['A', 'B'][x] and ['A', 'B'][x - 1]: the number of the choice, if the list is that of the choices; otherwise its text.
  void LookUp(const JinjaTemplate& jinja, const JinjaNode& node);
  // list.index(x): the labels are a field, or letters, numbers or the choices themselves.
  void IndexIn(const JinjaTemplate& jinja, const JinjaNode& call, const Value& value);
  std::string Target();
  void Answers();
  void Rolling();
  // `known`: those of both programs. `names`: what stands in the task file where there is no list; empty: never any.
  void Metrics(const std::vector<std::string>& known, const std::vector<std::string>& defaults);
  std::vector<std::string> ListedMetrics(const std::vector<std::string>& known);
  void Generation();
  // Chains of filters: the first answer, its white space, or what a pattern finds in it.
  void Filters();
  void TakeFilter(const Value& step, Value& way);
  void ExactMatch();
  const Value& root_;
  ImportedTask task_;
  std::string matches_;
  int64_t shots_ = 0;
  std::vector<std::string> literal_choices_;
  std::vector<ImportFault> faults_;
};

}  // namespace bitlaw
