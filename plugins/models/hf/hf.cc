#include "hf.h"

#include <ATen/ATen.h>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"
#include "checkpoint.h"

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

}  // namespace bitlaw
