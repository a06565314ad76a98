#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/export.h"

namespace at {
class Tensor;
}

namespace bitlaw {

struct LayerCalibration;
struct QuantizedLinear;

/// Which statistics of a layer's inputs a quantizer wants collected. Only these are computed.
struct BITLAW_EXPORT CalibrationNeeds {
  bool second_moment = false;  ///< H = (2 / n) sum x x^T, [C_in, C_in]
  bool second_moment_float64 = false;  ///< Sum H in float64 rather than float32; only read with second_moment.
  bool abs_mean = false;       ///< mean |x_j|, [C_in]
  bool abs_max = false;        ///< max |x_j|, [C_in]
  bool rows = false;           ///< The inputs themselves, [tokens, C_in]
  bool range = false;          ///< min x_j and max x_j, [C_in] each
  /// D = (2 / n) sum (y - x) x^T, [C_in, C_in], where y is what the unquantized model has in the place of x: what the
  /// quantized layers before this one have changed. In H's dtype. Of no expert, to which others may be routed in the
  /// two.
  bool cross_moment = false;
  bool any() const { return second_moment || abs_mean || abs_max || rows || range || cross_moment; }
};

/// Which power of two the scale of a block is, m its largest |w|, M the format's largest value, e its exponent:
///
///   kFloor   2^(floor(log2 m) - e)           the rule of the specification: what lies above M 2^.. becomes M 2^..
///   kRound   the same of m (1 + 1/7): one more where m is 1.75 times its power of two or above
///   kCeil    2^ceil(log2(m / M))              the smallest at which nothing is cut off
enum class MxScale { kFloor, kRound, kCeil };
BITLAW_EXPORT std::string_view Name(MxScale rule);  ///< "floor", "round", "ceil".
/// Error(kSpec) on another name.
BITLAW_EXPORT MxScale MxScaleOf(std::string_view name);

/// Numbers that inputs, keys and values are rounded to: integers times a scale, or small floating-point numbers times a
/// scale (sdk/grids/float_format.h has one implementation for weights and inputs).
enum class InputFormat {
  kInteger,
  kFp8E4m3,  ///< E4M3, scale = max |x| / 448 in float32.
  kMxfp4,    ///< E2M1 in blocks of 32 with a power of two each, by ActivationGrid::scale_rule.
  kMxfp8,    ///< E4M3 likewise.
  kNvfp4,    ///< E2M1 in blocks of 16 with an E4M3 scale each, over `scale_divisor`, which is static.
};
BITLAW_EXPORT std::string_view Name(InputFormat format);  ///< "int", "fp8_e4m3", "mxfp4", "mxfp8", "nvfp4".
/// Error(kSpec) on another name.
BITLAW_EXPORT InputFormat InputFormatOf(std::string_view name);
/// Channels of a block: 32, 16; 0 for formats without blocks.
BITLAW_EXPORT int64_t BlockSizeOf(InputFormat format);
/// Bits of a number: 4, 8; 0 for integers, which have any.
BITLAW_EXPORT int BitsOf(InputFormat format);

/// The points that the weights of one group may take:
///
///   w ~ scale * (level(code) - zero),   code = the one whose point is nearest to w
///
/// level(c) is levels()[c], or c itself for a grid of integers. Every quantizer that takes grids (rtn, gptq) finds
/// codes by this rule, so that a new grid is its levels and how the parameters of a group are found. Built from its
/// options by a factory; const after. testing/grid_conformance.h checks what is promised here.
///
/// Threads: const calls are safe from several threads.
class BITLAW_EXPORT WeightGrid {
 public:
  virtual ~WeightGrid() = default;

  /// Stored width of a code, 1 to 8: B of the laws.
  virtual int bits() const = 0;

  /// The points of a group at scale 1, ascending, at most 2^bits. Empty: the integers 0 .. 2^bits - 1.
  virtual std::span<const float> levels() const { return {}; }

  /// Where a level's cell ends, one fewer than levels(): x = w / scale has a code above c exactly if x > bounds()[c].
  /// Empty: halfway between two levels, and halfway belongs to the lower one.
  virtual std::span<const float> bounds() const { return {}; }

