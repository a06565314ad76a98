#include "quantize/calibration/draw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

class OpenTextModel : public TextModel {
 public:
  explicit OpenTextModel(Model& model) : model_(model) {}

  const Tokenizer& tokenizer() const override { return model_.tokenizer(); }

  TokenSequences Continue(const TokenSequences& prompts, int64_t length_tokens, const Choose& choose) override {
    const ModelSummary& summary = model_.summary();
    if (prompts.count < 1 || prompts.length_tokens < 1 || prompts.length_tokens > length_tokens) {
      throw InternalError(fmt::format("{} prompts of {} tokens were to be continued to {}", prompts.count,
                                      prompts.length_tokens, length_tokens));
    }
    if (summary.max_positions > 0 && length_tokens > summary.max_positions) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("{}: sequences of {} tokens are to be generated, and it has {} positions. Ask for shorter ones.",
                              summary.name, length_tokens, summary.max_positions));
    }
    for (const int32_t id : prompts.ids) {
      if (id < 0 || id >= summary.vocab_size) throw InternalError(fmt::format("a prompt has the token {}", id));
    }
    TokenSequences all;
    all.count = prompts.count;
    all.length_tokens = length_tokens;
    for (int64_t first = 0; first < prompts.count; first += kSequencesTogether) {
      for (std::vector<int32_t>& ids : ContinueLot(prompts, first, length_tokens, choose)) {
        all.ids.insert(all.ids.end(), ids.begin(), ids.end());
      }
    }
    return all;
  }

 private:
  // One lot; the sequences of it that are asked for.
  std::vector<std::vector<int32_t>> ContinueLot(const TokenSequences& prompts, int64_t first, int64_t length_tokens,
                                                const Choose& choose) {
    const at::NoGradGuard no_grad;
    const int64_t wanted = std::min(kSequencesTogether, prompts.count - first), prompt = prompts.length_tokens;
    KvCache cache(model_.summary().num_blocks, kSequencesTogether * length_tokens);
    std::vector<std::vector<int32_t>> sequences(kSequencesTogether);
    std::vector<TokenRun> runs;
    std::vector<int64_t> last;  // The row of each sequence's last token.
    std::vector<int64_t> read;
    for (int64_t i = 0; i < kSequencesTogether; ++i) {
      const auto ids = prompts.sequence(first + std::min(i, wanted - 1));
      sequences[i].assign(ids.begin(), ids.end());
      runs.push_back({*cache.Add(KvCache::kNoParent, length_tokens), prompt});
      read.insert(read.end(), ids.begin(), ids.end());
      last.push_back((i + 1) * prompt - 1);
    }
    const at::Device device(model_.compute().device);
    for (int64_t length = prompt; length < length_tokens; ++length) {
      const at::Tensor tokens = at::tensor(read, at::kLong).to(device).unsqueeze(0);  // [1, T]
      const at::Tensor hidden = model_.Forward(tokens, {&cache, runs})[0];            // [T, D]
      const at::Tensor rows = hidden.index_select(0, at::tensor(last, at::kLong).to(device));
      const at::Tensor logits = model_.Logits(rows).to(at::kFloat).cpu().contiguous();  // [kSequencesTogether, V]
      if (!logits.isfinite().all().item<bool>()) {
        throw Error(ErrorKind::kNumerical, model_.summary().name + ": its logits are not finite while calibration text is "
                                                                   "generated. Its weights or activations overflowed.");
      }
      read.clear();
      for (int64_t i = 0; i < kSequencesTogether; ++i) {
        const std::span<const float> row(logits.data_ptr<float>() + i * logits.size(1), static_cast<size_t>(logits.size(1)));
        int32_t next = 0;
        if (i < wanted) {
          next = choose(first + i, sequences[i], row);
          if (next < 0 || next >= logits.size(1)) throw InternalError(fmt::format("a corpus chose the token {}", next));
        }
        sequences[i].push_back(next);
        read.push_back(next);
        runs[i].tokens = 1;
        last[i] = i;
      }
    }
    sequences.resize(static_cast<size_t>(wanted));
    return sequences;
  }

  Model& model_;
};

}  // namespace

TokenSequences DrawCalibration(const Corpus& corpus, Model& model, int64_t count, int64_t length_tokens, uint64_t seed) {
  if (!corpus.asks_model()) return corpus.Draw(model.tokenizer(), count, length_tokens, seed);
  OpenTextModel text(model);
  return corpus.Generate(text, count, length_tokens, seed);
}

}  // namespace bitlaw
