#pragma once

#include <cstdint>
#include <memory>

#include "bitlaw/api/model.h"
#include "bitlaw/base/export.h"

namespace bitlaw::testing {

/// A Llama for tests of transforms and quantizers, in float32 on the CPU: hidden 32, 4 query heads over 2 key-value
/// heads of 8, feed-forward 48, 2 blocks, ByteTokenizer. The same seed gives the same weights.
BITLAW_EXPORT std::unique_ptr<Model> OpenSmallDecoder(uint64_t seed = 7);

}  // namespace bitlaw::testing
