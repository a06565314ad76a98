// YAML, and what is read from it: studies, tasks with their data, laws. Components come from the plugins of the build.
#include <algorithm>
#include <cmath>

#include "bitlaw/api/law.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "fuzz/plugins.h"
#include "fuzz/target.h"
#include "import/lm_eval_task.h"
#include "plan/plan.h"
#include "spec/study_spec.h"

namespace bitlaw::fuzz {
namespace {

namespace fs = std::filesystem;

void Yaml(std::string_view input) {
  const Value value = ParseYaml(std::string(input), "input.yaml");
  value.Text();
  Require(value.is_null() || value.mark().line > 0, "YAML: values have places");
}

void Study(std::string_view input) {
  const AtStudyHome here;
  const StudySpec study = ReadStudy(WriteScratch("study/study.yaml", input), Host(), {StudyHome()});
  const Plan plan = MakePlan(study, Host());
  for (const Trial& trial : plan.trials) Require(trial.model < plan.models.size(), "study: trials have models");
}

Response AnswerTo(const Request& request) {
  if (std::holds_alternative<LoglikelihoodRequest>(request)) return LoglikelihoodResponse{-1.5, true, 2};
  if (std::holds_alternative<RollingRequest>(request)) return RollingResponse{{{2.5, 3}, {0.5, 1}}};
  return GenerateResponse{"The answer is (B) 12, $\\frac{1}{2}$.", 8, false};
}

// Input: a task file, %%%%, its data, which the task may call items.jsonl, items.csv, items.tsv or items.txt.
void Task(std::string_view input) {
  const auto parts = Parts(input, 2);
  const AtStudyHome here;
  for (const char* name : {"jsonl", "csv", "tsv", "txt"}) {
    WriteScratch(std::string("study/tasks/items.") + name, parts[1]);
  }
  WriteScratch("study/tasks/task.yaml", parts[0]);
  const TaskSpec spec = ReadTask("tasks/task.yaml", Value(), Host(), {StudyHome()}, {});
  const auto task = Host().MakeTask(spec.component, spec.options, spec.context);
  const TaskCard& card = task->card();
  task->digest();
  std::vector<ItemScore> scores;
  for (const TaskItem& item : task->Items()) {
    std::vector<Response> responses;
    for (const Request& request : item.requests) responses.push_back(AnswerTo(request));
    for (ItemScore& score : task->Score(item, responses)) {
      Require(score.values.size() == card.metrics.size(), "task: an item has a value of each metric");
      Require(score.chance >= 0 && score.chance <= 1, "task: chance is a probability");
      scores.push_back(std::move(score));
    }
  }
  for (size_t i = 0; i < card.metrics.size(); ++i) Summarize(card.metrics[i], i, scores);
}

void Law(std::string_view input) {
  const AtStudyHome here;
  WriteScratch("study/laws/law.yaml", input);
  const LawSpec law = ReadLaw("laws/law.yaml", Host(), {StudyHome()});
  Require(!law.name.empty(), "law: it has a name");
}

// Input: a task file of lm-evaluation-harness.
void LmEvalTask(std::string_view input) {
  const ImportedTask task = ReadLmEvalTask(WriteScratch("theirs.yaml", input));
  Require(ParseYaml(task.Yaml("x"), "made.yaml").is_map(), "lm_eval: what is imported is YAML");
}

const Register kYaml("yaml", Yaml);
const Register kStudy("study", Study);
const Register kTask("task", Task);
const Register kLaw("law", Law);
const Register kLmEvalTask("lm_eval", LmEvalTask);

}  // namespace
}  // namespace bitlaw::fuzz
