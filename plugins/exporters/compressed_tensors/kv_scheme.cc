#include "kv_scheme.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "bitlaw/sdk/checkpoint/tensor_to_write.h"

namespace bitlaw {
namespace {

// The projection of a block's keys, beside which its scales lie; null where the model names none.
const LinearShape* KeysOf(const ModelSummary& summary, int64_t block) {
  const auto found = std::find_if(summary.linears.begin(), summary.linears.end(), [&](const LinearShape& layer) {
    return layer.block == block && layer.name.ends_with(".k_proj");
  });
  return found == summary.linears.end() ? nullptr : &*found;
}

std::string ExplainNumbers(const char* what, const KvGrid& grid) {
  if (grid.scale_of == KvScaleOf::kToken || grid.scale_of == KvScaleOf::kChannel) {
    return fmt::format("{} have a scale a {}, and kv_cache_scheme has a static one a layer or a head. Set key_per and "
                       "value_per to tensor or head.",
                       what, Name(grid.scale_of));
  }
  const ActivationGrid& numbers = grid.numbers;
  if (numbers.format == InputFormat::kInteger && !numbers.symmetric) {
    return fmt::format("{} are integers whose range need not hold zero, and kv_cache_scheme counts from an integer "
                       "zero point. Set kv_cache.symmetric: true, or a format of fp8_e4m3.",
                       what);
  }
  if (numbers.format == InputFormat::kInteger && numbers.bits > 8) {
    return fmt::format("{} are integers of {} bits. The format has 8 at most.", what, numbers.bits);
  }
  return "";
}

}  // namespace

std::string ExplainNoKvScheme(const KvCacheGrid& cache, const ModelSummary& summary) {
  if (!cache.keys || !cache.values) {
    return fmt::format("{} are rounded and {} are not, and kv_cache_scheme is of both. Round both, or leave kv_cache "
                       "out.",
                       cache.keys ? "keys" : "values", cache.keys ? "values" : "keys");
  }
  if (cache.keys_before_rotation) {
    return "keys are rounded before their rotation, and readers round them as they lie in a cache. Set "
           "keys_before_rotation: false.";
  }
  for (const auto& [what, grid] : {std::pair("keys", &*cache.keys), std::pair("values", &*cache.values)}) {
    if (std::string why = ExplainNumbers(what, *grid); !why.empty()) return why;
    if (static_cast<int64_t>(grid->blocks.size()) != summary.num_blocks) {
      return fmt::format("{} have static scales of {} blocks, and the model has {}.", what, grid->blocks.size(),
                         summary.num_blocks);
    }
  }
  const KvGrid &keys = *cache.keys, &values = *cache.values;
  if (keys.scale_of != values.scale_of || keys.numbers.bits != values.numbers.bits ||
      keys.numbers.format != values.numbers.format) {
    return fmt::format("keys are {} of {} bits with a scale a {}, values {} of {} bits with a scale a {}, and "
                       "kv_cache_scheme is one of both. Round them alike.",
                       Name(keys.numbers.format), keys.numbers.bits, Name(keys.scale_of), Name(values.numbers.format),
                       values.numbers.bits, Name(values.scale_of));
  }
  for (int64_t b = 0; b < summary.num_blocks; ++b) {
    if (KeysOf(summary, b) == nullptr) {
      return fmt::format("block {} has no layer called k_proj, beside which its scales would lie.", b);
    }
  }
  return "";
}

Value KvSchemeJson(const KvCacheGrid& cache) {
  const KvGrid& grid = *cache.keys;
  return Value::Map{{"num_bits", grid.numbers.bits},
                    {"type", grid.numbers.format == InputFormat::kInteger ? "int" : "float"},
                    {"strategy", grid.scale_of == KvScaleOf::kTensor ? "tensor" : "attn_head"},
                    {"dynamic", false},
                    {"symmetric", true}};
}

void AddKvScales(const KvCacheGrid& cache, const ModelSummary& summary, HfExport& out) {
  for (int64_t b = 0; b < summary.num_blocks; ++b) {
    const std::string projection = out.ModuleOf(KeysOf(summary, b)->name + ".weight");
    const std::string attention = projection.substr(0, projection.rfind('.'));
    for (const auto& [name, grid] : {std::pair("k_scale", &*cache.keys), std::pair("v_scale", &*cache.values)}) {
      const at::Tensor scales = grid->blocks[static_cast<size_t>(b)].scales.flatten().to(at::kFloat);  // [1] or [K]
      out.Add(WriteTensor(attention + "." + name,
                          grid->scale_of == KvScaleOf::kTensor ? scales : scales.view({-1, 1, 1})));
    }
  }
}

}  // namespace bitlaw
