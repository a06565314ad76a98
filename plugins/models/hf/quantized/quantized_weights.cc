#include "quantized_weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "bitlaw/sdk/grids/effective_bits.h"
#include "dequantize.h"

namespace bitlaw {

namespace {

constexpr size_t kFaultsShown = 6;

at::ScalarType DtypeOf(const std::string& dtype) {
  if (dtype == "F64") return at::kDouble;
  if (dtype == "F32") return at::kFloat;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "BF16") return at::kBFloat16;
  if (dtype == "I64") return at::kLong;
  if (dtype == "I32") return at::kInt;
  if (dtype == "I16") return at::kShort;
  if (dtype == "I8") return at::kChar;
  return at::kByte;  // U8, and floats of eight bits by their bytes.
}

at::Tensor Mapped(const HfFolder::Tensor& tensor) {
  const at::ScalarType dtype = DtypeOf(tensor.entry.dtype);
  return MappedTensor(tensor.file, tensor.entry.offset_bytes, tensor.entry.shape, dtype, dtype);
}

int64_t RoundedUp(int64_t count, int64_t by) { return (count + by - 1) / by; }

int64_t Elements(const HfFolder::Tensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.entry.shape) count *= size;
  return count;
}

// The parts of a quantized layer; those without a scale are one only with another beside them.
const std::vector<std::string>& PartsOf(StoredForm form) {
  static const std::vector<std::string> kWords = {"qweight", "qzeros", "scales", "g_idx"};
  static const std::vector<std::string> kCompressed = {
      "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_g_idx", "weight_global_scale",
      "input_scale", "input_zero_point", "input_global_scale"};
  return form == StoredForm::kGptq || form == StoredForm::kAwq ? kWords : kCompressed;
}

bool IsQuantizedDtype(const std::string& dtype) { return dtype == "I8" || dtype == "U8" || dtype.starts_with("F8_"); }

// "model.layers.0.self_attn.k_scale" and the like, of kv_cache_scheme.
bool IsCacheScale(const std::string& name) {
  static const std::vector<std::string> kLeaves = {"q_scale",      "k_scale",      "v_scale",
                                                   "q_zero_point", "k_zero_point", "v_zero_point"};
  return std::any_of(kLeaves.begin(), kLeaves.end(),
                     [&](const std::string& leaf) { return name.ends_with(".self_attn." + leaf); });
}

const std::vector<const char*> kScaleTypes = {"F16", "BF16", "F32"};

}  // namespace

QuantizedWeights::QuantizedWeights(const HfFolder& folder, const DecoderConfig& config, bool weights_only)
    : where_(folder.path().string()) {
  const QuantizationConfig quantization(*folder.config().Find("quantization_config"),
                                        (folder.path() / "config.json").string(), weights_only);
  method_ = quantization.method();
  left_out_ = quantization.left_out();
  cache_ = quantization.cache();
  const bool says_cache = cache_ || left_out_.find("keys and values") != std::string::npos;
  for (const auto& [name, tensor] : folder.tensors()) {
    if (says_cache && IsCacheScale(name)) parts_[name] = true;
  }
  std::set<std::string> expected;
  const std::vector<StoredTensor> tensors = ExpectedTensors(config);
  for (const StoredTensor& tensor : tensors) expected.insert(tensor.name);
  std::string faults;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.shape.size() == 2 && tensor.name.ends_with(".weight")) {
      AddLayer(folder, quantization, tensor.name, tensor.shape, faults);
    }
  }
  if (cache_) FindCache(folder, config, faults);
  if (!faults.empty()) throw Error(ErrorKind::kIo, faults);
  if (layers_.empty() && !cache_) {
    throw Error(ErrorKind::kIo, where_ + ": quantization_config says that weights are quantized with " + method_ +
                                    ", and no layer has their tensors. The files belong to different checkpoints.");
  }
  for (auto& [name, layer] : layers_) {
    const std::string bias = name.substr(0, name.size() - std::string("weight").size()) + "bias";
    const auto stored = folder.tensors().find(bias);
    if (stored == folder.tensors().end() || expected.count(bias) > 0) continue;
    layer.stray_bias = &stored->second;
    parts_[bias] = true;
  }
}

