#pragma once

#include <deque>
#include <span>
#include <vector>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/checkpoint/hf_folder.h"

namespace bitlaw {

/// The quantized layers of a model as its checkpoint stores them: those that it has in one matrix (Phi-3's qkv_proj and
/// gate_up_proj) are one layer under that matrix's name, their rows one after the other, so that a program that opens
/// the checkpoint finds what it looks for. The others are as they were.
class BITLAW_EXPORT StoredLayers {
 public:
  /// `model` outlives it. Error(kUnsupported) where some layers of a matrix are not quantized, or not alike: with other
  /// bits, groups, levels, input scales or rounded inputs.
  StoredLayers(const HfFolder& checkpoint, const ExportModel& model);

  std::span<const ExportLayer> layers() const { return layers_; }

 private:
  std::deque<LinearShape> shapes_;       // Of fused layers; a deque keeps references good.
  std::deque<QuantizedLinear> linears_;
  std::vector<ExportLayer> layers_;
};

}  // namespace bitlaw
