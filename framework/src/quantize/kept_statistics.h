#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"

namespace bitlaw {

/// Statistics of the inputs of all layers of an unquantized model, for further recipes that see the same: those with
/// SequentialUnit::kNone of one model, text and list of transforms. Recipes that reuse them give the codes that they
/// would give by themselves, without a forward pass.
///
/// Of one key at a time, in memory: statistics of another key take their place. Where they are more than was allowed
/// none are kept, and each recipe collects its own. Not for several threads at once.
class KeptStatistics {
 public:
  /// `most_bytes` counts each second moment twice: a quantizer may keep a factor of it.
  explicit KeptStatistics(int64_t most_bytes) : most_bytes_(most_bytes) {}

  /// Whether the statistics of all layers under `key` are here.
  bool Has(const std::string& key) const { return is_whole_ && key == key_; }
  /// Forgets all; from here on those of `key` are kept.
  void Begin(const std::string& key);
  /// Keeps what the readers of one input share, and how many tokens reached them, unless there is no room.
  void Keep(std::span<Linear* const> readers, const LayerCalibration& statistics, int64_t routed_tokens);
  /// That of all layers were kept.
  void End() { is_whole_ = !is_full_; }
  /// Null if nothing of this layer is kept.
  const LayerCalibration* Find(const std::string& layer) const;
  /// 0 if nothing of this layer is kept.
  int64_t RoutedTokens(const std::string& layer) const;

 private:
  const int64_t most_bytes_;
  std::string key_;
  bool is_whole_ = false, is_full_ = false;
  int64_t bytes_ = 0;
  std::map<std::string, std::shared_ptr<const LayerCalibration>> statistics_;  // By layer.
  std::map<std::string, int64_t> routed_;
};

}  // namespace bitlaw
