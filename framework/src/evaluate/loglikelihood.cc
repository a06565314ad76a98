#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/decoder/logit_peaks.h"
#include "evaluate/forward.h"

namespace bitlaw {

namespace {

// One distinct token sequence to be read, and the scored texts that it serves (answers of one token all read the
// context alone).
struct Sequence {
  const std::vector<int32_t>* ids = nullptr;
  std::vector<size_t> inputs;
};

class Scorer {
 public:
  Scorer(ForwardPass& forward, std::span<const ScoredInput> inputs, const std::function<std::string(size_t)>& name,
         const std::function<void(int64_t)>& on_done)
      : forward_(forward), inputs_(inputs), name_(name), on_done_(on_done), sums_(inputs.size()),
        is_done_(inputs.size(), false) {}

  std::vector<ScoredSum> Run() {
    forward_.WithLessMemory([&] { ReadOpen(); });
    return std::move(sums_);
  }

 private:
  // Reads and scores what is not done.
  void ReadOpen() {
    if (forward_.options().stream_blocks) {
      // As many texts at a time as their hidden states have room; each time all blocks are read again.
      while (CollectSequences(forward_.streamed_tokens())) ReadStreamed();
      return;
    }
    if (!CollectSequences(std::numeric_limits<int64_t>::max())) return;
    const std::vector<PlannedText> texts = Texts();
    const ReadingPlan plan = Plan(texts);
    PlanReader reader(forward_, texts, plan);
    for (size_t h = 0; h < plan.headers.size(); ++h) {
      for (const ReadingPlan::Pass& pass : plan.headers[h].passes) {
        reader.Read(static_cast<int>(h), pass, [&](const PlanReader::Pass& read, const at::Tensor& hidden) {
          Score(pass, read, hidden);
        });
      }
    }
  }

  void ReadStreamed() {
    struct Noted {
      const ReadingPlan::Pass* pass;
      PlanReader::Pass read;
      size_t number;
    };
    const std::vector<PlannedText> texts = Texts();
    const ReadingPlan plan = Plan(texts);
    std::vector<Noted> noted;
    forward_.BeginStream();
    {
      PlanReader reader(forward_, texts, plan);
      for (size_t h = 0; h < plan.headers.size(); ++h) {
        for (const ReadingPlan::Pass& pass : plan.headers[h].passes) {
          reader.Read(static_cast<int>(h), pass, [&](const PlanReader::Pass& read, const at::Tensor&) {
            noted.push_back({&pass, read, forward_.noted_pass()});
          });
        }
      }
    }
    BlockStream stream = forward_.EndStream();
    for (const Noted& one : noted) Score(*one.pass, one.read, stream.Take(one.number));
  }

  std::vector<PlannedText> Texts() const {
    std::vector<PlannedText> texts;
    for (const Sequence& sequence : sequences_) {
      const auto length = static_cast<int64_t>(sequence.ids->size());
      int64_t first_scored = length;
      for (const size_t i : sequence.inputs) first_scored = std::min(first_scored, inputs_[i].first_scored);
      texts.push_back({sequence.ids, first_scored, length, 0});
    }
    return texts;
  }

  ReadingPlan Plan(std::span<const PlannedText> texts) const {
    const EvaluateOptions& options = forward_.options();
    return PlanReading(texts, {options.batch_tokens, forward_.held_tokens(), options.share_prefixes});
  }

  // What is not done, up to so many tokens but at least one sequence; false if everything is done.
  bool CollectSequences(int64_t most_tokens) {
    sequences_.clear();
    std::vector<size_t> order;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!is_done_[i]) order.push_back(i);
    }
    const bool share = forward_.options().share_prefixes;
    if (share) {
      std::stable_sort(order.begin(), order.end(),
                       [&](size_t a, size_t b) { return inputs_[a].input < inputs_[b].input; });
    }
    int64_t tokens = 0;
    for (const size_t i : order) {
      const bool is_known = share && !sequences_.empty() && *sequences_.back().ids == inputs_[i].input;
      if (!is_known) {
        const auto length = static_cast<int64_t>(inputs_[i].input.size());
        if (!sequences_.empty() && tokens > most_tokens - length) break;
        tokens += length;
        sequences_.push_back({&inputs_[i].input, {}});
      }
      sequences_.back().inputs.push_back(i);
    }
    return !sequences_.empty();
  }