void QuantizedWeights::FindCache(const HfFolder& folder, const DecoderConfig& config, std::string& faults) {
  const int64_t scales = cache_->scale_of == KvScaleOf::kHead ? config.num_kv_heads : 1;
  for (int64_t b = 0; b < config.num_blocks; ++b) {
    const std::string attention = fmt::format("model.layers.{}.self_attn.", b);
    const auto find = [&](const std::string& leaf, bool is_required) -> const HfFolder::Tensor* {
      const auto found = folder.tensors().find(attention + leaf);
      const auto is_float = [](const std::string& dtype) {
        return std::find(kScaleTypes.begin(), kScaleTypes.end(), dtype) != kScaleTypes.end();
      };
      std::string why;
      if (found == folder.tensors().end()) {
        if (!is_required) return nullptr;
        why = fmt::format("is missing, and kv_cache_scheme says that {} stored", scales == 1 ? "a scale is" : "scales are");
      } else if (Elements(found->second) != scales) {
        why = fmt::format("holds {} numbers, and kv_cache_scheme says {}", Elements(found->second), scales);
      } else if (is_required && !is_float(found->second.entry.dtype)) {
        why = "has dtype " + found->second.entry.dtype + ". A scale must be F32, F16 or BF16";
      }
      if (!why.empty()) {
        faults += fmt::format("{}{}: '{}{}' {}.", faults.empty() ? "" : "\n", where_, attention, leaf, why);
        return nullptr;
      }
      return &found->second;
    };
    if (std::count(faults.begin(), faults.end(), '\n') + 1 >= static_cast<int64_t>(kFaultsShown)) return;
    cache_scales_.push_back({find("k_scale", true), find("v_scale", true), find("k_zero_point", false),
                             find("v_zero_point", false)});
  }
}

KvCacheGrid QuantizedWeights::Cache() const {
  if (!cache_) return {};
  const auto grid_of = [&](const char* of, const HfFolder::Tensor* CacheScales::*scale,
                           const HfFolder::Tensor* CacheScales::*zero) {
    KvGrid grid{.numbers = cache_->numbers, .scale_of = cache_->scale_of};
    for (size_t b = 0; b < cache_scales_.size(); ++b) {
      const at::Tensor scales = Mapped(*(cache_scales_[b].*scale)).to(at::kFloat, false, /*copy=*/true).view({-1, 1});  // [1 or K, 1]
      const HfFolder::Tensor* const zeros = cache_scales_[b].*zero;
      const char* wrong = !scales.isfinite().logical_and(scales > 0).all().item<bool>() ? "scale that is not a positive number"
                          : zeros != nullptr && Mapped(*zeros).ne(0).any().item<bool>() ? "zero point that is not 0"
                                                                                        : nullptr;
      if (wrong != nullptr) {
        throw Error(ErrorKind::kIo, fmt::format("{}: block {} has for its {} a {}.", where_, b, of, wrong));
      }
      grid.blocks.push_back({scales, {}});
    }
    return grid;
  };
  return {.keys = grid_of("keys", &CacheScales::keys, &CacheScales::key_zero),
          .values = grid_of("values", &CacheScales::values, &CacheScales::value_zero)};
}

