#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"

/// The build fingerprint: what must be equal on both sides of dlopen for C++ objects to cross it.
///
/// It is the *name* of a symbol, so that the host reads it from the symbol table before any code of the
/// library runs. Seven fields, each a token without underscores at its ends:
///
///   bitlaw_fingerprint__api_<epoch>__torch_<major>_<minor>_<patch>|none__abi_<0|1>__cc_<name><major>
///       __std_<value of __cplusplus>__stl_<gnu|gnu_debug|llvm>__san_<none|asan|tsan>
///
/// stl: _GLIBCXX_DEBUG gives containers other members; _GLIBCXX_ASSERTIONS only adds checks, and is not in it.
///
/// torch is "none" in a plugin built without BITLAW_USES_TORCH, and such a plugin fits any host.

/// Raised whenever a public header changes so that old binaries no longer fit (tests/conformance/api_epoch_test.cc watches).
#define BITLAW_API_EPOCH 9

#ifdef BITLAW_USES_TORCH
#include <torch/version.h>
#define BITLAW_FP_TORCH_3(a, b, c) a##_##b##_##c
#define BITLAW_FP_TORCH_2(a, b, c) BITLAW_FP_TORCH_3(a, b, c)
#define BITLAW_FP_TORCH BITLAW_FP_TORCH_2(TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH)
#else
#define BITLAW_FP_TORCH none
#endif

#ifndef _GLIBCXX_USE_CXX11_ABI
#define _GLIBCXX_USE_CXX11_ABI 0
#endif

#define BITLAW_FP_PASTE_2(a, b) a##b
#define BITLAW_FP_PASTE(a, b) BITLAW_FP_PASTE_2(a, b)
#if defined(__clang__)
#define BITLAW_FP_CC BITLAW_FP_PASTE(clang, __clang_major__)
#elif defined(__GNUC__)
#define BITLAW_FP_CC BITLAW_FP_PASTE(gcc, __GNUC__)
#else
#define BITLAW_FP_CC unknown
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BITLAW_FP_SAN asan
#elif __has_feature(thread_sanitizer)
#define BITLAW_FP_SAN tsan
#endif
#endif
#if !defined(BITLAW_FP_SAN)
#if defined(__SANITIZE_ADDRESS__)
#define BITLAW_FP_SAN asan
#elif defined(__SANITIZE_THREAD__)
#define BITLAW_FP_SAN tsan
#else
#define BITLAW_FP_SAN none
#endif
#endif

#if defined(_LIBCPP_VERSION)
#define BITLAW_FP_STL llvm
#elif defined(_GLIBCXX_DEBUG)
#define BITLAW_FP_STL gnu_debug
#else
#define BITLAW_FP_STL gnu
#endif

#define BITLAW_FP_JOIN_2(api, torch, abi, cc, std, stl, san) \
  bitlaw_fingerprint__api_##api##__torch_##torch##__abi_##abi##__cc_##cc##__std_##std##__stl_##stl##__san_##san
#define BITLAW_FP_JOIN(api, torch, abi, cc, std, stl, san) BITLAW_FP_JOIN_2(api, torch, abi, cc, std, stl, san)

/// The fingerprint symbol of the translation unit that uses it.
#define BITLAW_FINGERPRINT_SYMBOL                                                                     \
  BITLAW_FP_JOIN(BITLAW_API_EPOCH, BITLAW_FP_TORCH, _GLIBCXX_USE_CXX11_ABI, BITLAW_FP_CC, __cplusplus,   \
                 BITLAW_FP_STL, BITLAW_FP_SAN)

#define BITLAW_FP_TEXT_2(x) #x
#define BITLAW_FP_TEXT(x) BITLAW_FP_TEXT_2(x)

namespace bitlaw {

/// The prefix by which a bitlaw plugin is told from any other shared library.
inline constexpr std::string_view kFingerprintPrefix = "bitlaw_fingerprint__";

/// The fingerprint of the calling translation unit, as text.
inline std::string OwnFingerprint() { return BITLAW_FP_TEXT(BITLAW_FINGERPRINT_SYMBOL); }

/// Splits a fingerprint symbol into (field, value) pairs in order, e.g. ("torch", "1.13.1"). Empty if `symbol`
/// is not one.
BITLAW_EXPORT std::vector<std::pair<std::string, std::string>> ParseFingerprint(std::string_view symbol);

/// "" when a plugin with fingerprint `plugin` may be opened by a host with fingerprint `host`; otherwise one
/// line a differing field, with both values. torch "none" in the plugin fits every host.
BITLAW_EXPORT std::string ExplainMismatch(std::string_view host, std::string_view plugin);

}  // namespace bitlaw
