#pragma once

/// Marks a function whose loops over lanes should use the widest vectors of the processor that runs it: the compiler
/// makes one version for plain x86-64 and one for AVX2, and the loader picks. Neither version may fuse a multiply
/// with an add, so both give the same bits. Elsewhere, and under sanitizers, it means nothing.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define BITLAW_VECTOR_CODE __attribute__((target_clones("avx2", "default")))
#else
#define BITLAW_VECTOR_CODE
#endif