void QuantizedWeights::AddLayer(const HfFolder& folder, const QuantizationConfig& config, const std::string& weight,
                                const std::vector<int64_t>& shape, std::string& faults) {
  const std::string stem = weight.substr(0, weight.size() - std::string("weight").size());
  const auto find = [&](const std::string& part) -> const HfFolder::Tensor* {
    const auto found = folder.tensors().find(stem + part);
    return found == folder.tensors().end() ? nullptr : &found->second;
  };
  Layer layer;
  const HfFolder::Tensor* any = nullptr;
  const auto take = [&](const std::string& part) {
    const HfFolder::Tensor* tensor = find(part);
    if (tensor == nullptr) return;
    layer.parts[part] = tensor;
    any = tensor;
  };
  const bool is_words = config.method() != "compressed-tensors";
  for (const std::string& part : PartsOf(is_words ? StoredForm::kGptq : StoredForm::kPacked)) take(part);
  if (const HfFolder::Tensor* plain = find("weight"); plain != nullptr && IsQuantizedDtype(plain->entry.dtype)) take("weight");
  if (any == nullptr) return;  // A plain weight, or none: whoever reads the others says so.
  const std::string& stored = any->entry.name;
  layer.module = stored.substr(0, stored.rfind('.'));
  layer.scheme = config.SchemeOf(layer.module);
  layer.rows = shape[0];
  layer.columns = shape[1];
  FindBits(layer);
  const std::string why = Explain(layer);
  const size_t shown = static_cast<size_t>(std::count(faults.begin(), faults.end(), '\n')) + (faults.empty() ? 0 : 1);
  if (!why.empty() && shown < kFaultsShown) {
    faults += (faults.empty() ? "" : "\n") + where_ + ": '" + layer.module + "' (" + layer.scheme.Text() + "): " + why;
  }
  for (const auto& [part, tensor] : layer.parts) parts_[stem + part] = true;
  layers_.emplace(weight, std::move(layer));
}

// Groups, and of a file of several bits what its shapes say.
void QuantizedWeights::FindBits(Layer& layer) {
  StoredScheme& scheme = layer.scheme;
  const auto rows_of = [&](const char* part) -> int64_t {
    const auto found = layer.parts.find(part);
    return found == layer.parts.end() || found->second->entry.shape.empty() ? 0 : found->second->entry.shape[0];
  };
  if (scheme.several_bits) {
    for (const int bits : {2, 3, 4, 8}) {
      if (RoundedUp(layer.columns * bits, 32) == rows_of("qweight")) scheme.bits = bits;
    }
    const int64_t groups = rows_of("scales");
    if (groups > 0 && layer.columns % groups == 0) scheme.group_size = groups == 1 ? 0 : layer.columns / groups;
  }
  layer.group_size = scheme.group_size == 0 ? layer.columns : std::min(scheme.group_size, layer.columns);
}

std::vector<QuantizedWeights::Rule> QuantizedWeights::RulesOf(const Layer& layer) {
  const StoredScheme& scheme = layer.scheme;
  const int64_t rows = layer.rows, columns = layer.columns, bits = scheme.bits, whole = 32 / bits;
  const int64_t groups = RoundedUp(columns, layer.group_size);
  using Shapes = std::vector<std::vector<int64_t>>;
  const Shapes one = {{1}, {}, {1, 1}};
  Shapes of_scales = {{rows, groups}};
  if (scheme.one_scale) {
    of_scales = one;
  } else if (scheme.block_rows != 0) {
    of_scales = {{RoundedUp(rows, scheme.block_rows), RoundedUp(columns, scheme.block_columns)}};
  }
  const bool needs_zeros = !scheme.symmetric;
  std::vector<Rule> rules;
  switch (scheme.form) {
    case StoredForm::kGptq:
      return {{"qweight", {"I32"}, {{RoundedUp(columns * bits, 32), rows}}},
              {"qzeros", {"I32"}, {{groups, RoundedUp(rows * bits, 32)}}},
              {"scales", kScaleTypes, {{groups, rows}}},
              {"g_idx", {"I32"}, {{columns}}, scheme.is_scattered}};
    case StoredForm::kAwq:
      return {{"qweight", {"I32"}, {{columns, rows / 8}}},
              {"qzeros", {"I32"}, {{groups, rows / 8}}},
              {"scales", kScaleTypes, {{groups, rows}}}};
    case StoredForm::kPacked:
      rules = {{"weight_packed", {"I32"}, {{rows, RoundedUp(columns * bits, 32)}, {rows, RoundedUp(columns, whole)}}},
               {"weight_scale", kScaleTypes, of_scales},
               {"weight_shape", {"I64", "I32"}, {{2}}, false},
               {"weight_g_idx", {"I32"}, {{columns}}, scheme.is_scattered}};
      if (!scheme.one_scale) {
        of_scales.push_back({RoundedUp(rows * bits, 32), groups});
        of_scales.push_back({RoundedUp(rows, whole), groups});
      }
      rules.push_back({"weight_zero_point", {"I32", "I8"}, of_scales, needs_zeros});
      break;
    case StoredForm::kInt8:
      rules = {{"weight", {"I8"}, {{rows, columns}}},
               {"weight_scale", kScaleTypes, of_scales},
               {"weight_zero_point", {"I8"}, of_scales, needs_zeros},
               {"weight_g_idx", {"I32"}, {{columns}}, scheme.is_scattered}};
      break;
    case StoredForm::kFloat8:
      rules = {{"weight", {"F8_E4M3"}, {{rows, columns}}}, {"weight_scale", kScaleTypes, of_scales}};
      break;
    case StoredForm::kNvfp4:
      rules = {{"weight_packed", {"U8"}, {{rows, columns / 2}}},
               {"weight_scale", {"F8_E4M3"}, of_scales},
               {"weight_global_scale", {"F32"}, one}};
      break;
    case StoredForm::kMxfp4:
      rules = {{"weight_packed", {"U8"}, {{rows, columns / 2}}}, {"weight_scale", {"U8", "F8_E8M0"}, of_scales}};
      break;
    case StoredForm::kMxfp8:
      rules = {{"weight", {"F8_E4M3"}, {{rows, columns}}}, {"weight_scale", {"U8", "F8_E8M0"}, of_scales}};
      break;
  }
  if (scheme.inputs && scheme.inputs->format == InputFormat::kNvfp4) {
    rules.push_back({"input_global_scale", {"F32"}, one});
  } else if (scheme.inputs && !scheme.inputs->per_token) {
    rules.push_back({"input_scale", kScaleTypes, one});
    const bool has_zero = scheme.inputs->format == InputFormat::kInteger && !scheme.inputs->symmetric;
    if (has_zero) rules.push_back({"input_zero_point", {"I8"}, one});
  }
  return rules;
}

