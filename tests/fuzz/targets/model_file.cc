// What a checkpoint is read from: safetensors headers, config.json, GGUF, and a plugin's symbol table.
#include <algorithm>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/checkpoint/hf_folder.h"
#include "bitlaw/sdk/checkpoint/mapped_file.h"
#include "bitlaw/sdk/checkpoint/safetensors.h"
#include "bitlaw/sdk/decoder/decoder_config.h"
#include "config.h"
#include "dequantize.h"
#include "fuzz/target.h"
#include "bitlaw/sdk/checkpoint/gguf_file.h"
#include "plugin/elf_symbols.h"

namespace bitlaw::fuzz {
namespace {

void Safetensors(std::string_view input) {
  const auto file = MappedFile::Open(WriteScratch("model.safetensors", input));
  uint64_t end = 0;
  for (const SafetensorsEntry& entry : ReadSafetensorsHeader(*file)) {
    Require(entry.offset_bytes >= end, "safetensors: tensors do not overlap");
    end = entry.offset_bytes + entry.size_bytes;
    Require(end <= input.size(), "safetensors: tensors lie within the file");
    Require(SafetensorsBits(entry.dtype) > 0, "safetensors: dtypes are known");
  }
}

void HfConfig(std::string_view input) {
  const DecoderConfig config = ReadHfConfig(ReadJsonMap(WriteScratch("config.json", input), 1 << 20), "config.json");
  CheckDecoderConfig(config, "config.json");
  SummarizeDecoder(config, ExpectedTensors(config), "model", "config.json");
}

void Gguf(std::string_view input) {
  const GgufFile file(WriteScratch("model.gguf", input));
  uint64_t end = 0;
  std::vector<float> values;
  for (const GgufTensor& tensor : file.tensors()) {
    Require(tensor.offset_bytes >= end, "GGUF: tensors do not overlap");
    end = tensor.offset_bytes + tensor.size_bytes;
    Require(end <= input.size(), "GGUF: tensors lie within the file");
    if (!tensor.type->is_readable || tensor.type->block_elements == 1) continue;
    const uint64_t blocks = std::min<uint64_t>(tensor.size_bytes / tensor.type->block_bytes, 64);
    values.resize(blocks * tensor.type->block_elements);
    Dequantize(*tensor.type, file.file()->bytes() + tensor.offset_bytes, 0, values.size(), values.data());
  }
  const auto tolerate = [](auto&& read) {
    try {
      read();
    } catch (const Error&) {
    }
  };
  for (const char* key :
       {"general.architecture", "general.alignment", "llama.context_length", "llama.rope.freq_base",
        "llama.attention.head_count_kv", "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.scores",
        "tokenizer.ggml.token_type", "tokenizer.ggml.merges", "tokenizer.ggml.add_bos_token", "k"}) {
    if (!file.Has(key)) continue;
    tolerate([&] { file.Int(key); });
    tolerate([&] { file.Real(key); });
    tolerate([&] { file.Bool(key); });
    tolerate([&] { file.String(key); });
    tolerate([&] {
      const auto strings = file.Strings(key);
      for (const std::string_view text : *strings) Require(text.size() <= input.size(), "GGUF: texts lie in the file");
    });
    tolerate([&] { file.Ints(key); });
  }
}

void ElfSymbols(std::string_view input) {
  for (const ExportedSymbol& symbol : ReadExportedSymbols(WriteScratch("plugin.so", input), "bitlaw_")) {
    Require(symbol.name.starts_with("bitlaw_"), "ELF: symbols have the prefix");
  }
}

const Register kSafetensors("safetensors", Safetensors);
const Register kHfConfig("hf_config", HfConfig);
const Register kGguf("gguf", Gguf);
const Register kElfSymbols("elf_symbols", ElfSymbols);

}  // namespace
}  // namespace bitlaw::fuzz
