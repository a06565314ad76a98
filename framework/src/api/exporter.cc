#include "bitlaw/api/exporter.h"

namespace bitlaw {

std::string ExplainExport(const Exporter& exporter, const ExportModel& model) {
  if (!model.rotations.empty() && !exporter.writes_rotations()) {
    return "the model computes " + std::to_string(model.rotations.size()) + " rotations in each pass, one at " +
           model.rotations.front().place +
           ", which the format cannot say: without them its weights are another model's. Rotate what weights can take "
           "alone: transform 'rotation' with keys: false and down_inputs: false.";
  }
  return exporter.ExplainUnsupported(model);
}

}  // namespace bitlaw
