#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// What quantizers worked out of the statistics of one input, for further recipes that see the same statistics: a factor
/// of its Hessian, an error. Safe from several threads.
class BITLAW_EXPORT DerivedStatistics {
 public:
  /// What was kept under `key`, which names the quantizer and everything else that the value depends on; null if nothing
  /// was.
  std::shared_ptr<const void> Find(const std::string& key) const;
  void Keep(const std::string& key, std::shared_ptr<const void> value);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const void>> values_;
};

/// Statistics of one layer's inputs over the calibration set. A tensor that was not asked for is undefined.
struct BITLAW_EXPORT LayerCalibration {
  int64_t sequences = 0;     ///< n of the second moment: calibration sequences, not tokens.
  int64_t tokens = 0;        ///< Rows seen; for an expert, the rows routed to it.
  at::Tensor second_moment;  ///< [C_in, C_in] float32 or float64, (2 / sequences) sum x x^T
  at::Tensor abs_mean;       ///< [C_in] float32
  at::Tensor abs_max;        ///< [C_in] float32
  at::Tensor rows;           ///< [tokens, C_in] float32
  /// Null where the statistics serve one recipe alone.
  std::shared_ptr<DerivedStatistics> derived{};
};

/// How the inputs of a layer are rounded before its matrix product (activation quantization).
struct BITLAW_EXPORT ActivationGrid {
  int bits = 8;
  bool symmetric = true;
  bool per_token = true;    ///< One scale a row, found as it comes; otherwise `static_scale`.
  double static_scale = 0;  ///< In input units; only when !per_token.

  /// The nearest points of the grid to `rows` [..., C] float32, each row on a grid of its own if per_token.
  at::Tensor Round(const at::Tensor& rows) const;
};

/// How attention's keys (after the rotation) and values are rounded before they are read: each token's head on a grid
/// of its own. Empty: not at all.
struct BITLAW_EXPORT KvCacheGrid {
  std::optional<ActivationGrid> keys{}, values{};
};

/// What happened other than what was asked for. Any value but kNone fails the trial unless the study allows it.
enum class QuantizeFallback { kNone, kDampingRaised, kRoundToNearest };
BITLAW_EXPORT std::string_view Name(QuantizeFallback fallback);

/// One linear layer as codes on a grid.
///
///   W[o, j] = scales[r, g] * (level(codes[o, j]) - zeros[r, g])
///   r = row_index[o], or o;  g = group_index[j];  level(c) = levels[c], or c
///
/// What is evaluated is Dequantize(), nothing else, so that an export of the same codes is the same model.
struct BITLAW_EXPORT QuantizedLinear {
  int bits = 0;                ///< Codes lie in [0, 2^bits - 1].
  bool symmetric = false;
  int64_t group_size = 0;      ///< Effective: min(requested, C_in); C_in for "row".
  at::Tensor codes;            ///< [C_out, C_in] uint8
  at::Tensor scales;           ///< [R, groups] float32, of the values that scale_dtype has; R = C_out without row_index
  /// [R, groups] uint8: integer zero points, in [0, 2^bits - 1]; or float32: real ones, exact in scale_dtype.
  at::Tensor zeros;
  at::Tensor group_index;      ///< [C_in] int32
  at::Tensor row_index;        ///< [C_out] int32, in [0, R - 1]: rows that share scales. Undefined: none do.
  /// [levels] float32, ascending, at most 2^bits: what codes stand for (WeightGrid::levels()). Undefined: integers.
  at::Tensor levels;
  /// "float32", "float16", "float8_e8m0fnu" or "float8_e4m3fn": what scales (times scale_divisor) are exact in.
  std::string scale_dtype;
  float scale_divisor = 1.0F;  ///< WeightGrid::scale_divisor(): a tensor's scale, 1 but for "float8_e4m3fn".
  at::Tensor input_scale;      ///< [C_in] float32 or undefined: inputs are divided by it (AWQ, SmoothQuant).
  std::optional<ActivationGrid> activation;
  QuantizeFallback fallback = QuantizeFallback::kNone;
  /// Named numbers for the record, in a fixed order: "damp", "dead_columns", "hessian_error",
  /// "hessian_error_rtn", ... Units in the name.
  std::vector<std::pair<std::string, double>> diagnostics;

  /// [C_out, C_in] float32 by the formula above.
  at::Tensor Dequantize() const;

  /// [R, groups] float32, exact in scale_dtype: scales = StoredScales() / scale_divisor.
  at::Tensor StoredScales() const;
  bool has_real_zeros() const { return zeros.scalar_type() == at::kFloat; }

  /// Whether column j is of group j / group_size: no file needs a group index then.
  bool GroupsAreRuns() const;

  /// Checks shapes, dtypes, ranges and finiteness; InternalError naming `layer` and the first broken rule.
  void Validate(const LinearShape& layer) const;
};

}  // namespace bitlaw
