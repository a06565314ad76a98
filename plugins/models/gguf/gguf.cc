#include "gguf.h"

#include <cstring>
#include <fstream>

#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"
#include "checkpoint.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

ModelSummary Summary(const GgufCheckpoint& checkpoint, const fs::path& path) {
  ModelSummary summary =
      SummarizeDecoder(checkpoint.config(), checkpoint.tensors(), path.stem().string(), path.string());
  summary.baseline_note = checkpoint.baseline_note();
  return summary;
}

}  // namespace

bool GgufBackend::Claims(const fs::path& path) const {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  if (path.extension() == ".gguf") return true;
  char magic[4] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof(magic));
  return std::memcmp(magic, "GGUF", sizeof(magic)) == 0;
}

std::string GgufBackend::ExplainUnsupported(const fs::path& path) const {
  try {
    Inspect(path);
    OpenTokenizer(path);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

ModelSummary GgufBackend::Inspect(const fs::path& path) const { return Summary(GgufCheckpoint(path), path); }

std::vector<fs::path> GgufBackend::Files(const fs::path& path) const { return {path}; }

std::unique_ptr<Tokenizer> GgufBackend::OpenTokenizer(const fs::path& path) const {
  return OpenGgufTokenizer(GgufFile(path));
}

std::unique_ptr<Model> GgufBackend::Open(const fs::path& path, const ComputeSetting& compute) const {
  auto checkpoint = std::make_unique<GgufCheckpoint>(path);
  ModelSummary summary = Summary(*checkpoint, path);
  const DecoderConfig config = checkpoint->config();
  std::unique_ptr<Tokenizer> tokenizer = OpenGgufTokenizer(checkpoint->file());
  return OpenDecoder(config, std::move(summary), std::move(checkpoint), std::move(tokenizer), compute);
}

}  // namespace bitlaw
