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
  at::Tensor low{}, high{};  ///< [C_in] float32 each, CalibrationNeeds::range
  /// [C_in, C_in], the second moment's dtype: CalibrationNeeds::cross_moment. All zero where nothing before is
  /// quantized.
  at::Tensor cross_moment{};
  /// Null where the statistics serve one recipe alone.
  std::shared_ptr<DerivedStatistics> derived{};
};

/// How the inputs of a layer are rounded before its matrix product (activation quantization).
struct BITLAW_EXPORT ActivationGrid {
  int bits = 8;
  bool symmetric = true;
  bool per_token = true;    ///< Scales of each row, found as it comes; otherwise `static_scale`.
  double static_scale = 0;  ///< In input units; only when !per_token.
  InputFormat format = InputFormat::kInteger;
  /// Neighbouring channels of a row that share a scale, a divisor of C; 0: all of them. Only when per_token and without
  /// blocks.
  int64_t group_size = 0;
  int64_t static_zero = 0;   ///< The code of zero, in [0, 2^bits - 1]; only when !per_token && !symmetric.
  float scale_divisor = 0;   ///< kNvfp4: 448 * 6 / max |x| over the calibration set.
  MxScale scale_rule = MxScale::kFloor;  ///< Of kMxfp4 and kMxfp8.

  bool operator==(const ActivationGrid&) const = default;

  /// Whether something of it comes from a calibration set: a static scale, the divisor of kNvfp4.
  bool is_static() const { return !per_token || format == InputFormat::kNvfp4; }
  /// This grid for inputs that lie in [low, high] over the calibration set, in float32:
  ///   symmetric, integers   static_scale = max(|low|, |high|) / (2^(bits - 1) - 1)
  ///   asymmetric            low = min(low, 0), high = max(high, 0); static_scale = (high - low) / (2^bits - 1),
  ///                         static_zero = round(-low / static_scale)
  ///   kFp8E4m3              static_scale = max(|low|, |high|) / 448
  /// Inputs that were always zero have the scale 1. Itself unless is_static().
  ActivationGrid WithRange(float low, float high) const;
  /// Channels that share a scale as it comes, where not all of a row do: BlockSizeOf() or group_size; otherwise 0.
  int64_t effective_group_size() const;
  /// Why rows of `channels` cannot be rounded so. Empty exactly when they can.
  std::string ExplainChannels(int64_t channels) const;

  /// The nearest points of the grid to `rows` [..., C] float32, each row by itself.
  at::Tensor Round(const at::Tensor& rows) const;
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
  /// difference = weight - Dequantize(), without that tensor on the host; both [C_out, C_in] float32 contiguous.
  void Difference(const at::Tensor& weight, at::Tensor& difference) const;
  /// Sum of the squares of weight - Dequantize(), differences in float32, summed in float64; weight [C_out, C_in] float32.
  double SquaredDifference(const at::Tensor& weight) const;

  /// [R, groups] float32, exact in scale_dtype: scales = StoredScales() / scale_divisor.
  at::Tensor StoredScales() const;
  bool has_real_zeros() const { return zeros.scalar_type() == at::kFloat; }

  /// Whether column j is of group j / group_size: no file needs a group index then.
  bool GroupsAreRuns() const;

  /// Checks shapes, dtypes, ranges and finiteness; InternalError naming `layer` and the first broken rule.
  void Validate(const LinearShape& layer) const;
};

}  // namespace bitlaw
