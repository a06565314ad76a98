#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/export.h"
#include "bitlaw/sdk/grids/integer_grid.h"

namespace bitlaw {

class KeptStatistics;

/// Which of the layers that feed a layer are quantized when its inputs are observed.
enum class SequentialUnit {
  kStage,  ///< Those of the same block too ("true-sequential"); one forward pass in all.
  kBlock,  ///< Those of earlier blocks; two forward passes.
  kNone,   ///< None: inputs are those of the unquantized model, whatever the quantizer does; one forward pass.
};

/// What is done about experts, which see only the calibration tokens routed to them.
enum class ExpertPolicy {
  kQuantizers,  ///< What the quantizer does of itself, of an expert that saw no token.
  kFail,        ///< An expert to which fewer than minimum_tokens were routed is an error.
  kRtn,         ///< Such an expert is rounded to nearest, a fallback.
  kAllExperts,  ///< Statistics of every expert, for quantizer and transforms, are those of all tokens of its layer.
};
struct BITLAW_EXPORT ExpertCalibration {
  ExpertPolicy policy = ExpertPolicy::kQuantizers;
  int64_t minimum_tokens = 1;  ///< Of kFail and kRtn.
};

/// How a table (ModelSummary::tables) is rounded to nearest.
struct BITLAW_EXPORT TableGrid {
  GridRule rule;
  int64_t group_size = 64;  ///< Columns; -1: the row.
};

/// What is done to a model: one cell of a study's grid, made. What it points to outlives the call.
struct BITLAW_EXPORT QuantizeRecipe {
  std::vector<const Transform*> transforms{};     ///< Applied in this order, before anything is rounded.
  const Quantizer* quantizer = nullptr;           ///< Null: the weights stay as they are.
  std::shared_ptr<const Quantizer> by_layer{};    ///< What `quantizer` points to where layers have options of their own.
  std::optional<ActivationGrid> activations{};    ///< What every linear layer's inputs are rounded to.
  KvCacheGrid kv_cache{};
  SequentialUnit sequential = SequentialUnit::kStage;
  ExpertCalibration experts{};
  /// Layers that stay as they are, weights and inputs, by their names; empty: none.
  std::function<bool(std::string_view layer)> skips{};
  /// Of the input embedding and of an output head that is another matrix. Rounded after the transforms, before the
  /// blocks but for SequentialUnit::kNone, whose inputs come from the embedding as it was.
  std::optional<TableGrid> embeddings{}, head{};
};

struct QuantizedLayer;
struct BITLAW_EXPORT QuantizeSettings {
  /// Calibration tokens that go through a block at once; rounded to whole sequences. At most 4096 on the host and 16384
  /// elsewhere, which is also what 0 means: so many tokens are summed over at once, however they came.
  int64_t batch_tokens = 0;
  bool allow_fallback = false;  ///< Keep layers for which the quantizer did other than asked.
  /// False: each block is dropped once it is done, so that the weights of one block at a time are in memory. The model is
  /// then as unquantized as before.
  bool keep_blocks = true;
  /// Whether the next block is read while one is quantized, and alike experts are quantized together where the quantizer
  /// can. Codes are the same; without, memory is less by a block and by what experts take together.
  bool overlaps = true;
  /// Called with each layer in the order of the result, its codes found and on the host; may take its tensors or drop
  /// them (DropTensors), and then the result is without. Null: the result has all. On a device it is called from
  /// another thread.
  std::function<void(QuantizedLayer&)> take_codes{};
  /// Where statistics of the unquantized model (SequentialUnit::kNone) are kept for further recipes, and found if an earlier
  /// one kept them; null: nowhere. `kept_key` is what they depend on beside the recipe: the model's weights, the text, device
  /// and dtype.
  KeptStatistics* kept = nullptr;
  std::string kept_key{};
};

/// Told after every layer. An exception thrown from the callback ends the walk and reaches the caller.
struct BITLAW_EXPORT QuantizeProgress {
  int64_t layers_done = 0, layers_total = 0;
  std::string layer;  ///< The one just done.
  double elapsed_s = 0;
  double remaining_s = 0;  ///< Estimate: time so far, scaled by blocks to go.
};
using QuantizeCallback = std::function<void(const QuantizeProgress&)>;

/// One layer as it was installed.
struct BITLAW_EXPORT QuantizedLayer {
  LinearShape shape;
  QuantizedLinear linear;
  double bits_requested = 0;
  double bits_per_weight = 0;  ///< Effective.
  double elapsed_s = 0;        ///< Of Quantize() alone.

