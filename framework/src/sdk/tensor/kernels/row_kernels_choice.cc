#include "sdk/tensor/kernels/row_kernels.h"

namespace bitlaw {

#define BITLAW_DECLARE_KERNELS(isa)      \
  namespace isa {                        \
  extern const RowKernels<float> kFloat; \
  extern const RowKernels<Bf16> kBf16;   \
  }
BITLAW_DECLARE_KERNELS(isa_plain)
#ifdef BITLAW_X86_KERNELS
BITLAW_DECLARE_KERNELS(isa_avx2)
BITLAW_DECLARE_KERNELS(isa_avx512)
#endif

namespace {

enum class Isa { kPlain, kAvx2, kAvx512 };

Isa BestIsa() {
#ifdef BITLAW_X86_KERNELS
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd")) {
    return Isa::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    return Isa::kAvx2;
  }
#endif
  return Isa::kPlain;
}

}  // namespace

const RowKernels<float>& FloatRowKernels() {
  [[maybe_unused]] static const Isa kIsa = BestIsa();
#ifdef BITLAW_X86_KERNELS
  if (kIsa == Isa::kAvx512) return isa_avx512::kFloat;
  if (kIsa == Isa::kAvx2) return isa_avx2::kFloat;
#endif
  return isa_plain::kFloat;
}

const RowKernels<Bf16>& Bf16RowKernels() {
  [[maybe_unused]] static const Isa kIsa = BestIsa();
#ifdef BITLAW_X86_KERNELS
  if (kIsa == Isa::kAvx512) return isa_avx512::kBf16;
  if (kIsa == Isa::kAvx2) return isa_avx2::kBf16;
#endif
  return isa_plain::kBf16;
}

}  // namespace bitlaw
