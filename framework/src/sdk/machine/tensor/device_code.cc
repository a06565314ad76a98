#include "bitlaw/sdk/machine/device_code.h"

#include <c10/core/DeviceGuard.h>
#include <dlfcn.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/base/machine_error.h"
#include "bitlaw/sdk/machine/torch_version.h"

// What is used of libtorch's general interface to devices is there from 2.11 on.
#if BITLAW_TORCH_AT_LEAST(2, 11)
#define BITLAW_HAS_DEVICES
#include <ATen/DeviceAccelerator.h>
#include <ATen/ops/empty.h>
#include <c10/core/DefaultDtype.h>
#endif

namespace bitlaw {

DeviceCode::~DeviceCode() = default;  // The driver has let go of modules by the time static objects are destroyed.

#ifdef BITLAW_HAS_DEVICES

namespace {

// The functions of NVRTC and of the driver that are called, by the declarations of nvrtc.h and cuda.h: they are found when
// the program runs, in libraries that a CUDA build of libtorch loads.
struct Driver {
  int (*create)(void** program, const char* source, const char* name, int headers, const char* const* texts,
                const char* const* names) = nullptr;
  int (*compile)(void* program, int options, const char* const* texts) = nullptr;
  int (*log_size)(void* program, size_t* size) = nullptr;
  int (*log)(void* program, char* text) = nullptr;
  int (*cubin_size)(void* program, size_t* size) = nullptr;
  int (*cubin)(void* program, char* data) = nullptr;
  int (*destroy)(void** program) = nullptr;
  int (*load)(void** module, const void* image) = nullptr;
  int (*function)(void** function, void* module, const char* name) = nullptr;
  int (*set_attribute)(void* function, int attribute, int value) = nullptr;
  int (*launch)(void* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned shared, void* stream,
                void** arguments, void** extra) = nullptr;
  int (*device)(int* device, int index) = nullptr;
  int (*device_name)(char* name, int length, int device) = nullptr;
  int (*device_attribute)(int* value, int attribute, int device) = nullptr;
  int (*error_text)(int status, const char** text) = nullptr;
  bool is_whole = false;
};

constexpr int kMostSharedBytes = 8;                    // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kMajor = 75, kMinor = 76;                // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
constexpr int kOutOfMemory = 2;                        // CUDA_ERROR_OUT_OF_MEMORY
constexpr int64_t kSharedBytesWithoutAsking = 48 << 10;

const Driver& GetDriver() {
  static const Driver driver = [] {
    Driver found;
    // libcaffe2_nvrtc.so stands beside libc10.so and is linked to both libraries.
    Dl_info where{};
    std::vector<std::string> files;
    if (::dladdr(reinterpret_cast<const void*>(&c10::get_default_dtype), &where) != 0 && where.dli_fname != nullptr) {
      files.push_back((std::filesystem::path(where.dli_fname).parent_path() / "libcaffe2_nvrtc.so").string());
    }
    files.emplace_back("libcaffe2_nvrtc.so");
    void* library = nullptr;
    for (const std::string& file : files) {
      if (library == nullptr) library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    }
    if (library == nullptr) return found;
    found.is_whole = true;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
      found.is_whole = found.is_whole && function != nullptr;
    };
    find(found.create, "nvrtcCreateProgram");
    find(found.compile, "nvrtcCompileProgram");
    find(found.log_size, "nvrtcGetProgramLogSize");
    find(found.log, "nvrtcGetProgramLog");
    find(found.cubin_size, "nvrtcGetCUBINSize");
    find(found.cubin, "nvrtcGetCUBIN");
    find(found.destroy, "nvrtcDestroyProgram");
    find(found.load, "cuModuleLoadData");
    find(found.function, "cuModuleGetFunction");
    find(found.set_attribute, "cuFuncSetAttribute");
    find(found.launch, "cuLaunchKernel");
    find(found.device, "cuDeviceGet");
    find(found.device_name, "cuDeviceGetName");
    find(found.device_attribute, "cuDeviceGetAttribute");
    find(found.error_text, "cuGetErrorString");
    return found;
  }();
  return driver;
}

[[noreturn]] void ThrowOutOfMemory(const char* kernels) {
  throw MemoryError(std::string("kernels of ") + kernels +
                    ": memory ran out. Use a smaller batch, a shorter sequence or a smaller model.");
}

int IndexOf(const at::Device& device) {
  return device.has_index() ? device.index() : at::accelerator::getDeviceIndex();
}

// After the first tensor on a device libtorch's allocator and the driver's context are there.
void TakePossession(const at::Device& device) { at::empty({1}, at::TensorOptions(device)); }

std::string Words(int status) {
  const char* text = nullptr;
  if (GetDriver().error_text(status, &text) != 0 || text == nullptr) text = "unknown error";
  return std::string(text) + " (" + std::to_string(status) + ")";
}

std::pair<int, int> Capability(int index) {
  int device = 0, major = 0, minor = 0;
  const Driver& driver = GetDriver();
  if (driver.device(&device, index) != 0) return {0, 0};
  driver.device_attribute(&major, kMajor, device);
  driver.device_attribute(&minor, kMinor, device);
  return {major, minor};
}

std::string DriverVersion() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  std::smatch found;
  return std::regex_search(line, found, std::regex(R"(\b(\d+\.\d+(\.\d+)?)\b)")) ? found[1].str() : "";
}

}  // namespace

