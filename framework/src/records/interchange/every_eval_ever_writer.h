#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/interchange/recorded_trial.h"

namespace bitlaw {

/// Who says so: what the schema asks of a source.
struct BITLAW_EXPORT EvaluationSource {
  std::string organization;                        ///< Who provides the data.
  std::string relationship = "third_party";        ///< To the model: first_party, third_party, collaborative, other.
  std::map<std::string, std::string> model_ids{};  ///< The study's name of a model -> "developer/model".
  std::string retrieved_timestamp{};               ///< When the file is made: seconds since 1970, as text.
  std::string version{};                           ///< Of bitlaw.
};

/// Writes a trial in the form of Every Eval Ever 0.3.0: <folder>/<study>/<developer>/<model>/<uuid>.json with a result
/// a metric, and <uuid>_samples.jsonl with an item of an accuracy a line, where texts of items are known. The uuid, of
/// version 4, is made of the digests of the records: the same records give the same name. Returns the .json.
///
/// A metric without an upper bound has max_score "Infinity". What was quantized, and how, stands in
/// model_info.additional_details. sample_hash is that of the project's converters: SHA-256 of the JSON of raw and
/// reference. Errors  Error(kIo) for what cannot be written, or is there already. Source
/// github.com/evaleval/every_eval_ever, schemas/eval.schema.json and instance_level_eval.schema.json of 0.3.0.
BITLAW_EXPORT std::filesystem::path WriteEveryEvalEver(const RecordedTrial& trial, const EvaluationSource& source,
                                                       const std::filesystem::path& folder,
                                                       std::vector<std::string>& notes);

}  // namespace bitlaw
