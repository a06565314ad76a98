#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// An orthogonal matrix R [n, n], R R^T = I, that turns rows of activations and the weights that read or make them:
///
///   Hadamard    R = diag(signs) H / sqrt(n),  H = H_k (x) H_2 (x) .. (x) H_2, entries 1 and -1, n = k 2^m
///   matrix      R as it is given
///   strided     R (x) I_s: of runs of n s channels those that are s apart are turned together
///
/// The first takes n (m + k) additions a row, the second n^2 multiplications. H_k is computed by Paley's constructions:
/// k - 1 a prime power (k divisible by 4), or k / 2 - 1 one that is 1 modulo 4; the smallest k that divides n so is
/// taken.
///
/// Devices  Apply() computes on the device of its rows; On() first, so that nothing is copied there each time.
/// Threads  Same inputs, same bytes; on the CPU each row by itself. Const calls are safe from several threads.
/// Source   Paley 1933, "On orthogonal matrices", J. Math. Phys. 12, 311.
class BITLAW_EXPORT Rotation {
 public:
  /// k, 1 for powers of two; 0 where no k up to 1024 divides `width` as above.
  static int64_t HadamardBase(int64_t width);

  /// signs [n], 1 or -1, or undefined: all 1. InternalError where HadamardBase() is 0, or for other signs.
  static Rotation Hadamard(int64_t width, const at::Tensor& signs = {});
  /// matrix [n, n], which is orthogonal to 1e-4; otherwise InternalError.
  static Rotation OfMatrix(const at::Tensor& matrix);

  /// The same with stride s; of a rotation whose stride is 1.
  Rotation Strided(int64_t stride) const;

  int64_t width() const { return width_; }              ///< n
  int64_t stride() const { return stride_; }            ///< s
  int64_t span() const { return width_ * stride_; }     ///< Channels of a run.
  const at::Tensor& signs() const { return signs_; }    ///< [n] float32; undefined: all 1.
  const at::Tensor& matrix() const { return matrix_; }  ///< [n, n] float32; undefined for a Hadamard matrix.
  /// "hadamard 64", "signed hadamard 12 x 128" (k x 2^m), "orthogonal 30", "hadamard 32 apart 64" with stride 64.
  std::string Name() const;
  /// Additions of Apply() a run, or multiplications.
  int64_t Operations() const;

  /// x R: rows [.., a multiple of n s], each run of n s turned by itself, in float32 and rounded once to the dtype of
  /// `rows`.
  at::Tensor Apply(const at::Tensor& rows) const;
  /// x R^T, what turns it back.
  at::Tensor ApplyTransposed(const at::Tensor& rows) const;

  /// The same with its tensors on that device.
  Rotation On(const at::Device& device) const;

 private:
  at::Tensor Turned(const at::Tensor& rows, bool transposed) const;
  at::Tensor TurnedOnDevice(const at::Tensor& rows, bool transposed) const;

  int64_t width_ = 0, base_ = 1, stride_ = 1;
  at::Tensor signs_, matrix_;
  at::Tensor base_matrix_;           ///< [k, k] float32 where k > 1.
  std::vector<at::Tensor> factors_;  ///< On a device: H_2^a, H_2^b, .., [64, 64] at most, whose product is H_2^m.
};

/// A rotation that is computed in each forward pass, since no weight can take it.
struct BITLAW_EXPORT OnlineRotation {
  std::string place;  ///< As Block::RotateOnline() has it.
  Rotation rotation;
};

}  // namespace bitlaw
