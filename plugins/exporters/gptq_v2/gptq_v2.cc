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

// Why this layer cannot be in such a file, of whose layers `first` is one.
std::string ExplainLayer(const ExportLayer& layer, const QuantizedLinear& first) {
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
  if (!IsHead(layer) && (q.bits != first.bits || q.symmetric != first.symmetric))
    return "it has other bits than the first layer; the format has one.";
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

// The one group size of the layers in blocks, -1 for rows; nullopt if there are several.
std::optional<int64_t> GroupSize(const ExportModel& model) {
  std::optional<int64_t> size;
  for (const ExportLayer& layer : model.layers) {
    if (!IsHead(layer) && !IsWholeRow(layer)) {
      if (size && *size != layer.linear.group_size) return std::nullopt;
      size = layer.linear.group_size;
    }
  }
  if (!size) return -1;
  // Rows that are as short as a group are groups.
  for (const ExportLayer& layer : model.layers) {
    if (!IsHead(layer) && layer.linear.group_size != *size) return std::nullopt;
  }
  return size;
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
  for (const std::string& module : left) {
    std::string pattern = "-:^";
    for (const char c : module) pattern += c == '.' ? "\\." : std::string(1, c);
    patterns.Set(pattern + "$", Value(Value::Map{}));
  }
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
    const QuantizedLinear* const first = FirstOf(model);
    if (first == nullptr) return "no layer within a block is quantized.";
    const std::string why = ExplainLayer(layer, *first);
    if (!why.empty()) return layer.shape.name + ": " + why;
  }
  return GroupSize(model) ? "" : "its layers have several group sizes; the format has one.";
}

void GptqV2Exporter::Export(const std::filesystem::path& checkpoint, const ExportModel& model,
                            const std::filesystem::path& folder) const {
  HfExport out = BeginHfExport(*this, "gptq_v2", checkpoint, model);
  bool is_ordered = true;
  const QuantizedLinear* head = nullptr;
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
    if (shape.name == kHead) head = &linear;
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
  const int64_t group_size = *GroupSize(model);
  Value about = Value::Map{{"quant_method", "gptq"},  {"checkpoint_format", format_},
                                 {"bits", first.bits},      {"group_size", group_size},
                                 {"desc_act", !is_ordered}, {"sym", first.symmetric},
                                 {"true_sequential", true}, {"lm_head", head != nullptr},
                                 {"pack_dtype", "int32"},   {"meta", Value::Map{{"quantizer", Value::List{"bitlaw"}}}}};
  Value dynamic = Left(out, model, stored);
  if (head != nullptr) {
    const int64_t own = head->scales.size(1) == 1 ? -1 : head->group_size;  // A scale a row.
    if (head->bits != first.bits || head->symmetric != first.symmetric || own != group_size) {
      dynamic.Set("+:^lm_head$", Value::Map{{"bits", head->bits}, {"group_size", own}, {"sym", head->symmetric}});
    }
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
