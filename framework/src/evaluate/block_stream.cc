#include "evaluate/block_stream.h"

#include <ATen/ATen.h>

#include <utility>

namespace bitlaw {

size_t BlockStream::Note(std::span<const int32_t> ids, KvCache& cache, std::span<const TokenRun> runs) {
  passes_.push_back({{ids.begin(), ids.end()}, {runs.begin(), runs.end()}, cache, {}});
  cache.Advance(runs);
  return passes_.size() - 1;
}

void BlockStream::Run() {
  for (Pass& pass : passes_) {
    const std::vector<int64_t> ids(pass.ids.begin(), pass.ids.end());
    pass.hidden = model_.Embed(at::tensor(ids, at::kLong).to(at::Device(model_.compute().device)).unsqueeze(0));  // [1, T, D]
  }
  const int64_t blocks = model_.summary().num_blocks;
  for (int64_t b = 0; b < blocks; ++b) {
    KvCache cache(blocks, 1);
    const struct Dropped {
      ~Dropped() { model.DropBlock(b); }
      Model& model;
      int64_t b;
    } dropped{model_, b};  // Also where memory runs out, so that a second try finds it.
    Block& block = model_.block(b);
    for (Pass& pass : passes_) {
      cache.TakeLayout(pass.layout);
      pass.hidden = block.Forward(pass.hidden, {&cache, pass.runs});
    }
  }
}

at::Tensor BlockStream::Take(size_t pass) { return std::exchange(passes_.at(pass).hidden, at::Tensor())[0]; }

}  // namespace bitlaw
