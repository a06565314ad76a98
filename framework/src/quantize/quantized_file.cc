#include "quantize/quantized_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files/durable_file.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/mapped_file.h"
#include "bitlaw/sdk/checkpoint/packed_codes.h"
#include "bitlaw/sdk/checkpoint/safetensors.h"
#include "bitlaw/sdk/checkpoint/safetensors_writer.h"
#include "bitlaw/sdk/grids/float_format.h"
#include "quantize/kept_codes.h"

namespace bitlaw {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "bitlaw-quantized-1";

std::string BytesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.cpu().contiguous();
  return {static_cast<const char*>(flat.data_ptr()), flat.nbytes()};
}

// Made when their turn has come; they hold the layer's own tensors until then.
std::vector<TensorToWrite> TensorsOf(const QuantizedLayer& layer) {
  const QuantizedLinear& q = layer.linear;
  const std::string& name = layer.shape.name;
  std::vector<TensorToWrite> tensors;
  const auto add = [&](const char* suffix, const char* dtype, const at::Tensor& tensor, at::ScalarType stored) {
    tensors.push_back({name + suffix, dtype, tensor.sizes().vec(), [=] { return BytesOf(tensor.to(stored)); }});
  };
  const auto packed = [codes = q.codes, bits = q.bits] {
    const at::Tensor flat = codes.cpu().contiguous();
    const std::vector<uint8_t> bytes = PackCodes({flat.data_ptr<uint8_t>(), static_cast<size_t>(flat.numel())}, bits);
    return std::string(bytes.begin(), bytes.end());
  };
  tensors.push_back({name + ".codes", "U8", {PackedSizeBytes(q.codes.numel(), q.bits)}, packed});
  const bool is_half = q.scale_dtype == "float16";
  const char* const real = is_half ? "F16" : "F32";
  const at::ScalarType real_type = is_half ? at::kHalf : at::kFloat;
  if (is_half || q.scale_dtype == "float32") {
    add(".scales", real, q.scales, real_type);
  } else {
    const FloatFormat format = FloatFormatOf(q.scale_dtype);
    add(".scales", SafetensorsDtype(format), EncodeFloats(format, q.StoredScales()), at::kByte);
  }
  add(".zeros", q.has_real_zeros() ? real : "U8", q.zeros, q.has_real_zeros() ? real_type : at::kByte);
  add(".group_index", "I32", q.group_index, at::kInt);
  if (q.row_index.defined()) add(".row_index", "I32", q.row_index, at::kInt);
  if (q.input_scale.defined()) add(".input_scale", "F32", q.input_scale, at::kFloat);
  if (q.levels.defined()) add(".levels", "F32", q.levels, at::kFloat);
  return tensors;
}

json GridCard(const ActivationGrid& grid) {
  json card = {{"bits", grid.bits},
               {"symmetric", grid.symmetric},
               {"per_token", grid.per_token},
               {"static_scale", grid.static_scale}};
  if (grid.format != InputFormat::kInteger) card["format"] = Name(grid.format);
  if (grid.group_size != 0) card["group_size"] = grid.group_size;
  if (grid.static_zero != 0) card["static_zero"] = grid.static_zero;
  if (grid.scale_divisor != 0) card["scale_divisor"] = grid.scale_divisor;
  if (grid.scale_rule != MxScale::kFloor) card["scale_rule"] = Name(grid.scale_rule);
  return card;
}

// Adds the tensors of static scales, called kv_cache.keys.0.scales and so on.
json KvCard(const std::string& name, const KvGrid& grid, std::vector<TensorToWrite>& tensors) {
  json card = GridCard(grid.numbers);
  if (!grid.is_static()) return card;
  card["per"] = Name(grid.scale_of);
  card["blocks"] = json::array();
  for (size_t b = 0; b < grid.blocks.size(); ++b) {
    const auto add = [&](const char* part, const at::Tensor& tensor) {
      if (!tensor.defined()) return;
      tensors.push_back({fmt::format("kv_cache.{}.{}.{}", name, b, part), "F32", tensor.sizes().vec(),
                         [held = tensor] { return BytesOf(held); }});
    };
    add("scales", grid.blocks[b].scales);
    add("lows", grid.blocks[b].lows);
    card["blocks"].push_back(grid.blocks[b].scales.sizes().vec());
  }
  return card;
}

