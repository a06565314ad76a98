#pragma once

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace bitlaw {

/// OpenBLAS chooses its kernels by the model number of the processor when it is loaded. Up to 0.3.21 (Debian 12) it takes a
/// processor that is newer than itself for a "Prescott" of 2004: float32 products then run at a part of the speed, and
/// triangular solves were seen to crash. Later versions go by what the processor can do, as this does.
///
/// Returns what OPENBLAS_CORETYPE should be, or null: the processor is known, has no AVX2, somebody has set the variable, or
/// there is no OpenBLAS. The variable is read when OpenBLAS is loaded, so a program that has it loaded must start again.
inline const char* OpenBlasCoreToChoose() {
#if defined(__x86_64__)
  if (::getenv("OPENBLAS_CORETYPE") != nullptr || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    return nullptr;
  }
  void* library = ::dlopen("libopenblas.so.0", RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  using Name = char* (*)();
  const auto name = reinterpret_cast<Name>(::dlsym(library, "openblas_get_corename"));
  const bool is_unknown = name != nullptr && std::strcmp(name(), "Prescott") == 0;
  ::dlclose(library);
  if (!is_unknown) return nullptr;
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                          __builtin_cpu_supports("avx512vl");
  return has_avx512 ? "SKYLAKEX" : "HASWELL";
#else
  return nullptr;
#endif
}

/// Sets the variable, if need be, and starts this program again with the same arguments; returns if there is no need or if
/// that fails. BITLAW_OPENBLAS_CORETYPE says that nobody else chose.
inline void ChooseOpenBlasCore(char** arguments) {
  const char* core = OpenBlasCoreToChoose();
  if (core == nullptr) return;
  ::setenv("OPENBLAS_CORETYPE", core, /*overwrite=*/1);
  ::setenv("BITLAW_OPENBLAS_CORETYPE", core, /*overwrite=*/1);
  ::execv("/proc/self/exe", arguments);
}

}  // namespace bitlaw
