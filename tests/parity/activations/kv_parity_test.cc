// Rounded keys against KIVI's reference and compressed-tensors: make_kv_goldens.py says which versions and why no
// tolerance.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bitlaw/api/kv_cache.h"

namespace bitlaw {
namespace {

using nlohmann::json;

TEST(KvParity, KeysAreThoseOfKiviAndCompressedTensors) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/activations/kv_goldens.json");
  const json goldens = json::parse(file);
  ASSERT_EQ(goldens["cases"].size(), 5u);
  const int64_t heads = goldens["heads"], tokens = goldens["tokens"], channels = goldens["channels"];
  const auto tensor = [&](const json& numbers) {
    return at::tensor(numbers.get<std::vector<float>>(), at::kFloat).view({1, heads, tokens, channels});
  };
  const at::Tensor keys = tensor(goldens["keys"]);
  const std::vector<KvRange> seen = {{keys[0].amin(1), keys[0].amax(1)}};  // [K, Dh] each
  for (const json& golden : goldens["cases"]) {
    SCOPED_TRACE(golden["per"].get<std::string>() + " of " + std::to_string(golden["bits"].get<int>()) + " bits");
    const InputFormat format = InputFormatOf(golden.value("format", "int"));
    const bool is_float = format != InputFormat::kInteger;
    KvGrid grid{.numbers = {.bits = golden["bits"].get<int>(), .symmetric = is_float, .format = format},
                .scale_of = KvScaleOfName(golden["per"].get<std::string>())};
    grid = grid.WithRanges(seen);
    const at::Tensor expected = tensor(golden["rounded"]), rounded = grid.Round(keys, 0, /*heads_at=*/-3);
    EXPECT_TRUE(rounded.equal(expected)) << "largest difference " << rounded.sub(expected).abs().max().item<float>();
  }
}

}  // namespace
}  // namespace bitlaw