json ShapeCard(const LinearShape& shape) {
  return {{"name", shape.name},
          {"block", shape.block},
          {"in_features", shape.in_features},
          {"out_features", shape.out_features},
          {"is_expert", shape.is_expert}};
}

json CardOf(const QuantizedLayer& layer) {
  const QuantizedLinear& q = layer.linear;
  json card = ShapeCard(layer.shape);
  card.update({{"bits", q.bits},
               {"symmetric", q.symmetric},
               {"group_size", q.group_size},
               {"scale_dtype", q.scale_dtype},
               {"fallback", Name(q.fallback)},
               {"bits_requested", layer.bits_requested},
               {"bits_per_weight", layer.bits_per_weight},
               {"diagnostics", json::array()}});
  if (q.levels.defined()) card["levels"] = q.levels.numel();
  if (q.has_real_zeros()) card["real_zeros"] = true;
  if (q.row_index.defined()) card["scale_rows"] = q.scales.size(0);
  if (q.scale_divisor != 1.0F) card["scale_divisor"] = q.scale_divisor;
  for (const auto& [name, value] : q.diagnostics) card["diagnostics"].push_back({name, value});  // NaN becomes null
  if (q.activation) {
    card["activation"] = GridCard(*q.activation);
  }
  return card;
}

QuantizeFallback FallbackOf(const std::string& name) {
  for (const QuantizeFallback fallback :
       {QuantizeFallback::kNone, QuantizeFallback::kDampingRaised, QuantizeFallback::kRoundToNearest}) {
    if (Name(fallback) == name) return fallback;
  }
  throw std::invalid_argument("fallback '" + name + "'");
}

// The tensors of an open file, by name.
class Contents {
 public:
  explicit Contents(std::shared_ptr<const MappedFile> file) : file_(std::move(file)) {
    for (SafetensorsEntry& entry : ReadSafetensorsHeader(*file_)) {
      const std::string name = entry.name;
      entries_[name] = std::move(entry);
    }
  }

  bool Has(const std::string& name) const { return entries_.count(name) > 0; }

  at::Tensor Read(const std::string& name, const char* dtype, at::ScalarType type, std::vector<int64_t> shape) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) throw std::invalid_argument("tensor '" + name + "' is missing");
    const SafetensorsEntry& entry = found->second;
    if (entry.dtype != dtype || entry.shape != shape) {
      throw std::invalid_argument(fmt::format("tensor '{}' is {} [{}], expected {} [{}]", name, entry.dtype,
                                              fmt::join(entry.shape, ", "), dtype, fmt::join(shape, ", ")));
    }
    at::Tensor tensor = at::empty(shape, type);
    if (entry.size_bytes > 0) std::memcpy(tensor.data_ptr(), file_->bytes() + entry.offset_bytes, entry.size_bytes);
    file_->Release(entry.offset_bytes, entry.size_bytes);
    return tensor;
  }

 private:
  const std::shared_ptr<const MappedFile> file_;
  std::map<std::string, SafetensorsEntry> entries_;
};

ActivationGrid GridOf(const json& card) {
  ActivationGrid grid{
      .bits = card.at("bits"), .symmetric = card.at("symmetric"), .per_token = card.at("per_token"),
      .static_scale = card.at("static_scale")};
  if (card.contains("format")) grid.format = InputFormatOf(card["format"].get<std::string>());
  grid.group_size = card.value("group_size", int64_t{0});
  grid.static_zero = card.value("static_zero", int64_t{0});
  grid.scale_divisor = card.value("scale_divisor", 0.0F);
  if (card.contains("scale_rule")) grid.scale_rule = MxScaleOf(card["scale_rule"].get<std::string>());
  if (grid.group_size < 0) throw std::invalid_argument("a grid of inputs has groups out of range");
  return grid;
}

// Error for a grid that keys or values cannot have.
KvGrid KvGridOf(const std::string& name, const json& card, const Contents& contents) {
  KvGrid grid{.numbers = GridOf(card)};
  const auto refuse = [] { throw std::invalid_argument("kv_cache is out of range"); };
  const ActivationGrid& numbers = grid.numbers;
  if (numbers.bits < 2 || numbers.bits > 16 || numbers.is_static() || numbers.group_size != 0) refuse();
  if (!card.contains("per")) return grid;
  grid.scale_of = KvScaleOfName(card["per"].get<std::string>());
  if (!grid.is_static() || BlockSizeOf(numbers.format) != 0) refuse();
  const bool has_lows = numbers.format == InputFormat::kInteger && !numbers.symmetric;
  for (const json& shape : card.at("blocks")) {
    const std::vector<int64_t> sizes = shape;
    if (sizes.size() != 2) refuse();
    const auto read = [&](const char* part) {
      const at::Tensor tensor = contents.Read(fmt::format("kv_cache.{}.{}.{}", name, grid.blocks.size(), part), "F32",
                                              at::kFloat, sizes);
      if (!tensor.isfinite().all().item<bool>()) refuse();
      return tensor;
    };
    KvBlockScales block{.scales = read("scales")};
    if (!(block.scales > 0).all().item<bool>()) refuse();
    if (has_lows) block.lows = read("lows");
    grid.blocks.push_back(std::move(block));
  }
  return grid;
}

