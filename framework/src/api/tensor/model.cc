#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "bitlaw/api/model.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

void Site::Fold(const at::Tensor& scale) const {
  if (producer == nullptr) throw InternalError(shape.name + ": nothing takes a scale of its input");
  const at::Tensor& channels = producer->channels();  // [C_in]
  const int64_t count = channels.max().item<int64_t>() + 1;
  if (scale.dim() != 1 || scale.size(0) != count || channels.size(0) != shape.in_features()) {
    throw InternalError(shape.name + ": a scale of its input has " + std::to_string(count) + " entries, not " +
                        std::to_string(scale.numel()));
  }
  if (!(scale.isfinite() & (scale > 0)).all().item<bool>()) {
    throw Error(ErrorKind::kNumerical, shape.name + ": a scale of its input is not finite and positive. Its inputs or "
                                                    "weights overflow; look for a damaged checkpoint.");
  }
  producer->Divide(scale);
  const at::Tensor columns = scale.to(at::kDouble).index_select(0, channels.to(scale.device()));  // [C_in]
  for (Linear* reader : readers) {
    const at::Tensor& weight = reader->weight();
    reader->Replace(weight.to(at::kDouble).mul(columns.to(weight.device())).to(weight.scalar_type()), reader->bias());
  }
}

std::vector<Site> Block::sites() {
  std::vector<Site> sites;
  for (int stage = 0; stage < num_stages(); ++stage) {
    for (Linear* linear : stage_linears(stage)) {
      const LinearShape& shape = linear->shape();
      sites.push_back({{shape.name, shape.block, {shape}, "", shape.is_expert}, stage, {linear}, nullptr});
    }
  }
  return sites;
}

void Block::SetOtherWeight(const std::string& name, const at::Tensor&) {
  throw InternalError("a block was asked to set '" + name + "', which is none of its other weights");
}

void Block::RotateOnline(const std::string& place, const Rotation&) {
  throw InternalError("a block was asked to turn what is computed at '" + place + "', which is none of its places");
}

at::Tensor Block::Forward(const at::Tensor& hidden, const ForwardContext& context) {
  BlockState state;
  state.residual = hidden;  // [B, T, D]
  for (int stage = 0; stage <= num_stages(); ++stage) Step(stage, state, context, {});
  return state.residual;  // [B, T, D]
}

void Model::ReadAhead(int64_t) {}

void Model::SetOtherWeight(const std::string& name, const at::Tensor&) {
  throw InternalError(summary().name + ": the model was asked to set '" + name +
                      "', which is none of its other weights");
}

at::Tensor Model::table(size_t i) {
  throw InternalError(summary().name + ": it was asked for table " + std::to_string(i) + ", and shows none");
}

void Model::SetTable(size_t i, at::Tensor) {
  throw InternalError(summary().name + ": it was given table " + std::to_string(i) + ", and shows none");
}

void Model::RoundKvCache(const KvCacheGrid&) {
  throw Error(ErrorKind::kUnsupported, summary().name + ": models of architecture '" + summary().architecture +
                                           "' do not round their keys and values here. Leave kv_cache out.");
}

at::Tensor Model::Forward(const at::Tensor& tokens, const ForwardContext& context) {
  return WithTorchErrors(summary().name, [&] {
    const at::NoGradGuard no_grad;
    at::Tensor hidden = Embed(tokens);  // [B, T, D]
    for (int64_t i = 0; i < summary().num_blocks; ++i) hidden = block(i).Forward(hidden, context);
    if (context.cache != nullptr) context.cache->Advance(context.runs);
    return hidden;  // [B, T, D]
  });
}

}  // namespace bitlaw
