#include "scheme.h"

#include <fmt/format.h>

#include <algorithm>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// Larger than any row.
constexpr int64_t kMaxGroup = int64_t{1} << 24;

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

}  // namespace

std::string StoredScheme::Dtype() const {
  switch (form) {
    case StoredForm::kFloat8: return "float8_e4m3";
    case StoredForm::kNvfp4: return "nvfp4";
    case StoredForm::kMxfp4: return "mxfp4";
    case StoredForm::kMxfp8: return "mxfp8";
    default: return fmt::format("int{}", bits);
  }
}

std::string StoredScheme::Text() const {
  std::string text = form == StoredForm::kGptq || form == StoredForm::kAwq || form == StoredForm::kPacked ||
                             form == StoredForm::kInt8
                         ? fmt::format("{} bits", bits)
                         : Dtype();
  if (group_size != 0) {
    text += fmt::format(" in groups of {}", group_size);
  } else if (block_rows != 0) {
    text += fmt::format(" in blocks of {} x {}", block_rows, block_columns);
  } else {
    text += one_scale ? " with a scale a tensor" : " with a scale a row";
  }
  if (!inputs) return text;
  return text + (inputs->format == InputFormat::kInteger ? fmt::format(", inputs in {} bits", inputs->bits)
                                                         : fmt::format(", inputs in {}", Name(inputs->format)));
}

// A map of the configuration whose faults name their place.
class QuantizationConfig::Reader {
 public:
  Reader(const Value& map, std::string where) : map_(map), where_(std::move(where)) {
    if (!map_.is_map()) throw Error(ErrorKind::kIo, where_ + " is " + map_.Text() + ". It must be a map.");
  }
  const Value* Find(const char* key) const {
    const Value* found = map_.Find(key);
    return found != nullptr && !found->is_null() ? found : nullptr;
  }
  int64_t Int(const char* key, std::optional<int64_t> otherwise, int64_t low, int64_t high) const {
    const Value* value = Find(key);
    if (value == nullptr && otherwise) return *otherwise;
    if (value == nullptr) throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is missing. It must be an integer.");
    if (!value->is_int() || value->AsInt() < low || value->AsInt() > high) {
      Wrong(key, *value, fmt::format("an integer in [{}, {}]", low, high));
    }
    return value->AsInt();
  }
  bool Bool(const char* key, bool otherwise) const {
    const Value* value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_bool()) Wrong(key, *value, "true or false");
    return value->AsBool();
  }
  std::string String(const char* key, const std::string& otherwise) const {
    const Value* value = Find(key);
    if (value == nullptr) return otherwise;
    if (!value->is_string()) Wrong(key, *value, "a string");
    return value->AsString();
  }
  [[noreturn]] void Wrong(const char* key, const Value& value, const std::string& must_be) const {
    throw Error(ErrorKind::kIo, where_ + ": '" + key + "' is " + value.Text() + ". It must be " + must_be + ".");
  }
  [[noreturn]] void Unsupported(const std::string& what) const {
    throw Error(ErrorKind::kUnsupported, where_ + ": " + what);
  }
  const std::string& where() const { return where_; }

 private:
  const Value& map_;
  std::string where_;
};

QuantizationConfig::QuantizationConfig(const Value& config, const std::string& where, bool weights_only)
    : where_(where + ": quantization_config") {
  const Reader reader(config, where_);
  method_ = reader.String("quant_method", "");
  if (method_ == "gptq") {
    ReadGptq(reader);
  } else if (method_ == "awq") {
    ReadAwq(reader);
  } else if (method_ == "compressed-tensors") {
    ReadCompressedTensors(reader, weights_only);
  } else {
    reader.Unsupported("quant_method '" + method_ +
                       "' is not supported. Supported: gptq, awq, compressed-tensors. Use the original checkpoint.");
  }
}

