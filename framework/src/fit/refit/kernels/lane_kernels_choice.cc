#include "bitlaw/sdk/machine/instruction_set.h"
#include "fit/refit/kernels/lane_kernels.h"

namespace bitlaw {

namespace isa_plain {
extern const LaneKernels kLaneKernels;
}

#ifdef BITLAW_X86_KERNELS
namespace isa_avx2 {
extern const LaneKernels kLaneKernels;
}
namespace isa_avx512 {
extern const LaneKernels kLaneKernels;
}
const LaneKernels& BestLaneKernels() {
  return BestKernels(isa_plain::kLaneKernels, isa_avx2::kLaneKernels, isa_avx512::kLaneKernels);
}
#else
const LaneKernels& BestLaneKernels() { return isa_plain::kLaneKernels; }
#endif

}  // namespace bitlaw