// Why its tensors are not those of its scheme. Empty exactly when they are.
std::string QuantizedWeights::Explain(Layer& layer) {
  const StoredScheme& scheme = layer.scheme;
  if (layer.columns % layer.group_size != 0 && scheme.form != StoredForm::kGptq) {
    return fmt::format("groups of {} do not divide its {} columns.", layer.group_size, layer.columns);
  }
  if (scheme.form == StoredForm::kAwq && layer.rows % 8 != 0) {
    return fmt::format("its {} rows do not fill whole words of 8 codes.", layer.rows);
  }
  if (scheme.inputs) {
    if (const std::string why = scheme.inputs->ExplainChannels(layer.columns); !why.empty()) return why;
  }
  std::string faults;
  const auto fault = [&](const std::string& text) { faults += (faults.empty() ? "" : " ") + text; };
  for (const Rule& rule : RulesOf(layer)) {
    const auto found = layer.parts.find(rule.name);
    if (found == layer.parts.end()) {
      if (rule.required) fault(fmt::format("{} is missing.", rule.name));
      continue;
    }
    const SafetensorsEntry& entry = found->second->entry;
    if (std::find(rule.dtypes.begin(), rule.dtypes.end(), entry.dtype) == rule.dtypes.end()) {
      fault(fmt::format("{} has dtype {}. It must be {}.", rule.name, entry.dtype, fmt::join(rule.dtypes, " or ")));
    }
    const bool fits = std::find(rule.shapes.begin(), rule.shapes.end(), entry.shape) != rule.shapes.end();
    if (!fits) {
      fault(fmt::format("{} is [{}]. It must be [{}].", rule.name, fmt::join(entry.shape, ", "),
                        fmt::join(rule.shapes.front(), ", ")));
    }
  }
  if (scheme.form == StoredForm::kPacked && faults.empty()) {
    layer.whole_codes_in_words = layer.parts.at("weight_packed")->entry.shape[1] != RoundedUp(layer.columns * scheme.bits, 32);
  }
  return faults;
}

