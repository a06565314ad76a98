// Quantized layers that were saved, read back.
#include "quantize/quantized_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "fuzz/target.h"

namespace bitlaw::fuzz {
namespace {

using nlohmann::json;

// A safetensors file of a header and the tensors' bytes.
std::string FileOf(const std::string& header, std::string_view data) {
  const uint64_t size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes.append(header).append(data);
}

// Input: the list of layers, what stands beside it in the file's description, the tensors' header, their bytes. The
// description gets the digest that it has, and the bytes the size that the header says: without, every change would end
// at those checks. What is not of that form is the file itself.
std::string BytesOf(std::string_view input) {
  const auto parts = Parts(input, 4);
  json description = json::parse(parts[1], nullptr, false), header = json::parse(parts[2], nullptr, false);
  if (!description.is_object() || !header.is_object()) return std::string(input);
  const auto text = [](const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); };
  int64_t size = 0;
  for (const json& tensor : header) {
    if (!tensor.is_object() || !tensor.contains("data_offsets")) continue;
    for (const json& offset : tensor["data_offsets"]) {
      if (offset.is_number_integer()) size = std::max<int64_t>(size, offset);
    }
  }
  description["layers"] = std::string(parts[0]);
  description.erase("text_digest");
  description["text_digest"] = DigestOf(text(description));
  header["__metadata__"] = std::move(description);
  std::string data(parts[3]);
  if (size < 1 << 16) data.resize(static_cast<size_t>(size), '\1');
  return FileOf(text(header), data);
}

std::optional<QuantizedFile> Loaded(const std::filesystem::path& path, std::string* fault) {
  try {
    return LoadQuantized(path);
  } catch (const Error& error) {
    Require(error.kind() == ErrorKind::kIo, "quantized file: what is wrong with it is a file error");
    *fault = error.what();
    return std::nullopt;
  }
}

void QuantizedLayers(std::string_view input) {
  std::string fault;
  const auto file = Loaded(WriteScratch("quantized.safetensors", BytesOf(input)), &fault);
  if (!file) throw Error(ErrorKind::kIo, fault);
  Require(file->about.is_map(), "quantized file: what its writer said is a map");
  for (const QuantizedLayer& layer : file->model.layers) {
    layer.linear.Validate(layer.shape);
    Require(layer.linear.Dequantize().isfinite().all().item<bool>(), "quantized file: weights are finite");
  }
  const auto once = ScratchFolder() / "once", twice = ScratchFolder() / "twice";
  SaveQuantized(once, file->model, file->about);
  const auto again = Loaded(once, &fault);
  Require(again.has_value(), "quantized file: what was read and written can be read: " + fault);
  SaveQuantized(twice, again->model, again->about);
  Require(ReadWholeFile(once) == ReadWholeFile(twice), "quantized file: read -> write -> read -> write");
}

QuantizedLayer Layer(const std::string& name, int bits, int64_t rows, int64_t columns, int64_t group_size) {
  QuantizedLayer layer;
  layer.shape.name = name;
  layer.shape.in_features = columns;
  layer.shape.out_features = rows;
  layer.bits_requested = bits;
  layer.bits_per_weight = bits + 20.0 / static_cast<double>(group_size);
  const int64_t groups = (columns + group_size - 1) / group_size;
  QuantizedLinear& q = layer.linear;
  q.bits = bits;
  q.group_size = group_size;
  q.codes = at::arange(rows * columns, at::kLong).remainder(1 << bits).to(at::kByte).view({rows, columns});
  q.scales = at::full({rows, groups}, 0.5, at::kFloat);
  q.zeros = at::ones({rows, groups}, at::kByte);
  q.group_index = at::arange(columns, at::kInt).div(group_size, "floor").to(at::kInt);
  q.scale_dtype = "float16";
  q.diagnostics = {{"damp", 0.01}, {"hessian_error", 12.5}};
  return layer;
}

std::vector<std::string> Samples() {
  QuantizedModel model;
  model.layers = {Layer("model.layers.0.q_proj", 3, 4, 8, 4), Layer("model.layers.0.down_proj", 8, 2, 5, 2),
                  Layer("model.layers.0.k_proj", 4, 4, 8, 4), Layer("model.layers.0.v_proj", 2, 4, 8, 4)};
  QuantizedLinear& third = model.layers[2].linear;
  third.scale_dtype = "float8_e4m3fn";
  third.scale_divisor = 3;
  third.scales = at::full({4, 2}, 0.5, at::kFloat);  // 1.5 / 3
  QuantizedLinear& fourth = model.layers[3].linear;
  fourth.scales = fourth.scales.narrow(0, 0, 2).contiguous();
  fourth.zeros = at::full({2, 2}, 0.75, at::kFloat);
  fourth.row_index = at::arange(4, at::kInt).remainder(2).to(at::kInt);
  QuantizedLinear& second = model.layers[1].linear;
  second.scale_dtype = "float32";
  second.scales = at::full({2, 3}, 0.1, at::kFloat);
  second.input_scale = at::full({5}, 1.5, at::kFloat);
  second.activation = ActivationGrid{.bits = 6, .symmetric = true, .per_token = false, .static_scale = 0.25};
  second.fallback = QuantizeFallback::kDampingRaised;
  model.bits_requested = 4;
  model.bits_effective = 8.75;
  model.codes_digest = DigestOfCodes(model);
  const auto path = ScratchFolder() / "sample.safetensors";
  SaveQuantized(path, model, Value::Map{{"trial", "t1"}, {"label", "tiny rtn 3"}});
  const std::string bytes = ReadWholeFile(path);
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  json header = json::parse(std::string_view(bytes).substr(sizeof size, size));
  json description = header.at("__metadata__");
  const std::string layers = description.at("layers");
  for (const char* name : {"layers", "text_digest"}) description.erase(name);
  header.erase("__metadata__");
  return {Join({json::parse(layers).dump(1), description.dump(1), header.dump(1), bytes.substr(sizeof size + size)})};
}

const Register kQuantizedLayers("quantized_file", QuantizedLayers, Samples);

}  // namespace
}  // namespace bitlaw::fuzz
