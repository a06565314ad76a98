#pragma once

#include <filesystem>

#include "bitlaw/base/value.h"
#include "bitlaw/sdk/decoder/decoder_config.h"

namespace bitlaw {

/// config.json as a decoder configuration.
///
/// Known architectures: LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM; rope types default,
/// linear and llama3, in the spelling of transformers 4 (rope_scaling) and 5 (rope_parameters).
/// Errors: Error(kUnsupported) for what this decoder does not compute, Error(kIo) for fields that are missing or wrong.
DecoderConfig ReadHfConfig(const Value& config, const std::filesystem::path& file);

}  // namespace bitlaw
