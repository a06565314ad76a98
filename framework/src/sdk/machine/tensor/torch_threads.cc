#include "bitlaw/sdk/machine/torch_threads.h"

#include <ATen/Parallel.h>
#include <malloc.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/allowed_cores.h"

namespace bitlaw {

int SetTorchThreads(int threads) {
  at::set_num_threads(threads > 0 ? threads : AllowedCores());
  // Activations are a few MB to a hundred MB and come and go with every operation: they are not to be mapped anew each time.
  // Larger ones, Hessians among them, go back to the system at once; in one heap each would leave a hole behind it.
  mallopt(M_MMAP_THRESHOLD, 1 << 27);
  mallopt(M_TRIM_THRESHOLD, 1 << 28);
  return at::get_num_threads();
}

// Of this thread alone, and asked for at each call by OpenMP's BLAS, LAPACK and oneDNN.
#ifdef _OPENMP
OneThread::OneThread() : threads_(omp_get_max_threads()) { omp_set_num_threads(1); }
OneThread::~OneThread() { omp_set_num_threads(threads_); }
#else
OneThread::OneThread() : threads_(0) {}
OneThread::~OneThread() = default;
#endif

}  // namespace bitlaw
