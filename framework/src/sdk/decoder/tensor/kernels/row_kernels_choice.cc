#include "bitlaw/sdk/machine/instruction_set.h"
#include "sdk/decoder/tensor/kernels/row_kernels.h"

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

const RowKernels<float>& FloatRowKernels() {
  return BestKernels(isa_plain::kFloat, isa_avx2::kFloat, isa_avx512::kFloat);
}
const RowKernels<Bf16>& Bf16RowKernels() { return BestKernels(isa_plain::kBf16, isa_avx2::kBf16, isa_avx512::kBf16); }
#else
const RowKernels<float>& FloatRowKernels() { return isa_plain::kFloat; }
const RowKernels<Bf16>& Bf16RowKernels() { return isa_plain::kBf16; }
#endif

}  // namespace bitlaw
