#include "run/machine/machine_problems.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <limits>

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

Cpu TwoCores() {
  Cpu cpu;
  cpu.hardware_threads = cpu.allowed_threads = cpu.torch_threads = 2;
  return cpu;
}

BlasLibrary OpenBlas() {
  BlasLibrary blas;
  blas.kind = "OpenBLAS";
  blas.threading = "OpenMP";
  return blas;
}

constexpr MeasuredRates kHealthy{.model_float32 = 240, .model_bfloat16 = 900, .blas_float32 = 120, .cholesky = 50};

TEST(MachineProblems, AreNoneOnAHealthyMachine) {
  EXPECT_THAT(MachineProblems(OpenBlas(), TwoCores(), kHealthy), IsEmpty());
}

TEST(MachineProblems, LoadIsOneFromHalfOfTheCoresOn) {
  EXPECT_EQ(LoadProblem(0.9, TwoCores()), "");
  EXPECT_EQ(LoadProblem(std::numeric_limits<double>::quiet_NaN(), TwoCores()), "");
  EXPECT_THAT(LoadProblem(1.5, TwoCores()), HasSubstr("other programs ask for 1.5 of 2 cores"));
}

TEST(MachineProblems, AreNeverNoneWhereNothingCouldBeMeasured) {
  BlasLibrary mkl;
  mkl.kind = "MKL";
  for (const double rate : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_THAT(MachineProblems(mkl, TwoCores(), MeasuredRates{rate, rate, rate, rate}), Not(IsEmpty())) << rate;
  }
}

TEST(MachineProblems, NameASlowProductInReadableFigures) {
  MeasuredRates rates = kHealthy;
  rates.blas_float32 = 4.325669839288269;
  EXPECT_THAT(MachineProblems(OpenBlas(), TwoCores(), rates),
              ElementsAre("libtorch's float32 products run at 4.3 GFLOP/s on 2 threads; below 10 GFLOP/s is slow for "
                          "any processor of the last ten years. Is the machine busy, or was OPENBLAS_CORETYPE set?"));
}

TEST(MachineProblems, NameASlowCholeskyFactor) {
  MeasuredRates rates = kHealthy;
  rates.cholesky = 0.2;
  EXPECT_THAT(MachineProblems(OpenBlas(), TwoCores(), rates),
              ElementsAre(HasSubstr("Cholesky factors, which GPTQ needs, run at 0.2 GFLOP/s")));
}

TEST(MachineProblems, SayThatBfloat16SavesNoTimeWhereItIsSlow) {
  MeasuredRates rates = kHealthy;
  rates.model_bfloat16 = 3;
  EXPECT_THAT(MachineProblems(OpenBlas(), TwoCores(), rates),
              ElementsAre("bfloat16 products run at 3 GFLOP/s, float32 at 240: bfloat16 saves memory here, not time. "
                          "Use --dtype float32, or `compute: {dtype: float32}` in a study."));
}

TEST(MachineProblems, NameMoreThreadsThanCores) {
  Cpu cpu = TwoCores();
  cpu.torch_threads = 8;
  EXPECT_THAT(MachineProblems(OpenBlas(), cpu, kHealthy),
              ElementsAre("libtorch uses 8 threads, this process may use 2 cores. Set --threads or "
                          "OMP_NUM_THREADS to 2."));
}

// A worker asks for each record of a task: to look through the 290 libraries of Debian's libtorch each time took as long as
// a small task.
TEST(MachineFacts, CostNothingTheSecondTime) {
  const Value first = MachineFacts(2);
  const std::clock_t begin = std::clock();
  Value last;
  for (int i = 0; i < 1000; ++i) last = MachineFacts(3);
  EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, 0.3);
  EXPECT_EQ(first.Find("threads")->AsInt(), 2);
  EXPECT_EQ(last.Find("threads")->AsInt(), 3);
  EXPECT_FALSE(last.Find("cpu")->AsString().empty());
  EXPECT_EQ(last.Find("blas_file")->AsString(), FindBlas().path);
  EXPECT_EQ(last.Find("date")->AsString().size(), std::string("2026-01-31T12:00:00Z").size());
}

}  // namespace
}  // namespace bitlaw
