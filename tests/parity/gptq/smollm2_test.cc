// GPTQ on a real checkpoint. BITLAW_SMOLLM2 names the GGUF file (examples/smollm2 brings it); skipped without it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/files/durable_file.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "quantize/quantize_model.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

// Eight windows of 128 tokens from the project's own documentation: plain English that is always there.
TokenSequences Documentation(const Tokenizer& tokenizer) {
  TokenSequences sequences{8, 128, {}};
  for (const char* page : {"architecture", "evaluation", "spec", "laws"}) {
    const std::string text = ReadWholeFile(std::string(BITLAW_SOURCE_DIR) + "/docs/" + page + ".md");
    std::vector<int32_t> ids = tokenizer.Encode(text, false);
    ids.resize(std::min<size_t>(ids.size(), 256));
    sequences.ids.insert(sequences.ids.end(), ids.begin(), ids.end());
  }
  return sequences;
}

TEST(GptqOnSmolLM2, ErrsLessThanRoundToNearestOnEveryLayer) {
  const char* path = std::getenv("BITLAW_SMOLLM2");
  if (path == nullptr) GTEST_SKIP() << "BITLAW_SMOLLM2 does not name the SmolLM2 GGUF file";
  SetTorchThreads(0);
  QuantizerHost().LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_model_gguf.so");
  const Component& gguf = QuantizerHost().Find(ComponentKind::kModel, "gguf");
  const auto backend = QuantizerHost().MakeModelBackend("gguf", gguf.schema.Resolve(Value(), "model 'gguf'"));
  const auto model = backend->Open(path, {});
  const TokenSequences sequences = Documentation(model->tokenizer());
  ASSERT_EQ(sequences.ids.size(), 1024u);
  const QuantizedModel quantized = QuantizeModel(
      *model, *MakeQuantizer("gptq", {{"bits", 3}, {"group_size", 64}}), &sequences);
  ASSERT_EQ(quantized.layers.size(), 210u);
  double gptq = 0, rtn = 0;
  for (const QuantizedLayer& layer : quantized.layers) {
    EXPECT_LT(layer.diagnostic("hessian_error"), layer.diagnostic("hessian_error_rtn")) << layer.shape.name;
    gptq += layer.diagnostic("hessian_error");
    rtn += layer.diagnostic("hessian_error_rtn");
  }
  EXPECT_LT(gptq, 0.5 * rtn);
  EXPECT_NEAR(quantized.bits_effective, 3 + (16 + 3) / 64.0, 1e-12);
}

}  // namespace
}  // namespace bitlaw