void QuantizationConfig::ReadGptq(const Reader& reader) {
  Group group;
  StoredScheme& scheme = group.scheme;
  scheme.form = StoredForm::kGptq;
  scheme.bits = static_cast<int>(reader.Int("bits", std::nullopt, 1, 32));
  if (scheme.bits != 2 && scheme.bits != 3 && scheme.bits != 4 && scheme.bits != 8) {
    reader.Unsupported(fmt::format("bits = {} is not supported. Supported: 2, 3, 4, 8.", scheme.bits));
  }
  scheme.group_size = std::max<int64_t>(0, reader.Int("group_size", -1, -1, kMaxGroup));
  scheme.symmetric = reader.Bool("sym", true);
  scheme.is_scattered = reader.Bool("desc_act", false);
  const Value* overrides = reader.Find("dynamic");
  scheme.several_bits = overrides != nullptr && overrides->is_map() && !overrides->AsMap().empty();
  // Programs before the key existed wrote the first format.
  const std::string format = reader.String("checkpoint_format", reader.String("format", "gptq"));
  if (format != "gptq" && format != "gptq_v2") {
    reader.Unsupported("checkpoint_format '" + format + "' is not supported. Supported: gptq, gptq_v2.");
  }
  if (reader.Bool("is_marlin_format", false)) reader.Unsupported("is_marlin_format is not supported.");
  if (const std::string words = reader.String("pack_dtype", "int32"); words != "int32") {
    reader.Unsupported("pack_dtype '" + words + "' is not supported. Supported: int32.");
  }
  scheme.zeros_are_less_one = format == "gptq";
  groups_.push_back(std::move(group));
}

void QuantizationConfig::ReadAwq(const Reader& reader) {
  Group group;
  StoredScheme& scheme = group.scheme;
  scheme.form = StoredForm::kAwq;
  scheme.bits = static_cast<int>(reader.Int(reader.Find("bits") != nullptr ? "bits" : "w_bit", std::nullopt, 1, 32));
  if (scheme.bits != 4) {
    reader.Unsupported(fmt::format("bits = {} is not supported with quant_method awq. Supported: 4.", scheme.bits));
  }
  const char* key = reader.Find("group_size") != nullptr ? "group_size" : "q_group_size";
  scheme.group_size = std::max<int64_t>(0, reader.Int(key, std::nullopt, -1, kMaxGroup));
  const std::string version = LowerCase(reader.String("version", "gemm"));
  if (version != "gemm") reader.Unsupported("version '" + version + "' is not supported. Supported: gemm.");
  if (!reader.Bool("zero_point", true)) reader.Unsupported("zero_point: false is not supported.");
  scheme.symmetric = false;
  groups_.push_back(std::move(group));
}

void QuantizationConfig::LeaveOut(const Reader& reader, const std::string& what, bool weights_only) {
  if (!weights_only) {
    reader.Unsupported(what + ", which is not computed here. Set backend_options: {weights_only: true} to leave that out.");
  }
  if (left_out_.find(what) == std::string::npos) left_out_ += (left_out_.empty() ? "" : "; ") + what;
}

void QuantizationConfig::ReadCompressedTensors(const Reader& reader, bool weights_only) {
  const std::string format = reader.String("format", "dense");
  if (const Value* sparsity = reader.Find("sparsity_config")) {
    const std::string sparse = Reader(*sparsity, where_ + ": sparsity_config").String("format", "dense");
    if (sparse != "dense") reader.Unsupported("sparsity_config has format '" + sparse + "'. Supported: dense.");
  }
  if (const Value* transforms = reader.Find("transform_config")) {
    if (transforms->is_map() && !transforms->AsMap().empty()) {
      reader.Unsupported("transform_config says that inputs are rotated, which is not computed here.");
    }
  }
  ReadCache(reader, weights_only);
  const Value* groups = reader.Find("config_groups");
  const bool has_groups = groups != nullptr && groups->is_map() && !groups->AsMap().empty();
  if (!has_groups && cache_) return;  // Keys and values alone.
  if (!has_groups) {
    throw Error(ErrorKind::kIo, where_ + ": 'config_groups' is missing or empty.");
  }
  for (const auto& [name, group] : groups->AsMap()) {
    groups_.push_back(ReadGroup(Reader(group, where_ + ": " + name), format, weights_only));
    groups_.back().name = name;
  }
}

