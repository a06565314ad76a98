#include "bitlaw/sdk/machine/torch_threads.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#include <sched.h>

#include <algorithm>
#include <thread>

namespace bitlaw {

namespace {

int AllowedCores() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

int SetTorchThreads(int threads) {
  at::set_num_threads(threads > 0 ? threads : AllowedCores());
  // Activations are a few MB to a few hundred MB and come and go with every operation.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  return at::get_num_threads();
}

}  // namespace bitlaw
