// Whole checkpoints through the model plugins, in a build that has them (they need libtorch).
#include <iterator>
#include <map>
#include <memory>

#include "bitlaw/api/model.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "fuzz/target.h"
#include "plugin/host.h"

namespace bitlaw::fuzz {
namespace {

namespace fs = std::filesystem;

const ModelBackend& Backend(const std::string& name) {
  static PluginHost* const host = new PluginHost(OwnFingerprint());
  static auto* const made = new std::map<std::string, std::unique_ptr<ModelBackend>>;
  auto& backend = (*made)[name];
  if (backend) return *backend;
  try {
    host->LoadFile(fs::path(BITLAW_FUZZ_PLUGINS) / ("bitlaw_model_" + name + ".so"));
    backend = host->MakeModelBackend(name, host->Find(ComponentKind::kModel, name).schema.Resolve(Value(), name));
  } catch (const Error& error) {
    Require(false, error.what());
  }
  return *backend;
}

void Inspect(const ModelBackend& backend, const fs::path& path) {
  const std::string reason = backend.ExplainUnsupported(path);
  if (!reason.empty()) throw Error(ErrorKind::kUnsupported, reason);
  const ModelSummary summary = backend.Inspect(path);
  Require(summary.parameters_total >= 0 && summary.parameters_quantizable <= summary.parameters_total,
          "model: the counts of its parameters agree");
  Require(!backend.Files(path).empty(), "model: it has files");
  const auto tokenizer = backend.OpenTokenizer(path);
  tokenizer->Decode(tokenizer->Encode("Hello, world 12", true), false);
  // Weights that another program quantized are unpacked when they are read.
  constexpr int64_t kFewParameters = 100'000;
  if (!summary.stored_quantization || summary.parameters_total > kFewParameters) return;
  Require(summary.stored_quantization->bits > 0 && summary.stored_quantization->bits <= 16, "model: codes have a width");
  const auto model = backend.Open(path, {});
  for (int64_t i = 0; i < summary.num_blocks; ++i) model->block(i);
}

// Input: config.json, generation_config.json, tokenizer_config.json, tokenizer.json, model.safetensors.
void HfFolder(std::string_view input) {
  static constexpr const char* kNames[] = {"config.json", "generation_config.json", "tokenizer_config.json",
                                           "tokenizer.json", "model.safetensors"};
  const ModelBackend& backend = Backend("hf");
  const auto parts = Parts(input, std::size(kNames));
  fs::remove_all(ScratchFolder() / "hf");
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].empty()) WriteScratch(std::string("hf/") + kNames[i], parts[i]);
  }
  Inspect(backend, ScratchFolder() / "hf");
}

void GgufModel(std::string_view input) { Inspect(Backend("gguf"), WriteScratch("model.gguf", input)); }

const Register kHfFolder("hf_folder", HfFolder);
const Register kGgufModel("gguf_model", GgufModel);

}  // namespace
}  // namespace bitlaw::fuzz
