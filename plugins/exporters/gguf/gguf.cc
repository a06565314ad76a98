#include "gguf.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/gguf_writer.h"
#include "bitlaw/sdk/checkpoint/hf_folder.h"
#include "bitlaw/sdk/checkpoint/mapped_tensor.h"
#include "blocks.h"
#include "experts.h"
#include "hf_metadata.h"
#include "names.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kF32 = 0, kF16 = 1, kBF16 = 30;

[[noreturn]] void Unsupported(const std::string& what) {
  throw Error(ErrorKind::kUnsupported, "exporter 'gguf': " + what);
}

std::string BytesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.cpu().contiguous();
  return {static_cast<const char*>(flat.data_ptr()), flat.nbytes()};
}

std::optional<at::ScalarType> DtypeOf(const std::string& name) {
  if (name == "float32" || name == "F32" || name == "F64") return at::kFloat;
  if (name == "float16" || name == "F16") return at::kHalf;
  if (name == "bfloat16" || name == "BF16") return at::kBFloat16;
  return std::nullopt;
}

GgufTensorToWrite Plain(std::string name, at::ScalarType dtype, std::vector<int64_t> shape,
                        std::function<at::Tensor()> values) {
  const uint32_t type = dtype == at::kHalf ? kF16 : dtype == at::kBFloat16 ? kBF16 : kF32;
  return {std::move(name), FindGgmlType(type), std::move(shape),
          [dtype, values = std::move(values)] { return BytesOf(values().to(dtype)); }};
}

// The rows of queries or keys as these files have them: row 2 j + s of a head is its row s D / 2 + j. Undefined: as they
// are.
at::Tensor RowOrder(const std::string& name, const std::string& architecture, int64_t heads, int64_t kv_heads,
                    int64_t head_dim) {
  const bool is_q = name.find(".self_attn.q_proj.") != std::string::npos;
  const bool is_k = name.find(".self_attn.k_proj.") != std::string::npos;
  if (!InterleavesHeads(architecture) || (!is_q && !is_k)) return {};
  const int64_t count = is_q ? heads : kv_heads;
  return at::arange(count * head_dim, at::kLong).view({count, 2, head_dim / 2}).transpose(1, 2).flatten();
}

at::Tensor InOrder(const at::Tensor& values, const at::Tensor& order) {
  return order.defined() ? values.index_select(0, order) : values;
}

// What takes the place of tensors of the checkpoint, by their names there.
class Replaced {
 public:
  explicit Replaced(const ExportModel& model) {
    for (const ExportLayer& layer : model.layers) layers_.emplace(layer.shape.name + ".weight", &layer.linear);
    for (const ExportWeight& weight : model.other_weights) others_.emplace(weight.name, &weight.value);
  }

  // The tensor to write in place of `name`, nullopt where it stays. Each is asked for once.
  std::optional<GgufTensorToWrite> Take(const std::string& name, const std::string& gguf_name,
                                        const at::Tensor& order) {
    if (const auto layer = layers_.find(name); layer != layers_.end()) {
      const QuantizedLinear& linear = *layer->second;
      layers_.erase(layer);
      return GgufTensorToWrite{gguf_name, &BlockTypeOf(linear), linear.codes.sizes().vec(),
                               [&linear, order] { return BlocksOf(linear, order); }};
    }
    if (const auto other = others_.find(name); other != others_.end()) {
      const at::Tensor& value = *other->second;
      others_.erase(other);
      return Plain(gguf_name, at::kFloat, value.sizes().vec(), [&value, order] { return InOrder(value, order); });
    }
    return std::nullopt;
  }

  void CheckEmpty(const std::string& where) const {
    if (layers_.empty() && others_.empty()) return;
    const std::string& missing = layers_.empty() ? others_.begin()->first : layers_.begin()->first;
    Unsupported(where + ": holds no tensor of its own for '" + missing +
                "': the model is another one, or keeps it in one matrix with others.");
  }

 private:
  std::map<std::string, const QuantizedLinear*> layers_;
  std::map<std::string, const at::Tensor*> others_;
};

