#include "run/machine/machine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/sdk/machine/device_code.h"
#include "math/matrix_product.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

std::string Resolved(const char* path) {
  std::error_code error;
  const fs::path resolved = fs::canonical(path, error);
  return error ? path : resolved.string();
}

bool LooksLikeBlas(const std::string& file) {
  for (const char* part : {"blas", "libmkl", "libatlas", "libblis", "libflame", "libnvpl"}) {
    if (file.find(part) != std::string::npos) return true;
  }
  return false;
}

int CollectBlas(dl_phdr_info* library, size_t, void* into) {
  if (library->dlpi_name == nullptr || *library->dlpi_name == 0) return 0;
  std::string path = Resolved(library->dlpi_name);
  if (LooksLikeBlas(fs::path(path).filename().string())) static_cast<std::vector<std::string>*>(into)->push_back(path);
  return 0;
}

template <class Function>
Function* Symbol(void* library, const char* name) {
  return library == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(library, name));
}

void AskOpenBlas(void* library, BlasLibrary& blas) {
  if (auto* config = Symbol<char*()>(library, "openblas_get_config")) blas.configuration = config();
  if (auto* core = Symbol<char*()>(library, "openblas_get_corename")) {
    // Recent configurations name the core already.
    if (blas.configuration.find(core()) == std::string::npos) blas.configuration += fmt::format(" ({})", core());
  }
  if (auto* parallel = Symbol<int()>(library, "openblas_get_parallel")) {
    static constexpr const char* kThreading[] = {"none", "pthreads", "OpenMP"};
    const int mode = parallel();
    if (mode >= 0 && mode <= 2) blas.threading = kThreading[mode];
  }
}

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

// How often `work` runs in a second.
template <class Work>
double Rate(double seconds, Work&& work) {
  work();
  const auto start = std::chrono::steady_clock::now();
  int64_t runs = 0;
  do {
    work();
    ++runs;
  } while (Seconds(start) < seconds);
  return runs / Seconds(start);
}

double ProductOperations(int64_t n) { return 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n); }

}  // namespace

BlasLibrary FindBlas() {
  BlasLibrary blas;
  blas.threading = "unknown";
  ::dl_iterate_phdr(&CollectBlas, &blas.loaded);
  if (at::hasMKL()) {
    // MKL is linked into libtorch itself in the public builds.
    blas.kind = "MKL";
    blas.threading = "OpenMP";
  }
  // libtorch calls sgemm_ by name: whichever library the loader finds first under it does the work.
  void* const sgemm = ::dlsym(RTLD_DEFAULT, "sgemm_");
  Dl_info where{};
  if (sgemm == nullptr || ::dladdr(sgemm, &where) == 0 || where.dli_fname == nullptr) {
    if (blas.kind.empty()) blas.kind = "unknown";
    return blas;
  }
  blas.path = Resolved(where.dli_fname);
  if (!blas.kind.empty()) return blas;
  void* const library = ::dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  auto contains = [&](const char* part) { return blas.path.find(part) != std::string::npos; };
  if (Symbol<void>(library, "openblas_get_config") != nullptr || contains("openblas")) {
    blas.kind = "OpenBLAS";
    AskOpenBlas(library, blas);
  } else if (contains("atlas") || contains("f77blas")) {
    blas.kind = "ATLAS";
  } else if (contains("blis")) {
    blas.kind = "BLIS";
  } else if (contains("mkl")) {
    blas.kind = "MKL";
  } else if (contains("/blas/libblas") || contains("libblas.so.3.1")) {
    blas.kind = "reference BLAS";
    blas.threading = "none";
  } else {
    blas.kind = "unknown";
  }
  if (library != nullptr) ::dlclose(library);
  return blas;
}

Cpu DescribeCpu() {
  Cpu cpu;
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (cpu.model.empty() && (line.starts_with("model name") || line.starts_with("Model"))) cpu.model = value;
    if (cpu.instruction_sets.empty() && (line.starts_with("flags") || line.starts_with("Features"))) {
      static constexpr const char* kWanted[] = {"sse4_2",      "avx",      "f16c",     "fma",     "avx2", "avx512f",
                                                "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8",
                                                "asimd",       "bf16",     "sve",      "i8mm"};
      std::istringstream words(value);
      for (std::string word; words >> word;) {
        if (std::find(std::begin(kWanted), std::end(kWanted), word) != std::end(kWanted)) {
          cpu.instruction_sets.push_back(word);
        }
      }
    }
  }
  cpu.hardware_threads = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t allowed;
  cpu.allowed_threads = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : cpu.hardware_threads;
  cpu.torch_threads = at::get_num_threads();
  // Not what bitlaw itself chose when it started (bitlaw/sdk/machine/openblas_core.h).
  const char *core = std::getenv("OPENBLAS_CORETYPE"), *own = std::getenv("BITLAW_OPENBLAS_CORETYPE");
  if (core != nullptr && (own == nullptr || std::string_view(core) != own)) cpu.openblas_coretype = core;
  if (const char* threads = std::getenv("OMP_NUM_THREADS")) cpu.omp_num_threads = threads;
  return cpu;
}