bool DeviceCode::RunsOn(const at::Device& device) {
  if (!device.is_cuda() || !GetDriver().is_whole) return false;
  LoadedFor(device);
  return true;
}

DeviceCode::Loaded& DeviceCode::LoadedFor(const at::Device& device) {
  const std::scoped_lock lock(mutex_);
  const int index = IndexOf(device);
  Loaded& loaded = loaded_[index];
  if (loaded.module != nullptr) return loaded;
  const Driver& driver = GetDriver();
  const auto fail = [&](const std::string& what) {
    throw InternalError(std::string("kernels of ") + name_ + ": " + what + ".");
  };
  const auto [major, minor] = Capability(index);
  const std::string architecture = "--gpu-architecture=sm_" + std::to_string(major) + std::to_string(minor);
  const char* options[] = {architecture.c_str(), "--std=c++17", "--fmad=false"};
  void* program = nullptr;
  if (driver.create(&program, source_, name_, 0, nullptr, nullptr) != 0) fail("the compiler does not take them");
  const int status = driver.compile(program, 3, options);
  size_t size = 0;
  if (status != 0) {
    driver.log_size(program, &size);
    std::string log(size, '\0');
    driver.log(program, log.data());
    driver.destroy(&program);
    fail("they do not compile with " + architecture + ": " + log);
  }
  driver.cubin_size(program, &size);
  std::vector<char> image(size);
  driver.cubin(program, image.data());
  driver.destroy(&program);
  const c10::DeviceGuard guard(c10::Device(device.type(), static_cast<c10::DeviceIndex>(index)));
  TakePossession(device);
  if (const int refused = driver.load(&loaded.module, image.data()); refused != 0) {
    loaded.module = nullptr;
    if (refused == kOutOfMemory) ThrowOutOfMemory(name_);
    fail("the driver does not load them: " + Words(refused));
  }
  return loaded;
}

