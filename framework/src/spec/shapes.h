#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "plugin/host.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// ReadStudy() of a study whose models need not be here. `shapes` is a folder of model folders that hold a
/// configuration and no weights; a model that is not where the study says is taken from there, by the last part of its
/// path, with the backend of ShapesBackend(). Such a study can be planned, and nothing else.
BITLAW_EXPORT StudySpec ReadStudyFromShapes(const std::filesystem::path& file, const PluginHost& host,
                                            const std::vector<std::filesystem::path>& search,
                                            const std::filesystem::path& shapes);

/// The backend that knows the models of another by their configuration alone: "hf_shapes" of "hf".
std::string ShapesBackend(std::string_view backend);
/// Whether the model has shapes and no weights.
BITLAW_EXPORT bool IsShapesOnly(const ModelSpec& model);

}  // namespace bitlaw
