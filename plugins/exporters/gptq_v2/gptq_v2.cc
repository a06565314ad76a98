#include "gptq_v2.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <fstream>
#include <optional>
#include <set>
#include <string>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/stored_layers.h"
#include "bitlaw/sdk/checkpoint/tensor_to_write.h"

namespace bitlaw {
namespace {

constexpr char kHead[] = "lm_head";

bool IsHead(const ExportLayer& layer) { return layer.shape.name == kHead; }

// The first layer within a block, whose bits are the file's; null if there is none.
const QuantizedLinear* FirstOf(const ExportModel& model) {
  for (const ExportLayer& layer : model.layers) {
    if (!IsHead(layer)) return &layer.linear;
  }
  return nullptr;
}

// Why this layer cannot be in such a file.
std::string ExplainLayer(const ExportLayer& layer) {
  const QuantizedLinear& q = layer.linear;
  const int64_t columns = layer.shape.in_features, rows = layer.shape.out_features;
  if (q.levels.defined()) return "its grid has levels of its own; the format holds integers. Use grid uniform.";
  if (q.has_real_zeros()) return "its zero points are real numbers; the format holds integers. Use exporter dense.";
  if (q.row_index.defined()) return "its rows share scales, which the format cannot say. Use exporter dense.";
  if (q.activation) return "its inputs are rounded, which the format cannot say. Leave activations out.";
  if (q.input_scale.defined()) return "its inputs are divided by a scale, which the format cannot say.";
  if (q.bits != 2 && q.bits != 3 && q.bits != 4 && q.bits != 8) {
    return fmt::format("its codes have {} bits. The format has 2, 3, 4 and 8.", q.bits);
  }
  if (q.scale_dtype != "float16") {
    return "its scales are exact in float32 only, and the format holds float16. Quantize with scale_dtype: float16.";
  }
  if (columns * q.bits % 32 != 0 || rows * q.bits % 32 != 0) {
    return fmt::format("[{}, {}] of {} bits do not fill whole words of 32 bits.", rows, columns, q.bits);
  }
  if (columns % q.group_size != 0) {
    return fmt::format("its last group is shorter than {}, which readers refuse.", q.group_size);
  }
  return "";
}

bool IsWholeRow(const ExportLayer& layer) { return layer.linear.group_size == layer.shape.in_features; }

// The group size that the file has for all layers, -1 for rows: the first one of layers in blocks that is none.
int64_t GroupSize(const ExportModel& model) {
  for (const ExportLayer& layer : model.layers) {
    if (!IsHead(layer) && !IsWholeRow(layer)) return layer.linear.group_size;
  }
  return -1;
}

// A regular expression of this name alone.
std::string PatternOf(const std::string& module) {
  std::string pattern = "^";
  for (const char c : module) pattern += c == '.' ? "\\." : std::string(1, c);
  return pattern + "$";
}

// Linear layers that are not quantized, as GPTQModel's `dynamic` leaves modules out: "-:" and a regular expression.
Value Left(const HfExport& out, const ExportModel& model, const StoredLayers& stored) {
  std::set<std::string> quantized, left;
  for (const auto& [shape, linear] : stored.layers()) quantized.insert(out.ModuleOf(shape.name + ".weight"));
  for (const LinearShape& layer : model.summary.linears) {
    const std::string name = layer.name + ".weight";
    const auto found = out.from().tensors().find(name);
    const bool is_fused = found != out.from().tensors().end() && !found->second.projections.empty();
    const std::string module = out.ModuleOf(is_fused ? found->second.projections : name);
    if (quantized.count(module) == 0) left.insert(module);
  }
  Value patterns(Value::Map{});
  for (const std::string& module : left) patterns.Set("-:" + PatternOf(module), Value(Value::Map{}));
  return patterns;
}

}  // namespace

OptionSchema GptqV2Exporter::Schema() {
  OptionSchema schema;
  schema.Choice("checkpoint_format", {"gptq_v2", "gptq"})
      .Default("gptq_v2")
      .Doc(
          "How zero points are stored: gptq_v2: as they are; gptq: less one, for programs that know no other; refused "
          "where "
          "a zero point is 0.");
  return schema;
}

std::string GptqV2Exporter::ExplainUnsupported(const ExportModel& model) const {
  if (model.layers.empty()) return "no weight is quantized.";
  if (model.kv_cache != nullptr) return "keys and values are rounded, which the format cannot say. Leave kv_cache out.";
  for (const ExportLayer& layer : model.layers) {
    if (layer.shape.block < 0 && layer.shape.name != kHead) {
      return layer.shape.name + ": the input embedding is quantized, which the format cannot say. Use exporter dense, or "
                                "leave embeddings out.";
    }
    if (FirstOf(model) == nullptr) return "no layer within a block is quantized.";
    const std::string why = ExplainLayer(layer);
    if (!why.empty()) return layer.shape.name + ": " + why;
  }
  return "";
}

void GptqV2Exporter::Export(const std::filesystem::path& checkpoint, const ExportModel& model,
                            const std::filesystem::path& folder) const {
  HfExport out = BeginHfExport(*this, "gptq_v2", checkpoint, model);
  bool is_ordered = true, has_head = false;
  const StoredLayers stored(out.from(), model);
  for (const auto& [shape, linear] : stored.layers()) {
    const QuantizedLinear& q = linear;
    const int64_t rows = shape.out_features, columns = shape.in_features, groups = q.scales.size(1);
    if (format_ == "gptq" && q.zeros.min().item<int>() == 0) {
      throw Error(ErrorKind::kUnsupported, "exporter 'gptq_v2': " + shape.name +
                                               ": a zero point is 0, which checkpoint_format: gptq stores as -1 in its "
                                               "neighbour's bits. Use gptq_v2.");
    }
    is_ordered = is_ordered && q.GroupsAreRuns();
    has_head = has_head || shape.name == kHead;
    const int less = format_ == "gptq" ? 1 : 0;
    out.Replace(shape.name + ".weight",
                {WriteLater("qweight", at::kInt, {columns * q.bits / 32, rows},
                            [&q] { return PackedRows(q.codes, q.bits).t(); }),
                 WriteLater("qzeros", at::kInt, {groups, rows * q.bits / 32},
                            [&q, less] { return PackedRows((q.zeros - less).t(), q.bits); }),
                 WriteLater("scales", at::kHalf, {groups, rows}, [&q] { return q.scales.t().contiguous(); }),
                 WriteTensor("g_idx", q.group_index)});
  }
  const QuantizedLinear& first = *FirstOf(model);
  const int64_t group_size = GroupSize(model);
  Value about = Value::Map{{"quant_method", "gptq"},  {"checkpoint_format", format_},
                                 {"bits", first.bits},      {"group_size", group_size},
                                 {"desc_act", !is_ordered}, {"sym", first.symmetric},
                                 {"true_sequential", true}, {"lm_head", has_head},
                                 {"pack_dtype", "int32"},   {"meta", Value::Map{{"quantizer", Value::List{"bitlaw"}}}}};
  Value dynamic = Left(out, model, stored);
  for (const auto& [shape, q] : stored.layers()) {
    const bool is_whole_row = q.scales.size(1) == 1;
    const bool is_as_all = q.group_size == group_size || (is_whole_row && group_size == -1);
    if (q.bits == first.bits && q.symmetric == first.symmetric && is_as_all) continue;
    dynamic.Set("+:" + PatternOf(out.ModuleOf(shape.name + ".weight")),
                Value::Map{{"bits", q.bits}, {"group_size", is_whole_row ? -1 : q.group_size}, {"sym", q.symmetric}});
  }
  if (!dynamic.AsMap().empty()) about.Set("dynamic", dynamic);
  out.SetConfig("quantization_config", about);
  out.Write(folder);
  // Earlier programs read it from a file of its own.
  std::ofstream file(folder / "quantize_config.json");
  if (!(file << PrettyJson(about)) || !file.flush()) {
    throw Error(ErrorKind::kIo, (folder / "quantize_config.json").string() + ": cannot be written.");
  }
}

}  // namespace bitlaw
