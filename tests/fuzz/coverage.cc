// Coverage of a build by g++ for libFuzzer. g++ calls one function a block of code; libFuzzer wants counters, one a
// block: here are some, by the block's address. Two blocks may share one, which costs the fuzzer a little of its sight.
// libFuzzer's own __sanitizer_cov_trace_pc only says that it is no longer served; this one comes first in the link.
#include <cstdint>

// Not instrumented itself; seen by the shared libraries.
#define PLAIN __attribute__((no_sanitize_coverage, visibility("default")))

namespace {

constexpr uint32_t kCounters = 1 << 18;
uint8_t counters[kCounters];

}  // namespace

extern "C" {

void __sanitizer_cov_8bit_counters_init(uint8_t* start, uint8_t* stop);

PLAIN __attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  ++counters[static_cast<uint32_t>((place * 0x9E3779B97F4A7C15u) >> 46)];
}

// libFuzzer has no use for these.
PLAIN void __sanitizer_cov_trace_cmpf(float, float) {}
PLAIN void __sanitizer_cov_trace_cmpd(double, double) {}

}  // extern "C"

namespace {

const int announced = (__sanitizer_cov_8bit_counters_init(counters, counters + kCounters), 0);

}  // namespace
