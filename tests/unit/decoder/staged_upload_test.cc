#include "sdk/decoder/tensor/reading/staged_upload.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

namespace bitlaw {
namespace {

// Buffers of 16 bytes on the host, and the order in which they are filled.
TEST(StagingBuffers, CopyPieceByPieceThroughBothInTurn) {
  std::string order;
  StagingBuffers buffers;
  for (at::Tensor& bytes : buffers.bytes) bytes = at::zeros({16}, at::kByte);
  buffers.wait = [&](size_t b) { order += "w" + std::to_string(b); };
  buffers.sent = [&](size_t b) { order += "s" + std::to_string(b) + " "; };
  const at::Tensor numbers = at::arange(10, at::kFloat).view({2, 5});  // 40 bytes: 16, 16 and 8
  const at::Tensor copied = at::full({2, 5}, -1, at::kFloat);
  buffers.Copy(numbers, copied);
  EXPECT_TRUE(copied.equal(numbers));
  EXPECT_EQ(order, "w0s0 w1s1 w0s0 ");
  // The next tensor goes on with the other buffer; its columns do not lie in order.
  order.clear();
  const at::Tensor turned = at::arange(6, at::kFloat).to(at::kBFloat16).view({3, 2}).t();  // 12 bytes
  const at::Tensor target = at::empty({2, 3}, at::kBFloat16);
  buffers.Copy(turned, target);
  EXPECT_TRUE(target.equal(turned));
  EXPECT_EQ(order, "w1s1 ");
  buffers.Copy(at::empty({0}), at::empty({0}));
  EXPECT_EQ(order, "w1s1 ");
}

// 5 MiB and 3 bytes through buffers of 2 MiB, of which two threads fill a half each, though three are allowed: a thread
// copies 1 MiB or more.
TEST(StagingBuffers, AreFilledBySeveralThreads) {
  StagingBuffers buffers;
  for (at::Tensor& bytes : buffers.bytes) bytes = at::zeros({2 << 20}, at::kByte);
  buffers.wait = buffers.sent = [](size_t) {};
  buffers.threads = 3;
  const at::Tensor numbers = at::arange((5 << 20) + 3).remainder(251).to(at::kByte);
  const at::Tensor copied = at::zeros_like(numbers);
  buffers.Copy(numbers, copied);
  EXPECT_TRUE(copied.equal(numbers));
}

TEST(StagedUpload, LeavesTensorsOfTheHostWhereTheyAre) {
  StagedUpload upload(at::kCPU);
  const at::Tensor weight = at::ones({3, 2000});
  EXPECT_EQ(upload.Upload(weight).data_ptr(), weight.data_ptr());
  upload.Finish();
  StagedUpload::HandOver(weight);
}

}  // namespace
}  // namespace bitlaw
