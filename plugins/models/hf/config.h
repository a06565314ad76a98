#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "bitlaw/base/value.h"
#include "bitlaw/sdk/decoder/decoder_config.h"

namespace bitlaw {

/// config.json as a decoder configuration.
///
/// Known architectures: those of architectures.cc. Rope types default, linear, llama3, yarn, dynamic and longrope, in
/// the spelling of transformers 4 (rope_scaling) and 5 (rope_parameters).
/// Errors: Error(kUnsupported) for what this decoder does not compute, Error(kIo) for fields that are missing or wrong.
DecoderConfig ReadHfConfig(const Value& config, const std::filesystem::path& file);

/// Whether a checkpoint reads images beside text. Known: Gemma3ForConditionalGeneration.
bool ReadsImages(const Value& config);

/// Of such a checkpoint the configuration of its model of text, as that model's own class would have written it, with what
/// transformers takes where the file is silent; any other configuration as it is.
/// where: the file, for errors. Error(kIo) for a text_config that is none.
Value TextConfigOf(const Value& config, const std::string& where);

/// Whether a tensor of such a checkpoint belongs to what reads images: nothing that text passes through.
bool IsOfImages(std::string_view tensor);

}  // namespace bitlaw
