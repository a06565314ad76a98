#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Kernels in CUDA C++, compiled for the card at hand when the program first runs them there (NVRTC, which libtorch's CUDA
/// builds bring along): building bitlaw needs no CUDA toolkit. A component holds one as a static object.
///
/// Threads: safe from several threads.
class BITLAW_EXPORT DeviceCode {
 public:
  /// `source` defines `extern "C" __global__` functions and includes nothing; products and sums are not fused. Both texts
  /// outlive this. `name` stands in messages.
  DeviceCode(const char* name, const char* source) : name_(name), source_(source) {}
  ~DeviceCode();
  DeviceCode(const DeviceCode&) = delete;
  DeviceCode& operator=(const DeviceCode&) = delete;

  /// Whether the kernels run on `device`: it is a CUDA device of a libtorch of 2.11 or later, and the compiler is there.
  /// Compiles them at the first call. InternalError with the compiler's words if they do not compile.
  bool RunsOn(const at::Device& device);

  /// One launch on the device's current stream, as the kernels of libtorch are: nothing is waited for. The arguments have the
  /// types of the kernel's parameters, pointers of tensors on `device` among them. Only where RunsOn().
  template <typename... Arguments>
  void Launch(const at::Device& device, const char* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes,
              Arguments... arguments) {
    void* addresses[] = {&arguments...};
    LaunchWith(device, kernel, blocks, threads, shared_bytes, addresses);
  }

 private:
  struct Loaded {
    void* module = nullptr;
    std::map<std::string, void*> functions;
  };
  Loaded& LoadedFor(const at::Device& device);
  void LaunchWith(const at::Device& device, const char* kernel, int64_t blocks, int64_t threads, int64_t shared_bytes,
                  void** arguments);

  const char* const name_;
  const char* const source_;
  std::mutex mutex_;
  std::map<int, Loaded> loaded_;  // By the device's index.
};

/// What is known of one CUDA device.
struct BITLAW_EXPORT DeviceFacts {
  std::string name;        ///< "NVIDIA H100 80GB HBM3"
  std::string capability;  ///< "9.0"
  std::string driver;      ///< Version of the driver, "580.159.04"; empty where the system does not say.
  int64_t memory_bytes = 0, free_bytes = 0;
};

/// Empty for the CPU, and where libtorch or the driver cannot be asked.
BITLAW_EXPORT std::optional<DeviceFacts> DescribeDevice(const at::Device& device);

/// Memory that a computation on `device` may still take: what is free on the card, and what libtorch holds of it unused.
/// Empty for the CPU, and where libtorch cannot say.
BITLAW_EXPORT std::optional<int64_t> FreeDeviceMemory(const at::Device& device);

/// Gives memory of `device` that libtorch holds unused back to it: after it ran out, in pieces of other sizes.
BITLAW_EXPORT void FreeUnusedDeviceMemory(const at::Device& device);

/// The most memory of `device` that tensors of this process held at a time since the last reset. Empty as above.
BITLAW_EXPORT std::optional<int64_t> PeakDeviceMemory(const at::Device& device);
BITLAW_EXPORT void ResetPeakDeviceMemory(const at::Device& device);

/// Waits until `device` has done what its current stream was given: before a clock is read. Copies on streams of other
/// threads go on. Nothing for the CPU.
BITLAW_EXPORT void WaitForDevice(const at::Device& device);

}  // namespace bitlaw
