#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// "KR >= 95% of 16-bit": the least that a stratum must keep.
struct BITLAW_EXPORT Floor {
  std::string stratum;
  double least = 0;  ///< acc_adj, or its share of the unquantized model's.
  bool is_relative = false;
  /// Whose acc_adj at 16 bits a share is of: "" of the same model's, "best" of the model that has most of the stratum,
  /// or the name of a model.
  std::string reference{};
  std::string Text() const;  ///< "KR >= 95 % of 16-bit", "KR >= 95 % of best", "KR >= 0.4"
};
/// Reads "KR >= 95% of 16-bit", "KR >= 95% of best", "KR >= 95% of MODEL", "KR >= 0.4" or "KR >= 40%". Error(kSpec).
BITLAW_EXPORT Floor ParseFloor(const std::string& text);

/// Reads "KR=2, KM=1": what each stratum counts. Error(kSpec) for a negative or repeated one, and if all are 0.
BITLAW_EXPORT std::vector<std::pair<std::string, double>> ParseStratumWeights(const std::string& text);

/// Bytes of "400kB", "8 GiB", "1.5GB" or "400000"; kB, MB, GB are powers of 1000, KiB, MiB, GiB of 1024. Error(kSpec)
/// led by `option`.
BITLAW_EXPORT double ParseSize(const std::string& text, const std::string& option);

/// What a configuration must meet, and what counts.
struct BITLAW_EXPORT Constraints {
  double most_weight_bytes = std::numeric_limits<double>::infinity();
  double most_cache_bytes = std::numeric_limits<double>::infinity();
  double most_memory_bytes = std::numeric_limits<double>::infinity();  ///< Weights and cache.
  double most_bits = std::numeric_limits<double>::infinity();          ///< bits_effective
  double context_tokens = 0, batch = 1;                                ///< Of the cache.
  std::vector<std::string> models;  ///< Names; * and ? stand for any letters. Empty: all.
  std::string need;                 ///< A condition over columns: "quantizer == 'gptq' and B_a == 16". "": none.
  std::vector<Floor> floors;
  std::vector<std::pair<std::string, double>> weights;  ///< Empty: all strata alike.
  bool is_sure = false;  ///< A floor must be met by the lower end of the interval, not by the value.
  enum class Order { kAccuracy, kWeights, kMemory };
  Order order = Order::kAccuracy;

  bool needs_cache() const { return std::isfinite(most_cache_bytes) || std::isfinite(most_memory_bytes); }
  std::string Text() const;  ///< "weights at most 400 kB; KR >= 95 % of 16-bit"; "" for none.
};

/// "412 kB", "1.31 GB": powers of 1000.
BITLAW_EXPORT std::string ShortSize(double bytes);

}  // namespace bitlaw
