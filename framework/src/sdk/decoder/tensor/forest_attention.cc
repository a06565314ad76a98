#include "sdk/decoder/tensor/forest_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "math/matrix_product.h"
#include "sdk/decoder/tensor/decoder_ops.h"
#include "sdk/decoder/tensor/tensor_kernels.h"

// T tokens of a pass ("rows"), H query heads, K key-value heads, R = H / K, Dh head size. A row's scores stand at the
// positions of their keys in its text, so that rows of different texts share a buffer.

namespace bitlaw {

namespace {

constexpr int64_t kScoreFloats = int64_t{1} << 18;  // Scores that a thread makes at a time: half of a core's cache.
constexpr int64_t kMostRows = 256;
// From so many (query, key) pairs a segment on, products in bfloat16 outrun the copies that they need.
constexpr int64_t kManyPairs = 16384;

// The keys of one segment, and rows next to each other that see them.
struct Piece {
  int64_t slot = 0, column = 0, keys = 0;  // `keys` of them, the first at position `column`.
  int64_t begin = 0, end = 0;              // Rows.
  int64_t own_end = 0;                     // Rows before it are the segment's own and see it up to themselves.
};

// Which rows see what.
struct Sight {
  std::vector<Piece> pieces;
  std::vector<int64_t> seen;      // [T] How many keys a row sees: its position + 1.
  std::vector<int64_t> own;       // [T] The piece of its own segment.

  int64_t KeysSeen(const Piece& piece, int64_t rows_end) const {
    const int64_t last = std::min(rows_end, piece.end) - 1;
    return last < piece.own_end ? seen[last] - piece.column : piece.keys;
  }
};

Sight SightOf(const KvCache& cache, std::span<const TokenRun> runs) {
  Sight sight;
  std::unordered_map<int64_t, size_t> newest;  // The newest piece of a segment.
  int64_t row = 0;
  for (const TokenRun& run : runs) {
    const int64_t held = cache.length(run.segment), past = cache.past(run.segment), end = row + run.tokens;
    for (int64_t t = 0; t < run.tokens; ++t) sight.seen.push_back(past + held + t + 1);
    sight.own.insert(sight.own.end(), run.tokens, static_cast<int64_t>(sight.pieces.size()));
    newest[run.segment] = sight.pieces.size();
    sight.pieces.push_back({cache.slot(run.segment), past, held + run.tokens, row, end, end});
    for (int64_t s = cache.parent(run.segment); s != KvCache::kNoParent; s = cache.parent(s)) {
      const auto [known, is_new] = newest.try_emplace(s, sight.pieces.size());
      if (!is_new && sight.pieces[known->second].end == row) {
        sight.pieces[known->second].end = end;  // The descendants of a segment follow each other, and it.
      } else {
        known->second = sight.pieces.size();
        sight.pieces.push_back({cache.slot(s), cache.past(s), cache.room(s), row, end, 0});
      }
    }
    row = end;
  }
  return sight;
}

// Rows that one thread takes at a time, such that their scores fit its cache and there is work for several threads. How
// many there are makes no difference, since products of other shapes may round in another way.
std::vector<int64_t> Chunks(const Sight& sight, int64_t kv_heads, int64_t shared) {
  const auto rows = static_cast<int64_t>(sight.seen.size());
  const int64_t most = std::clamp<int64_t>(rows * kv_heads / 16, 4, kMostRows);
  std::vector<int64_t> bounds = {0};
  int64_t widest = 0;
  for (int64_t row = 0; row < rows; ++row) {
    widest = std::max(widest, sight.seen[row]);
    const int64_t count = row - bounds.back();
    if (count > 0 && (count >= most || (count + 1) * shared * widest > kScoreFloats)) {
      bounds.push_back(row);
      widest = sight.seen[row];
    }
  }
  bounds.push_back(rows);
  return bounds;
}

template <typename T>
class HeadWorker {
 public:
  HeadWorker(const RowKernels<T>& kernels, const Sight& sight, const T* queries, const T* keys, const T* values,
             T* output, int64_t num_heads, int64_t kv_heads, int64_t dh, const AttentionSetting& setting)
      : kernels_(kernels), sight_(sight), queries_(queries), keys_(keys), values_(values), output_(output),
        num_heads_(num_heads), kv_heads_(kv_heads), shared_(num_heads / kv_heads), dh_(dh), setting_(setting) {}

