#include "evaluate/divergence.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "evaluate/encode.h"
#include "evaluate/forward.h"

namespace bitlaw {

namespace {

// The texts of a task, each once.
std::vector<ScoredInput> TextsOf(const Task& task, const Tokenizer& tokenizer, int64_t max_positions,
                                 int64_t vocab_size) {
  std::vector<ScoredInput> texts;
  std::set<std::pair<std::vector<int32_t>, int64_t>> known;
  const auto add = [&](ScoredInput text, const std::string& name) {
    RequireEmbedded(tokenizer, text.input, vocab_size, name);
    if (known.emplace(text.input, text.first_scored).second) texts.push_back(std::move(text));
  };
  for (const TaskItem& item : task.Items()) {
    const std::string name = "task '" + task.card().name + "', item '" + item.id + "'";
    for (const Request& request : item.requests) {
      if (const auto* pair = std::get_if<LoglikelihoodRequest>(&request)) {
        add(MakeScoredInput(EncodePair(tokenizer, pair->context, pair->continuation), max_positions, name),
            name);
      } else if (const auto* rolling = std::get_if<RollingRequest>(&request)) {
        for (ScoredInput& window : MakeWindows(tokenizer, *rolling, max_positions, name)) add(std::move(window), name);
      }
    }
  }
  return texts;
}

// Sums over one text, and the ratio of such sums over texts with its error.
struct TextSums {
  double kl = 0, agreed = 0, positions = 0;
};

std::pair<double, double> Ratio(const std::vector<TextSums>& texts, double TextSums::*part) {
  double total = 0, positions = 0;
  for (const TextSums& text : texts) total += text.*part, positions += text.positions;
  const double ratio = total / positions, n = static_cast<double>(texts.size());
  if (texts.size() < 2) return {ratio, std::numeric_limits<double>::quiet_NaN()};
  double squares = 0;
  for (const TextSums& text : texts) squares += std::pow(text.*part - ratio * text.positions, 2);
  return {ratio, std::sqrt(squares * n / (n - 1)) / positions};
}

}  // namespace

Divergence CompareModels(Model& reference, Model& model, const Task& task, const EvaluateOptions& given_options) {
  const std::string where = "task '" + task.card().name + "'";
  if (reference.summary().vocab_size != model.summary().vocab_size) {
    throw Error(ErrorKind::kUnsupported, where + ": the models have " + std::to_string(reference.summary().vocab_size) +
                                             " and " + std::to_string(model.summary().vocab_size) +
                                             " tokens in their vocabularies, so their predictions cannot be compared.");
  }
  const at::NoGradGuard no_grad;
  return WithTorchErrors(where, [&] {
    EvaluateCost cost;
    ForwardPass of_reference(reference, given_options, cost), of_model(model, given_options, cost);
    const EvaluateOptions& options = of_model.options();  // Of the memory beside both.
    of_reference.SetOptions(options);
    Divergence result;
    const std::vector<ScoredInput> inputs = TextsOf(task, reference.tokenizer(), of_reference.max_positions(),
                                                     reference.summary().vocab_size);
    std::vector<PlannedText> planned;
    for (const ScoredInput& text : inputs) {
      planned.push_back({&text.input, text.first_scored, static_cast<int64_t>(text.input.size()), 0});
    }
    const int64_t held = std::min(of_reference.held_tokens(), of_model.held_tokens()) / 2;
    const ReadingPlan plan = PlanReading(planned, {options.batch_tokens, held, options.share_prefixes});
    PlanReader reads_reference(of_reference, planned, plan), reads_model(of_model, planned, plan);
    std::vector<TextSums> texts(inputs.size());
    // Rows of logits of both models are alive at once, with their copies, which logits_rows() counts on the host alone.
    const int64_t copies = model.compute().device == "cpu" ? 1 : 3;
    const int64_t step = std::max<int64_t>(1, of_reference.logits_rows() / 2 / copies);
    const auto compare = [&](const at::Tensor& ours, const at::Tensor& theirs, TextSums& sums) {  // [scored, D] each
      sums.positions = static_cast<double>(ours.size(0));
      for (int64_t at = 0; at < ours.size(0); at += step) {
        const auto piece = [&](const at::Tensor& hidden) { return hidden.slice(0, at, at + step); };
        const at::Tensor ln_p = at::log_softmax(of_model.Logits(piece(ours)), -1, at::kFloat);        // [P, V]
        const at::Tensor ln_q = at::log_softmax(of_reference.Logits(piece(theirs)), -1, at::kFloat);  // [P, V]
        sums.kl += (ln_q.exp() * (ln_q - ln_p)).sum(-1).to(at::kDouble).sum().item<double>();
        sums.agreed += static_cast<double>(ln_p.argmax(-1).eq(ln_q.argmax(-1)).sum().item<int64_t>());
      }
      if (!std::isfinite(sums.kl)) {
        throw Error(ErrorKind::kNumerical,
                    where + ": a model's logits are not finite. Its weights or activations overflowed.");
      }
      result.positions += ours.size(0);
    };
    for (size_t h = 0; h < plan.headers.size(); ++h) {
      for (const ReadingPlan::Pass& pass : plan.headers[h].passes) {
        reads_model.Read(static_cast<int>(h), pass, [&](const PlanReader::Pass& read, const at::Tensor& ours) {
          reads_reference.Read(static_cast<int>(h), pass, [&](const PlanReader::Pass&, const at::Tensor& theirs) {
            for (const auto& [text, piece] : pass.endings) {
              const at::Tensor rows = of_model.Indices(
                  PlanReader::RowsOf(pass, read, piece, inputs[text].first_scored, planned[text].ids->size()));
              compare(ours.index_select(0, rows), theirs.index_select(0, rows), texts[text]);
            }
          });
        });
      }
    }
    result.texts = static_cast<int64_t>(texts.size());
    if (texts.empty()) return result;
    std::tie(result.kl_nats, result.kl_standard_error) = Ratio(texts, &TextSums::kl);
    std::tie(result.top1_agreement, result.top1_standard_error) = Ratio(texts, &TextSums::agreed);
    return result;
  });
}

}  // namespace bitlaw
