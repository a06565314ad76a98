#include <string>

#include "architectures.h"
#include "bitlaw/api/plugin.h"
#include "hf.h"

namespace {

void RegisterHf(bitlaw::Registrar& registrar) {
  std::string about = "Hugging Face checkpoint folders: config.json, safetensors, tokenizer.json. Model types:";
  for (const bitlaw::Architecture& architecture : bitlaw::Architectures()) {
    about += (about.back() == ':' ? " " : ", ") + std::string(architecture.name);
  }
  registrar.Add<bitlaw::ModelBackend>(
      {"hf", about + ".", "https://github.com/huggingface/safetensors"}, bitlaw::HfBackend::Schema(),
      [](const bitlaw::Options& options) { return std::make_unique<bitlaw::HfBackend>(options); });
  registrar.Add<bitlaw::ModelBackend>(
      {"hf_shapes",
       "The shapes that a config.json calls for, without weights: what 'bitlaw plan --shapes' plans with. It opens no "
       "model.",
       ""},
      {}, [](const bitlaw::Options&) { return std::make_unique<bitlaw::HfShapesBackend>(); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.hf", "1.0.0", "Apache-2.0", "Opens Hugging Face checkpoint folders.", RegisterHf)
