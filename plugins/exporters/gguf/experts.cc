#include "experts.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "bitlaw/base/error.h"
#include "blocks.h"
#include "names.h"

namespace bitlaw {
namespace {

struct Typed {
  std::string layer, type;
};

}  // namespace

std::string ExplainExperts(const ExportModel& model) {
  std::map<std::string, std::string> types;  // Of quantized layers.
  for (const ExportLayer& layer : model.layers) types[layer.shape.name] = BlockTypeOf(layer.linear).name;
  std::map<std::string, Typed> first;  // By the tensor.
  for (const LinearShape& layer : model.summary.linears) {
    if (!ExpertOf(layer.name + ".weight")) continue;
    const auto found = types.find(layer.name);
    const std::string type = found == types.end() ? "not quantized" : found->second;
    // The type of norms apart, experts have the same names in all architectures.
    const Typed& other = first.try_emplace(GgufName(layer.name + ".weight", ""), Typed{layer.name, type}).first->second;
    if (other.type == type) continue;
    return fmt::format("{}: it is {}, and {} is {}, but all experts of a block are in one tensor, which has one type. "
                       "Quantize them alike.",
                       layer.name, type, other.layer, other.type);
  }
  return "";
}

void ExpertStacks::Add(int64_t expert, GgufTensorToWrite matrix) {
  const std::string name = matrix.name;
  stacks_[name].emplace(expert, std::move(matrix));
}

void ExpertStacks::Put(const std::string& where, GgufWriter& out) {
  for (auto& [name, matrices] : stacks_) {
    const GgufTensorToWrite& first = matrices.begin()->second;
    const auto is_alike = [&](const auto& one) { return one.second.shape == first.shape && one.second.type == first.type; };
    // Numbers are distinct, so that as many below the count are all of them.
    if (static_cast<int64_t>(matrices.size()) != experts_ || matrices.rbegin()->first >= experts_ ||
        !std::all_of(matrices.begin(), matrices.end(), is_alike)) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("exporter 'gguf': {}: '{}' is to hold {} experts of one shape and dtype, and the checkpoint "
                              "has {}, or others. Save the model again with transformers.",
                              where, name, experts_, matrices.size()));
    }
    std::vector<int64_t> shape = first.shape;
    shape.insert(shape.begin(), experts_);
    out.Add({name, first.type, std::move(shape), [matrices = std::move(matrices)] {
               std::string bytes;
               for (const auto& [expert, matrix] : matrices) bytes += matrix.bytes();
               return bytes;
             }});
  }
  stacks_.clear();
}

}  // namespace bitlaw
