#include "run/trial_failure.h"

#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "bitlaw/base/machine_error.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;
using testing::Not;

template <class Exception>
WorkerMessage Of(const Exception& exception) {
  return FailureOf(std::make_exception_ptr(exception));
}

WorkerMessage OfTorch(const char* words) {
  try {
    C10_THROW_ERROR(Error, words);
  } catch (...) {
    return FailureOf(std::current_exception());
  }
}

TEST(TrialFailure, IsOfTheKindOfItsException) {
  EXPECT_EQ(Of(MemoryError("x")).error_kind, "memory");
  EXPECT_EQ(Of(std::bad_alloc()).error_kind, "memory");
  EXPECT_EQ(Of(DeviceError("x")).error_kind, "device");
  EXPECT_EQ(Of(InternalError("x")).error_kind, "bug");
  EXPECT_EQ(Of(7).error_kind, "bug");
  EXPECT_EQ(Of(Error(ErrorKind::kNumerical, "x")).error_kind, "numerical");
  EXPECT_EQ(Of(Error(ErrorKind::kNumerical, "x y")).text, "x y");
  // A budget of another kind, whatever its words: the type tells.
  EXPECT_EQ(Of(Error(ErrorKind::kBudget, "task 'memory ran out': its prompts have 1000 tokens.")).error_kind, "budget");
}

// The texts are libtorch's: its exceptions say no more.
TEST(TrialFailure, TellsADevicesFaultFromWantOfMemory) {
  WorkerMessage failure = OfTorch("CUDA out of memory. Tried to allocate 2.00 GiB.");
  EXPECT_EQ(failure.error_kind, "memory");
  EXPECT_FALSE(failure.spent);
  for (const char* words : {"CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be",
                            "CUDA error: uncorrectable ECC error encountered", "CUDA driver error: invalid argument",
                            "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
                            "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle)`"}) {
    failure = OfTorch(words);
    EXPECT_EQ(failure.error_kind, "device") << words;
    EXPECT_TRUE(failure.spent) << "the process would be given another trial";
    EXPECT_THAT(failure.text, HasSubstr("the device failed: "));
    EXPECT_THAT(failure.text, Not(HasSubstr("\n")));
  }
  failure = OfTorch("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`");
  EXPECT_EQ(failure.error_kind, "memory");
  failure = OfTorch("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)");
  EXPECT_EQ(failure.error_kind, "bug");
}

}  // namespace
}  // namespace bitlaw
