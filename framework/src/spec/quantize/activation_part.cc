#include "spec/quantize/activation_part.h"

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

InputFormat FormatOf(const Value& activations) {
  const Value* format = activations.Find("format");
  return format == nullptr ? InputFormat::kInteger : InputFormatOf(format->AsString());
}

bool IsGiven(const Value& section, const char* name) {
  const Value* value = section.Find(name);
  return value != nullptr && !value->is_null();
}

[[noreturn]] void Refuse(const std::string& what) { throw Error(ErrorKind::kUnsupported, "activations: " + what); }

}  // namespace

const OptionSchema& ActivationSchema() {
  static const OptionSchema kSchema = [] {
    OptionSchema schema;
    schema.Int("bits").Range(2, 16).Optional().Unit("bits").Doc(
        "Width B_a of an input of a linear layer. Formats other than int have their own.");
    schema.Choice("per", {"token", "group", "tensor"})
        .Default("token")
        .Doc(
            "What shares a scale: token: a token's channels, found as it comes; group: group_size neighbouring "
            "channels "
            "of a token, likewise; tensor: all inputs of a layer, its range over the calibration set.");
    schema.Bool("symmetric").Default(true).Doc("Zero in the middle of the grid, no zero point.");
    schema.Int("group_size").Min(2).Optional().Unit("channels").Doc("Channels that share a scale, with per: group.");
    schema.Choice("format", {"int", "fp8_e4m3", "mxfp4", "mxfp8", "nvfp4"})
        .Default("int")
        .Doc("Numbers: integers of `bits` bits; E4M3; blocks of 32 E2M1 or E4M3 with a power of two; blocks of 16 E2M1 "
             "with an E4M3 scale, and a scale of the tensor from the calibration set.");
    schema.Choice("scale_rule", {"floor", "round", "ceil"})
        .Default("floor")
        .Doc("Which power of two the scale of a block of mxfp4 and mxfp8 is, as in grid/mxfp4.");
    return schema;
  }();
  return kSchema;
}

Value ActivationsOf(const Value& section) {
  Value part = section;
  const InputFormat format = FormatOf(section);
  if (format == InputFormat::kInteger && !IsGiven(section, "bits")) return Value();
  if (format != InputFormat::kInteger && !IsGiven(section, "bits")) part.Set("bits", BitsOf(format));
  // A group size counts where there are groups: cells of the same inputs are one trial.
  const bool has_groups = section.Find("per")->AsString() == "group";
  const bool has_powers = format == InputFormat::kMxfp4 || format == InputFormat::kMxfp8;
  std::erase_if(part.AsMap(), [&](const auto& entry) {
    return (entry.first == "format" && format == InputFormat::kInteger) ||
           (entry.first == "group_size" && (entry.second.is_null() || !has_groups)) ||
           (entry.first == "scale_rule" && (!has_powers || entry.second.AsString() == "floor"));
  });
  return part;
}

bool CalibratesInputs(const Value& activations) {
  return activations.Find("per")->AsString() == "tensor" || FormatOf(activations) == InputFormat::kNvfp4;
}

void CheckActivations(const Value& activations) {
  const InputFormat format = FormatOf(activations);
  const std::string name(Name(format)), per = activations.Find("per")->AsString();
  if (format != InputFormat::kInteger) {
    const int64_t bits = activations.Find("bits")->AsInt();
    if (bits != BitsOf(format)) {
      Refuse("format " + name + " has " + std::to_string(BitsOf(format)) + " bits, and bits is " +
             std::to_string(bits) + ". Leave 'bits' out.");
    }
    if (!activations.Find("symmetric")->AsBool()) {
      Refuse("format " + name + " has no zero points. Leave 'symmetric' out, or set it to true.");
    }
    if (BlockSizeOf(format) > 0 && per != "token") {
      Refuse("format " + name + " has blocks of " + std::to_string(BlockSizeOf(format)) +
             " channels with a scale each, and per is '" + per + "'. Leave 'per' out.");
    }
  }
  if (per == "group" && !IsGiven(activations, "group_size")) {
    Refuse("per is 'group', and there is no group_size. Add 'group_size'.");
  }
}

std::string ExplainUnsupportedInputs(const Value& activations, const ModelSummary& model) {
  const int64_t block = BlockSizeOf(FormatOf(activations));
  const Value* group = activations.Find("group_size");
  const int64_t size = block > 0 ? block : group == nullptr ? 0 : group->AsInt();
  if (size == 0) return "";
  for (const LinearShape& layer : model.linears) {
    if (layer.in_features % size == 0) continue;
    return "inputs of '" + layer.name + "' have " + std::to_string(layer.in_features) +
           " channels, and activations are rounded in " + (block > 0 ? "blocks of " : "groups of ") +
           std::to_string(size) + ", which does not divide them";
  }
  return "";
}

}  // namespace bitlaw
