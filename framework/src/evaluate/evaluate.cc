#include "evaluate/evaluate.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <chrono>
#include <limits>

#include "api/chance_adjusted.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "evaluate/encode.h"
#include "evaluate/forward.h"

namespace bitlaw {

namespace {

// Where the answer to a request goes.
struct Slot {
  size_t item = 0;
  size_t request = 0;
};

class Evaluation {
 public:
  Evaluation(Model& model, const Task& task, const EvaluateOptions& options, const EvaluateProgressFn& progress)
      : task_(task), options_(options), progress_(progress), forward_(model, options_, result_.cost) {}

  TaskResult Run() {
    const auto start = std::chrono::steady_clock::now();
    result_.card = task_.card();
    std::vector<TaskItem> items = task_.Items();
    if (items.empty()) throw Error(ErrorKind::kSpec, "task '" + result_.card.name + "': it has no items.");
    if (options_.stream_blocks) RefuseToGenerate(items);
    CollectRequests(items);
    ScoreTexts(items);
    GenerateTexts(items);
    for (size_t i = 0; i < items.size(); ++i) {
      for (ItemScore& score : task_.Score(items[i], responses_[i])) {
        if (score.factors.empty()) score.factors = items[i].factors;
        result_.scores.push_back(std::move(score));
      }
    }
    // For perplexities an item is a whole text and the limit counts its windows.
    const auto scored = static_cast<int64_t>(result_.scores.size());
    if (result_.card.limit && scored < *result_.card.limit) result_.card.limit.reset();
    for (size_t m = 0; m < result_.card.metrics.size(); ++m) {
      result_.summaries.push_back(Summarize(result_.card.metrics[m], m, result_.scores));
    }
    if (options_.keep_samples) {
      result_.items = std::move(items);
      result_.responses = std::move(responses_);
    }
    result_.cost.elapsed_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(result_);
  }

 private:
  std::string NameOf(const std::vector<TaskItem>& items, const Slot& slot) const {
    return "task '" + result_.card.name + "', item '" + items[slot.item].id + "', request " +
           std::to_string(slot.request);
  }

  void RefuseToGenerate(const std::vector<TaskItem>& items) const {
    for (const TaskItem& item : items) {
      for (const Request& request : item.requests) {
        if (!std::holds_alternative<GenerateRequest>(request)) continue;
        throw Error(ErrorKind::kUnsupported, "task '" + result_.card.name +
                                                 "': it generates, and with stream_blocks every token would read the whole "
                                                 "model again. Leave stream_blocks out, or the task.");
      }
    }
  }

  void CollectRequests(const std::vector<TaskItem>& items) {
    responses_.resize(items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      for (const Request& request : items[i].requests) {
        Response& response = responses_[i].emplace_back();
        if (std::holds_alternative<RollingRequest>(request)) response = RollingResponse{};
        if (std::holds_alternative<GenerateRequest>(request)) response = GenerateResponse{};
      }
      result_.cost.requests += static_cast<int64_t>(items[i].requests.size());
    }
    Report(0);
  }

  void Report(int64_t more) {
    done_ += more;
    if (progress_) progress_({result_.card.name, done_, result_.cost.requests});
  }