// The head of a tied pair that a transform untied, which the checkpoint has no tensor of.
void PutUntiedHead(Replaced& replaced, GgufWriter& out) {
  if (auto head = replaced.Take("lm_head.weight", "output.weight", {})) out.Add(std::move(*head));
}

// general.file_type: what most bytes are of.
uint32_t FileType(const std::vector<GgufTensorToWrite>& tensors) {
  static const std::map<uint32_t, uint32_t> kFileTypes = {{0, 0}, {1, 1}, {2, 2},   {3, 3},   {6, 8},
                                                          {7, 9}, {8, 7}, {30, 32}, {39, 38}};
  std::map<uint32_t, double> sizes;
  for (const GgufTensorToWrite& tensor : tensors) {
    double size = tensor.type->block_bytes;
    for (const int64_t one : tensor.shape) size *= static_cast<double>(one);
    if (tensor.shape.size() > 1) sizes[tensor.type->id] += size / tensor.type->block_elements;
  }
  std::pair<double, uint32_t> most{0, kF32};
  for (const auto& [type, size] : sizes) {
    // Of a model that is quantized in part the type of that part.
    const bool is_plain = type == kF32 || type == kF16 || type == kBF16;
    const double weight = kFileTypes.count(type) == 0 ? 0 : is_plain ? size * 1e-12 : size;
    if (weight > most.first) most = {weight, type};
  }
  return kFileTypes.at(most.second);
}

void PutHfTensors(const HfFolder& folder, const HfShape& shape, const std::string& dtype, Replaced& replaced,
                  GgufWriter& out) {
  ExpertStacks experts(shape.experts);
  const auto add = [&](const std::string& name, GgufTensorToWrite matrix) {
    if (const auto expert = ExpertOf(name)) {
      experts.Add(*expert, std::move(matrix));
    } else {
      out.Add(std::move(matrix));
    }
  };
  for (const auto& [name, tensor] : folder.tensors()) {
    if (shape.is_tied && name == "lm_head.weight") continue;
    const std::string gguf_name = GgufName(name, shape.architecture);
    if (gguf_name.empty()) Unsupported(folder.path().string() + ": tensor '" + name + "' has no name in GGUF.");
    const at::Tensor order = RowOrder(name, shape.architecture, shape.heads, shape.kv_heads, shape.head_dim);
    if (auto written = replaced.Take(name, gguf_name, order)) {
      add(name, std::move(*written));
      continue;
    }
    const SafetensorsEntry& entry = tensor.entry;
    const std::optional<at::ScalarType> stored = DtypeOf(entry.dtype);
    if (!stored) Unsupported(folder.path().string() + ": tensor '" + name + "' has dtype " + entry.dtype + ".");
    // llama.cpp takes vectors and routers in float32 alone.
    const bool is_matrix = entry.shape.size() > 1 && !name.ends_with(".mlp.gate.weight");
    const at::ScalarType wanted = !is_matrix ? at::kFloat : dtype == "stored" ? *stored : *DtypeOf(dtype);
    const at::ScalarType read = entry.dtype == "F64" ? at::kDouble : *stored;
    add(name, Plain(gguf_name, wanted, entry.shape, [file = tensor.file, &entry, read, order] {
          return InOrder(MappedTensor(file, entry.offset_bytes, entry.shape, read, read), order);
        }));
  }
  experts.Put(folder.path().string(), out);
  PutUntiedHead(replaced, out);
  if (!shape.rotary_divisors.empty()) {
    const auto count = static_cast<int64_t>(shape.rotary_divisors.size());
    out.Add(Plain("rope_freqs.weight", at::kFloat, {count}, [&shape] { return at::tensor(shape.rotary_divisors); }));
  }
  replaced.CheckEmpty(folder.path().string());
}

// The names that a GGUF file has for the model's tensors, and what they are called in Hugging Face's checkpoint.
std::map<std::string, std::string> NamesIn(const ExportModel& model, const std::string& architecture) {
  std::map<std::string, std::string> names;
  for (const ExportLayer& layer : model.layers) {
    names[GgufName(layer.shape.name + ".weight", architecture)] = layer.shape.name + ".weight";
  }
  for (const ExportWeight& weight : model.other_weights) names[GgufName(weight.name, architecture)] = weight.name;
  return names;
}