  // Rows [begin, end) of the query heads of key-value head `group`.
  void Run(int64_t group, int64_t begin, int64_t end) {
    const int64_t rows = (end - begin) * shared_;
    int64_t width = 0;
    for (int64_t t = begin; t < end; ++t) width = std::max(width, sight_.seen[t]);
    for (const Piece& piece : sight_.pieces) {
      if (piece.end > begin && piece.begin < end) width = std::max(width, piece.column + sight_.KeysSeen(piece, end));
    }
    query_.resize(rows * dh_);
    scores_.resize(rows * width);
    mixed_.assign(rows * dh_, 0.0F);
    scratch_.resize(width);
    for (int64_t t = begin; t < end; ++t) {
      kernels_.widen(queries_ + (t * num_heads_ + group * shared_) * dh_, shared_ * dh_,
                     query_.data() + (t - begin) * shared_ * dh_);
    }
    ForPieces(group, begin, end, keys_, [&](int64_t row, int64_t count, int64_t column, int64_t seen, const float* keys,
                                            int64_t stride) {
      MultiplyFloat32(true, count, seen, dh_, query_.data() + row * dh_, dh_, keys, stride,
                      scores_.data() + row * width + column, width);  // [count, seen]
    });
    for (int64_t t = begin; t < end; ++t) {
      const Piece& own = sight_.pieces[sight_.own[t]];
      const int64_t filled = own.column + sight_.KeysSeen(own, end);
      for (int64_t r = 0; r < shared_; ++r) {
        SoftmaxOfSeen(FloatRowKernels(), scores_.data() + ((t - begin) * shared_ + r) * width, sight_.seen[t], filled,
                      setting_, scratch_.data());
      }
    }
    ForPieces(group, begin, end, values_, [&](int64_t row, int64_t count, int64_t column, int64_t seen,
                                              const float* values, int64_t stride) {
      MultiplyFloat32(false, count, dh_, seen, scores_.data() + row * width + column, width, values, stride,
                      mixed_.data() + row * dh_, dh_, /*add=*/true);  // [count, Dh]
    });
    for (int64_t t = begin; t < end; ++t) {
      kernels_.narrow(mixed_.data() + (t - begin) * shared_ * dh_, shared_ * dh_,
                      output_ + (t * num_heads_ + group * shared_) * dh_);
    }
  }

 private:
  // Calls body(row, count, column, seen, data, stride) for the pieces that rows [begin, end) see: `count` rows of the
  // scores from `row` on, `seen` keys or values as float32. Keys behind the windows of all these rows are left out.
  template <typename Body>
  void ForPieces(int64_t group, int64_t begin, int64_t end, const T* buffer, const Body& body) {
    for (const Piece& whole : sight_.pieces) {
      const int64_t first = std::max(whole.begin, begin), last = std::min(whole.end, end);
      if (first >= last) continue;
      Piece piece = whole;
      int64_t seen = sight_.KeysSeen(piece, end);
      if (setting_.window > 0) {
        const int64_t least = *std::min_element(sight_.seen.begin() + first, sight_.seen.begin() + last);
        const int64_t hidden = std::clamp<int64_t>(least - setting_.window - piece.column, 0, seen);
        piece.slot += hidden, piece.column += hidden, seen -= hidden;
        if (seen == 0) continue;
      }
      const int64_t stride = kv_heads_ * dh_;
      const T* data = buffer + piece.slot * stride + group * dh_;
      const int64_t row = (first - begin) * shared_, count = (last - first) * shared_;
      if constexpr (std::is_same_v<T, float>) {
        body(row, count, piece.column, seen, data, stride);
      } else {
        widened_.resize(seen * dh_);
        for (int64_t k = 0; k < seen; ++k) kernels_.widen(data + k * stride, dh_, widened_.data() + k * dh_);
        body(row, count, piece.column, seen, widened_.data(), dh_);
      }
    }
  }

