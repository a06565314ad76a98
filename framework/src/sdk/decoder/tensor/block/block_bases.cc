#include <ATen/ATen.h>

#include <algorithm>

#include "bitlaw/base/error.h"
#include "sdk/decoder/tensor/block/decoder_block.h"

// What changes of basis need to know of a decoder's block, and the rotations that it computes in each pass.

namespace bitlaw {

StreamPorts DecoderBlock::stream() {
  const double offset = config_.norm_adds_one ? 1 : 0;
  const auto named = [&](const at::Tensor& norm) {
    const auto found = std::find_if(norms_.begin(), norms_.end(), [&](const auto& one) { return one.second == &norm; });
    if (found == norms_.end()) throw InternalError(prefix_ + ": it reads the residual stream without a norm");
    return found->first + ".weight";
  };
  StreamPorts ports;
  ports.readers.push_back({named(attention_norm_), offset, stages_[0], {}});
  ports.readers.push_back({named(ffn_norm_), offset, stages_[2], {}});
  for (const auto& [name, router] : routers_) ports.readers.back().matrices.push_back(name + ".weight");
  ports.writers = stages_[1];
  ports.writers.insert(ports.writers.end(), stages_[3].begin(), stages_[3].end());
  return ports;
}

AttentionHeads DecoderBlock::heads() { return {v_.get(), o_.get(), config_.head_dim, prefix_ + "self_attn.keys"}; }

void DecoderBlock::RotateOnline(const std::string& place, const Rotation& rotation) {
  const auto refuse = [&](const std::string& why) { throw InternalError(place + ": " + why); };
  const auto take = [&](std::optional<Rotation>& held, int64_t width) {
    if (held) refuse("it was to be turned twice");
    if (width % rotation.span() != 0) {
      refuse(std::to_string(width) + " channels were to be turned in runs of " + std::to_string(rotation.span()));
    }
    held = rotation.On(q_->weight().device());
    online_.push_back({place, rotation});
  };
  if (place == prefix_ + "self_attn.keys") return take(key_rotation_, config_.head_dim);
  for (Site& site : sites_) {
    if (site.shape.name != place || !site.shape.rotates_online) continue;
    if (experts_ && site.shape.role == SiteRole::kFeedForwardOut) {
      std::optional<Rotation> own;
      const bool is_turned =
          std::any_of(online_.begin(), online_.end(), [&](const auto& one) { return one.place == place; });
      if (is_turned) own = rotation;
      take(own, site.shape.in_features());
      experts_->RotateInner(site.readers.front(), *own);
    } else {
      take(input_rotations_[static_cast<size_t>(site.stage)], site.shape.in_features());
    }
    // A scale of what makes the input would not pass through the rotation.
    site.producer = nullptr;
    site.shape.producer.clear();
    return;
  }
  Block::RotateOnline(place, rotation);
}

}  // namespace bitlaw
