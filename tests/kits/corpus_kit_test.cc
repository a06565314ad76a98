#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/fingerprint.h"
#include "bitlaw/base/rng.h"
#include "bitlaw/testing/byte_tokenizer.h"
#include "bitlaw/testing/corpus_conformance.h"
#include "plugin/open_corpus.h"

namespace bitlaw {
namespace {

using testing::ByteTokenizer;
using testing::CorpusFaults;
using ::testing::ElementsAre;

// Every corpus in the tree, alone and as parts of a mixture.
TEST(CorpusKit, EveryCorpusInTheTreeKeepsItsPromises) {
  PluginHost host(OwnFingerprint());
  for (const char* name : {"text", "generated", "mix"}) {
    host.LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_corpus_" + name + ".so");
  }
  ASSERT_THAT(host.Names(ComponentKind::kCorpus), ElementsAre("generated", "mix", "text"));
  const auto options = [&](const std::string& component, const Value::Map& given) {
    return host.Find(ComponentKind::kCorpus, component).schema.Resolve(Value(given), component);
  };
  const std::string path = BITLAW_SOURCE_DIR "/examples/knowledge-lab/text/lab_general.jsonl";
  const Options windows = options("text", {{"path", path}, {"mode", "concatenate"}, {"separator", "eos"}});
  const Options documents = options("text", {{"path", path}, {"mode", "documents"}});
  const Options own = options("generated", {});
  const Options begun = options("generated", {{"start", "prompt"}, {"prompt", "The"}});
  const Options mixed =
      options("mix", {{"parts", Value::Map{{"windows", Value::Map{{"weight", 2.0}}}, {"own", Value::Map{}}}}});
  const std::vector<NamedCorpus> corpora = {{"windows", "text", &windows},
                                            {"documents", "text", &documents},
                                            {"own", "generated", &own},
                                            {"begun", "generated", &begun},
                                            {"mixed", "mix", &mixed}};
  for (const NamedCorpus& corpus : corpora) {
    EXPECT_THAT(CorpusFaults([&] { return OpenCorpus(host, corpora, corpus.name); }, corpus.name, ByteTokenizer()),
                ElementsAre());
  }
}

// Bytes drawn uniformly, with room for one mistake.
class Letters : public Corpus {
 public:
  TokenSequences Draw(const Tokenizer&, int64_t count, int64_t length, uint64_t seed) const override {
    Rng rng(seed);
    TokenSequences drawn{count, length, {}};
    for (int64_t i = 0; i < count * length; ++i) drawn.ids.push_back(static_cast<int32_t>(rng.Below(256)));
    return drawn;
  }
  std::string digest() const override { return DigestOf("letters"); }
};
class ShortOfOne : public Letters {
  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length, uint64_t seed) const override {
    TokenSequences drawn = Letters::Draw(tokenizer, count, length, seed);
    drawn.ids.pop_back();
    return drawn;
  }
};
class BeyondTheVocabulary : public Letters {
  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length, uint64_t seed) const override {
    TokenSequences drawn = Letters::Draw(tokenizer, count, length, seed);
    drawn.ids[3] = static_cast<int32_t>(tokenizer.vocab_size());
    return drawn;
  }
};
class OthersForMore : public Letters {
  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length, uint64_t seed) const override {
    return Letters::Draw(tokenizer, count, length, seed + static_cast<uint64_t>(count));
  }
};
class CountsCalls : public Letters {
  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length, uint64_t seed) const override {
    return Letters::Draw(tokenizer, count, length, seed + (++calls_ == 4 ? 100 : 0));
  }
  mutable int calls_ = 0;
};
class OfItsOwnTime : public Letters {
 public:
  OfItsOwnTime() : made_(++objects) {}
  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length, uint64_t seed) const override {
    return Letters::Draw(tokenizer, count, length, seed + made_);
  }
  std::string digest() const override { return std::to_string(made_); }

 private:
  inline static uint64_t objects = 0;
  uint64_t made_;
};
class WithoutSeed : public Letters {
  TokenSequences Draw(const Tokenizer& tokenizer, int64_t count, int64_t length, uint64_t) const override {
    return Letters::Draw(tokenizer, count, length, 1);
  }
};
class Nameless : public Letters {
  std::string digest() const override { return ""; }
};
class WrongFactor : public Letters {
  std::vector<Factor> factors() const override { return {{.column = "two words", .doc = "Is no name.", .value = 1.0}}; }
};
class ThrowsOtherThings : public Letters {
  TokenSequences Draw(const Tokenizer&, int64_t, int64_t, uint64_t) const override {
    throw std::runtime_error("out of letters");
  }
};
class TooShort : public Letters {
  TokenSequences Draw(const Tokenizer&, int64_t, int64_t, uint64_t) const override {
    throw Error(ErrorKind::kSpec, "the text gives 2 sequences.");
  }
};

TEST(CorpusKit, NamesWhatACorpusGetsWrong) {
  const auto faults = [](auto corpus) {
    using Wrong = decltype(corpus);
    return CorpusFaults([] { return std::make_unique<Wrong>(); }, "c", ByteTokenizer());
  };
  const std::string where = "corpus 'c': ";
  EXPECT_THAT(faults(Letters()), ElementsAre());
  EXPECT_THAT(faults(ShortOfOne()),
              ElementsAre(where + "asked for 6 sequences of 16 tokens, it gave 6 of 16 with 95 ids."));
  EXPECT_THAT(faults(BeyondTheVocabulary()), ElementsAre(where + "it gave the id 258, and the tokenizer has 258."));
  EXPECT_THAT(faults(OthersForMore()),
              ElementsAre(where + "its first 1 of 6 sequences are others when only 1 are drawn.",
                          where + "its first 5 of 6 sequences are others when only 5 are drawn."));
  EXPECT_THAT(faults(CountsCalls()), ElementsAre(where + "it gives other sequences the second time."));
  EXPECT_THAT(faults(OfItsOwnTime()), ElementsAre(where + "another object has another digest.",
                                                  where + "another object gives other sequences."));
  EXPECT_THAT(faults(WithoutSeed()), ElementsAre(where + "another seed gives the same sequences."));
  EXPECT_THAT(faults(Nameless()),
              ElementsAre(where + "its digest is empty, so that records of different texts would have one name."));
  EXPECT_THAT(faults(WrongFactor()), ElementsAre(::testing::StartsWith(where + "factor 'two words': ")));
  EXPECT_THAT(faults(ThrowsOtherThings()),
              ElementsAre(where + "it throws 'out of letters', which is no bitlaw::Error."));
  EXPECT_THAT(faults(TooShort()), ElementsAre(where + "it cannot be tried: the text gives 2 sequences."));
}

}  // namespace
}  // namespace bitlaw
