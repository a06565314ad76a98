#include "bitlaw/sdk/machine/torch_threads.h"

#include <ATen/Parallel.h>
#include <malloc.h>

#include "base/allowed_cores.h"

namespace bitlaw {

int SetTorchThreads(int threads) {
  at::set_num_threads(threads > 0 ? threads : AllowedCores());
  // Activations are a few MB to a few hundred MB and come and go with every operation.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  return at::get_num_threads();
}

}  // namespace bitlaw
