#include "quantize/kept_statistics.h"

#include <ATen/ATen.h>

namespace bitlaw {

void KeptStatistics::Begin(const std::string& key) {
  statistics_.clear();
  routed_.clear();
  key_ = key;
  is_whole_ = is_full_ = false;
  bytes_ = 0;
}

void KeptStatistics::Keep(std::span<Linear* const> readers, const LayerCalibration& statistics,
                          int64_t routed_tokens) {
  if (is_full_ || readers.empty()) return;
  const auto bytes = [](const at::Tensor& tensor) {
    return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : int64_t{0};
  };
  bytes_ += 2 * bytes(statistics.second_moment) + bytes(statistics.abs_mean) + bytes(statistics.abs_max) +
            bytes(statistics.rows) + bytes(statistics.low) + bytes(statistics.high);
  if (bytes_ > most_bytes_) {
    is_full_ = true;
    statistics_.clear();
    return;
  }
  auto kept = std::make_shared<LayerCalibration>(statistics);
  kept->derived = std::make_shared<DerivedStatistics>();
  for (const Linear* reader : readers) {
    statistics_[reader->shape().name] = kept;
    routed_[reader->shape().name] = routed_tokens;
  }
}

int64_t KeptStatistics::RoutedTokens(const std::string& layer) const {
  const auto found = routed_.find(layer);
  return found == routed_.end() ? 0 : found->second;
}

const LayerCalibration* KeptStatistics::Find(const std::string& layer) const {
  const auto found = statistics_.find(layer);
  return found == statistics_.end() ? nullptr : found->second.get();
}

}  // namespace bitlaw
