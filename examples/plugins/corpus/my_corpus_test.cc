#include "my_corpus.h"

#include <cstdio>
#include <memory>

#include "bitlaw/testing/byte_tokenizer.h"
#include "bitlaw/testing/corpus_conformance.h"

int main() {
  const bitlaw::testing::ByteTokenizer tokenizer;
  int faults = 0;
  for (const int64_t repeats : {1, 3}) {
    const auto make = [repeats] {
      return std::make_unique<MyCorpus>(
          MyCorpus::Schema().Resolve(bitlaw::Value::Map{{"repeats", repeats}}, "corpus 'my_corpus'"));
    };
    for (const std::string& fault : bitlaw::testing::CorpusFaults(make, "my_corpus", tokenizer)) {
      faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
    }

    // Tokens 0 .. repeats - 1 are one and the same.
    const auto drawn = make()->Draw(tokenizer, 1, 12, 5);
    for (int64_t t = 1; t < 12; ++t) {
      const bool is_same = drawn.ids[t] == drawn.ids[t - 1];
      if (t % repeats != 0 && !is_same)
        faults += std::fprintf(stderr, "token %d is another one\n", static_cast<int>(t)) > 0;
    }
  }
  return faults == 0 ? 0 : 1;
}
