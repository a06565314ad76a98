#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// SHA-256 over bytes given in pieces. Used for everything that names a record: weights, tokens, options.
class BITLAW_EXPORT Digest {
 public:
  Digest();
  ~Digest();
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;

  Digest& Add(const void* bytes, size_t size_bytes);
  Digest& Add(std::string_view text) { return Add(text.data(), text.size()); }

  /// 64 lower-case hexadecimal digits. May be called once; a second call is an InternalError.
  std::string Hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

BITLAW_EXPORT std::string DigestOf(std::string_view text);

/// Digest of a whole file's bytes. Error(kIo) if it cannot be read.
BITLAW_EXPORT std::string DigestOfFile(const std::filesystem::path& path);

/// The first 12 digits: what people see and type. Files are named by the whole digest.
BITLAW_EXPORT std::string ShortDigest(std::string_view hex);

}  // namespace bitlaw
