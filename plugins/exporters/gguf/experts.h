#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "bitlaw/api/exporter.h"
#include "bitlaw/sdk/checkpoint/gguf_writer.h"

namespace bitlaw {

/// Why experts cannot be put in one tensor: it has one type, so that a projection of all experts of a block is
/// quantized alike or not at all. Empty exactly when they can. Each layer has a type (ExplainNoBlocks()).
std::string ExplainExperts(const ExportModel& model);

/// Matrices of experts [C_out, C_in] on their way into tensors [E, C_out, C_in].
class ExpertStacks {
 public:
  explicit ExpertStacks(int64_t experts) : experts_(experts) {}

  /// The matrix of one expert, under the name of the tensor that it is a part of.
  void Add(int64_t expert, GgufTensorToWrite matrix);
  /// Adds the tensors to `out`. Error(kUnsupported), where that of `where` is one expert short or has others, of another
  /// shape or type.
  void Put(const std::string& where, GgufWriter& out);

 private:
  int64_t experts_;
  std::map<std::string, std::map<int64_t, GgufTensorToWrite>> stacks_;
};

}  // namespace bitlaw
