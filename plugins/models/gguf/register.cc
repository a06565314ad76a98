#include "bitlaw/api/plugin.h"
#include "gguf.h"

namespace {

void RegisterGguf(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::ModelBackend>({"gguf", "GGUF files of llama.cpp, dequantized; the tokenizer comes from the file.",
                             "https://github.com/ggml-org/ggml/blob/master/docs/gguf.md"},
                            bitlaw::OptionSchema(),
                            [](const bitlaw::Options&) { return std::make_unique<bitlaw::GgufBackend>(); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.gguf", "1.0.0", "Apache-2.0", "Opens GGUF files and dequantizes them.", RegisterGguf)
