#include "spec/quantize/kv_part.h"

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

bool IsGiven(const Value& section, const std::string& name) {
  const Value* value = section.Find(name);
  return value != nullptr && !value->is_null();
}

std::string WordOf(const Value& section, const std::string& name, const char* otherwise) {
  return IsGiven(section, name) ? section.Find(name)->AsString() : otherwise;
}

InputFormat FormatOf(const Value& section, const std::string& of) {
  return InputFormatOf(WordOf(section, of + "_format", "int"));
}

bool IsRounded(const Value& section, const std::string& of) {
  return IsGiven(section, of + "_bits") || FormatOf(section, of) != InputFormat::kInteger;
}

}  // namespace

const OptionSchema& KvCacheSchema() {
  static const OptionSchema kSchema = [] {
    OptionSchema schema;
    schema.Int("key_bits").Range(2, 16).Optional().Unit("bits").Doc(
        "Width B_k of a key. Formats other than int have their own.");
    schema.Int("value_bits").Range(2, 16).Optional().Unit("bits").Doc("Width B_v of a value, likewise.");
    schema.Bool("symmetric").Default(false).Doc("Integers: zero in the middle of the grid, no zero point.");
    for (const std::string of : {"key", "value"}) {
      schema.Choice(of + "_format", {"int", "fp8_e4m3", "mxfp4", "mxfp8"})
          .Default("int")
          .Doc("Numbers: integers of `" + of +
               "_bits` bits; E4M3; blocks of 32 E2M1 or E4M3 of a head with a power of two.");
      schema.Choice(of + "_per", {"token", "channel", "head", "tensor"})
          .Default("token")
          .Doc("What shares a scale: token: a token's head, found as it comes; channel, head, tensor: a channel of a "
               "head, a head, all heads of a layer, their range over the calibration set.");
    }
    schema.Bool("keys_before_rotation").Default(false).Doc(
        "Keys are rounded before the rotation that tells positions apart, not after it.");
    schema.Choice("scale_rule", {"floor", "round", "ceil"})
        .Default("floor")
        .Doc("Which power of two the scale of a block of mxfp4 and mxfp8 is, as in grid/mxfp4.");
    return schema;
  }();
  return kSchema;
}

Value KvCacheOf(const Value& section) {
  const bool has_keys = IsRounded(section, "key"), has_values = IsRounded(section, "value");
  if (!has_keys && !has_values) return Value();
  Value part = section;
  bool has_integers = false, has_blocks = false;
  for (const std::string of : {"key", "value"}) {
    const InputFormat format = FormatOf(section, of);
    const bool is_float = format != InputFormat::kInteger;
    if (is_float && !IsGiven(section, of + "_bits")) part.Set(of + "_bits", BitsOf(format));
    has_integers |= !is_float && IsRounded(section, of);
    has_blocks |= BlockSizeOf(format) > 0;
  }
  std::erase_if(part.AsMap(), [&](const auto& entry) {
    const auto& [name, value] = entry;
    if (name.ends_with("_format")) return value.AsString() == "int";
    if (name.ends_with("_per")) {
      return value.AsString() == "token" || !IsRounded(section, name.substr(0, name.size() - 4));
    }
    if (name == "keys_before_rotation") return !value.AsBool() || !has_keys;
    return name == "scale_rule" && (!has_blocks || value.AsString() == "floor");
  });
  // It counts for integers alone: cells of the same numbers are one trial.
  if (!has_integers) part.Set("symmetric", false);
  return part;
}

bool CalibratesKvCache(const Value& kv_cache) {
  return WordOf(kv_cache, "key_per", "token") != "token" || WordOf(kv_cache, "value_per", "token") != "token";
}

void CheckKvCache(const Value& kv_cache) {
  for (const std::string of : {"key", "value"}) {
    const InputFormat format = FormatOf(kv_cache, of);
    if (format == InputFormat::kInteger) continue;
    const std::string name(Name(format)), per = WordOf(kv_cache, of + "_per", "token");
    if (const int64_t bits = kv_cache.Find(of + "_bits")->AsInt(); bits != BitsOf(format)) {
      throw Error(ErrorKind::kUnsupported, "kv_cache: " + of + "_format " + name + " has " +
                                               std::to_string(BitsOf(format)) + " bits, and " + of + "_bits is " +
                                               std::to_string(bits) + ". Leave '" + of + "_bits' out.");
    }
    if (BlockSizeOf(format) > 0 && per != "token") {
      throw Error(ErrorKind::kUnsupported,
                  "kv_cache: " + of + "_format " + name + " has blocks of " + std::to_string(BlockSizeOf(format)) +
                      " channels with a scale each, and " + of + "_per is '" + per + "'. Leave '" + of + "_per' out.");
    }
  }
}

std::string ExplainUnsupportedKvCache(const Value& kv_cache, const ModelSummary& model) {
  if (!model.rounds_kv_cache) {
    return "models of architecture '" + model.architecture + "' do not round their keys and values here";
  }
  for (const std::string of : {"key", "value"}) {
    const int64_t block = BlockSizeOf(FormatOf(kv_cache, of));
    if (block == 0 || (model.head_dim > 0 && model.head_dim % block == 0)) continue;
    return "a head has " + std::to_string(model.head_dim) + " channels, and " + of + "s are rounded in blocks of " +
           std::to_string(block) + ", which does not divide them";
  }
  return "";
}

}  // namespace bitlaw
