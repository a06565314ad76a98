#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// Raised when a record's fields change, or when bitlaw's own arithmetic (quantization walk, scoring) changes so that
/// the same key could give other numbers. Part of every key: old records are then simply not found.
inline constexpr int64_t kRecordFormat = 3;

/// What determines the numbers of a trial, by content: no path, no file date, no machine.
struct BITLAW_EXPORT TrialContent {
  std::string weights_digest;  ///< Over the bytes of every file that the model's backend names.
  std::string backend, backend_version;
  Value backend_options;
  ComputeSetting compute;
  std::string quantizer, quantizer_version;  ///< "none" and "" for the unquantized model.
  Value quantizer_options;                   ///< Resolved.
  Value recipe{};                            ///< Trial::recipe; in keys only where there is one.
  std::string calibration_digest;            ///< Of the tokens; "" if the quantizer takes none.
};

/// What determines the numbers of a task, given a model.
struct BITLAW_EXPORT TaskContent {
  std::string name, component, component_version;
  std::string digest;  ///< Task::digest(): definition and data.
  Value evaluate;      ///< Evaluation options (batching); they count only where rounding is coarser than float32's.
};

/// The keys under which records are filed. A record's file name is RecordDigest of its key.
BITLAW_EXPORT Value QuantizationKey(const TrialContent& trial);
BITLAW_EXPORT Value TaskKey(const TrialContent& trial, const TaskContent& task);
BITLAW_EXPORT std::string RecordDigest(const Value& key);

/// Which trial of which study made a record first. Not part of the key: a second study may find the record too.
struct BITLAW_EXPORT TrialHeader {
  std::string id, label;
  std::vector<std::pair<std::string, Value>> axes;
};

/// A model as the record tells it: the summary without the list of its layers.
struct BITLAW_EXPORT ModelHeader {
  std::string name, architecture, stored_dtype, baseline_note;
  int64_t parameters_total = 0, parameters_active = 0, parameters_embedding = 0, parameters_quantizable = 0;
  int64_t num_blocks = 0, hidden_size = 0, vocab_size = 0;
  int64_t parameters_non_embedding() const { return parameters_total - parameters_embedding; }
};
BITLAW_EXPORT ModelHeader HeaderOf(const ModelSummary& summary);

/// A layer on which the quantizer did other than what was asked for.
struct BITLAW_EXPORT LayerFallback {
  std::string layer, fallback;
  bool operator==(const LayerFallback&) const = default;
};

/// What quantization came to, as far as a task record repeats it.
struct BITLAW_EXPORT QuantizationHeader {
  std::string record;        ///< Digest that names the quantization record.
  std::string codes_digest;  ///< Over codes, scales, zeros and group index of all layers.
  double bits_requested = std::numeric_limits<double>::quiet_NaN();
  double bits_effective =
      std::numeric_limits<double>::quiet_NaN();  ///< Bits a quantizable weight, tables that are rounded too.
  std::vector<LayerFallback> fallbacks;
};

struct BITLAW_EXPORT CalibrationHeader {
  std::string corpus;
  int64_t sequences = 0, tokens = 0;  ///< Cb, T
  uint64_t seed = 0;
  std::string digest;
};

/// A factor of a trial or a task with its value, as the record tells it. A study's own columns are not among them: they
/// may change without a trial.
struct BITLAW_EXPORT RecordedFactor {
  std::string column, unit;
  FactorRole role = FactorRole::kOther;
  Value value;
  bool operator==(const RecordedFactor&) const = default;
};
/// The value of a column; null if it is not among them.
BITLAW_EXPORT const Value* FindFactor(const std::vector<RecordedFactor>& factors, std::string_view column);

/// One layer's part of a quantization record.
struct BITLAW_EXPORT LayerRecord {
  std::string name;
  double bits_per_weight = std::numeric_limits<double>::quiet_NaN();
  std::string fallback;  ///< "" if the layer went as asked.
  std::vector<std::pair<std::string, double>> diagnostics;
};

/// Calibration tokens routed to the experts of a mixture. `minimum_tokens`: what the recipe asks of an expert.
struct BITLAW_EXPORT ExpertRecord {
  int64_t experts = 0;  ///< Of all blocks.
  int64_t routed_tokens_least = 0, routed_tokens_median = 0, routed_tokens_greatest = 0;
  int64_t minimum_tokens = 1, below_minimum = 0;
};

