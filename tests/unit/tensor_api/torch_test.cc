#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/torch_threads.h"

namespace bitlaw {
namespace {

TEST(TorchErrors, BecomeInternalErrorsThatSayWhere) {
  try {
    WithTorchErrors("model 'x'", [] { at::ones({2, 3}).mm(at::ones({2, 3})); });
    FAIL() << "libtorch multiplied matrices that do not fit";
  } catch (const InternalError& error) {
    EXPECT_EQ(std::string(error.what()).rfind("model 'x': libtorch refused an operation: mat1 and mat2 shapes", 0), 0u)
        << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << "no backtrace";
  }
}

TEST(TorchErrors, ReportMemoryAsABudget) {
  try {
    RethrowTorchError("model 'x'",
                      "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes\nframe");
    FAIL() << "returned";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBudget);
    EXPECT_STREQ(error.what(),
                 "model 'x': memory ran out ([enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 "
                 "bytes). Use a smaller batch, a shorter sequence or a smaller model.");
  }
}

TEST(SetTorchThreads, ReturnsWhatIsInUseFromThenOn) {
  EXPECT_EQ(SetTorchThreads(1), 1);
  EXPECT_GE(SetTorchThreads(0), 1);
}

}  // namespace
}  // namespace bitlaw
