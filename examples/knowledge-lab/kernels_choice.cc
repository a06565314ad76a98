#include "kernels.h"

namespace bitlaw::lab {

#define BITLAW_LAB_DECLARE(isa)       \
  namespace isa {                     \
  extern const Kernels<float> kFloat; \
  extern const Kernels<Bf16> kBf16;   \
  }
BITLAW_LAB_DECLARE(plain)
#ifdef BITLAW_LAB_X86
BITLAW_LAB_DECLARE(avx2)
BITLAW_LAB_DECLARE(avx512)
#endif

namespace {

template <typename T>
const Kernels<T>& Best(const Kernels<T>& plain, [[maybe_unused]] const Kernels<T>* avx2,
                       [[maybe_unused]] const Kernels<T>* avx512) {
#ifdef BITLAW_LAB_X86
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd")) {
    return *avx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return *avx2;
#endif
  return plain;
}

}  // namespace

#ifdef BITLAW_LAB_X86
const Kernels<float>& FloatKernels() { return Best(plain::kFloat, &avx2::kFloat, &avx512::kFloat); }
const Kernels<Bf16>& Bf16Kernels() { return Best(plain::kBf16, &avx2::kBf16, &avx512::kBf16); }
#else
const Kernels<float>& FloatKernels() { return plain::kFloat; }
const Kernels<Bf16>& Bf16Kernels() { return plain::kBf16; }
#endif

}  // namespace bitlaw::lab