// Scales, zeros and what they are of.
void ReadParameters(const json& card, const Contents& contents, const LinearShape& shape, int64_t groups,
                    QuantizedLinear& q) {
  int64_t rows = shape.out_features;
  if (card.contains("scale_rows")) {
    q.row_index = contents.Read(shape.name + ".row_index", "I32", at::kInt, {rows});
    rows = card["scale_rows"];
    if (rows < 1 || rows > shape.out_features) {
      throw std::invalid_argument("layer '" + shape.name + "' has rows of scales out of range");
    }
  }
  const auto read_half_or_float = [&](const char* suffix) {
    return q.scale_dtype == "float16"
               ? contents.Read(shape.name + suffix, "F16", at::kHalf, {rows, groups}).to(at::kFloat)
               : contents.Read(shape.name + suffix, "F32", at::kFloat, {rows, groups});
  };
  if (q.scale_dtype == "float16" || q.scale_dtype == "float32") {
    q.scales = read_half_or_float(".scales");
  } else {
    if (q.scale_dtype != "float8_e4m3fn" && q.scale_dtype != "float8_e8m0fnu") {
      throw std::invalid_argument("layer '" + shape.name + "' has scales of the unknown type '" + q.scale_dtype + "'");
    }
    const FloatFormat format = FloatFormatOf(q.scale_dtype);
    q.scale_divisor = card.value("scale_divisor", 1.0F);
    q.scales =
        DecodeFloats(format, contents.Read(shape.name + ".scales", SafetensorsDtype(format), at::kByte, {rows, groups}))
            .div_(q.scale_divisor);
  }
  q.zeros = card.value("real_zeros", false) ? read_half_or_float(".zeros")
                                            : contents.Read(shape.name + ".zeros", "U8", at::kByte, {rows, groups});
}

LinearShape ShapeOf(const json& card) {
  return {.name = card.at("name"),
          .block = card.at("block"),
          .in_features = card.at("in_features"),
          .out_features = card.at("out_features"),
          .is_expert = card.at("is_expert")};
}

QuantizedLayer ReadLayer(const json& card, const Contents& contents) {
  QuantizedLayer layer;
  LinearShape& shape = layer.shape;
  shape = ShapeOf(card);
  layer.bits_requested = card.at("bits_requested");
  layer.bits_per_weight = card.at("bits_per_weight");
  QuantizedLinear& q = layer.linear;
  q.bits = card.at("bits");
  q.symmetric = card.at("symmetric");
  q.group_size = card.at("group_size");
  q.scale_dtype = card.at("scale_dtype");
  q.fallback = FallbackOf(card.at("fallback"));
  // Sizes from the card decide how much memory is taken, so they are checked against the file's tensors first.
  const int64_t rows = shape.out_features, columns = shape.in_features;
  if (rows < 1 || columns < 1 || rows > (1 << 28) || columns > (1 << 28) || q.bits < 1 || q.bits > 8 ||
      q.group_size < 1 || q.group_size > columns) {
    throw std::invalid_argument("layer '" + shape.name + "' has sizes out of range");
  }
  const int64_t groups = (columns + q.group_size - 1) / q.group_size;
  const at::Tensor packed =
      contents.Read(shape.name + ".codes", "U8", at::kByte, {PackedSizeBytes(rows * columns, q.bits)});
  q.codes = at::empty({rows, columns}, at::kByte);
  UnpackCodes({packed.data_ptr<uint8_t>(), static_cast<size_t>(packed.numel())}, q.bits,
              {q.codes.data_ptr<uint8_t>(), static_cast<size_t>(q.codes.numel())});
  ReadParameters(card, contents, shape, groups, q);
  q.group_index = contents.Read(shape.name + ".group_index", "I32", at::kInt, {columns});
  if (contents.Has(shape.name + ".input_scale")) {
    q.input_scale = contents.Read(shape.name + ".input_scale", "F32", at::kFloat, {columns});
  }
  if (card.contains("levels")) {
    const int64_t levels = card["levels"];
    if (levels < 2 || levels > 256) throw std::invalid_argument("layer '" + shape.name + "' has levels out of range");
    q.levels = contents.Read(shape.name + ".levels", "F32", at::kFloat, {levels});
  }
  for (const json& pair : card.at("diagnostics")) {
    q.diagnostics.emplace_back(pair.at(0), pair.at(1).is_null() ? std::numeric_limits<double>::quiet_NaN()
                                                                : pair.at(1).get<double>());
  }
  if (card.contains("activation")) {
    q.activation = GridOf(card["activation"]);
  }
  q.Validate(shape);
  return layer;
}

