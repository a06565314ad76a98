#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

class Model;
class Tokenizer;

/// One linear layer of a model, y = x W^T (+ b), as far as it is known without reading a weight.
struct BITLAW_EXPORT LinearShape {
  std::string name;           ///< "model.layers.0.self_attn.q_proj": the checkpoint's own name.
  int block = 0;              ///< Which transformer block, from 0.
  int64_t in_features = 0;    ///< C_in
  int64_t out_features = 0;   ///< C_out
  bool is_expert = false;     ///< Sees only the tokens routed to it.
};

/// Which of a block's inputs a site is.
enum class SiteRole { kOther, kAttentionIn, kAttentionOut, kFeedForwardIn, kFeedForwardOut };

/// One input of a block and all that reads it, as far as it is known without reading a weight.
struct BITLAW_EXPORT SiteShape {
  std::string name;                  ///< "model.layers.0.self_attn.in": unique in the model.
  int block = 0;                     ///< Which transformer block, from 0.
  std::vector<LinearShape> readers;  ///< In the order in which they are quantized; all of one in_features.
  /// The norm or linear layer that makes the input, and into whose output a scale can be folded:
  /// "model.layers.0.input_layernorm". "" if nothing can: it comes from a nonlinearity, or others read it as well.
  std::string producer;
  bool is_expert = false;            ///< Its readers are one expert's.
  SiteRole role = SiteRole::kOther;
  bool rotates_online = false;  ///< Block::RotateOnline() takes its name.

  int64_t in_features() const { return readers.empty() ? 0 : readers.front().in_features; }
};

/// How the weights of a checkpoint were quantized by whoever wrote it.
struct BITLAW_EXPORT StoredQuantization {
  std::string method;           ///< "gptq", "awq", "compressed-tensors": as the checkpoint calls it.
  double bits = 16;             ///< Mean width of a code over the weights of `linears`; 16 for those stored as they are.
  double bits_per_weight = 16;  ///< The same with scales, zero points and group index: bits_effective.
  std::vector<Factor> factors;  ///< What a quantizer that made these weights would say of them: G, B_a.
};

/// Which changes of basis leave what a model computes as it is. Each text says why one does not, and is empty exactly
/// where it does.
struct BITLAW_EXPORT BasisChanges {
  static constexpr const char* kNotSaid = "the model's backend does not say how its weights hang together";
  std::string residual = kNotSaid;  ///< Of the residual stream: Model::stream() and Block::stream() say by what.
  std::string heads = kNotSaid;     ///< Of each value head: Block::heads().
  std::string keys = kNotSaid;      ///< Of queries and keys as attention multiplies them: Block::heads().
};

/// What a checkpoint is, read from its headers and configuration alone.
struct BITLAW_EXPORT ModelSummary {
  std::string name;          ///< Folder or file name without extension.
  std::string architecture;  ///< "llama", "qwen3", ...
  int64_t parameters_total = 0;
  int64_t parameters_active = 0;       ///< Per token; equals total for dense models.
  int64_t parameters_embedding = 0;    ///< Input embedding, and output head where it is not tied.
  int64_t parameters_quantizable = 0;  ///< Sum over `linears` of C_in * C_out.
  int64_t num_blocks = 0;
  int64_t hidden_size = 0;
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  std::vector<LinearShape> linears;  ///< In the order in which a sequential quantizer visits them.
  /// Every input and its readers, in execution order: what Block::sites() will say of its blocks. May be left empty:
  /// then each layer is a site of its own, whose producer is unknown.
  std::vector<SiteShape> sites;
  BasisChanges bases{};
  /// The matrices [V, D] outside of all blocks, as layers of D inputs and V outputs whose `block` is -1: the input
  /// embedding ("model.embed_tokens") and, unless it is the same matrix, the output head ("lm_head"), in this order.
  /// Not among `linears`. Left empty by models that do not show them (Model::table()).
  std::vector<LinearShape> tables{};
  bool rounds_kv_cache = false;      ///< Its Model::RoundKvCache() works.
  int64_t head_dim = 0;              ///< Dh, channels of a head's keys and values; 0: not known.
  std::string stored_dtype;          ///< "bfloat16", "Q4_1", ...: what most weights are stored as.
  /// Empty if the checkpoint holds original weights. Otherwise why the baseline is not one, e.g. "weights
  /// were stored as Q4_1 and are dequantized". Goes into every record and report.
  std::string baseline_note;
  /// What else distinguishes this model from others: "experts", tokens it was trained on, ... What the framework makes
  /// of the fields above (N, N_active, parameters_total, layers, hidden_size, vocab_size) is not repeated here.
  std::vector<Factor> factors;
  /// Of weights that are evaluated as other programs quantized them: such a model stands beside the trials of a study,
  /// and no quantizer is applied to it.
  std::optional<StoredQuantization> stored_quantization{};

  /// N of the laws: parameters_total - parameters_embedding.
  int64_t parameters_non_embedding() const { return parameters_total - parameters_embedding; }
};

/// summary.sites or, where that is empty, a site without a producer for each of summary.linears.
BITLAW_EXPORT std::vector<SiteShape> SitesOf(const ModelSummary& summary);

enum class Dtype { kFloat32, kBFloat16 };
BITLAW_EXPORT std::string_view Name(Dtype dtype);          ///< "float32", "bfloat16".
BITLAW_EXPORT Dtype ParseDtype(std::string_view name);     ///< Error(kSpec) on another word.

struct BITLAW_EXPORT ComputeSetting {
  Dtype dtype = Dtype::kFloat32;
  std::string device = "cpu";  ///< "cpu", "cuda", "cuda:1". Never changed silently: a missing device is an Error.
};

/// Opens checkpoints of one format. This header is free of torch, so that planning is too.
class BITLAW_EXPORT ModelBackend {
 public:
  virtual ~ModelBackend() = default;

  /// True if `path` looks like this format: file name and magic bytes only. At most one backend claims a path.
  virtual bool Claims(const std::filesystem::path& path) const = 0;

  /// Why this checkpoint cannot be opened (unknown architecture, pickle file, ...). Empty exactly when it can,
  /// as far as headers tell.
  virtual std::string ExplainUnsupported(const std::filesystem::path& path) const = 0;

  /// Reads configuration and tensor headers, no weight. Error(kIo) for files that are cut off or lie.
  virtual ModelSummary Inspect(const std::filesystem::path& path) const = 0;

  /// Every file that determines the model's numbers: weights, configuration, tokenizer. The weights digest is
  /// taken over their bytes.
  virtual std::vector<std::filesystem::path> Files(const std::filesystem::path& path) const = 0;

  /// The tokenizer alone.
  virtual std::unique_ptr<Tokenizer> OpenTokenizer(const std::filesystem::path& path) const = 0;

  /// Maps the weights and returns at once; blocks are read when they are first used.
  /// Missing and unused tensors are an Error(kIo) that lists both sets.
  virtual std::unique_ptr<Model> Open(const std::filesystem::path& path, const ComputeSetting& compute) const = 0;
};

}  // namespace bitlaw