void DeviceCode::LaunchWith(const at::Device& device, const char* kernel, int64_t blocks, int64_t threads,
                            int64_t shared_bytes, void** arguments) {
  if (blocks == 0) return;
  Loaded& loaded = LoadedFor(device);
  const Driver& driver = GetDriver();
  const auto index = static_cast<c10::DeviceIndex>(IndexOf(device));
  const c10::DeviceGuard guard(c10::Device(device.type(), index));
  const auto check = [&](int status, const char* what) {
    if (status == kOutOfMemory) ThrowOutOfMemory(name_);
    if (status != 0) throw DeviceError(std::string("kernel ") + kernel + " of " + name_ + ": " + what + ": " + Words(status));
  };
  void* function = nullptr;
  {
    const std::scoped_lock lock(mutex_);
    void*& known = loaded.functions[kernel];
    if (known == nullptr) check(driver.function(&known, loaded.module, kernel), "the driver does not find it");
    function = known;
  }
  if (shared_bytes > kSharedBytesWithoutAsking) {
    check(driver.set_attribute(function, kMostSharedBytes, static_cast<int>(shared_bytes)), "so much shared memory is refused");
  }
  void* const stream = at::accelerator::getCurrentStream(index).native_handle();
  check(driver.launch(function, static_cast<unsigned>(blocks), 1, 1, static_cast<unsigned>(threads), 1, 1,
                      static_cast<unsigned>(shared_bytes), stream, arguments, nullptr),
        "the launch is refused");
}

std::optional<DeviceFacts> DescribeDevice(const at::Device& device) {
  if (!device.is_cuda() || !GetDriver().is_whole) return std::nullopt;
  const int index = IndexOf(device);
  DeviceFacts facts;
  int handle = 0;
  char name[256] = {};
  if (GetDriver().device(&handle, index) != 0 || GetDriver().device_name(name, sizeof name - 1, handle) != 0) {
    return std::nullopt;
  }
  facts.name = name;
  const auto [major, minor] = Capability(index);
  facts.capability = std::to_string(major) + "." + std::to_string(minor);
  facts.driver = DriverVersion();
  TakePossession(device);
  const auto [free, total] = at::accelerator::getMemoryInfo(static_cast<c10::DeviceIndex>(index));
  facts.free_bytes = static_cast<int64_t>(free);
  facts.memory_bytes = static_cast<int64_t>(total);
  return facts;
}

std::optional<int64_t> FreeDeviceMemory(const at::Device& device) {
  if (!device.is_cuda()) return std::nullopt;
  TakePossession(device);
  const auto index = static_cast<c10::DeviceIndex>(IndexOf(device));
  const auto stats = at::accelerator::getDeviceStats(index);
  constexpr auto kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const int64_t held = stats.reserved_bytes[kAll].current - stats.allocated_bytes[kAll].current;
  return static_cast<int64_t>(at::accelerator::getMemoryInfo(index).first) + held;
}

std::optional<int64_t> PeakDeviceMemory(const at::Device& device) {
  if (!device.is_cuda()) return std::nullopt;
  TakePossession(device);
  const auto stats = at::accelerator::getDeviceStats(static_cast<c10::DeviceIndex>(IndexOf(device)));
  return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
}

void ResetPeakDeviceMemory(const at::Device& device) {
  if (!device.is_cuda()) return;
  TakePossession(device);
  at::accelerator::resetPeakStats(static_cast<c10::DeviceIndex>(IndexOf(device)));
}

void FreeUnusedDeviceMemory(const at::Device& device) {
  if (device.is_cuda()) at::accelerator::emptyCache();
}

void WaitForDevice(const at::Device& device) {
  if (device.is_cuda()) at::accelerator::getCurrentStream(static_cast<c10::DeviceIndex>(IndexOf(device))).synchronize();
}

#else

bool DeviceCode::RunsOn(const at::Device&) { return false; }
DeviceCode::Loaded& DeviceCode::LoadedFor(const at::Device&) {
  throw InternalError("kernels were asked for in a build for a libtorch before 2.11.");
}
void DeviceCode::LaunchWith(const at::Device& device, const char*, int64_t, int64_t, int64_t, void**) { LoadedFor(device); }
std::optional<DeviceFacts> DescribeDevice(const at::Device&) { return std::nullopt; }
std::optional<int64_t> FreeDeviceMemory(const at::Device&) { return std::nullopt; }
std::optional<int64_t> PeakDeviceMemory(const at::Device&) { return std::nullopt; }
void ResetPeakDeviceMemory(const at::Device&) {}
void FreeUnusedDeviceMemory(const at::Device&) {}
void WaitForDevice(const at::Device&) {}

#endif

}  // namespace bitlaw