// Two values under one key are an Error(kIo), which json::parse() would pass over.
json ParsedJson(std::string_view text, const std::filesystem::path& path) {
  ParseJson(text, path.string());
  return json::parse(text.begin(), text.end());
}

json MetadataOf(const MappedFile& file, const std::filesystem::path& path) {
  uint64_t size = 0;
  std::memcpy(&size, file.bytes(), sizeof size);
  const char* first = reinterpret_cast<const char*>(file.bytes()) + sizeof size;
  return ParsedJson({first, size}, path).at("__metadata__");
}

// Embeddings are large: a model in bfloat16 has them in bfloat16.
json AddModelWeights(const QuantizedModel& model, std::vector<TensorToWrite>& tensors) {
  json cards = json::array();
  for (const auto& [name, weight] : model.model_weights) {
    const bool is_half = weight.scalar_type() == at::kBFloat16;
    const char* const dtype = is_half ? "BF16" : "F32";
    tensors.push_back({name, dtype, weight.sizes().vec(),
                       [held = weight, is_half] { return BytesOf(held.to(is_half ? at::kBFloat16 : at::kFloat)); }});
    cards.push_back({{"name", name}, {"dtype", dtype}, {"shape", weight.sizes().vec()}});
  }
  return cards;
}

json AddRotations(const QuantizedModel& model, std::vector<TensorToWrite>& tensors) {
  json cards = json::array();
  for (const auto& [place, rotation] : model.rotations) {
    const at::Tensor &signs = rotation.signs(), &matrix = rotation.matrix();
    if (signs.defined()) {
      tensors.push_back({place + ".signs", "F32", signs.sizes().vec(), [signs] { return BytesOf(signs); }});
    }
    if (matrix.defined()) {
      tensors.push_back({place + ".matrix", "F32", matrix.sizes().vec(), [matrix] { return BytesOf(matrix); }});
    }
    cards.push_back({{"place", place},
                     {"width", rotation.width()},
                     {"stride", rotation.stride()},
                     {"signs", signs.defined()},
                     {"matrix", matrix.defined()}});
  }
  return cards;
}

OnlineRotation ReadRotation(const json& card, const Contents& contents) {
  const std::string place = card.at("place");
  const int64_t width = card.at("width"), stride = card.at("stride");
  if (width < 1 || width > (1 << 28) || stride < 1 || stride > (1 << 28)) {
    throw std::invalid_argument("the rotation at '" + place + "' has a width out of range");
  }
  if (card.at("matrix")) {
    const at::Tensor matrix = contents.Read(place + ".matrix", "F32", at::kFloat, {width, width});
    return {place, Rotation::OfMatrix(matrix).Strided(stride)};
  }
  const bool is_signed = card.at("signs");
  const at::Tensor signs = is_signed ? contents.Read(place + ".signs", "F32", at::kFloat, {width}) : at::Tensor();
  return {place, Rotation::Hadamard(width, signs).Strided(stride)};
}