std::vector<StoredTensor> QuantizedWeights::tensors() const {
  std::vector<StoredTensor> tensors;
  for (const auto& [name, layer] : layers_) tensors.push_back({name, {layer.rows, layer.columns}, layer.scheme.Dtype()});
  return tensors;
}

void QuantizedWeights::Fail(const Layer& layer, const std::string& what) const {
  throw Error(ErrorKind::kIo, where_ + ": '" + layer.module + "': " + what + " The checkpoint is damaged.");
}

at::Tensor QuantizedWeights::Stored(const Layer& layer, const std::string& part) const {
  return Mapped(*layer.parts.at(part));
}

// [C_out, groups] float32, but for blocks: one a weight.
at::Tensor QuantizedWeights::Scales(const Layer& layer) const {
  const StoredScheme& scheme = layer.scheme;
  if (scheme.form == StoredForm::kGptq || scheme.form == StoredForm::kAwq) {
    return Stored(layer, "scales").to(at::kFloat).t().contiguous();
  }
  const at::Tensor stored = Stored(layer, "weight_scale");
  if (scheme.form == StoredForm::kMxfp4 || scheme.form == StoredForm::kMxfp8) return PowersOfTwo(stored);
  if (scheme.form == StoredForm::kNvfp4) {
    return FromE4m3(stored).div(Stored(layer, "weight_global_scale").reshape({1}));
  }
  const at::Tensor scale = stored.to(at::kFloat);
  if (scheme.one_scale) return scale.reshape({1, 1}).expand({layer.rows, 1}).contiguous();
  if (scheme.block_rows != 0) {
    return scale.repeat_interleave(scheme.block_rows, 0)
        .narrow(0, 0, layer.rows)
        .repeat_interleave(scheme.block_columns, 1)
        .narrow(1, 0, layer.columns);
  }
  return scale;
}

// [C_out, groups] float32, on the count of the levels; undefined: none.
at::Tensor QuantizedWeights::Zeros(const Layer& layer) const {
  const StoredScheme& scheme = layer.scheme;
  const int bits = scheme.bits;
  if (scheme.form == StoredForm::kGptq) {
    const at::Tensor words = Stored(layer, "qzeros");
    const at::Tensor zeros = scheme.zeros_are_less_one ? ZerosStoredLessOne(words, layer.rows, bits)
                                                       : UnpackRows(words, layer.rows, bits);  // [groups, C_out]
    return zeros.t().to(at::kFloat).contiguous();
  }
  if (scheme.form == StoredForm::kAwq) return UnpackAwq(Stored(layer, "qzeros")).t().to(at::kFloat).contiguous();
  const double middle = scheme.form == StoredForm::kPacked ? 1 << (bits - 1) : 0;
  const auto found = layer.parts.find("weight_zero_point");
  if (found == layer.parts.end() || (scheme.form != StoredForm::kPacked && scheme.form != StoredForm::kInt8)) {
    return middle == 0 ? at::Tensor() : at::full({layer.rows, RoundedUp(layer.columns, layer.group_size)}, middle, at::kFloat);
  }
  const at::Tensor stored = Mapped(*found->second);
  if (stored.scalar_type() == at::kInt && !scheme.one_scale) {
    const at::Tensor words = stored.t();  // [groups, words along C_out]
    const bool is_dense = stored.size(0) == RoundedUp(layer.rows * bits, 32);
    return (is_dense ? UnpackRows(words, layer.rows, bits) : UnpackWholeCodes(words, layer.rows, bits))
        .t()
        .to(at::kFloat)
        .contiguous();
  }
  const at::Tensor zeros = stored.to(at::kFloat);
  const double highest = (1 << (bits - 1)) - 1;
  if (zeros.min().item<double>() < -highest - 1 || zeros.max().item<double>() > highest) {
    Fail(layer, fmt::format("a zero point of weight_zero_point lies outside [{}, {}].", -highest - 1, highest));
  }
  return zeros.add(middle).reshape({zeros.numel() == 1 ? 1 : layer.rows, -1}).expand({layer.rows, -1}).contiguous();
}

