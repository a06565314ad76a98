#include "rope.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace bitlaw {
namespace {

constexpr char kTypes[] = "default, linear, llama3, yarn, dynamic, longrope";
constexpr char kFull[] = "full_attention", kSliding[] = "sliding_attention";

// The keys of a map of rotary settings that some type reads, or that say nothing of the numbers ("finetuned").
constexpr std::array<std::string_view, 17> kKeys = {
    "rope_type", "type", "rope_theta", "factor", "original_max_position_embeddings", "attention_factor", "beta_fast",
    "beta_slow", "mscale", "mscale_all_dim", "truncate", "low_freq_factor", "high_freq_factor", "short_factor",
    "long_factor", "partial_rotary_factor", "finetuned"};

// The one map of rotary settings: rope_scaling (transformers 4) or rope_parameters (5). Null where there is none.
const Value* RopeMap(const Fields& fields, const char** key) {
  const Value* found = nullptr;
  for (const char* candidate : {"rope_parameters", "rope_scaling"}) {
    const Value* map = fields.Find(candidate);
    if (map == nullptr) continue;
    if (!map->is_map()) fields.Wrong(candidate, *map, "a map");
    if (map->AsMap().empty()) continue;
    if (found != nullptr && !(*found == *map)) {
      fields.Unsupported("'rope_parameters' and 'rope_scaling' say different things. Keep the one that is right.");
    }
    found = map;
    *key = candidate;
  }
  return found;
}

// A map for some kinds of blocks only is not one of settings.
void CheckKeys(const Fields& rope) {
  for (const auto& [name, value] : rope.entries()) {
    if (value.is_map()) {
      rope.Unsupported("'" + name + "' is a map. Rotary settings for some blocks only are not supported.");
    }
    if (name == "attn_factor") {  // DeepSeek-R1-0528-Qwen3-8B has it.
      rope.Unsupported("'attn_factor' is a factor that transformers passes by and vLLM multiplies the attention factor "
                       "by. Leave it out for the former, or write 'attention_factor', the product, in its place.");
    }
    if (std::find(kKeys.begin(), kKeys.end(), name) == kKeys.end()) {
      rope.Unsupported("'" + name + "' is a rotary setting that bitlaw does not compute.");
    }
  }
}

// How many dimensions of a head rotate: those of partial_rotary_factor, in the map or beside it.
int64_t RotatedDims(const Fields& rope, const Fields& fields, const Architecture& architecture, int64_t head_dim) {
  for (const Fields* place : {&rope, &fields}) {
    const Value* factor = place->Find("partial_rotary_factor");
    if (factor == nullptr) continue;
    const double share = place->Real("partial_rotary_factor");
    if (share != 1.0 && !architecture.partial_rope) {
      place->Unsupported("partial_rotary_factor = " + factor->Text() + " is not supported. All of a head must rotate.");
    }
    if (!(share > 0) || share > 1) place->Wrong("partial_rotary_factor", *factor, "in (0, 1]");
    return static_cast<int64_t>(static_cast<double>(std::clamp<int64_t>(head_dim, 0, 1 << 24)) * share);
  }
  return 0;
}

// The original context: in the map, beside it, or in both with one value.
double OriginalPositions(const Fields& rope, const Fields& fields) {
  constexpr char kKey[] = "original_max_position_embeddings";
  if (fields.Find(kKey) == nullptr) return rope.Real(kKey);
  const double beside = fields.Real(kKey);
  if (rope.Find(kKey) != nullptr && rope.Real(kKey) != beside) {
    const std::string key = rope.where().substr(rope.where().rfind(' ') + 1);
    fields.Unsupported("original_max_position_embeddings stands in 'config.json' and in '" + key +
                       "' with different values. Keep the one that is right.");
  }
  return beside;
}

std::vector<float> Factors(const Fields& rope, const char* key) {
  const Value* list = rope.Find(key);
  if (list == nullptr) {
    throw Error(ErrorKind::kIo, rope.where() + ": '" + key + "' is missing. It must be a list of numbers.");
  }
  if (!list->is_list()) rope.Wrong(key, *list, "a list of numbers");
  std::vector<float> factors;
  for (const Value& factor : list->AsList()) {
    if (!factor.is_number()) rope.Wrong(key, *list, "a list of numbers");
    factors.push_back(static_cast<float>(factor.AsReal()));
  }
  return factors;
}

// A number that may be absent or null.
double Given(const Fields& rope, const char* key, double otherwise) {
  return rope.Find(key) != nullptr ? rope.Real(key) : otherwise;
}

YarnRopeScaling ReadYarn(const Fields& rope, const Fields& fields) {
  YarnRopeScaling scaling;
  scaling.factor = rope.Real("factor");
  scaling.original_max_positions = OriginalPositions(rope, fields);
  const auto or_default = [](double value, double otherwise) { return value != 0 ? value : otherwise; };
  scaling.beta_fast = or_default(Given(rope, "beta_fast", 32), 32);
  scaling.beta_slow = or_default(Given(rope, "beta_slow", 1), 1);
  scaling.truncate = rope.BoolOr("truncate", true);
  const auto size = [&](double by) { return scaling.factor <= 1 ? 1 : 0.1 * by * std::log(scaling.factor) + 1; };
  const double mscale = Given(rope, "mscale", 0), all_dims = Given(rope, "mscale_all_dim", 0);
  const double inferred = mscale != 0 && all_dims != 0 ? size(mscale) / size(all_dims) : size(1);
  scaling.attention_factor = Given(rope, "attention_factor", inferred);
  return scaling;
}

LongRopeScaling ReadLongRope(const Fields& rope, const Fields& fields, const DecoderConfig& config) {
  LongRopeScaling scaling;
  scaling.short_factors = Factors(rope, "short_factor");
  scaling.long_factors = Factors(rope, "long_factor");
  scaling.original_max_positions = OriginalPositions(rope, fields);
  const double factor =
      Given(rope, "factor", static_cast<double>(config.max_positions) / scaling.original_max_positions);
  const double inferred = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(scaling.original_max_positions));
  scaling.attention_factor = Given(rope, "attention_factor", inferred);
  return scaling;
}

