#include "hf.h"

#include <ATen/ATen.h>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/hf_folder.h"
#include "bitlaw/sdk/decoder/decoder_config.h"
#include "checkpoint.h"
#include "config.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

// "SmolLM2-135M" of "models/SmolLM2-135M/".
std::string FolderName(const fs::path& path) {
  const fs::path plain = path.lexically_normal();
  return (plain.has_filename() ? plain : plain.parent_path()).filename().string();
}

ModelSummary Summary(const HfCheckpoint& checkpoint, const fs::path& path) {
  ModelSummary summary =
      SummarizeDecoder(checkpoint.config(), checkpoint.tensors(), FolderName(path), path.string());
  if (const QuantizedWeights* quantized = checkpoint.quantized()) {
    summary.stored_quantization = quantized->Describe(summary);
    summary.baseline_note = quantized->Note();
    summary.factors.push_back({"stored_method", "", "", "Which program's format the weights were quantized in.",
                               FactorRole::kOther, summary.stored_quantization->method, {}});
  }
  return summary;
}

constexpr uint64_t kMaxConfigBytes = 4 << 20;

std::string WhyClosed(const fs::path& path) {
  return path.string() +
         ": is taken for the shapes in its config.json ('hf_shapes'); no weights are read there. Only 'bitlaw plan "
         "--shapes' does that; give a folder with weights.";
}

// The dtype of the weights, as transformers 4 and 5 call it; transformers takes float32 where the file is silent.
std::string DtypeOf(const Value& config, const fs::path& file) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const Value* value = config.Find(key);
    if (value == nullptr || value->is_null()) continue;
    if (value->is_string()) {
      for (const char* known : {"float32", "bfloat16", "float16", "float64"}) {
        if (value->AsString() == known) return known;
      }
    }
    throw Error(ErrorKind::kUnsupported, file.string() + ": '" + key + "' is " + value->Text() +
                                             ". Weights must be float64, float32, float16 or bfloat16.");
  }
  return "float32";
}

}  // namespace

bool HfBackend::Claims(const fs::path& path) const {
  std::error_code error;
  return fs::is_directory(path, error) && fs::exists(path / "config.json", error);
}

std::string HfBackend::ExplainUnsupported(const fs::path& path) const {
  try {
    Inspect(path);
    OpenTokenizer(path);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

OptionSchema HfBackend::Schema() {
  OptionSchema schema;
  schema.Bool("weights_only")
      .Default(false)
      .Doc("Of a checkpoint whose inputs, keys or values are quantized in a way that is not computed here: evaluate its "
           "weights alone.");
  return schema;
}

ModelSummary HfBackend::Inspect(const fs::path& path) const { return Summary(HfCheckpoint(path, weights_only_), path); }

std::vector<fs::path> HfBackend::Files(const fs::path& path) const { return HfCheckpoint(path, weights_only_).files(); }

std::unique_ptr<Tokenizer> HfBackend::OpenTokenizer(const fs::path& path) const { return OpenHfTokenizer(path); }

std::unique_ptr<Model> HfBackend::Open(const fs::path& path, const ComputeSetting& compute) const {
  auto checkpoint = std::make_unique<HfCheckpoint>(path, weights_only_);
  ModelSummary summary = Summary(*checkpoint, path);
  const DecoderConfig config = checkpoint->config();
  KvCacheGrid cache = checkpoint->quantized() == nullptr ? KvCacheGrid() : checkpoint->quantized()->Cache();
  std::unique_ptr<Model> model = OpenDecoder(config, std::move(summary), std::move(checkpoint), OpenHfTokenizer(path), compute);
  if (!cache.any()) return model;
  for (KvGrid* grid : {&*cache.keys, &*cache.values}) {
    for (KvBlockScales& block : grid->blocks) block.scales = block.scales.to(at::Device(compute.device));
  }
  model->RoundKvCache(cache);
  return model;
}

bool HfShapesBackend::Claims(const fs::path&) const { return false; }

std::string HfShapesBackend::ExplainUnsupported(const fs::path& path) const { return WhyClosed(path); }

ModelSummary HfShapesBackend::Inspect(const fs::path& path) const {
  const fs::path file = path / "config.json";
  const Value whole = ReadJsonMap(file, kMaxConfigBytes);
  const Value* quantization = whole.Find("quantization_config");
  if (quantization != nullptr && !quantization->is_null()) {
    throw Error(ErrorKind::kUnsupported,
                file.string() + ": has a quantization_config. Shapes are those of weights that no program quantized; take "
                                "the config.json of the original model.");
  }
  const Value text = TextConfigOf(whole, file.string());
  const DecoderConfig config = ReadHfConfig(text, file);
  const bool text_has_dtype = text.Find("dtype") != nullptr || text.Find("torch_dtype") != nullptr;
  const std::string dtype = DtypeOf(text_has_dtype ? text : whole, file);
  std::vector<StoredTensor> tensors = ExpectedTensors(config);
  for (StoredTensor& tensor : tensors) tensor.dtype = dtype;
  return SummarizeDecoder(config, tensors, FolderName(path), path.string());
}

std::vector<fs::path> HfShapesBackend::Files(const fs::path& path) const { return {path / "config.json"}; }

std::unique_ptr<Tokenizer> HfShapesBackend::OpenTokenizer(const fs::path& path) const {
  throw Error(ErrorKind::kUnsupported, WhyClosed(path));
}

std::unique_ptr<Model> HfShapesBackend::Open(const fs::path& path, const ComputeSetting&) const {
  throw Error(ErrorKind::kUnsupported, WhyClosed(path));
}

}  // namespace bitlaw
