#include "bitlaw/testing/small_decoder.h"

#include "bitlaw/sdk/decoder/decoder.h"
#include "bitlaw/testing/byte_tokenizer.h"
#include "bitlaw/testing/random_weights.h"

namespace bitlaw::testing {

std::unique_ptr<Model> OpenSmallDecoder(uint64_t seed) {
  DecoderConfig config;
  config.architecture = "llama";
  config.vocab_size = ByteTokenizer().vocab_size();
  config.hidden_size = 32, config.ffn_size = 48, config.num_blocks = 2;
  config.num_heads = 4, config.num_kv_heads = 2, config.head_dim = 8, config.max_positions = 512;
  config.tied_head = true;
  return OpenDecoder(config, SummarizeDecoder(config, ExpectedTensors(config), "small", "small"),
                     std::make_unique<RandomWeights>(config, seed), std::make_unique<ByteTokenizer>(),
                     {.dtype = Dtype::kFloat32, .device = "cpu"});
}

}  // namespace bitlaw::testing