void ReadScaling(const Fields& rope, const Fields& fields, const Architecture& architecture,
                 const DecoderConfig& config, RotarySetting& setting) {
  const char* type_key = rope.Find("rope_type") != nullptr ? "rope_type" : "type";
  std::string type = rope.Find(type_key) != nullptr ? rope.StringOr(type_key, "") : "default";
  if (architecture.partial_rope) {
    if (type == "su" || type == "yarn") type = "longrope";  // Its names in older files.
    if (type != "default" && type != "longrope") {
      rope.Unsupported("rope_type '" + type + "' is none that " + architecture.name + " has: default, longrope.");
    }
  }
  if (type == "default") {
    if (rope.Find("factor") != nullptr && rope.Real("factor") != 1.0) {
      rope.Unsupported("factor = " + rope.Find("factor")->Text() +
                       " has no rope_type that uses it. Name the type: linear, llama3, yarn, dynamic.");
    }
  } else if (type == "linear") {
    const auto factor = static_cast<float>(rope.Real("factor"));
    // Clamped, because the size is only checked with the rest of the configuration.
    const int64_t pairs = setting.RotatedDims(config.head_dim) / 2;
    setting.divisors.assign(static_cast<size_t>(std::clamp<int64_t>(pairs, 0, 1 << 23)), factor);
  } else if (type == "llama3") {
    Llama3RopeScaling scaling;
    scaling.factor = rope.Real("factor");
    scaling.low_freq_factor = rope.Real("low_freq_factor");
    scaling.high_freq_factor = rope.Real("high_freq_factor");
    scaling.original_max_positions = OriginalPositions(rope, fields);
    setting.scaling = scaling;
  } else if (type == "yarn") {
    setting.scaling = ReadYarn(rope, fields);
  } else if (type == "dynamic") {
    setting.scaling = DynamicRopeScaling{rope.Real("factor"), static_cast<double>(config.max_positions)};
  } else if (type == "longrope") {
    setting.scaling = ReadLongRope(rope, fields, config);
  } else {
    rope.Unsupported("rope_type '" + type + "' is not supported. Supported: " + kTypes + ".");
  }
}

// theta stands in the map or is `theta`.
RotarySetting ReadMap(const Value* map, const std::string& where, double theta, const Fields& fields,
                      const Architecture& architecture, const DecoderConfig& config) {
  static const Value kNothing{Value::Map()};
  const Fields rope(map != nullptr ? *map : kNothing, where);
  CheckKeys(rope);
  RotarySetting setting;
  setting.dims = RotatedDims(rope, fields, architecture, config.head_dim);
  setting.theta = rope.RealOr("rope_theta", theta);
  ReadScaling(rope, fields, architecture, config, setting);
  return setting;
}

}  // namespace

void ReadRope(const Fields& fields, const Architecture& architecture, DecoderConfig& config) {
  const auto read = [&](const Value* map, const std::string& key, double theta) {
    return ReadMap(map, fields.where() + ": " + key, theta, fields, architecture, config);
  };
  const char* key = "rope_parameters";
  const double theta = fields.RealOr("rope_theta", architecture.rope_theta);
  if (architecture.local_rope_theta == 0) {
    const Value* map = RopeMap(fields, &key);
    config.rope = read(map, key, theta);
    return;
  }
  // Two settings: two maps in rope_parameters, or rope_scaling for the blocks of full attention and two numbers.
  const double local_theta = fields.RealOr("rope_local_base_freq", architecture.local_rope_theta);
  const Value *full = fields.Find("rope_scaling"), *local = nullptr, *both = fields.Find("rope_parameters");
  std::string full_key = "rope_scaling", local_key = "rope_local_base_freq";
  if (full != nullptr && !full->is_map()) fields.Wrong("rope_scaling", *full, "a map");
  if (both != nullptr) {
    const Value *given_full = both->is_map() ? both->Find(kFull) : nullptr,
                *given_local = both->is_map() ? both->Find(kSliding) : nullptr;
    if (given_full == nullptr || given_local == nullptr || both->AsMap().size() != 2 || !given_full->is_map() ||
        !given_local->is_map()) {
      fields.Wrong("rope_parameters", *both, "a map of two maps, full_attention and sliding_attention");
    }
    if (full != nullptr && !full->AsMap().empty()) {
      fields.Unsupported("'rope_parameters' and 'rope_scaling' say different things. Keep the one that is right.");
    }
    full = given_full, local = given_local;
    full_key = "rope_parameters.full_attention", local_key = "rope_parameters.sliding_attention";
  }
  config.rope = read(full, full_key, theta);
  config.local_rope = read(local, local_key, local_theta);
}

}  // namespace bitlaw