  /// Whether a zero point is stored for each group, in `bits` bits. Otherwise it is the same for all groups: 0 where
  /// there are levels.
  virtual bool stores_zeros() const = 0;

  /// What scales are exact in: "float16", "float32", "float8_e8m0fnu" (powers of two) or "float8_e4m3fn" (times
  /// scale_divisor()). FindGroups() rounds to it, so that what is evaluated is what an exporter writes.
  virtual std::string_view scale_dtype() const = 0;
  /// Bits in which the scale of a group is stored: 16, 32, 8; 0 where all groups of a tensor have one scale.
  virtual int scale_bits() const = 0;
  /// Bits that are stored once a tensor: those of a scale of all of it.
  virtual int tensor_bits() const { return 0; }

  /// Why groups cannot have `group_size` columns (-1: the row), for a grid whose blocks have one size. Empty exactly when
  /// they can.
  virtual std::string ExplainGroupSize(int64_t /*group_size*/) const { return ""; }

  /// The grid of one tensor, for grids that look at all of it before its groups: FindGroups() is then called on what this
  /// gives, which differs from this grid in the parameters of groups and in scale_divisor() alone. Null for grids whose
  /// groups are all there is to see.
  /// Shapes   weight [C_out, C_in] float32 on any device, finite.
  virtual std::shared_ptr<const WeightGrid> ForTensor(const at::Tensor& /*weight*/) const { return nullptr; }

  /// The grid of all that read one input (q, k and v; gate and up), for grids whose scale of a tensor is one for them: what
  /// ForTensor() says of a tensor made of their rows. Null where each has its own.
  /// Shapes   weights[i] [C_out, C_in], of any floating dtype, on any device, finite.
  virtual std::shared_ptr<const WeightGrid> ForSite(std::span<const at::Tensor> /*weights*/) const { return nullptr; }

  /// Scales are those of scale_dtype() divided by this, in float32. Other than 1 only on what ForTensor() or ForSite() gave.
  virtual float scale_divisor() const { return 1.0F; }

  /// Finds scale and zero of `rows` groups at once: row r of `weights` is weights[r * row_stride + (0 .. columns - 1)].
  ///
  /// Shapes   scales, zeros [rows]; scales are positive, zeros are integers in [0, 2^bits - 1] held as float.
  /// Rules    a group times 2^k has its scale times 2^k and the same zero, while scale_dtype has the range; a group of
  ///          zeros has a positive scale. Weights are finite.
  /// Errors   none: a range too large for the scale's type gives a scale of infinity, which the quantizer refuses.
  virtual void FindGroups(const float* weights, int64_t rows, int64_t columns, int64_t row_stride, float* scales,
                          float* zeros) const = 0;

  /// The same where the weights are, another device than the host: what FindGroups() gives, bit for bit.
  ///
  /// Shapes   weights [rows, columns] float32, elements of a row next to each other; scales, zeros [rows] float32 on the
  ///          same device, to be filled in, of any stride.
  /// Returns  false for a grid that has only FindGroups(): then quantizers send the weights through the host.
  virtual bool FindGroupsOnDevice(const at::Tensor& /*weights*/, at::Tensor& /*scales*/, at::Tensor& /*zeros*/) const {
    return false;
  }
};

/// A site that is to be quantized: the weights of its readers, [C_out, C_in] each, and the statistics of what they read.
struct BITLAW_EXPORT SiteInput {
  const SiteShape* shape = nullptr;
  std::span<const at::Tensor> weights{};
  const LayerCalibration* calibration = nullptr;
};

/// Turns the weights of linear layers into codes. Built from its options by a factory; const after, but for TakeGrid().
///
/// A simple quantizer is one function, Quantize(). One whose layers shall agree on something (a scale that q, k and v
/// share) overrides QuantizeSite() as well.
///
/// Threads: same inputs, same bytes, for any thread. Safe from several threads.
/// Devices: weight and statistics come on one device, that of the model, and Quantize() computes there; its tensors may
/// stay there, and the framework copies codes to the host where it saves them. A quantizer that needs the host copies
/// once a layer, never within a loop over columns, and its README says so. It holds no tensor between calls.
/// This header is free of torch: the planner asks ExplainUnsupported and BitsPerWeight of every grid cell.
class BITLAW_EXPORT Quantizer {
 public:
  virtual ~Quantizer() = default;