// The file of `model`, whose layers have these cards and tensors.
void WriteFile(const std::filesystem::path& path, const QuantizedModel& model, const json& cards,
               std::vector<TensorToWrite> tensors, const Value& about) {
  json others = json::array();
  for (const auto& [name, weight] : model.other_weights) {
    tensors.push_back({name, "F32", weight.sizes().vec(), [held = weight] { return BytesOf(held.to(at::kFloat)); }});
    others.push_back({{"name", name}, {"shape", weight.sizes().vec()}});
  }
  const json ends = AddModelWeights(model, tensors), rotations = AddRotations(model, tensors);
  std::map<std::string, std::string> metadata = {{"format", kFormat},
                                                 {"layers", cards.dump()},
                                                 {"about", about.is_null() ? "{}" : about.CanonicalJson()},
                                                 {"bits_requested", json(model.bits_requested).dump()},
                                                 {"bits_effective", json(model.bits_effective).dump()},
                                                 {"codes_digest", model.codes_digest}};
  if (!others.empty()) metadata["other_weights"] = others.dump();
  if (!ends.empty()) metadata["model_weights"] = ends.dump();
  if (!rotations.empty()) metadata["rotations"] = rotations.dump();
  json skipped = json::array();
  for (const LinearShape& layer : model.skipped) skipped.push_back(ShapeCard(layer));
  if (!skipped.empty()) metadata["skipped"] = skipped.dump();
  json kv_cache;
  if (model.kv_cache.keys) kv_cache["keys"] = KvCard("keys", *model.kv_cache.keys, tensors);
  if (model.kv_cache.values) kv_cache["values"] = KvCard("values", *model.kv_cache.values, tensors);
  if (model.kv_cache.keys_before_rotation) kv_cache["keys_before_rotation"] = true;
  if (!kv_cache.is_null()) metadata["kv_cache"] = kv_cache.dump();
  metadata["text_digest"] = DigestOf(json(metadata).dump());
  WriteSafetensors(path, std::move(tensors), metadata);
}

[[noreturn]] void ThrowDamaged(const std::filesystem::path& path, const std::string& what) {
  throw Error(ErrorKind::kIo,
              fmt::format("{}: {}. The file is damaged or was altered. Quantize again.", path.string(), what));
}

template <typename Body>
auto OfFile(const std::filesystem::path& path, const Body& body) {
  try {
    return body();
  } catch (const json::exception& error) {
    ThrowDamaged(path, error.what());
  } catch (const std::invalid_argument& error) {
    ThrowDamaged(path, error.what());
  } catch (const InternalError& error) {
    ThrowDamaged(path, error.what());
  } catch (const c10::Error& error) {
    RethrowTorchError(path.string(), error.what_without_backtrace());
  }
}

// Whatever of the description is not of a single layer.
void ReadDescription(const json& metadata, const Contents& contents, const std::filesystem::path& path,
                     QuantizedFile& result) {
  if (metadata.contains("other_weights")) {
    for (const json& card : ParsedJson(metadata["other_weights"].get<std::string>(), path)) {
      const std::vector<int64_t> shape = card.at("shape");
      result.model.other_weights.emplace_back(card.at("name"),
                                              contents.Read(card.at("name"), "F32", at::kFloat, shape));
    }
  }
  if (metadata.contains("model_weights")) {
    for (const json& card : ParsedJson(metadata["model_weights"].get<std::string>(), path)) {
      const std::vector<int64_t> shape = card.at("shape");
      const std::string dtype = card.at("dtype");
      if (dtype != "BF16" && dtype != "F32")
        throw std::invalid_argument("a weight of the model is of type '" + dtype + "'");
      result.model.model_weights.emplace_back(
          card.at("name"),
          contents.Read(card.at("name"), dtype.c_str(), dtype == "BF16" ? at::kBFloat16 : at::kFloat, shape));
    }
  }
  if (metadata.contains("rotations")) {
    for (const json& card : ParsedJson(metadata["rotations"].get<std::string>(), path)) {
      result.model.rotations.push_back(ReadRotation(card, contents));
    }
  }
  if (metadata.contains("kv_cache")) {
    const json card = ParsedJson(metadata["kv_cache"].get<std::string>(), path);
    KvCacheGrid& grid = result.model.kv_cache;
    if (card.contains("keys")) grid.keys = KvGridOf("keys", card["keys"], contents);
    if (card.contains("values")) grid.values = KvGridOf("values", card["values"], contents);
    grid.keys_before_rotation = card.value("keys_before_rotation", false);
  }
  if (metadata.contains("skipped")) {
    for (const json& card : ParsedJson(metadata["skipped"].get<std::string>(), path)) {
      result.model.skipped.push_back(ShapeOf(card));
    }
  }
  result.model.bits_requested = ParsedJson(metadata.at("bits_requested").get<std::string>(), path);
  result.model.bits_effective = ParsedJson(metadata.at("bits_effective").get<std::string>(), path);
  result.model.codes_digest = metadata.at("codes_digest");
  result.about = ParseJson(metadata.at("about").get<std::string>(), path.string());
  if (!result.about.is_map()) {
    throw std::invalid_argument(
        fmt::format("what its writer said of it is {}, not a map", Article(result.about.type())));
  }
}

