#pragma once

namespace bitlaw {

/// What code may be compiled for beside the processor that every build runs on. See vector_code.h for loops that are
/// too short for files of their own.
enum class InstructionSet { kPlain, kAvx2, kAvx512 };

/// The widest that this processor has: kAvx512 has all of x86-64-v4, kAvx2 all of x86-64-v3. No work to ask again.
inline InstructionSet BestInstructionSet() {
#if defined(__x86_64__) && defined(__GNUC__)
  // "x86-64-v4" itself is a name that not every compiler knows here.
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd"))
    return InstructionSet::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
    return InstructionSet::kAvx2;
#endif
  return InstructionSet::kPlain;
}

/// Of three tables of functions, the one that suits this processor best.
template <typename Kernels>
const Kernels& BestKernels(const Kernels& plain, const Kernels& avx2, const Kernels& avx512) {
  const InstructionSet best = BestInstructionSet();
  return best == InstructionSet::kAvx512 ? avx512 : best == InstructionSet::kAvx2 ? avx2 : plain;
}

}  // namespace bitlaw
