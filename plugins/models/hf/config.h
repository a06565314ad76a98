#pragma once

#include <filesystem>

#include "bitlaw/base/value.h"
#include "bitlaw/sdk/decoder/decoder_config.h"

namespace bitlaw {

/// config.json as a decoder configuration.
///
/// Known architectures: those of architectures.cc. Rope types default, linear, llama3, yarn, dynamic and longrope, in
/// the spelling of transformers 4 (rope_scaling) and 5 (rope_parameters).
/// Errors: Error(kUnsupported) for what this decoder does not compute, Error(kIo) for fields that are missing or wrong.
DecoderConfig ReadHfConfig(const Value& config, const std::filesystem::path& file);

}  // namespace bitlaw
