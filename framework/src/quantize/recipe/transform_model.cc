#include "quantize/recipe/transform_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <regex>

#include "bitlaw/base/error.h"
#include "quantize/calibration_walk.h"

namespace bitlaw {

namespace {

// Transforms that are applied site by site, one after the other within each block.
void TransformSites(Model& model, std::span<const Transform* const> transforms, const TokenSequences* calibration,
                    int64_t batch_tokens, QuantizeTimes& times, bool shows_all_to_experts,
                    const SkipsLayer& skips) {
  const auto is_left = [&](const Site& site) {
    return skips && std::all_of(site.readers.begin(), site.readers.end(),
                                [&](const Linear* reader) { return skips(reader->shape().name); });
  };
  bool needs_any = false;
  for (const Transform* transform : transforms) needs_any |= transform->needs().any();
  std::optional<CalibrationWalk> walk;
  if (needs_any) {
    CheckCalibration(model.summary(), calibration);
    walk.emplace(model, *calibration, batch_tokens, times);
    if (shows_all_to_experts) walk->ShowAllToExperts();
    if (skips) walk->SetSkips(skips);
    walk->Embed();
  }
  static const LayerCalibration kNone;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    Block& block = model.block(b);
    const std::vector<Site> sites = block.sites();
    for (const Transform* transform : transforms) {
      const CalibrationNeeds needs = transform->needs();
      if (needs.any()) {
        walk->SetNeeds(needs);
        walk->Observe(block);
      }
      for (const Site& site : sites) {
        if (is_left(site) || !transform->ExplainUnsupported(site.shape).empty()) continue;
        transform->Apply(site, needs.any() ? walk->StatisticsOf(*site.readers.front()) : kNone);
      }
      if (!needs.any()) continue;
      for (int stage = 0; stage < block.num_stages(); ++stage) walk->Forget(block.stage_linears(stage));
    }
    if (walk && b + 1 < model.summary().num_blocks) walk->Forward(block);
  }
}

}  // namespace

void TransformModel(Model& model, std::span<const Transform* const> transforms, const TokenSequences* calibration,
                    int64_t batch_tokens, QuantizeTimes& times, bool shows_all_to_experts,
                    const SkipsLayer& skips) {
  for (const Transform* transform : transforms) {
    const std::string reason = transform->ExplainUnsupportedModel(model.summary());
    if (!reason.empty()) {
      throw Error(ErrorKind::kUnsupported, model.summary().name + ": a transform can change nothing: " + reason);
    }
  }
  while (!transforms.empty()) {
    size_t count = 0;
    while (count < transforms.size() && !transforms[count]->is_of_whole_model()) ++count;
    if (count == 0) {
      transforms.front()->ApplyToModel(model);
      count = 1;
    } else {
      TransformSites(model, transforms.first(count), calibration, batch_tokens, times, shows_all_to_experts, skips);
    }
    transforms = transforms.subspan(count);
  }
}

std::vector<std::pair<std::string, at::Tensor>> OtherWeights(Model& model,
                                                             const SkipsLayer& skips) {
  std::vector<std::pair<std::string, at::Tensor>> weights;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    Block& block = model.block(b);
    for (auto& weight : block.other_weights()) weights.push_back(std::move(weight));
    for (int stage = 0; skips && stage < block.num_stages(); ++stage) {
      for (const Linear* linear : block.stage_linears(stage)) {
        const std::string& name = linear->shape().name;
        if (skips(name)) weights.emplace_back(name + ".weight", linear->weight());
      }
    }
  }
  return weights;
}

std::vector<OnlineRotation> OnlineRotations(Model& model) {
  std::vector<OnlineRotation> rotations;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    for (OnlineRotation& rotation : model.block(b).online_rotations()) rotations.push_back(std::move(rotation));
  }
  return rotations;
}

std::vector<RotationCount> CountRotations(std::span<const OnlineRotation> rotations) {
  static const std::regex numbers("\\.[0-9]+\\.");
  std::vector<RotationCount> counts;
  for (const auto& [place, rotation] : rotations) {
    const std::string kind = std::regex_replace(place, numbers, ".*."), name = rotation.Name();
    const auto found = std::find_if(counts.begin(), counts.end(), [&](const RotationCount& one) {
      return one.place == kind && one.rotation == name;
    });
    if (found != counts.end()) {
      ++found->places;
    } else {
      counts.push_back({kind, name, rotation.span(), 1, rotation.Operations()});
    }
  }
  return counts;
}

}  // namespace bitlaw
