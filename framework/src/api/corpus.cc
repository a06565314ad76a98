#include "bitlaw/api/corpus.h"

#include "bitlaw/base/digest.h"

namespace bitlaw {

std::string TokenSequences::digest() const {
  Digest digest;
  digest.Add("token_sequences 1 " + std::to_string(count) + " x " + std::to_string(length_tokens) + "\n");
  // Four bytes an id, lowest first, whatever the machine's own order is.
  std::string bytes;
  bytes.reserve(4 * ids.size());
  for (const int32_t id : ids) {
    const auto word = static_cast<uint32_t>(id);
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(word >> shift & 0xFF);
  }
  return digest.Add(bytes).Hex();
}

}  // namespace bitlaw