namespace {

// Keys and values on static grids, as vLLM has them: a scale a layer or a head.
std::optional<StoredCache> CacheOf(const std::string& type, int64_t bits, const std::string& strategy, bool is_plain) {
  const bool is_float = type == "float";
  if (!is_plain || (type != "int" && !is_float) || bits < 2 || (is_float && bits != 8)) return std::nullopt;
  if (strategy != "tensor" && strategy != "attn_head") return std::nullopt;
  StoredCache cache;
  cache.numbers.bits = static_cast<int>(bits);
  if (is_float) cache.numbers.format = InputFormat::kFp8E4m3;
  cache.scale_of = strategy == "tensor" ? KvScaleOf::kTensor : KvScaleOf::kHead;
  return cache;
}

// What a format and the numbers of its weights say of the tensors; nullopt for what is not read.
std::optional<StoredForm> FormOf(const std::string& format, const std::string& type, int64_t bits) {
  const bool is_int = type == "int";
  if (format == "pack-quantized") return is_int ? std::optional(StoredForm::kPacked) : std::nullopt;
  if (format == "int-quantized") return is_int ? std::optional(StoredForm::kInt8) : std::nullopt;
  if (format == "float-quantized") return !is_int && bits == 8 ? std::optional(StoredForm::kFloat8) : std::nullopt;
  if (format == "naive-quantized") {
    return is_int ? std::optional(StoredForm::kInt8) : bits == 8 ? std::optional(StoredForm::kFloat8) : std::nullopt;
  }
  if (format == "nvfp4-pack-quantized") return !is_int && bits == 4 ? std::optional(StoredForm::kNvfp4) : std::nullopt;
  if (format == "mxfp4-pack-quantized") return !is_int && bits == 4 ? std::optional(StoredForm::kMxfp4) : std::nullopt;
  if (format == "mxfp8-quantized") return !is_int && bits == 8 ? std::optional(StoredForm::kMxfp8) : std::nullopt;
  return std::nullopt;
}

}  // namespace

void QuantizationConfig::ReadCache(const Reader& reader, bool weights_only) {
  const Value* given = reader.Find("kv_cache_scheme");
  if (given == nullptr) return;
  const Reader scheme(*given, reader.where() + ": kv_cache_scheme");
  const Value* dynamic = scheme.Find("dynamic");
  const bool is_static = dynamic == nullptr || *dynamic == Value(false);
  const std::string type = LowerCase(scheme.String("type", "int")), strategy = LowerCase(scheme.String("strategy", "tensor"));
  const int64_t bits = scheme.Int("num_bits", 8, 1, 8);
  const std::optional<StoredCache> cache = CacheOf(type, bits, strategy, is_static && scheme.Bool("symmetric", true));
  if (cache && !weights_only) {
    cache_ = cache;
    return;
  }
  LeaveOut(reader,
           fmt::format("keys and values are quantized to {} of {} bits{}", type, bits,
                       cache ? "" : fmt::format(" with strategy '{}'{}{}", strategy, is_static ? "" : ", dynamic",
                                                scheme.Bool("symmetric", true) ? "" : ", asymmetric")),
           weights_only);
}

