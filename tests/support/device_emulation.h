#pragma once

#include <c10/util/Half.h>
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

// Runs CUDA C++ kernels on the host: a file of kernels is included into a namespace that has these names. Each thread of a
// block is a fiber that goes on to its next exchange and waits there for the others. Arithmetic is the host's, each operation
// rounded, as kernels of bitlaw are compiled.

namespace bitlaw::testing::device {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
inline Index threadIdx, blockIdx, blockDim;  // NOLINT: the names of CUDA.
inline float shared_memory[128 * 128];       // Of the block that runs.

// One block of threads.
class BlockOfThreads {
 public:
  static constexpr int kWarp = 32;

  BlockOfThreads(unsigned threads, const std::function<void()>& body) : body_(body), fibers_(threads) {
    const unsigned warps = (threads + kWarp - 1) / kWarp;
    warps_.resize(warps);
    for (unsigned t = 0; t < threads; ++t) ++warps_[t / kWarp].alive;
    all_.alive = threads;
  }

  void Run() {
    current_ = this;
    for (Fiber& fiber : fibers_) Prepare(fiber);
    for (bool is_any = true; is_any;) {
      is_any = false;
      for (unsigned t = 0; t < fibers_.size(); ++t) {
        if (fibers_[t].has_ended) continue;
        is_any = true;
        running_ = t;
        threadIdx = {t, 0, 0};
        ::swapcontext(&home_, &fibers_[t].context);
      }
    }
    current_ = nullptr;
  }

  static void WaitForBlock() { current_->Wait(current_->all_); }

  // Hands `value` to the lane's warp, and takes what lane `from` of the warp handed over.
  template <typename T>
  static T Exchange(T value, unsigned from) {
    BlockOfThreads& block = *current_;
    Group& warp = block.warps_[block.running_ / kWarp];
    std::memcpy(&warp.handed[block.running_ % kWarp], &value, sizeof value);
    block.Wait(warp);
    T taken;
    std::memcpy(&taken, &warp.handed[from], sizeof taken);
    block.Wait(warp);
    return taken;
  }

  static unsigned lane() { return current_->running_ % kWarp; }

 private:
  static constexpr size_t kStack = size_t{256} << 10;
  struct Fiber {
    ucontext_t context{};
    std::unique_ptr<char[]> stack;
    bool has_ended = false;
  };
  struct Group {
    unsigned alive = 0, arrived = 0, round = 0;
    uint64_t handed[kWarp] = {};
  };

  // A function of its own: getcontext() may return twice for all that the compiler knows.
  void Prepare(Fiber& fiber) {
    fiber.stack = std::make_unique<char[]>(kStack);
    ::getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.get();
    fiber.context.uc_stack.ss_size = kStack;
    fiber.context.uc_link = &home_;
    ::makecontext(&fiber.context, &BlockOfThreads::Enter, 0);
  }

  static void Enter() {
    BlockOfThreads& block = *current_;
    block.body_();
    block.fibers_[block.running_].has_ended = true;
    block.Leave(block.all_);
    block.Leave(block.warps_[block.running_ / kWarp]);
  }

  void Leave(Group& group) {
    --group.alive;
    if (group.alive > 0 && group.arrived == group.alive) Open(group);
  }
  void Open(Group& group) {
    group.arrived = 0;
    ++group.round;
  }
  void Wait(Group& group) {
    const unsigned round = group.round, self = running_;
    if (++group.arrived == group.alive) {
      Open(group);
      return;
    }
    while (group.round == round) ::swapcontext(&fibers_[self].context, &home_);
  }

  inline static BlockOfThreads* current_ = nullptr;
  const std::function<void()>& body_;
  std::vector<Fiber> fibers_;
  std::vector<Group> warps_;
  Group all_;
  ucontext_t home_{};
  unsigned running_ = 0;
};

// Runs `body`, a call of a kernel, as every thread of every block.
inline void RunBlocks(int64_t blocks, int64_t threads, const std::function<void()>& body) {
  blockDim = {static_cast<unsigned>(threads), 1, 1};
  for (int64_t b = 0; b < blocks; ++b) {
    blockIdx = {static_cast<unsigned>(b), 0, 0};
    std::fill(std::begin(shared_memory), std::end(shared_memory), NAN);
    BlockOfThreads(static_cast<unsigned>(threads), body).Run();
  }
}

inline void __syncthreads() { BlockOfThreads::WaitForBlock(); }
template <typename T>
T __shfl_sync(unsigned, T value, int from, int width = 32) {
  return BlockOfThreads::Exchange(value, BlockOfThreads::lane() / width * width + from);
}
template <typename T>
T __shfl_xor_sync(unsigned, T value, int mask, int width = 32) {
  (void)width;
  return BlockOfThreads::Exchange(value, BlockOfThreads::lane() ^ mask);
}
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
inline unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
inline float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
inline float __uint_as_float(unsigned x) { return __builtin_bit_cast(float, x); }
inline float HostToHalf(float x) { return static_cast<float>(c10::Half(x)); }

}  // namespace bitlaw::testing::device

#define __global__
#define __device__
