#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// Sums what a quantizer needs over all inputs of one group of layers that share them.
///
/// What is summed at once is a call of Add() and all that was held before it: sums are the same however the same rows are
/// divided among the two.
class BITLAW_EXPORT InputStatistics {
 public:
  explicit InputStatistics(const CalibrationNeeds& needs) : needs_(needs) {}

  /// Keeps input [..., C_in], which nobody may change, for the next Add(). `unquantized`: what the unquantized model
  /// has in its place, where a cross moment is needed.
  void Hold(const at::Tensor& input, const at::Tensor& unquantized = {});
  /// Sums what is held and input [..., C_in]. Products of bfloat16 inputs are exact, their sums float32 (or float64, if
  /// that is needed).
  void Add(const at::Tensor& input, const at::Tensor& unquantized = {});

  /// The statistics of `sequences` calibration sequences. Ends the sums; call once.
  LayerCalibration Finish(int64_t sequences);

 private:
  void AddSecondMoment(const at::Tensor& x);  ///< x [tokens, C_in]
  void AddCrossMoment(const at::Tensor& x, const at::Tensor& unquantized);  ///< Both likewise.

  CalibrationNeeds needs_;
  int64_t tokens_ = 0;
  std::vector<at::Tensor> held_, held_unquantized_;  ///< [tokens, C_in]
  at::Tensor moment_;    ///< [C_in, C_in] sum x x^T, upper block triangle only.
  at::Tensor cross_;     ///< [C_in, C_in] sum (y - x) x^T
  at::Tensor abs_sum_;   ///< [C_in] float64
  at::Tensor abs_max_;   ///< [C_in] float32
  at::Tensor low_, high_;  ///< [C_in] float32
  std::vector<at::Tensor> rows_;
};

}  // namespace bitlaw
