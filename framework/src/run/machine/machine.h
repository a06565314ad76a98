#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// The linear algebra library that libtorch's matrix products end up in.
struct BITLAW_EXPORT BlasLibrary {
  std::string path;              ///< The file that sgemm_ of this process comes from, links resolved; "" if there is none.
  std::string kind;              ///< "MKL", "OpenBLAS", "ATLAS", "BLIS", "reference BLAS", "unknown".
  std::string configuration;     ///< What the library says of itself: version and the core it chose; "" if nothing.
  std::string threading;         ///< "OpenMP", "pthreads", "none", "unknown".
  std::vector<std::string> loaded;  ///< Every BLAS-like library in the process: more than one may fight over threads.
};
BITLAW_EXPORT BlasLibrary FindBlas();

struct BITLAW_EXPORT Cpu {
  std::string model;
  std::vector<std::string> instruction_sets;  ///< Those that matter to matrix products, of /proc/cpuinfo.
  int hardware_threads = 0, allowed_threads = 0, torch_threads = 0;
  std::string openblas_coretype, omp_num_threads;  ///< Environment; "" if not set.
};
BITLAW_EXPORT Cpu DescribeCpu();

BITLAW_EXPORT std::string TorchVersion();
BITLAW_EXPORT std::string Compiler();
/// "cpu", and "cuda:0", "cuda:1", ... where libtorch has CUDA and sees cards.
BITLAW_EXPORT std::vector<std::string> Devices();
/// Why Devices() names no card, and what to do; "" if it names one.
BITLAW_EXPORT std::string WhyNoCard();

/// Of a card, all of it; 0 where it does not say.
BITLAW_EXPORT double DeviceMemoryBytes(const std::string& device);

/// Rates in GFLOP/s, each over about `seconds` after a warm-up. [n, n] x [n, n] products, as models compute them
/// (TimesTransposed) and as libtorch hands them to the system's BLAS; Cholesky counts n^3 / 3.
BITLAW_EXPORT double MeasureModelProduct(bool bfloat16, int64_t n, double seconds, const std::string& device = "cpu");
BITLAW_EXPORT double MeasureBlasProduct(int64_t n, double seconds);
BITLAW_EXPORT double MeasureCholesky(int64_t n, double seconds);

/// Host, processor, threads, BLAS, versions and date (UTC): what stands in a timings file beside the times.
BITLAW_EXPORT Value MachineFacts(int threads);
/// Of a device other than the host: device_name, driver, peak_device_memory_bytes (of this process's tensors since the last
/// ResetPeakDeviceMemory()). An empty map for the host, and where libtorch cannot be asked.
BITLAW_EXPORT Value DeviceUse(const std::string& device);
BITLAW_EXPORT int64_t PeakMemoryBytes();     ///< Of this process so far.
BITLAW_EXPORT std::string UtcNow();  ///< "2026-01-31T12:00:00Z"

}  // namespace bitlaw