// [C_out, C_in] float32, of its own memory.
at::Tensor QuantizedWeights::Levels(const Layer& layer) const {
  const StoredScheme& scheme = layer.scheme;
  const int64_t columns = layer.columns;
  switch (scheme.form) {
    case StoredForm::kGptq: return UnpackRows(Stored(layer, "qweight").t(), columns, scheme.bits).to(at::kFloat);
    case StoredForm::kAwq: return UnpackAwq(Stored(layer, "qweight")).t().to(at::kFloat).contiguous();
    case StoredForm::kPacked: {
      const at::Tensor words = Stored(layer, "weight_packed");
      return (layer.whole_codes_in_words ? UnpackWholeCodes(words, columns, scheme.bits)
                                         : UnpackRows(words, columns, scheme.bits)).to(at::kFloat);
    }
    case StoredForm::kInt8: {
      const at::Tensor codes = Stored(layer, "weight").to(at::kFloat);
      const double highest = (1 << (scheme.bits - 1)) - 1;
      if (codes.min().item<double>() < -highest - 1 || codes.max().item<double>() > highest) {
        Fail(layer, fmt::format("a code of weight lies outside [{}, {}].", -highest - 1, highest));
      }
      return codes;
    }
    case StoredForm::kNvfp4:
    case StoredForm::kMxfp4: return UnpackE2m1(Stored(layer, "weight_packed"));
    case StoredForm::kFloat8:
    case StoredForm::kMxfp8: return FromE4m3(Stored(layer, "weight"));
  }
  throw InternalError("StoredForm out of range");
}

// [C_in] int64; undefined where groups are runs of columns.
at::Tensor QuantizedWeights::GroupIndex(const Layer& layer) const {
  const StoredForm form = layer.scheme.form;
  const char* part = form == StoredForm::kGptq ? "g_idx" : "weight_g_idx";
  const bool takes_index = form == StoredForm::kGptq || form == StoredForm::kPacked || form == StoredForm::kInt8;
  if (!takes_index || layer.parts.count(part) == 0) return {};
  const at::Tensor index = Stored(layer, part).to(at::kLong);
  const int64_t lowest = index.min().item<int64_t>(), highest = index.max().item<int64_t>();
  // What compressed-tensors writes where columns were never ordered.
  if (form != StoredForm::kGptq && lowest == -1) return {};
  const int64_t groups = RoundedUp(layer.columns, layer.group_size);
  if (lowest < 0 || highest >= groups) {
    Fail(layer, fmt::format("{} spans [{}, {}], and there are {} groups.", part, lowest, highest, groups));
  }
  const at::Tensor runs = at::arange(layer.columns, at::kLong).div_(layer.group_size, "floor");
  return index.equal(runs) ? at::Tensor() : index;
}

at::Tensor QuantizedWeights::Load(const std::string& name) const {
  const Layer& layer = layers_.at(name);
  if (const auto shape = layer.parts.find("weight_shape"); shape != layer.parts.end()) {
    const at::Tensor stored = Mapped(*shape->second).to(at::kLong);
    if (!stored.equal(at::tensor({layer.rows, layer.columns}, at::kLong))) {
      Fail(layer, fmt::format("weight_shape says [{}, {}], the configuration [{}, {}].", stored[0].item<int64_t>(),
                              stored[1].item<int64_t>(), layer.rows, layer.columns));
    }
  }
  if (layer.stray_bias != nullptr && Mapped(*layer.stray_bias).to(at::kFloat).ne(0).any().item<bool>()) {
    Fail(layer, "it has a bias that is not zero, and a model of this configuration has none.");
  }
  at::Tensor weight;
  if (layer.scheme.block_rows != 0) {
    weight = Levels(layer).mul_(Scales(layer));
  } else {
    weight = Dequantized(Levels(layer), Scales(layer), Zeros(layer), GroupIndex(layer), layer.group_size);
  }
  if (!weight.isfinite().all().item<bool>()) Fail(layer, "a weight is not finite.");
  return weight;
}

