#pragma once

namespace bitlaw {

/// Sums the time that the tensor library spends inside matrix products while it lives, in all threads; products that
/// several threads run side by side count once. Host only: what a device is given is not waited for. One at a time in a process; a second one reads zero.
class MatrixProductClock {
 public:
  MatrixProductClock();
  ~MatrixProductClock();
  MatrixProductClock(const MatrixProductClock&) = delete;
  MatrixProductClock& operator=(const MatrixProductClock&) = delete;

  double seconds() const;

 private:
  bool is_active_ = false;
  unsigned long handle_ = 0;
};

}  // namespace bitlaw