  // Loglikelihoods and rolling texts: both are scored inputs.
  void ScoreTexts(const std::vector<TaskItem>& items) {
    std::vector<ScoredInput> inputs;
    std::vector<Slot> slots;
    const Tokenizer& tokenizer = forward_.model().tokenizer();
    const int64_t max_positions = forward_.max_positions();
    for (size_t i = 0; i < items.size(); ++i) {
      for (size_t r = 0; r < items[i].requests.size(); ++r) {
        const Slot slot{i, r};
        const std::string name = NameOf(items, slot);
        if (const auto* pair = std::get_if<LoglikelihoodRequest>(&items[i].requests[r])) {
          inputs.push_back(
              MakeScoredInput(EncodePair(tokenizer, pair->context, pair->continuation), max_positions, name));
          slots.push_back(slot);
        } else if (const auto* text = std::get_if<RollingRequest>(&items[i].requests[r])) {
          for (ScoredInput& window : MakeWindows(tokenizer, *text, max_positions, name)) {
            inputs.push_back(std::move(window));
            slots.push_back(slot);
          }
        }
      }
    }
    if (inputs.empty()) {
      if (CountScored(items) == 0) return;
      throw Error(ErrorKind::kUnsupported, "task '" + result_.card.name + "': none of its texts has a token, so there " +
                                               "is nothing to score.");
    }
    for (size_t i = 0; i < inputs.size(); ++i) {
      const ScoredInput& input = inputs[i];
      const std::string name = NameOf(items, slots[i]);
      RequireEmbedded(tokenizer, input.input, forward_.model().summary().vocab_size, name);
      RequireEmbedded(tokenizer, input.targets, forward_.model().summary().vocab_size, name);
      forward_.CountRequested(static_cast<int64_t>(input.input.size()));
      if (input.truncated) forward_.CountTruncated();
    }
    // A rolling text has many inputs and is one request, so progress counts in proportion.
    int64_t inputs_done = 0;
    const auto requests = static_cast<double>(CountScored(items));
    const auto on_done = [&](int64_t more) {
      inputs_done += more;
      const double share = static_cast<double>(inputs_done) / static_cast<double>(inputs.size());
      Report(static_cast<int64_t>(share * requests) - done_);
    };
    const auto name = [&](size_t i) { return NameOf(items, slots[i]); };
    const std::vector<ScoredSum> sums = ScoreInputs(forward_, inputs, name, on_done);
    for (size_t i = 0; i < inputs.size(); ++i) {
      Response& response = responses_[slots[i].item][slots[i].request];
      const auto tokens = static_cast<int64_t>(inputs[i].targets.size());
      if (std::holds_alternative<LoglikelihoodRequest>(items[slots[i].item].requests[slots[i].request])) {
        response = LoglikelihoodResponse{sums[i].loglikelihood_nats, sums[i].is_greedy, tokens};
      } else {
        std::get<RollingResponse>(response).windows.push_back({-sums[i].loglikelihood_nats, tokens});
      }
    }
  }

  static int64_t CountScored(const std::vector<TaskItem>& items) {
    int64_t count = 0;
    for (const TaskItem& item : items) {
      for (const Request& request : item.requests) count += !std::holds_alternative<GenerateRequest>(request);
    }
    return count;
  }

  void GenerateTexts(const std::vector<TaskItem>& items) {
    std::vector<const GenerateRequest*> requests;
    std::vector<Slot> slots;
    for (size_t i = 0; i < items.size(); ++i) {
      for (size_t r = 0; r < items[i].requests.size(); ++r) {
        if (const auto* request = std::get_if<GenerateRequest>(&items[i].requests[r])) {
          requests.push_back(request);
          slots.push_back({i, r});
        }
      }
    }
    if (requests.empty()) return;
    const auto name = [&](size_t i) { return NameOf(items, slots[i]); };
    std::vector<GenerateResponse> texts = Generate(forward_, requests, name, [&](int64_t more) { Report(more); });
    for (size_t i = 0; i < texts.size(); ++i) responses_[slots[i].item][slots[i].request] = std::move(texts[i]);
  }

  const Task& task_;
  const EvaluateOptions options_;
  const EvaluateProgressFn& progress_;
  TaskResult result_;
  ForwardPass forward_;
  std::vector<std::vector<Response>> responses_;
  int64_t done_ = 0;
};

}  // namespace

TaskResult Evaluate(Model& model, const Task& task, const EvaluateOptions& options,
                    const EvaluateProgressFn& progress) {
  const at::NoGradGuard no_grad;
  return WithTorchErrors("task '" + task.card().name + "'",
                         [&] { return Evaluation(model, task, options, progress).Run(); });
}

double ChanceAdjusted(const MetricCard& metric, const MetricSummary& summary) {
  if (metric.kind != MetricKind::kAccuracy || summary.items == 0 || summary.chance >= 1) {
    return std::numeric_limits<double>::quiet_NaN();
  }
  return ChanceAdjusted(summary.value, summary.chance);
}

}  // namespace bitlaw