// Calls take(layer, card) with each layer of the file.
template <typename Take>
QuantizedFile ReadFile(const std::filesystem::path& path, const std::shared_ptr<const MappedFile>& file,
                       const Contents& contents, const Take& take) {
  QuantizedFile result;
  CodesDigest digest;
  OfFile(path, [&] {
    json metadata = MetadataOf(*file, path);
    if (const std::string format = metadata.value("format", ""); format != kFormat) {
      throw Error(ErrorKind::kIo, fmt::format("{}: its format is '{}', not '{}'. Only files of quantized layers that "
                                              "this version wrote can be read. Quantize again.",
                                              path.string(), format, kFormat));
    }
    const std::string text_digest = metadata.at("text_digest");
    metadata.erase("text_digest");
    if (DigestOf(metadata.dump()) != text_digest) ThrowDamaged(path, "its description does not match its digest");
    std::set<std::string> names;
    for (json& card : ParsedJson(metadata.at("layers").get<std::string>(), path)) {
      QuantizedLayer layer = ReadLayer(card, contents);
      if (!names.insert(layer.shape.name).second) {
        throw std::invalid_argument("layer '" + layer.shape.name + "' is there twice");
      }
      digest.Add(layer);
      take(layer, card);
      result.model.layers.push_back(std::move(layer));
    }
    ReadDescription(metadata, contents, path, result);
  });
  if (digest.Finish(result.model) != result.model.codes_digest) {
    ThrowDamaged(path, "its codes do not match their digest");
  }
  return result;
}

}  // namespace

void SaveQuantized(const std::filesystem::path& path, const QuantizedModel& model, const Value& about) {
  std::vector<TensorToWrite> all;
  json cards = json::array();
  for (const QuantizedLayer& layer : model.layers) {
    for (TensorToWrite& tensor : TensorsOf(layer)) all.push_back(std::move(tensor));
    cards.push_back(CardOf(layer));
  }
  WriteFile(path, model, cards, std::move(all), about);
}

struct QuantizedFileWriter::Taken {
  std::filesystem::path path;
  WaitingBytes waiting;
  std::vector<TensorToWrite> tensors;
  json cards = json::array();
};

QuantizedFileWriter::QuantizedFileWriter(std::filesystem::path path)
    : taken_(new Taken{path, WaitingBytes(path.parent_path()), {}, json::array()}) {}

QuantizedFileWriter::~QuantizedFileWriter() = default;

void QuantizedFileWriter::Take(QuantizedLayer& layer) {
  taken_->cards.push_back(CardOf(layer));
  for (TensorToWrite& tensor : TensorsOf(layer)) {
    const std::string bytes = tensor.bytes();
    tensor.bytes = [&waiting = taken_->waiting, at = taken_->waiting.Append(bytes), count = bytes.size()] {
      return waiting.Read(at, count);
    };
    taken_->tensors.push_back(std::move(tensor));
  }
  DropTensors(layer.linear);
}

void QuantizedFileWriter::Finish(const QuantizedModel& model, const Value& about) {
  if (taken_->cards.size() != model.layers.size()) {
    throw InternalError(fmt::format("{}: {} layers were given to be written of {}", taken_->path.string(),
                                    taken_->cards.size(), model.layers.size()));
  }
  WriteFile(taken_->path, model, taken_->cards, std::move(taken_->tensors), about);
}

QuantizedFile LoadQuantized(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  return ReadFile(path, file, Contents(file), [](QuantizedLayer&, json&) {});
}

QuantizedFile OpenQuantized(const std::filesystem::path& path) {
  const std::shared_ptr<const MappedFile> file = MappedFile::Open(path);
  const auto contents = std::make_shared<const Contents>(file);
  const auto cards = std::make_shared<std::vector<json>>();
  QuantizedFile result = ReadFile(path, file, *contents, [&](QuantizedLayer& layer, json& card) {
    DropTensors(layer.linear);
    cards->push_back(std::move(card));
  });
  result.read = [path, contents, cards](size_t layer) {
    return OfFile(path, [&] { return ReadLayer(cards->at(layer), *contents).linear; });
  };
  return result;
}

}  // namespace bitlaw
