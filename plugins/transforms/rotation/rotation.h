#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/math/rotation.h"

namespace bitlaw {

/// Turns what is quantized by orthogonal matrices, R R^T = I, so that outliers of single channels are spread over all:
///
///   residual     R1   the residual stream: x becomes x R1. Embedding E R1; what reads the stream through a norm of
///                     weight g, W diag(g) R1, the norm's weight 1; what writes to it, R1^T W and b R1. Head and
///                     embedding are untied.
///   heads        R2   each value head: v becomes v R2, R2^T Wv by head and Wo R2 by query head
///   keys         R3   in each pass, each head's queries and keys after rotary positions: q R3 (k R3)^T = q k^T
///   down_inputs  R4   in each pass, the input of each down projection, an expert's too: h R4, Wd R4
///   out_inputs        in each pass, the input of each output projection, all heads together: a R, Wo R. With `heads`
///                     R = R' (x) I, R' over heads, so that R2 and R together are one matrix over all of them.
///
/// R is a Hadamard matrix (bitlaw/math/rotation.h) with random signs in front where `signs` says so, or the Q of the QR
/// decomposition of a matrix of standard normal numbers, its columns' signs those that make the diagonal of R positive.
///
/// Computed in float32, products with a norm's weight in float64 first, and rounded once to the model's type.
/// Errors   none but those of the model.
/// Threads  Same inputs, same bytes; random numbers come from `seed` alone.
/// Source   Ashkboos et al. 2024, arXiv:2404.00456 (QuaRot); names R1 .. R4 from Liu et al. 2024, arXiv:2405.16406.
class RotationTransform final : public Transform {
 public:
  enum class Matrix { kHadamard, kAny, kOrthogonal };
  enum class Signs { kNone, kResidual, kAll };
  struct Settings {
    bool residual = true, heads = true, keys = false, down_inputs = true, out_inputs = false;
    Matrix matrix = Matrix::kHadamard;
    Signs signs = Signs::kResidual;
    uint64_t seed = 0;
  };

  static OptionSchema Schema();
  static Settings SettingsFrom(const Options& options);
  /// Error(kSpec) where nothing is to be turned.
  explicit RotationTransform(Settings settings);

  std::string ExplainUnsupported(const SiteShape& site) const override;
  std::string ExplainUnsupportedModel(const ModelSummary& model) const override;
  CalibrationNeeds needs() const override { return {}; }
  std::vector<Factor> factors(const ModelSummary& model) const override;
  bool is_of_whole_model() const override { return true; }
  int64_t added_weights(const ModelSummary& model) const override;
  void Apply(const Site& site, const LayerCalibration& calibration) const override;  ///< InternalError
  void ApplyToModel(Model& model) const override;

 private:
  enum class Part { kResidual, kHeads, kKeys, kDownInputs, kOutInputs };
  struct Turn {
    Part part;
    int64_t width = 0;
    int64_t stride = 1;
    int64_t times = 1;   // A token's runs, over all blocks and all experts.
    int64_t routed = 0;  // Those of them that are experts'.
  };

  static std::string OptionOf(Part part);
  std::string ExplainWidth(const Turn& turn) const;
  std::vector<Turn> TurnsOf(const ModelSummary& model) const;
  bool IsOrthogonal(int64_t width) const;
  bool IsSigned(Part part) const;
  Turn OutTurn(const SiteShape& site, int64_t head_dim) const;
  std::string NameOf(const Turn& turn) const;
  Rotation Make(const Turn& turn) const;

  const Settings settings_;
};

}  // namespace bitlaw