// Metadata and tensors of a GGUF file stay as they are but for those that are replaced.
void PutGguf(const GgufFile& file, const ExportModel& model, Replaced& replaced, GgufWriter& out) {
  const std::string architecture(file.String("general.architecture").value_or(""));
  const std::string prefix = architecture + ".";
  for (const auto& [key, value] : file.StoredMetadata()) out.SetStored(key, value);
  const int64_t heads = file.Int(prefix + "attention.head_count").value_or(1);
  const int64_t kv_heads = file.Int(prefix + "attention.head_count_kv").value_or(heads);
  const int64_t hidden = file.Int(prefix + "embedding_length").value_or(0);
  const int64_t head_dim = file.Int(prefix + "attention.key_length").value_or(heads > 0 ? hidden / heads : 0);
  const std::map<std::string, std::string> names = NamesIn(model, architecture);
  for (const GgufTensor& tensor : file.tensors()) {
    if (const auto found = names.find(tensor.name); found != names.end()) {
      const at::Tensor order = RowOrder(found->second, architecture, heads, kv_heads, head_dim);
      if (auto written = replaced.Take(found->second, tensor.name, order)) {
        out.Add(std::move(*written));
        continue;
      }
    }
    out.Add({tensor.name, tensor.type, tensor.shape, [mapped = file.file(), &tensor] {
               return std::string(reinterpret_cast<const char*>(mapped->bytes()) + tensor.offset_bytes,
                                  static_cast<size_t>(tensor.size_bytes));
             }});
  }
  PutUntiedHead(replaced, out);
  replaced.CheckEmpty(file.where());
}

}  // namespace

OptionSchema GgufExporter::Schema() {
  OptionSchema schema;
  schema.Choice("dtype", {"stored", "float32", "bfloat16", "float16"})
      .Default("stored")
      .Doc("Dtype of matrices that are not quantized, of a Hugging Face folder: that of the checkpoint's, or another.");
  schema.Bool("weights_only")
      .Default(false)
      .Doc("Write the weights of a model whose inputs, keys or values are rounded as well, which the format cannot "
           "say.");
  return schema;
}

GgufExporter::GgufExporter(const Options& options)
    : dtype_(options.String("dtype")), weights_only_(options.Bool("weights_only")) {}

std::string GgufExporter::ExplainUnsupported(const ExportModel& model) const {
  for (const ExportLayer& layer : model.layers) {
    if (layer.linear.activation && !weights_only_) {
      return layer.shape.name +
             ": its inputs are rounded, which the format cannot say. Set weights_only: true to leave that out.";
    }
    const std::string why = ExplainNoBlocks(layer.linear, layer.shape.block < 0);
    if (!why.empty()) return layer.shape.name + ": " + why;
  }
  if (const std::string why = ExplainExperts(model); !why.empty()) return why;
  if (model.kv_cache == nullptr || weights_only_) return "";
  return "keys and values are rounded, which the format cannot say. Set weights_only: true to leave that out.";
}

void GgufExporter::Export(const fs::path& checkpoint, const ExportModel& model, const fs::path& folder) const {
  if (const std::string why = ExplainExport(*this, model); !why.empty()) Unsupported(why);
  Replaced replaced(model);
  GgufWriter out;
  const std::string name = model.summary.name.empty() ? "model" : model.summary.name;
  // What the tensors are made of lives until they are written.
  std::optional<GgufFile> file;
  std::optional<HfFolder> from;
  HfShape shape;
  if (fs::is_regular_file(checkpoint)) {
    if (model.layers.empty()) Unsupported(checkpoint.string() + " is a file and nothing of it is quantized. Copy it.");
    PutGguf(file.emplace(checkpoint), model, replaced, out);
  } else {
    from.emplace(checkpoint);
    shape = DescribeModel(*from, name, out);
    DescribeTokenizer(*from, shape.vocab_size, out);
    PutHfTensors(*from, shape, dtype_, replaced, out);
  }
  out.Set("general.file_type", FileType(out.tensors()));
  out.Set("general.quantization_version", uint32_t{2});
  out.Write(folder / (name + ".gguf"));
}

}  // namespace bitlaw