QuantizationConfig::Group QuantizationConfig::ReadGroup(const Reader& reader, const std::string& format,
                                                        bool weights_only) {
  Group group;
  const Value* targets = reader.Find("targets");
  if (targets == nullptr || !targets->is_list()) {
    throw Error(ErrorKind::kIo, reader.where() + ": 'targets' is missing. It must be a list of texts.");
  }
  for (const Value& target : targets->AsList()) {
    if (!target.is_string()) reader.Wrong("targets", *targets, "a list of texts");
    const std::string& text = target.AsString();
    if (text.starts_with("re:")) {
      // Python's re.match: from the beginning of the name.
      try {
        group.patterns.emplace_back("\\A(?:" + text.substr(3) + ")", SourceMark());
      } catch (const Error& error) {
        throw Error(ErrorKind::kIo, reader.where() + ": target '" + text + "': " + error.what());
      }
    } else if (text.find('.') == std::string::npos && !text.empty() && text.front() >= 'A' && text.front() <= 'Z') {
      group.classes.push_back(text);
    } else {
      group.names.push_back(text);
    }
  }
  const Value* given = reader.Find("weights");
  if (given == nullptr) reader.Unsupported("it says nothing of weights. Supported: quantized weights.");
  const Reader weights(*given, reader.where() + ": weights");
  StoredScheme& scheme = group.scheme;
  scheme.bits = static_cast<int>(weights.Int("num_bits", 8, 1, 8));
  scheme.symmetric = weights.Bool("symmetric", true);
  const std::string type = LowerCase(weights.String("type", "int")), own = reader.String("format", format);
  const std::optional<StoredForm> form = FormOf(own, type, scheme.bits);
  if (!form) {
    reader.Unsupported(fmt::format("format '{}' of weights of type {} with {} bits is not supported. Supported: "
                                   "pack-quantized, int-quantized, naive-quantized, float-quantized of 8 bits, "
                                   "nvfp4-pack-quantized, mxfp4-pack-quantized, mxfp8-quantized.",
                                   own, type, scheme.bits));
  }
  scheme.form = *form;
  const bool is_float = *form != StoredForm::kPacked && *form != StoredForm::kInt8;
  if (is_float && !scheme.symmetric) reader.Unsupported("asymmetric weights of a floating-point type are not supported.");
  const int64_t group_size = weights.Int("group_size", -1, -1, kMaxGroup);
  const std::string strategy = LowerCase(weights.String("strategy", group_size > 0 ? "group" : group_size == -1 &&
                                                                    weights.Find("group_size") != nullptr ? "channel" : "tensor"));
  if (strategy == "group" || strategy == "tensor_group") {
    if (group_size < 1) weights.Wrong("group_size", Value(group_size), "positive with strategy '" + strategy + "'");
    scheme.group_size = group_size;
  } else if (strategy == "block") {
    const Value* block = weights.Find("block_structure");
    const auto is_size = [](const Value& v) { return v.is_int() && v.AsInt() > 0 && v.AsInt() <= kMaxGroup; };
    if (block == nullptr || !block->is_list() || block->AsList().size() != 2 || !is_size(block->AsList()[0]) ||
        !is_size(block->AsList()[1])) {
      weights.Wrong("block_structure", block == nullptr ? Value() : *block, "[rows, columns]");
    }
    scheme.block_rows = block->AsList()[0].AsInt();
    scheme.block_columns = block->AsList()[1].AsInt();
  } else if (strategy == "tensor") {
    scheme.one_scale = true;
  } else if (strategy != "channel") {
    weights.Unsupported("strategy '" + strategy + "' is not supported. Supported: tensor, channel, group, tensor_group, "
                        "block.");
  }
  if (*form == StoredForm::kPacked && scheme.block_rows != 0) weights.Unsupported("packed blocks are not supported.");
  const int64_t fixed = *form == StoredForm::kNvfp4 ? 16 : *form == StoredForm::kMxfp4 || *form == StoredForm::kMxfp8 ? 32 : 0;
  if (fixed != 0 && scheme.group_size != fixed) {
    weights.Unsupported(fmt::format("group_size = {} is not supported with {}. Supported: {}.", group_size, own, fixed));
  }
  // A list of "group" orders columns when the model runs; "weight" does not.
  const Value* order = weights.Find("actorder");
  const std::string ordered = order != nullptr && order->is_string() ? LowerCase(order->AsString()) : "";
  scheme.is_scattered = ordered == "group" || ordered == "dynamic" || (order != nullptr && *order == Value(true));
  ReadInputs(reader, weights_only, scheme);
  return group;
}

