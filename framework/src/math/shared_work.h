#pragma once

#include <ATen/Parallel.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace bitlaw {

/// work(unit) for units 0 .. units - 1, each on one thread alone; whichever thread is free takes the next. What a unit
/// gives must not depend on who did it; then it doesn't on the number of threads. Begin with the largest.
template <typename Work>
void ShareOut(int64_t units, const Work& work) {
  std::atomic<int64_t> next = 0;
  at::parallel_for(0, std::min<int64_t>(units, at::get_num_threads()), 1, [&](int64_t, int64_t) {
#ifdef _OPENMP
    // Where one thread takes all, there is no parallel region in which libraries would be alone of themselves.
    struct Alone {
      const int threads = omp_get_max_threads();
      Alone() { omp_set_num_threads(1); }
      ~Alone() { omp_set_num_threads(threads); }
    } const alone;
#endif
    for (int64_t unit = next++; unit < units; unit = next++) work(unit);
  });
}

}  // namespace bitlaw
