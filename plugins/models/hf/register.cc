#include "bitlaw/api/plugin.h"
#include "hf.h"

namespace {

void RegisterHf(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::ModelBackend>({"hf", "Hugging Face checkpoint folders: config.json, safetensors, tokenizer.json.",
                             "https://github.com/huggingface/safetensors"},
                            bitlaw::OptionSchema(),
                            [](const bitlaw::Options&) { return std::make_unique<bitlaw::HfBackend>(); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.hf", "1.0.0", "Apache-2.0", "Opens Hugging Face checkpoint folders.", RegisterHf)
