#include "bitlaw/base/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"

namespace bitlaw {

struct Digest::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  bool finished = false;
  ~State() { EVP_MD_CTX_free(context); }
};

Digest::Digest() : state_(std::make_unique<State>()) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // EVP_sha256() looks for it each time.
  if (state_->context == nullptr || sha256 == nullptr || EVP_DigestInit_ex(state_->context, sha256, nullptr) != 1) {
    throw InternalError("SHA-256 is not available in this OpenSSL");
  }
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

Digest& Digest::Add(const void* bytes, size_t size_bytes) {
  if (state_->finished) throw InternalError("Digest::Add after Hex");
  EVP_DigestUpdate(state_->context, bytes, size_bytes);
  return *this;
}

std::string Digest::Hex() {
  if (state_->finished) throw InternalError("Digest::Hex called twice");
  state_->finished = true;
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(state_->context, bytes, &size);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * size);
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[bytes[i] >> 4];
    hex += kDigits[bytes[i] & 15];
  }
  return hex;
}

std::string DigestOf(std::string_view text) { return Digest().Add(text).Hex(); }

std::string DigestOfFile(const std::filesystem::path& path) {
  const RegularFile file(path);
  Digest digest;
  std::vector<char> buffer(1 << 20);
  for (;;) {
    const ssize_t got = ::read(file.descriptor(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(ErrorKind::kIo, path.string() + ": reading stopped: " + std::strerror(errno) + ".");
    if (got == 0) break;
    digest.Add(buffer.data(), static_cast<size_t>(got));
  }
  return digest.Hex();
}

std::string ShortDigest(std::string_view hex) { return std::string(hex.substr(0, 12)); }

}  // namespace bitlaw
