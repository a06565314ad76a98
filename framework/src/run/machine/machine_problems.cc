#include "run/machine/machine_problems.h"

#include <fmt/format.h>

#include <cmath>

#include "base/text/counted.h"

namespace bitlaw {
namespace {

// GFLOP/s: what any core of the last ten years does in float32, a thread; and small Cholesky factors on any number of
// cores.
constexpr double kSlowProduct = 5.0;
constexpr double kSlowCholesky = 2.0;

constexpr const char* kMend =
    "Install the OpenMP build of OpenBLAS and let it stand behind libblas.so.3: apt-get install libopenblas0-openmp; "
    "update-alternatives --config libblas.so.3-x86_64-linux-gnu.";

std::string LibraryProblem(const BlasLibrary& blas) {
  if (blas.kind == "reference BLAS") {
    return "libtorch multiplies with the reference BLAS, ten to a hundred times slower than need be.";
  }
  if (blas.kind == "ATLAS") {
    return "libtorch multiplies with ATLAS, which knows neither AVX-512 nor your number of cores.";
  }
  if (blas.kind == "OpenBLAS" && blas.threading == "pthreads") {
    return "OpenBLAS was built with its own threads, which fight with libtorch's OpenMP threads.";
  }
  if (blas.kind == "OpenBLAS" && blas.threading == "none") {
    return "OpenBLAS was built without threads: matrix products use one core.";
  }
  return "";
}

void AddRateProblem(const char* what, double gflops, double slow, int threads, std::vector<std::string>& problems) {
  if (gflops >= slow) return;
  const bool measured = std::isfinite(gflops) && gflops > 0;
  const std::string rate = measured ? fmt::format("run at {:.2g} GFLOP/s", gflops) : "could not be measured";
  problems.push_back(
      fmt::format("{} {} on {}; below {:.0f} GFLOP/s is slow for any processor of the last ten "
                  "years. Is the machine busy, or was OPENBLAS_CORETYPE set?",
                  what, rate, Counted(threads, "thread"), slow));
}

}  // namespace

std::vector<std::string> MachineProblems(const BlasLibrary& blas, const Cpu& cpu, const MeasuredRates& rates) {
  std::vector<std::string> problems;
  if (const std::string problem = LibraryProblem(blas); !problem.empty()) problems.push_back(problem + " " + kMend);
  const double slow = kSlowProduct * cpu.torch_threads;
  AddRateProblem("float32 products of models", rates.model_float32, slow, cpu.torch_threads, problems);
  AddRateProblem("libtorch's float32 products", rates.blas_float32, slow, cpu.torch_threads, problems);
  AddRateProblem("Cholesky factors, which GPTQ needs,", rates.cholesky, kSlowCholesky, cpu.torch_threads, problems);
  if (!(rates.model_bfloat16 >= rates.model_float32 / 2)) {
    problems.push_back(fmt::format("bfloat16 products run at {:.2g} GFLOP/s, float32 at {:.3g}: bfloat16 saves memory here, "
                                   "not time. Use --dtype float32, or `compute: {{dtype: float32}}` in a study.",
                                   rates.model_bfloat16, rates.model_float32));
  }
  if (!cpu.openblas_coretype.empty()) {
    problems.push_back(fmt::format("OPENBLAS_CORETYPE is set to '{}': matrix products use that core's kernels, whatever "
                                   "the processor is. Unset it unless you mean it.",
                                   cpu.openblas_coretype));
  }
  if (cpu.torch_threads > cpu.allowed_threads) {
    problems.push_back(fmt::format("libtorch uses {} threads, this process may use {} cores. Set --threads or "
                                   "OMP_NUM_THREADS to {}.",
                                   cpu.torch_threads, cpu.allowed_threads, cpu.allowed_threads));
  }
  return problems;
}

std::string LoadProblem(double load, const Cpu& cpu) {
  if (!(load >= 0.5 * cpu.hardware_threads)) return "";
  return fmt::format("other programs ask for {:.1f} of {} cores (load of the last minute): times measured now say little, and "
                     "runs take longer. Wait until they end, or give bitlaw fewer --threads.",
                     load, cpu.hardware_threads);
}

}  // namespace bitlaw