// What of input_activations is computed here; nullopt for the rest.
std::optional<ActivationGrid> QuantizationConfig::InputsOf(const Reader& inputs) {
  const std::string type = LowerCase(inputs.String("type", "int"));
  const Value* given = inputs.Find("dynamic");
  const bool is_local = given != nullptr && given->is_string() && LowerCase(given->AsString()) == "local";
  const bool is_dynamic = given != nullptr && !is_local && !(*given == Value(false));
  const int64_t group_size = inputs.Int("group_size", 0, -1, kMaxGroup);
  const std::string strategy =
      LowerCase(inputs.String("strategy", group_size > 0 ? "group" : is_dynamic ? "token" : "tensor"));
  ActivationGrid grid;
  grid.bits = static_cast<int>(inputs.Int("num_bits", 8, 1, 16));
  grid.symmetric = inputs.Bool("symmetric", true);
  grid.per_token = is_dynamic;
  const bool is_group = is_dynamic && strategy == "group" && group_size > 0;
  const bool is_plain = is_dynamic ? strategy == "token" || is_group : !is_local && strategy == "tensor";
  if (type == "int") {
    grid.group_size = is_group ? group_size : 0;
    return is_plain && grid.bits >= 2 && (is_dynamic || grid.bits <= 8) ? std::optional(grid) : std::nullopt;
  }
  if (type != "float" || !grid.symmetric) return std::nullopt;
  const std::string scale = LowerCase(inputs.String("scale_dtype", ""));
  if (strategy == "tensor_group") {
    grid.format = InputFormat::kNvfp4;
    grid.per_token = true;
    return grid.bits == 4 && is_local && group_size == 16 ? std::optional(grid) : std::nullopt;
  }
  if (is_group && group_size == 32 && scale == "torch.uint8" && (grid.bits == 4 || grid.bits == 8)) {
    grid.format = grid.bits == 4 ? InputFormat::kMxfp4 : InputFormat::kMxfp8;
    grid.scale_rule = MxScale::kRound;
    return grid;
  }
  grid.format = InputFormat::kFp8E4m3;
  grid.group_size = is_group ? group_size : 0;
  return is_plain && grid.bits == 8 && scale.empty() ? std::optional(grid) : std::nullopt;
}

void QuantizationConfig::ReadInputs(const Reader& reader, bool weights_only, StoredScheme& scheme) {
  if (reader.Find("output_activations") != nullptr) LeaveOut(reader, "outputs of layers are quantized", weights_only);
  const Value* given = reader.Find("input_activations");
  if (given == nullptr) return;
  const Reader inputs(*given, reader.where() + ": input_activations");
  const std::optional<ActivationGrid> grid = InputsOf(inputs);
  if (grid && !weights_only) {
    scheme.inputs = grid;
    return;
  }
  LeaveOut(reader,
           fmt::format("inputs are quantized to {} of {} bits{}", LowerCase(inputs.String("type", "int")),
                       inputs.Int("num_bits", 8, 1, 16),
                       grid ? "" : " with strategy '" + inputs.String("strategy", "") + "'"),
           weights_only);
}

const StoredScheme& QuantizationConfig::SchemeOf(const std::string& module) const {
  if (method_ != "compressed-tensors") return groups_.front().scheme;
  // As compressed-tensors: a name is said more exactly than a pattern, a pattern than a class.
  for (const Group& group : groups_) {
    if (std::find(group.names.begin(), group.names.end(), module) != group.names.end()) return group.scheme;
  }
  for (const Group& group : groups_) {
    for (const TextPattern& pattern : group.patterns) {
      if (pattern.FindOne(module, TextPattern::Which::kFirst)) return group.scheme;
    }
  }
  for (const Group& group : groups_) {
    if (std::find(group.classes.begin(), group.classes.end(), "Linear") != group.classes.end()) return group.scheme;
  }
  throw Error(ErrorKind::kIo, where_ + ": no group of config_groups targets '" + module +
                                  "', whose weights are stored as quantized ones.");
}

}  // namespace bitlaw