  /// A diagnostic of the quantizer by name; NaN if it gave none.
  double diagnostic(std::string_view name) const;
};

/// Where the time of a walk went; the phases add up to total_s but for bookkeeping.
struct BITLAW_EXPORT QuantizeTimes {
  double total_s = 0;
  double forward_s = 0;     ///< Embedding and blocks, without statistics.
  double statistics_s = 0;  ///< Second moments and the like.
  double quantize_s = 0;    ///< Quantizer::Quantize
  double install_s = 0;     ///< Dequantization into the model.
  double matrix_product_s = 0;  ///< Inside the tensor library's matrix products, in any phase; 0 but on the host.
  double matrix_product_share() const { return total_s > 0 ? matrix_product_s / total_s : 0; }
};

/// Every quantized layer of one model: rounded tables, then linear layers, in the order of ModelSummary::tables and
/// linears.
struct BITLAW_EXPORT QuantizedModel {
  std::vector<QuantizedLayer> layers;  ///< Empty where the weights stay as they are.
  std::vector<LinearShape> skipped;    ///< Linear layers that stay as they are while others are quantized.
  /// Where there were transforms: norms, biases, routers and the weights of skipped layers as they left them, by their
  /// names in the checkpoint.
  std::vector<std::pair<std::string, at::Tensor>> other_weights;
  /// Where the weights stay as they are and the scales of inputs are static: what each layer's inputs are rounded to.
  std::vector<std::pair<std::string, ActivationGrid>> inputs;
  /// Of the model beside its blocks, those that transforms changed: embedding, final norm, output head.
  std::vector<std::pair<std::string, at::Tensor>> model_weights;
  std::vector<OnlineRotation> rotations;  ///< What transforms have computed in each pass.
  KvCacheGrid kv_cache;
  double bits_requested = 0;  ///< Mean over the weights of linear layers, 16 for those that are skipped.
  double bits_effective = 0;  ///< Likewise, with scales, zero points and group index; over rounded tables too.
  /// SHA-256 over every layer's name, grid, codes, scales, zeros and group index, and what else there is of the above.
  std::string codes_digest;
  QuantizeTimes times;        ///< All zero when read from a file.
};

/// Does what `recipe` says to every linear layer of `model` in place, block by block: transforms first, on the
/// unquantized model (recipe/transform_model.h); then static scales of keys and values are found, of what the
/// unquantized model makes of the calibration set (recipe/static_ranges.h); then activations and KV cache are rounded
/// from here on; then the quantizer walks.
///
/// The calibration sequences are embedded once a walk; each block's inputs are the outputs of the blocks before it,
/// quantized or not as `sequential` says. Statistics are collected once for layers that share an input, and those of one
/// stage (kBlock, kNone: of one block) at a time are in memory, beside the hidden states of all sequences, [Cb, T, D],
/// and the inputs of the current stage, [Cb, T, C_in].
/// A quantizer that needs no statistics gets none, and no forward pass is run.
///
/// `calibration` may be null if nothing of the recipe needs statistics.
/// Errors   Error(kUnsupported) before any work, a line each layer that the quantizer cannot take, and for a transform
///          that can change nothing; Error(kSpec) for sequences longer than the model's positions; Error(kNumerical)
///          from the quantizer, or for a fallback that settings do not allow. After an error the model is partly
///          quantized: drop it.
/// Threads  One thread at a time a model. Same inputs, same bytes, on the CPU for any number of threads and any
///          batch_tokens (RowsByThemselves).
BITLAW_EXPORT QuantizedModel QuantizeModel(Model& model, const QuantizeRecipe& recipe,
                                           const TokenSequences* calibration, const QuantizeSettings& settings = {},
                                           const QuantizeCallback& callback = {});
/// The same with a quantizer alone, and SequentialUnit::kStage.
BITLAW_EXPORT QuantizedModel QuantizeModel(Model& model, const Quantizer& quantizer, const TokenSequences* calibration,
                                           const QuantizeSettings& settings = {},
                                           const QuantizeCallback& callback = {});

/// Lets go of codes, scales and whatever else of tensors a layer has.
BITLAW_EXPORT void DropTensors(QuantizedLinear& linear);

/// The i-th layer of a QuantizedModel, tensors included, where its own linear is without.
using ReadQuantized = std::function<QuantizedLinear(size_t layer)>;

/// Installs what was quantized before into a model of the same layers, `read` one at a time where it is given.
/// Error(kIo) naming `origin` with every layer that is missing, left over or of another shape.
BITLAW_EXPORT void InstallQuantized(Model& model, const QuantizedModel& quantized, const std::string& origin,
                                    const ReadQuantized& read = {});

/// `model` whose blocks are quantized as `quantized` says each time they are read, so that they may be dropped and read again.
/// `activations`: what layers' inputs are rounded to where no layer is quantized. Errors as InstallQuantized().
BITLAW_EXPORT std::unique_ptr<Model> WithInstalledBlocks(std::unique_ptr<Model> model, QuantizedModel quantized,
                                                         std::optional<ActivationGrid> activations, const std::string& origin,
                                                         ReadQuantized read = {});

/// The digest of QuantizedModel::codes_digest.
BITLAW_EXPORT std::string DigestOfCodes(const QuantizedModel& model);

}  // namespace bitlaw
