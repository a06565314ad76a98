#include "quantize/recipe/transform_model.h"

#include <fmt/format.h>

#include <optional>

#include "bitlaw/base/error.h"
#include "quantize/calibration_walk.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {

void TransformModel(Model& model, std::span<const Transform* const> transforms, const TokenSequences* calibration,
                    int64_t batch_tokens, QuantizeTimes& times, bool shows_all_to_experts) {
  bool needs_any = false;
  for (const Transform* transform : transforms) {
    needs_any |= transform->needs().any();
    const std::string reason = ExplainUnsupportedModel(*transform, model.summary());
    if (!reason.empty()) throw Error(ErrorKind::kUnsupported, model.summary().name + ": a transform can change nothing: " + reason);
  }
  std::optional<CalibrationWalk> walk;
  if (needs_any) {
    CheckCalibration(model.summary(), calibration);
    walk.emplace(model, *calibration, batch_tokens, times);
    if (shows_all_to_experts) walk->ShowAllToExperts();
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
        if (!transform->ExplainUnsupported(site.shape).empty()) continue;
        transform->Apply(site, needs.any() ? walk->StatisticsOf(*site.readers.front()) : kNone);
      }
      if (!needs.any()) continue;
      for (int stage = 0; stage < block.num_stages(); ++stage) walk->Forget(block.stage_linears(stage));
    }
    if (walk && b + 1 < model.summary().num_blocks) walk->Forward(block);
  }
}

std::vector<std::pair<std::string, at::Tensor>> OtherWeights(Model& model) {
  std::vector<std::pair<std::string, at::Tensor>> weights;
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    for (auto& weight : model.block(b).other_weights()) weights.push_back(std::move(weight));
  }
  return weights;
}

}  // namespace bitlaw