std::string TorchVersion() { return TORCH_VERSION; }

std::string Compiler() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

std::vector<std::string> Devices() {
  std::vector<std::string> devices = {"cpu"};
  if (at::hasCUDA()) {
    const auto count = at::detail::getCUDAHooks().getNumGPUs();
    for (int i = 0; i < count; ++i) devices.push_back(fmt::format("cuda:{}", i));
  }
  return devices;
}

std::string WhyNoCard() {
  if (Devices().size() > 1) return "";
  if (!at::hasCUDA() && !at::globalContext().hasCUDART()) {
    return "This bitlaw was built against a libtorch without CUDA; docs/gpu.md says how to build it against another.";
  }
  return "libtorch has CUDA but finds no card. See whether nvidia-smi lists one, and CUDA_VISIBLE_DEVICES does not hide it.";
}

double DeviceMemoryBytes(const std::string& device) {
  const auto facts = WithTorchErrors("device " + device, [&] { return DescribeDevice(at::Device(device)); });
  return facts ? static_cast<double>(facts->memory_bytes) : 0;
}

double MeasureModelProduct(bool bfloat16, int64_t n, double seconds, const std::string& device) {
  return WithTorchErrors("matrix product", [&] {
    at::NoGradGuard no_grad;
    const at::Device place(device);
    const at::TensorOptions options = at::TensorOptions(place).dtype(bfloat16 ? at::kBFloat16 : at::kFloat);
    // Of ones a device draws less power, and is faster, than of what models hold.
    const at::Tensor x = place.is_cpu() ? at::ones({n, n}, options) : at::randn({n, n}, options);
    const at::Tensor weight = place.is_cpu() ? at::ones({n, n}, options) : at::randn({n, n}, options);
    const int products = place.is_cpu() ? 1 : 10;  // Between two waits.
    return 1e-9 * ProductOperations(n) * products * Rate(seconds, [&] {
             for (int i = 0; i < products; ++i) TimesTransposed(x, weight);
             WaitForDevice(place);
           });
  });
}

double MeasureBlasProduct(int64_t n, double seconds) {
  return WithTorchErrors("matrix product", [&] {
    at::NoGradGuard no_grad;
    const at::Tensor a = at::ones({n, n}, at::kFloat), b = at::ones({n, n}, at::kFloat);
    at::Tensor c = at::empty({n, n}, at::kFloat);
    return 1e-9 * ProductOperations(n) * Rate(seconds, [&] { at::mm_out(c, a, b); });
  });
}

double MeasureCholesky(int64_t n, double seconds) {
  return WithTorchErrors("Cholesky factor", [&] {
    at::NoGradGuard no_grad;
    const at::Tensor a = at::eye(n, at::kFloat) * static_cast<double>(n) + at::ones({n, n}, at::kFloat);
    const double flops = static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n) / 3;
    return 1e-9 * flops * Rate(seconds, [&] { at::linalg_cholesky(a); });
  });
}

Value DeviceUse(const std::string& device) {
  Value use(Value::Map{});
  const at::Device place(device);
  try {
    if (const auto bytes = PeakDeviceMemory(place)) use.Set("peak_device_memory_bytes", *bytes);
    if (const auto facts = DescribeDevice(place)) {
      use.Set("device_name", facts->name);
      if (!facts->driver.empty()) use.Set("driver", facts->driver);
    }
  } catch (const c10::Error&) {  // A full card: what was computed on it stands without these.
  }
  return use;
}

int64_t PeakMemoryBytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

Value MachineFacts(int threads) {
  // A worker records them for each task, and they stay as they are while it runs.
  static const Value lasting = [] {
    utsname system{};
    ::uname(&system);
    const BlasLibrary blas = FindBlas();
    return Value(Value::Map{{"host", system.nodename},
                            {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
                            {"cpu", DescribeCpu().model},
                            {"libtorch", TorchVersion()},
                            {"compiler", Compiler()},
                            {"blas", blas.kind},
                            {"blas_file", blas.path},
                            {"blas_configuration", blas.configuration}});
  }();
  Value facts = lasting;
  facts.Set("date", UtcNow());
  facts.Set("threads", threads);
  return facts;
}

}  // namespace bitlaw
