#pragma once

#include <c10/core/Device.h>

#include <chrono>

#include "bitlaw/sdk/machine/device_code.h"

namespace bitlaw {

using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Adds the time of its scope to `sum`: what `device` does of what it is given in it, neither more nor less.
class Timed {
 public:
  explicit Timed(double& sum, const at::Device& device = at::kCPU) : sum_(sum), device_(device) {
    WaitForDevice(device_);
    start_ = Clock::now();
  }
  ~Timed() {
    try {
      WaitForDevice(device_);
    } catch (...) {  // A device that failed says so again where it is next asked for something.
    }
    sum_ += SecondsSince(start_);
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  double& sum_;
  const at::Device device_;
  Clock::time_point start_;
};

}  // namespace bitlaw
