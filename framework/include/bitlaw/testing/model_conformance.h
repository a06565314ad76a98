#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// What a model backend does with the checkpoint at `path` against the promises of model_backend.h and model.h, one
/// sentence an entry; empty if it keeps them. A small checkpoint will do: each of its layers is tried. `tolerance`: of
/// float32 logits, relative to the largest.
///
/// Tried without weights: what is claimed and what is not; that the parts of the summary agree; files; tokenizer and
/// ids. With them: layers, shapes and sites of the blocks against the summary; logits finite, the same twice, causal,
/// and the same alone, in a batch, token by token through a cache and as two branches of one; every layer counts; a
/// dropped block is read again, also ahead; scales fold at every producer; keys and values are rounded where the
/// summary says so; dtype and device are those that were asked for, or refused.
BITLAW_EXPORT std::vector<std::string> ModelFaults(const ModelBackend& backend, const std::string& name,
                                                   const std::filesystem::path& path, double tolerance = 1e-4);

}  // namespace bitlaw::testing