  // ln p of every target of the pass. Logits are taken once for each token read. hidden [T, D]
  void Score(const ReadingPlan::Pass& pass, const PlanReader::Pass& read, const at::Tensor& hidden) {
    struct Wanted {
      size_t position;  // Index into `positions`.
      int32_t target;
      size_t input;
    };
    std::vector<int64_t> positions;  // Rows of `hidden`.
    std::vector<int64_t> known(read.ids.size(), -1);
    std::vector<Wanted> wanted;
    std::vector<size_t> scored;
    for (const ReadingPlan::Ending& ending : pass.endings) {
      for (const size_t i : sequences_[ending.text].inputs) {
        const ScoredInput& input = inputs_[i];
        const std::vector<int64_t> rows =
            PlanReader::RowsOf(pass, read, ending.piece, input.first_scored,
                               input.first_scored + static_cast<int64_t>(input.targets.size()));
        for (size_t t = 0; t < rows.size(); ++t) {
          int64_t& position = known[rows[t]];
          if (position < 0) {
            position = static_cast<int64_t>(positions.size());
            positions.push_back(rows[t]);
          }
          wanted.push_back({static_cast<size_t>(position), input.targets[t], i});
        }
        scored.push_back(i);
      }
    }
    std::stable_sort(wanted.begin(), wanted.end(),
                     [](const Wanted& a, const Wanted& b) { return a.position < b.position; });

    // Kept once the pass is whole: one that ends for want of memory is read again.
    std::vector<std::pair<size_t, double>> log_ps;  // Of an input, one a target.
    std::vector<size_t> not_greedy;
    const size_t step = static_cast<size_t>(forward_.logits_rows());
    auto next = wanted.begin();
    for (size_t begin = 0; begin < positions.size(); begin += step) {
      const size_t end = std::min(positions.size(), begin + step);
      const std::vector<int64_t> piece(positions.begin() + static_cast<int64_t>(begin),
                                       positions.begin() + static_cast<int64_t>(end));
      const at::Tensor logits = forward_.Logits(hidden.index_select(0, forward_.Indices(piece)));  // [P, V]
      const LogitPeaks peaks = PeaksOf(logits);
      const auto last = std::find_if(next, wanted.end(), [&](const Wanted& w) { return w.position >= end; });
      std::vector<int64_t> rows, targets;
      for (auto w = next; w != last; ++w) {
        rows.push_back(static_cast<int64_t>(w->position - begin));
        targets.push_back(w->target);
      }
      const at::Tensor picked = logits.index({forward_.Indices(rows), forward_.Indices(targets)})
                                    .to(at::kCPU, at::kFloat)
                                    .contiguous();  // [wanted]
      for (size_t k = 0; next != last; ++next, ++k) {
        const double log_p = static_cast<double>(picked.data_ptr<float>()[k]) - peaks.log_sum[rows[k]];
        if (!std::isfinite(log_p)) {
          throw Error(ErrorKind::kNumerical, name_(next->input) + ": the model's logits are not finite. Its weights or "
                                                                  "activations overflowed.");
        }
        log_ps.emplace_back(next->input, log_p);
        if (peaks.best[rows[k]] != next->target) not_greedy.push_back(next->input);
      }
    }
    for (const auto& [input, log_p] : log_ps) sums_[input].loglikelihood_nats += log_p;
    for (const size_t input : not_greedy) sums_[input].is_greedy = false;
    for (const size_t input : scored) is_done_[input] = true;
    on_done_(static_cast<int64_t>(scored.size()));
  }

  ForwardPass& forward_;
  std::span<const ScoredInput> inputs_;
  const std::function<std::string(size_t)>& name_;
  const std::function<void(int64_t)>& on_done_;
  std::vector<Sequence> sequences_;
  std::vector<ScoredSum> sums_;
  std::vector<bool> is_done_;
};

}  // namespace

std::vector<ScoredSum> ScoreInputs(ForwardPass& forward, std::span<const ScoredInput> inputs,
                                   const std::function<std::string(size_t)>& name,
                                   const std::function<void(int64_t)>& on_done) {
  return Scorer(forward, inputs, name, on_done).Run();
}

}  // namespace bitlaw
