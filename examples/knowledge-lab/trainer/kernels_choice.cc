#include "bitlaw/sdk/machine/instruction_set.h"
#include "kernels.h"

namespace bitlaw::lab {

#define BITLAW_LAB_DECLARE(isa)       \
  namespace isa {                     \
  extern const Kernels<float> kFloat; \
  extern const Kernels<Bf16> kBf16;   \
  }
BITLAW_LAB_DECLARE(isa_plain)
#ifdef BITLAW_X86_KERNELS
BITLAW_LAB_DECLARE(isa_avx2)
BITLAW_LAB_DECLARE(isa_avx512)

const Kernels<float>& FloatKernels() { return BestKernels(isa_plain::kFloat, isa_avx2::kFloat, isa_avx512::kFloat); }
const Kernels<Bf16>& Bf16Kernels() { return BestKernels(isa_plain::kBf16, isa_avx2::kBf16, isa_avx512::kBf16); }
#else
const Kernels<float>& FloatKernels() { return isa_plain::kFloat; }
const Kernels<Bf16>& Bf16Kernels() { return isa_plain::kBf16; }
#endif

}  // namespace bitlaw::lab
