#include "bitlaw/sdk/checkpoint/stored_layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

bool AreEqual(const at::Tensor& a, const at::Tensor& b) {
  return a.defined() == b.defined() && (!a.defined() || (a.sizes() == b.sizes() && a.equal(b)));
}

bool AreAlike(const QuantizedLinear& a, const QuantizedLinear& b) {
  return a.bits == b.bits && a.symmetric == b.symmetric && a.group_size == b.group_size &&
         a.scale_dtype == b.scale_dtype && a.scale_divisor == b.scale_divisor && a.activation == b.activation &&
         a.has_real_zeros() == b.has_real_zeros() && a.row_index.defined() == b.row_index.defined() &&
         AreEqual(a.group_index, b.group_index) && AreEqual(a.levels, b.levels) &&
         AreEqual(a.input_scale, b.input_scale);
}

QuantizedLinear OneAfterTheOther(const std::vector<const QuantizedLinear*>& parts) {
  QuantizedLinear whole = *parts.front();
  const auto rows = [&](at::Tensor QuantizedLinear::*member) {
    std::vector<at::Tensor> tensors;
    for (const QuantizedLinear* part : parts) tensors.push_back(part->*member);
    return at::cat(tensors);
  };
  whole.codes = rows(&QuantizedLinear::codes);
  whole.scales = rows(&QuantizedLinear::scales);
  whole.zeros = rows(&QuantizedLinear::zeros);
  if (whole.row_index.defined()) {
    std::vector<at::Tensor> indices;
    int64_t shared = 0;  // Rows of scales before.
    for (const QuantizedLinear* part : parts) {
      indices.push_back(part->row_index + shared);
      shared += part->scales.size(0);
    }
    whole.row_index = at::cat(indices).to(at::kInt);
  }
  whole.diagnostics.clear();
  return whole;
}

}  // namespace

StoredLayers::StoredLayers(const HfFolder& checkpoint, const ExportModel& model) {
  const auto whole_of = [&](const std::string& name) -> std::string {
    const auto found = checkpoint.tensors().find(name + ".weight");
    return found == checkpoint.tensors().end() ? "" : found->second.projections;
  };
  // Pieces of a matrix by its name, in their order in it.
  std::map<std::string, std::vector<std::pair<uint64_t, std::string>>> pieces;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    if (!tensor.projections.empty()) {
      pieces[tensor.projections].emplace_back(tensor.entry.offset_bytes, name.substr(0, name.rfind('.')));
    }
  }
  std::map<std::string, const ExportLayer*> by_name;
  for (const ExportLayer& layer : model.layers) by_name.emplace(layer.shape.name, &layer);
  for (const ExportLayer& layer : model.layers) {
    const std::string whole = whole_of(layer.shape.name);
    if (whole.empty()) {
      layers_.push_back(layer);
      continue;
    }
    auto& names = pieces.at(whole);
    std::sort(names.begin(), names.end());
    std::vector<std::string> listed;
    for (const auto& [offset, name] : names) listed.push_back(name.substr(name.rfind('.') + 1));
    const std::string what = whole + " is one matrix of " + JoinNames(listed);
    std::vector<const QuantizedLinear*> parts;
    int64_t rows = 0;
    for (const auto& [offset, name] : names) {
      const auto found = by_name.find(name);
      if (found == by_name.end()) {
        throw Error(ErrorKind::kUnsupported,
                    what + ", and " + name + " is not quantized. Quantize all of them or none.");
      }
      parts.push_back(&found->second->linear);
      rows += found->second->shape.out_features;
      if (!AreAlike(*parts.front(), *parts.back())) {
        throw Error(ErrorKind::kUnsupported,
                    what + ", which are not quantized alike. Give them the same bits, groups and inputs.");
      }
    }
    if (layer.shape.name != names.front().second) continue;  // Once, in the place of its first piece.
    LinearShape& shape = shapes_.emplace_back(layer.shape);
    shape.name = whole.substr(0, whole.rfind('.'));
    shape.out_features = rows;
    layers_.push_back({shape, linears_.emplace_back(OneAfterTheOther(parts))});
  }
}

}  // namespace bitlaw
