#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/export.h"
#include "spec/decoder.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// A recipe is what an entry of `quantize:` does to a model: transforms, a quantizer with the grid of its weights,
/// rounding of activations and of the KV cache. Its parts are options beside the quantizer's own, under dotted names,
/// so that axes, zip, where and skip treat them like every other option:
///
///   weights: {bits: 4}                 bits                    (another way to write the quantizer's option)
///   weights: {grid: nf4, x: ...}       grid, nf4.x
///   transforms: [{transform: t, y: ...}]   transforms, t.y
///   activations: {bits: 8}             activations.bits, .per, .group_size, .symmetric, .format
///   kv_cache: {key_bits: 8}            kv_cache.key_bits, .value_bits, .symmetric
///   overrides: [{match: '*', bits: 8}] overrides   (a list of rules, each with options of the quantizer, or skip)
///   embeddings: {bits: 8}              embeddings.bits, .group_size, .symmetric; `head` likewise
///   sequential: block                  sequential
///   experts: {policy: all_experts}     experts.policy, .minimum_tokens

/// Rewrites an entry in that flat form and gives the schema that it is resolved with: the quantizer's options, followed
/// by those of the parts that the entry has.
struct FlatEntry {
  Value entry;
  OptionSchema schema;
};
FlatEntry FlattenEntry(const Value& entry, const std::string& place, const OptionSchema& quantizer,
                       const PluginHost& host, Faults& faults);

/// What resolved options of such a schema come to.
struct BITLAW_EXPORT SplitOptions {
  /// As without a recipe; where another grid takes the place of the integers, theirs have defaults.
  Options quantizer;
  /// {activations: {bits, per, symmetric, ...}, grid: {name, options, version}, kv_cache: {...}, transforms: [{name,
  /// options, version}], overrides: [{match, options, skip}], sequential: block or none, experts:
  /// {policy, minimum_tokens}, embeddings, head: {bits, group_size, symmetric}}, only what there is; null if there is
  /// nothing. Part of a trial's identity and of its key.
  Value recipe;
  /// The options once more, without those that do not count in this cell: for tables and labels.
  Value shown;
};
BITLAW_EXPORT SplitOptions Split(const Options& options, const OptionSchema& quantizer, const PluginHost& host);

/// One recipe outside of any study.
struct BITLAW_EXPORT SingleRecipe {
  std::string quantizer;  ///< Its name, or kKeepWeights.
  std::string version;    ///< Of its plugin; "" for kKeepWeights.
  SplitOptions options;
};
/// Reads an entry of `quantize:` that stands for one cell: no list of values, calibration, zip, where or skip. One
/// Error(kSpec) with every fault; `place` says what the entry is ("the recipe").
BITLAW_EXPORT SingleRecipe ReadRecipe(const Value& entry, const std::string& place, const PluginHost& host);

/// The quantizer of those layers whose names have `match`: '*' stands for any characters, '?' for one.
struct BITLAW_EXPORT LayerRule {
  std::string match;
  std::unique_ptr<Quantizer> quantizer;  ///< Null: these layers stay as they are.
};

/// The components of one cell.
struct BITLAW_EXPORT MadeRecipe {
  std::unique_ptr<Quantizer> quantizer;  ///< Null for kKeepWeights. Before transforms, which may have taken it.
  std::vector<LayerRule> rules;          ///< Of layers that have options of their own; the first that fits counts.
  std::vector<std::unique_ptr<Transform>> transforms;
  bool calibrates_inputs = false;  ///< Inputs have static scales.
  bool calibrates_cache = false;   ///< Keys or values have.
  /// Whether the layer stays as it is.
  bool Skips(std::string_view layer) const;
  /// Not for kKeepWeights, nor for a layer that is skipped.
  const Quantizer& QuantizerOf(std::string_view layer) const;
  bool needs_calibration() const;
};
/// Errors are those of the factories, and Error(kUnsupported) from a quantizer that takes no other grid.
BITLAW_EXPORT MadeRecipe MakeRecipe(const PluginHost& host, const std::string& quantizer, const Options& options,
                                    const Value& recipe);

/// B_a, B_k and B_v, 16 where they are not rounded; B_embedding and B_head where one of the two is; and what the
/// transforms report.
BITLAW_EXPORT std::vector<Factor> FactorsOf(const MadeRecipe& made, const Value& recipe, const ModelSummary& summary);

/// sequential, "stage" where the recipe says nothing of it.
BITLAW_EXPORT std::string SequentialOf(const Value& recipe);

/// experts.minimum_tokens, 1 where the recipe says nothing of it.
BITLAW_EXPORT int64_t MinimumTokens(const Value& recipe);

/// Why the recipe's parts beside the quantizer cannot be done to a model. Empty exactly when they can.
BITLAW_EXPORT std::string ExplainUnsupportedParts(const MadeRecipe& made, const Value& recipe,
                                                  const ModelSummary& summary);
/// Why CalibrationNeeds::cross_moment cannot be had of a model. Empty exactly when it can.
BITLAW_EXPORT std::string ExplainNoCrossMoment(const ModelSummary& summary, bool is_unsequential);

}  // namespace bitlaw
