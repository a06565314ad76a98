#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "spec/decoder.h"

namespace bitlaw {

/// Throws what keeps a backend from opening a checkpoint: its own error, so that a broken file is Error(kIo) and not
/// something unsupported; Error(kUnsupported) with ExplainUnsupported()'s text for the rest.
BITLAW_EXPORT void RequireSupported(const ModelBackend& backend, const std::filesystem::path& path);

/// Over the summary, its name left out, and the sizes of the model's files.
std::string HeadersDigest(const ModelSummary& summary, const std::vector<std::filesystem::path>& files);

/// Faults of models with an `original`: it must be a model of the study whose weights are original, and they quantized.
void CheckOriginals(const std::vector<PlannedModel>& models, Faults& faults);

}  // namespace bitlaw
