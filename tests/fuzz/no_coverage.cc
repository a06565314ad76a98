// What g++'s instrumentation calls, for a program of the same build without libFuzzer.
#include <cstdint>

#define PLAIN __attribute__((no_sanitize_coverage, visibility("default")))

extern "C" {

PLAIN void __sanitizer_cov_trace_pc() {}
PLAIN void __sanitizer_cov_trace_cmp1(uint8_t, uint8_t) {}
PLAIN void __sanitizer_cov_trace_cmp2(uint16_t, uint16_t) {}
PLAIN void __sanitizer_cov_trace_cmp4(uint32_t, uint32_t) {}
PLAIN void __sanitizer_cov_trace_cmp8(uint64_t, uint64_t) {}
PLAIN void __sanitizer_cov_trace_const_cmp1(uint8_t, uint8_t) {}
PLAIN void __sanitizer_cov_trace_const_cmp2(uint16_t, uint16_t) {}
PLAIN void __sanitizer_cov_trace_const_cmp4(uint32_t, uint32_t) {}
PLAIN void __sanitizer_cov_trace_const_cmp8(uint64_t, uint64_t) {}
PLAIN void __sanitizer_cov_trace_cmpf(float, float) {}
PLAIN void __sanitizer_cov_trace_cmpd(double, double) {}
PLAIN void __sanitizer_cov_trace_switch(uint64_t, void*) {}

}  // extern "C"