std::optional<ActivationGrid> QuantizedWeights::InputGrid(const std::string& name) const {
  const auto found = layers_.find(name + ".weight");
  if (found == layers_.end() || !found->second.scheme.inputs) return std::nullopt;
  const Layer& layer = found->second;
  ActivationGrid grid = *layer.scheme.inputs;
  const auto positive = [&](const char* part) {
    const double scale = Stored(layer, part).to(at::kDouble).item<double>();
    if (scale > 0 && std::isfinite(scale)) return scale;
    Fail(layer, fmt::format("{} is {}. It must be finite and positive.", part, scale));
  };
  if (grid.format == InputFormat::kNvfp4) {
    grid.scale_divisor = static_cast<float>(positive("input_global_scale"));
  } else if (!grid.per_token) {
    grid.static_scale = positive("input_scale");
    if (grid.format == InputFormat::kInteger && !grid.symmetric) {
      const int64_t middle = int64_t{1} << (grid.bits - 1), zero = Stored(layer, "input_zero_point").item<int64_t>();
      if (zero < -middle || zero >= middle) {
        Fail(layer, fmt::format("input_zero_point is {}. It must lie in [{}, {}].", zero, -middle, middle - 1));
      }
      grid.static_zero = zero + middle;
    }
  }
  return grid;
}

// Of all its tensors, as `bits_effective` counts them: the zero points of a symmetric grid are none.
double QuantizedWeights::StoredBits(const Layer& layer) {
  const bool is_words = layer.scheme.form == StoredForm::kGptq || layer.scheme.form == StoredForm::kAwq;
  const HfFolder::Tensor& scales = *layer.parts.at(is_words ? "scales" : "weight_scale");
  const auto weights = static_cast<double>(layer.rows * layer.columns), count = static_cast<double>(Elements(scales));
  double bits = layer.scheme.bits * weights + count * SafetensorsBits(scales.entry.dtype);
  if (!layer.scheme.symmetric) bits += count * layer.scheme.bits;
  if (layer.scheme.is_scattered) bits += 32.0 * static_cast<double>(layer.columns);
  if (layer.scheme.form == StoredForm::kNvfp4) bits += 32;
  return bits;
}

StoredQuantization QuantizedWeights::Describe(const ModelSummary& model) const {
  StoredQuantization all;
  all.method = method_;
  double weights = 0, codes = 0, stored = 0;
  std::set<int64_t> groups, inputs;
  for (const LinearShape& linear : model.linears) {
    const auto count = static_cast<double>(linear.in_features * linear.out_features);
    const auto found = layers_.find(linear.name + ".weight");
    weights += count;
    if (found == layers_.end()) {
      codes += 16 * count;
      stored += 16 * count;
      continue;
    }
    const Layer& layer = found->second;
    codes += layer.scheme.bits * count;
    stored += StoredBits(layer);
    groups.insert(layer.scheme.block_rows != 0 || layer.scheme.one_scale ? -1 : layer.scheme.group_size);
    inputs.insert(layer.scheme.inputs ? layer.scheme.inputs->bits : 0);
  }
  if (weights == 0) return all;
  all.bits = codes / weights;
  all.bits_per_weight = stored / weights;
  if (groups.size() == 1 && *groups.begin() >= 0) all.factors = GroupFactors(*groups.begin() == 0 ? -1 : *groups.begin(), model);
  if (inputs.size() == 1 && *inputs.begin() > 0) all.factors.push_back(StandardFactor("B_a", *inputs.begin()));
  for (const char* column : {"B_k", "B_v"}) {
    if (cache_) all.factors.push_back(StandardFactor(column, cache_->numbers.bits));
  }
  return all;
}

std::string QuantizedWeights::Note() const {
  if (layers_.empty()) return fmt::format("keys and values are rounded as another program's file says ({})", method_);
  std::set<std::string> schemes;
  for (const auto& [name, layer] : layers_) schemes.insert(layer.scheme.Text());
  const std::string of = schemes.size() == 1 ? *schemes.begin() : fmt::format("{} schemes", schemes.size());
  return fmt::format("weights were quantized by another program ({}, {}){}", method_, of,
                     left_out_.empty() ? "" : "; left out: " + left_out_);
}

}  // namespace bitlaw