/// Rotations of one kind that the quantized model computes in each pass, one a block or an expert.
struct BITLAW_EXPORT RotationRecord {
  std::string place;     ///< "model.layers.*.mlp.out": numbers are stars.
  std::string rotation;  ///< "hadamard 12 x 128": Rotation::Name().
  int64_t width = 0;     ///< Channels that are turned together.
  int64_t places = 0;
  int64_t operations = 0;  ///< Of one run of that width: Rotation::Operations().
};

/// What one trial's quantization gave, layer by layer.
struct BITLAW_EXPORT QuantizationRecord {
  Value key;
  TrialHeader trial;
  ModelHeader model;
  QuantizationHeader quantization;
  std::optional<CalibrationHeader> calibration;
  std::vector<RecordedFactor> factors;  ///< Of the trial.
  /// Which layers before a layer were quantized when its inputs were observed: stage, block or none; of a quantization with
  /// calibration text. Not in records from before there was such a field.
  std::optional<std::string> sequential;
  std::optional<ExpertRecord> experts;  ///< Of a calibrated mixture; not in records from before there was such a field.
  std::optional<std::vector<RotationRecord>> online_rotations;  ///< Not in records of models without any.
  std::vector<LayerRecord> layers;      ///< Rounded tables first, then linear layers as they were quantized.
  std::optional<std::vector<std::string>> skipped;  ///< Linear layers that stay as they are, where the recipe says so.
};

/// The companion file of a task record: one CSV row an item. Its size and digest stand in the record.
struct BITLAW_EXPORT ItemsFile {
  int64_t rows = 0;
  int64_t size_bytes = 0;
  std::string digest;
};

/// The scores of one task of one trial.
struct BITLAW_EXPORT TaskRecord {
  Value key;
  TrialHeader trial;
  ModelHeader model;
  std::optional<QuantizationHeader> quantization;  ///< Empty for the unquantized model.
  std::optional<CalibrationHeader> calibration;
  std::vector<RecordedFactor> factors;  ///< Of the trial, and of the task: TaskFactors().
  TaskCard card;
  std::vector<MetricSummary> metrics;  ///< One for each of card.metrics, in that order.
  ItemsFile items;
  /// Named counts of the evaluation: "requests", "tokens_scored", "contexts_truncated", ...
  std::vector<std::pair<std::string, int64_t>> counts;
};

/// The factors of a task with these scores: few_shot, those of its card, and of its items' factors the mean over the
/// items that have a value.
BITLAW_EXPORT std::vector<RecordedFactor> TaskFactors(const TaskCard& card, const std::vector<ItemScore>& items);

/// Record <-> file text. Same record, same bytes. NaN is written as null and read as NaN.
/// The text holds a SHA-256 of its own content. Reading is strict: malformed JSON, missing, unknown or mistyped fields,
/// another format, a key that does not give `digest` and a content that does not give the SHA-256 in it are one Error(kIo)
/// that begins with `origin` and names every fault.
BITLAW_EXPORT std::string WriteRecord(const TaskRecord& record);
BITLAW_EXPORT std::string WriteRecord(const QuantizationRecord& record);
BITLAW_EXPORT TaskRecord ReadTaskRecord(std::string_view text, const std::string& digest, const std::string& origin);
BITLAW_EXPORT QuantizationRecord ReadQuantizationRecord(std::string_view text, const std::string& digest,
                                                        const std::string& origin);

/// Characters of ItemScore::target and ItemScore::extracted that a record keeps; "..." stands for what follows.
inline constexpr int64_t kRecordedCharacters = 80;

/// Item scores <-> CSV: id, a column a metric (and "<metric>_weight" where a weight is not 1), chance; then, where any
/// item has them, group, loglikelihoods (nats, seven digits, spaces between), lengths (characters), right, chosen,
/// target, extracted and "<metric>_extracted" (docs/records.md); last a column for each of card.item_factors.
/// Texts of target and extracted are cut to kRecordedCharacters; U+FFFD stands for zero bytes and what is no UTF-8.
/// NaN is an empty field. Reals are in the shortest form that reads back to the same double.
BITLAW_EXPORT std::string WriteItems(const TaskCard& card, const std::vector<ItemScore>& items);
BITLAW_EXPORT std::vector<ItemScore> ReadItems(const TaskCard& card, std::string_view text, const std::string& origin);

}  // namespace bitlaw