  /// Whose points the weights shall take in place of the quantizer's own. Called at most once, before anything else.
  /// Error(kUnsupported) from a quantizer that takes none.
  virtual void TakeGrid(std::shared_ptr<const WeightGrid> /*grid*/) {
    throw Error(ErrorKind::kUnsupported, "it rounds to a grid of its own and takes no other. Leave 'grid' out.");
  }

  /// Why this layer cannot be quantized with these options. Empty exactly when it can.
  virtual std::string ExplainUnsupported(const LinearShape& layer) const = 0;

  /// Requested code width B. For mixed precision, the layer's own.
  virtual double BitsRequested(const LinearShape& layer) const = 0;

  /// Effective bits a weight: codes, scales, zeros and group index, as an exporter would store them.
  virtual double BitsPerWeight(const LinearShape& layer) const = 0;

  /// What distinguishes trials of this quantizer on `model`, beside B (BitsRequested) and bits_effective
  /// (BitsPerWeight), which the framework fills in: its group size, say. Only asked about a model all of whose layers
  /// can be quantized.
  virtual std::vector<Factor> factors(const ModelSummary& model) const {
    (void)model;
    return {};
  }

  virtual CalibrationNeeds needs() const = 0;

  /// Whether RoundToNearest() works, which transforms may need that search for what rounding hurts least.
  virtual bool rounds_to_nearest() const { return false; }

  /// What the weights of all readers of one input would be if each went to the nearest point of its grid, without any
  /// calibration.
  /// Shapes   weights[i] [C_out, C_in] of site.readers[i]; rounded has as many entries, to be filled in, on the same device.
  /// Errors   as Quantize(). Called only if rounds_to_nearest().
  virtual void RoundToNearest(const SiteShape& /*site*/, std::span<const at::Tensor> /*weights*/,
                              std::vector<QuantizedLinear>& /*rounded*/) const {
    throw InternalError("this quantizer does not round to nearest");
  }

  /// True if ExplainUnsupported, BitsRequested and BitsPerWeight look only at in_features, out_features and is_expert,
  /// so that the planner may ask once a distinct shape instead of once a layer. False is always right, and needed as
  /// soon as an override by layer name is given.
  virtual bool depends_on_shape_only() const { return false; }

  /// Quantizes one layer.
  ///
  /// Shapes   weight [C_out, C_in], any floating dtype; the result's codes [C_out, C_in].
  /// Errors   Error(kUnsupported) with ExplainUnsupported's text; Error(kNumerical) with the layer's name.
  ///          Never changes method or damping on its own without saying so in QuantizedLinear::fallback.
  virtual QuantizedLinear Quantize(const LinearShape& layer, const at::Tensor& weight,
                                   const LayerCalibration& calibration) const = 0;

  /// Quantizes all readers of one input together, from the statistics that they share.
  ///
  /// Shapes   weights[i] [C_out, C_in] of site.readers[i]; results has as many entries, to be filled in.
  /// Returns  false for a quantizer that treats each layer by itself: then Quantize() is called for each in turn.
  /// Errors   as Quantize().
  virtual bool QuantizeSite(const SiteShape& /*site*/, std::span<const at::Tensor> /*weights*/,
                            const LayerCalibration& /*calibration*/, std::vector<QuantizedLinear>& /*results*/) const {
    return false;
  }

  /// Quantizes the first few of `sites` at once, as many as its memory allows. Their readers have the same shapes, as a
  /// mixture's experts have, but inputs and statistics of their own. The results are those of one site after another.
  ///
  /// Shapes   results has an entry a site, in it one a reader, to be filled in.
  /// Returns  how many sites it quantized. 0 for a quantizer that takes one at a time, or does not take the first of these
  ///          together with others: then QuantizeSite() is called for that one.
  /// Errors   as Quantize(), of the first layer that has one.
  virtual size_t QuantizeAlike(std::span<const SiteInput> /*sites*/,
                               std::vector<std::vector<QuantizedLinear>>& /*results*/) const {
    return 0;
  }
};

}  // namespace bitlaw
