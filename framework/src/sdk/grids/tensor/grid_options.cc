#include "bitlaw/sdk/grids/grid_options.h"

namespace bitlaw {
namespace {

void AddBits(OptionSchema& schema) {
  schema.Int("bits").Range(2, 8).Default(4).Unit("bits").Doc("Width B of one weight code.");
}

void AddRange(OptionSchema& schema) {
  schema.Bool("symmetric").Default(false).Doc("Zero point fixed at the middle code.");
  schema.Bool("mse").Default(false).Doc("Shrink each group's range where that lowers sum |error|^mse_norm.");
  schema.Real("mse_norm").Range(0.5, 10).Default(2.4).Doc("Exponent of the range search; read only with mse.");
  schema.Choice("scale_dtype", {"float16", "float16_short", "float32"})
      .Default("float16")
      .Doc("What scales are rounded to before codes are computed; float16_short: to so few digits, 11 - bits, that a scale "
           "times a zero point is a float16 number, as exporter gguf stores it; float32 gives the published reference "
           "exactly.");
}

}  // namespace

void AddScaleDtypeOption(OptionSchema& schema, const char* default_dtype) {
  schema.Choice("scale_dtype", {"float16", "float32"})
      .Default(default_dtype)
      .Doc("What scales are rounded to before codes are computed; float32 gives the published reference exactly.");
}

void AddGridOptions(OptionSchema& schema) {
  AddBits(schema);
  schema.Int("group_size")
      .Min(1)
      .Word("row", -1)
      .Default(128)
      .Unit("weights")
      .Doc("Neighbouring weights G of a row that share a scale; 'row', or more than C_in: the whole row.");
  AddRange(schema);
  schema.Bool("allow_partial_group").Default(false).Doc("Let the last group of a row be shorter than G.");
}

void AddUniformGridOptions(OptionSchema& schema) {
  AddBits(schema);
  AddRange(schema);
}

ScaleDtype ScaleDtypeFrom(const Options& options) {
  return options.String("scale_dtype") == "float32" ? ScaleDtype::kFloat32 : ScaleDtype::kFloat16;
}

GridRule GridRuleFrom(const Options& options) {
  GridRule rule;
  rule.bits = static_cast<int>(options.Int("bits"));
  rule.symmetric = options.Bool("symmetric");
  rule.scale_dtype = ScaleDtypeFrom(options);
  if (options.String("scale_dtype") == "float16_short") rule.scale_digits = 11 - rule.bits;
  rule.mse = options.Bool("mse");
  rule.mse_norm = options.Real("mse_norm");
  return rule;
}

std::string ExplainGroupsOn(const WeightGrid& grid, const LinearShape& layer, int64_t group_size,
                            bool allow_partial_group) {
  std::string reason = grid.ExplainGroupSize(group_size);
  return reason.empty() ? ExplainGroupSize(layer, group_size, allow_partial_group) : reason;
}

StorageRule StorageOf(const WeightGrid& grid, int64_t group_size, bool stores_group_index) {
  return {.bits = grid.bits(),
          .symmetric = !grid.stores_zeros(),
          .group_size = group_size,
          .scale_bits = grid.scale_bits(),
          .stores_group_index = stores_group_index,
          .tensor_bits = grid.tensor_bits()};
}

}  // namespace bitlaw
