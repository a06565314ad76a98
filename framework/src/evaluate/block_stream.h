#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "bitlaw/api/model.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Forward passes that are noted down first and then carried out block by block: a block is read, takes all passes, and
/// is dropped; while it takes them the next one is read. So a model needs the memory of two blocks, beside the hidden
/// states of all passes, [tokens, D], and one block's keys and values. What comes out is what Model::Forward() gives pass
/// after pass.
class BITLAW_EXPORT BlockStream {
 public:
  /// reads_ahead: false reads each block when it is due; then the memory of one suffices.
  explicit BlockStream(Model& model, bool reads_ahead = true) : model_(model), reads_ahead_(reads_ahead) {}

  /// Notes a pass of `runs` over `cache` as its segments lie now, and advances them. Returns the number of the pass.
  size_t Note(std::span<const int32_t> ids, KvCache& cache, std::span<const TokenRun> runs);

  /// Carries out all passes that were noted.
  void Run();

  /// The hidden states of a pass, [T, D], before the final norm. Once each, after Run().
  at::Tensor Take(size_t pass);

 private:
  void Embed();

  struct Pass {
    std::vector<int32_t> ids;
    std::vector<TokenRun> runs;
    KvCache layout;  // Its segments before the pass; without keys and values.
    at::Tensor hidden;
  };
  Model& model_;
  bool reads_ahead_;
  std::vector<Pass> passes_;
};

}  // namespace bitlaw