  const RowKernels<T>& kernels_;
  const Sight& sight_;
  const T *queries_, *keys_, *values_;
  T* output_;
  const int64_t num_heads_, kv_heads_, shared_, dh_;
  const AttentionSetting setting_;
  std::vector<float> query_, scores_, mixed_, scratch_, widened_;
};

// A thread's work is a key-value head for some rows, so that small products need no threads of their own. Which thread
// takes what depends on who is free; what comes out does not.
at::Tensor AttendByHeads(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                         const Sight& sight, const AttentionSetting& setting) {
  const int64_t num_heads = queries.size(1), dh = queries.size(2), kv_heads = keys.size(1);
  const std::vector<int64_t> bounds = Chunks(sight, kv_heads, num_heads / kv_heads);
  const int64_t tasks = (static_cast<int64_t>(bounds.size()) - 1) * kv_heads;
  at::Tensor output = at::empty({queries.size(0), num_heads * dh}, queries.options());
  WithKernels(queries, [&](const auto& kernels, const auto& data) {
    using T = std::remove_pointer_t<decltype(data(queries))>;
    std::atomic<int64_t> next{0};
    at::parallel_for(0, std::min<int64_t>(tasks, at::get_num_threads()), 1, [&](int64_t, int64_t) {
      HeadWorker<T> worker(kernels, sight, data(queries), data(keys), data(values), data(output), num_heads, kv_heads,
                           dh, setting);
      for (int64_t task = next++; task < tasks; task = next++) {
        // The last rows of a long text see most, and go first.
        const int64_t chunk = static_cast<int64_t>(bounds.size()) - 2 - task / kv_heads;
        worker.Run(task % kv_heads, bounds[chunk], bounds[chunk + 1]);
      }
    });
  });
  return output;
}

// By libtorch's operations, each segment with a copy of what it sees: any device and type.
at::Tensor AttendBySegments(const at::Tensor& queries, const KvCache& cache, int64_t block,
                            std::span<const TokenRun> runs, const AttentionSetting& setting) {
  at::Tensor output = at::empty({queries.size(0), queries.size(1) * queries.size(2)}, queries.options());
  int64_t row = 0;
  for (const TokenRun& run : runs) {
    const auto [keys, values] = cache.Seen(block, run);  // [S, K, Dh]
    const auto heads_first = [](const at::Tensor& x) { return x.transpose(0, 1).contiguous().unsqueeze(0); };
    const at::Tensor own = heads_first(queries.narrow(0, row, run.tokens));  // [1, H, n, Dh]
    output.narrow(0, row, run.tokens).copy_(Attend(own, heads_first(keys), heads_first(values), setting)[0]);
    row += run.tokens;
  }
  return output;
}

}  // namespace

at::Tensor AttendInForest(const at::Tensor& queries, const KvCache& cache, int64_t block,
                          std::span<const TokenRun> runs, const AttentionSetting& setting) {
  int64_t pairs = 0;
  for (const TokenRun& run : runs) {
    pairs += run.tokens * (cache.past(run.segment) + cache.length(run.segment) + run.tokens);
  }
  const bool has_large_products = pairs >= kManyPairs * static_cast<int64_t>(runs.size());
  const bool by_heads = HasFloat32Products() && HasKernels(queries) &&
                        (queries.scalar_type() == at::kFloat || !has_large_products);
  if (!by_heads) return AttendBySegments(queries, cache, block, runs, setting);
  return AttendByHeads(queries.contiguous(), cache.keys(block), cache.values(block), SightOf(cache, runs), setting);
}

}  // namespace bitlaw
