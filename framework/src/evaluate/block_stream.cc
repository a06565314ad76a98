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
  const int64_t blocks = model_.summary().num_blocks;
  int64_t begun = 0;  // The last block whose reading has been begun.
  try {
    if (reads_ahead_) model_.ReadAhead(begun);
    Embed();
    for (int64_t b = 0; b < blocks; ++b) {
      Block& block = model_.block(begun = b);
      if (reads_ahead_ && b + 1 < blocks) model_.ReadAhead(begun = b + 1);
      KvCache cache(blocks, 1);
      for (Pass& pass : passes_) {
        cache.TakeLayout(pass.layout);
        pass.hidden = block.Forward(pass.hidden, {&cache, pass.runs});
      }
      model_.DropBlock(b);
    }
  } catch (...) {  // Where memory ran out, a second try finds it.
    model_.DropBlock(begun);
    if (begun > 0) model_.DropBlock(begun - 1);
    throw;
  }
}

void BlockStream::Embed() {
  for (Pass& pass : passes_) {
    const std::vector<int64_t> ids(pass.ids.begin(), pass.ids.end());
    pass.hidden = model_.Embed(at::tensor(ids, at::kLong).to(at::Device(model_.compute().device)).unsqueeze(0));  // [1, T, D]
  }
}

at::Tensor BlockStream::Take(size_t pass) { return std::exchange(passes_.at(pass).hidden, at::Tensor())[0]; }

}  // namespace bitlaw
