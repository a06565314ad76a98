#include "cost/task_work.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <variant>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

using Ids = std::vector<int32_t>;

// Tokens of a prefix tree of the texts, which this sorts.
double TreeTokens(std::vector<Ids> texts) {
  std::sort(texts.begin(), texts.end());
  double tokens = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    size_t common = 0;
    if (i > 0) {
      const size_t most = std::min(texts[i - 1].size(), texts[i].size());
      while (common < most && texts[i - 1][common] == texts[i][common]) ++common;
    }
    tokens += static_cast<double>(texts[i].size() - common);
  }
  return tokens;
}

// Adds up the requests of some items.
class Counter {
 public:
  explicit Counter(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void Add(const TaskItem& item) {
    for (const Request& request : item.requests) {
      sum_.requests += 1;
      std::visit([this](const auto& one) { Read(one); }, request);
    }
  }

  TaskWork Sum() const {
    TaskWork sum = sum_;
    sum.tokens += TreeTokens(texts_);
    return sum;
  }

 private:
  void Read(const LoglikelihoodRequest& request) {
    const size_t context = tokenizer_.Encode(request.context, true).size();
    Ids ids = tokenizer_.Encode(request.context + request.continuation, true);
    sum_.scored += static_cast<double>(std::max<size_t>(1, ids.size() - std::min(context, ids.size())));
    if (!ids.empty()) ids.pop_back();  // What the last token makes likely is not asked.
    texts_.push_back(std::move(ids));
  }
  // A long text is read in part: tokens a byte hardly change.
  void Read(const RollingRequest& request) {
    constexpr size_t kBytes = 1 << 16;
    const size_t bytes = request.text.size();
    double tokens = static_cast<double>(tokenizer_.Encode(request.text.substr(0, kBytes), false).size());
    if (bytes > kBytes) tokens *= static_cast<double>(bytes) / static_cast<double>(kBytes);
    if (request.max_windows > 0)
      tokens = std::min(tokens, static_cast<double>(request.max_windows * request.window_tokens));
    sum_.tokens += tokens;
    sum_.scored += tokens;
  }
  void Read(const GenerateRequest& request) {
    texts_.push_back(tokenizer_.Encode(request.context, true));
    const double longest = static_cast<double>(request.max_new_tokens);
    const double tokens = request.until.empty() ? longest : std::max(1.0, longest / 3);
    sum_.generated += tokens;
    sum_.steps = std::max(sum_.steps, tokens);
  }

  const Tokenizer& tokenizer_;
  TaskWork sum_;
  std::vector<Ids> texts_;
};

}  // namespace

TaskWork CountWork(const std::vector<TaskItem>& items, const Tokenizer& tokenizer, size_t sample) {
  const size_t read = std::min(items.size(), std::max<size_t>(2, sample)), half = read / 2;
  Counter counter(tokenizer);
  TaskWork first;
  for (size_t i = 0; i < read; ++i) {
    if (i == half) first = counter.Sum();
    counter.Add(items[i]);
  }
  TaskWork work = counter.Sum();
  work.items = static_cast<double>(items.size());
  if (read == items.size()) return work;
  const double more = static_cast<double>(items.size() - read) / static_cast<double>(read - half);
  for (double TaskWork::* field : {&TaskWork::requests, &TaskWork::tokens, &TaskWork::scored, &TaskWork::generated}) {
    work.*field += more * (work.*field - first.*field);
  }
  return work;
}

TaskWork AssumedWork() {
  TaskWork work;
  work.items = work.requests = 1000;
  work.tokens = 100'000;
  work.scored = 4000;
  work.is_assumed = true;
  return work;
}

std::vector<std::vector<TaskWork>> CountWork(const Plan& plan, const PluginHost& host) {
  std::map<int64_t, std::unique_ptr<Tokenizer>> tokenizers;  // By size of vocabulary; null: it cannot be read.
  for (const PlannedModel& model : plan.models) {
    auto& tokenizer = tokenizers[model.summary.vocab_size];
    if (tokenizer) continue;
    try {
      tokenizer = host.MakeModelBackend(model.spec.backend, model.spec.backend_options)->OpenTokenizer(model.spec.path);
    } catch (const Error&) {  // `check` says what is wrong.
    }
  }
  std::vector<std::vector<TaskWork>> work;
  for (const TaskSpec& spec : plan.study.tasks) {
    std::optional<std::vector<TaskItem>> items;
    try {
      items = host.MakeTask(spec.component, spec.options, spec.context)->Items();
    } catch (const Error&) {  // It may be going to run elsewhere.
    }
    std::map<int64_t, TaskWork> counted;
    for (const auto& [vocabulary, tokenizer] : tokenizers) {
      counted[vocabulary] = items && tokenizer ? CountWork(*items, *tokenizer) : AssumedWork();
    }
    std::vector<TaskWork>& row = work.emplace_back();
    for (const PlannedModel& model : plan.models) row.push_back(counted.at(model.summary.vocab_size));
  }
  return work;
}

}  // namespace bitlaw
