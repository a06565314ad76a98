// Corpora that are made of others or of the model's own text, and messages as text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "bitlaw/api/corpus.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "generated.h"
#include "plugin/open_corpus.h"

namespace bitlaw {
namespace {

using testing::ElementsAre;

/// A token a byte; 0 has no text.
class Letters : public Tokenizer {
 public:
  std::vector<int32_t> Encode(std::string_view text, bool) const override {
    return {text.begin(), text.end()};
  }
  std::string Decode(std::span<const int32_t> ids, bool) const override {
    std::string text;
    for (const int32_t id : ids)
      if (id > 0) text += static_cast<char>(id);
    return text;
  }
  int64_t vocab_size() const override { return 128; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }
  std::vector<int32_t> stop_ids() const override { return {}; }
  const std::string& digest() const override { return digest_; }

 private:
  std::string digest_ = "letters";
};

/// After token t it thinks t + 1 likeliest, by 2 nats over all others.
class Counting : public TextModel {
 public:
  const Tokenizer& tokenizer() const override { return letters_; }
  TokenSequences Continue(const TokenSequences& prompts, int64_t length_tokens, const Choose& choose) override {
    TokenSequences all{prompts.count, length_tokens, {}};
    for (int64_t i = 0; i < prompts.count; ++i) {
      const auto prompt = prompts.sequence(i);
      std::vector<int32_t> ids(prompt.begin(), prompt.end());
      while (static_cast<int64_t>(ids.size()) < length_tokens) {
        std::vector<float> logits(128, 0.0F);
        logits[static_cast<size_t>((ids.back() + 1) % 128)] = 2.0F;
        ids.push_back(choose(i, ids, logits));
      }
      all.ids.insert(all.ids.end(), ids.begin(), ids.end());
    }
    return all;
  }

 private:
  Letters letters_;
};

class MadeCorpus : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("bitlaw_made_corpus_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static const PluginHost& Host() {
    static PluginHost* host = [] {
      auto* made = new PluginHost(OwnFingerprint());
      for (const char* name : {"text", "mix", "generated"})
        made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_corpus_" + name + ".so");
      return made;
    }();
    return *host;
  }
  // A corpus of the study's, by the name `name`.
  void Add(const std::string& name, const std::string& component, Value::Map options) {
    const Component& found = Host().Find(ComponentKind::kCorpus, component);
    options_.push_back(std::make_unique<Options>(found.schema.Resolve(Value(std::move(options)), found.full_name())));
    corpora_.push_back({name, component, options_.back().get()});
  }
  void AddText(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / (name + ".txt")) << text;
    Add(name, "text", {{"path", (folder_ / (name + ".txt")).string()}, {"mode", "concatenate"}});
  }
  std::unique_ptr<Corpus> Open(const std::string& name) const { return OpenCorpus(Host(), corpora_, name); }
  static std::string Fault(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  static Value Weight(double weight) { return Value::Map{{"weight", weight}}; }
  std::vector<std::string> Texts(const TokenSequences& drawn) const {
    std::vector<std::string> texts;
    for (int64_t i = 0; i < drawn.count; ++i) texts.push_back(letters_.Decode(drawn.sequence(i), true));
    return texts;
  }

  Letters letters_;
  std::filesystem::path folder_;
  std::vector<std::unique_ptr<Options>> options_;
  std::vector<NamedCorpus> corpora_;
};

TEST_F(MadeCorpus, TakesSequencesOfItsPartsByTheirWeights) {
  AddText("a", "aaaaaaaa");
  AddText("b", "bbbbbbbb");
  Add("mixed", "mix", {{"parts", Value::Map{{"a", Weight(3)}, {"b", Weight(1)}}}});
  const auto corpus = Open("mixed");
  // Shares of i + 1 sequences: a is behind by 0.75, then b by 0.5 as a by 0.5 (a first), ...
  EXPECT_THAT(Texts(corpus->Draw(letters_, 8, 2, 0)), ElementsAre("aa", "aa", "bb", "aa", "aa", "aa", "bb", "aa"));
  EXPECT_THAT(Texts(corpus->Draw(letters_, 3, 2, 0)), ElementsAre("aa", "aa", "bb"));
  ASSERT_EQ(corpus->factors().size(), 1u);
  EXPECT_EQ(corpus->factors()[0].column, "mix");
  EXPECT_EQ(corpus->factors()[0].value, Value("0.75 a + 0.25 b"));
  EXPECT_FALSE(corpus->asks_model());
}

TEST_F(MadeCorpus, GivesThePartsTheSequencesThatTheyGiveAlone) {
  AddText("a", "abcdefghijklmnopqrstuvwxyz");
  AddText("b", "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  Add("mixed", "mix", {{"parts", Value::Map{{"a", Weight(1)}, {"b", Weight(1)}}}});
  const auto mixed = Texts(Open("mixed")->Draw(letters_, 6, 4, 9));
  const auto a = Texts(Open("a")->Draw(letters_, 3, 4, 9)), b = Texts(Open("b")->Draw(letters_, 3, 4, 9));
  EXPECT_THAT(mixed, ElementsAre(a[0], b[0], a[1], b[1], a[2], b[2]));
}

TEST_F(MadeCorpus, IsIdentifiedByPartsAndWeights) {
  AddText("a", "aaaaaaaa");
  AddText("b", "bbbbbbbb");
  Add("one", "mix", {{"parts", Value::Map{{"a", Weight(1)}, {"b", Weight(3)}}}});
  Add("same", "mix", {{"parts", Value::Map{{"a", Weight(2)}, {"b", Weight(6)}}}});
  Add("other", "mix", {{"parts", Value::Map{{"a", Weight(3)}, {"b", Weight(1)}}}});
  EXPECT_EQ(Open("one")->digest(), Open("same")->digest());
  EXPECT_NE(Open("one")->digest(), Open("other")->digest());
}

TEST_F(MadeCorpus, RefusesPartsThatAreNone) {
  AddText("a", "aaaaaaaa");
  Add("lost", "mix", {{"parts", Value::Map{{"aa", Weight(1)}}}});
  Add("round", "mix", {{"parts", Value::Map{{"a", Weight(1)}, {"round", Weight(1)}}}});
  EXPECT_EQ(Fault([&] { Open("lost"); }),
            "its part 'aa' is no corpus of the study. Did you mean 'a'? Corpora: a, lost, round.");
  EXPECT_EQ(Fault([&] { Open("round"); }), "its part 'round' is made of it. A corpus cannot be a part of itself.");
  Add("empty", "mix", {{"parts", Value::Map{{"a", Weight(0)}}}});
  EXPECT_EQ(Fault([&] { Open("empty"); }),
            "corpus 'mix': no part has a weight above 0, so that no sequence has a source.");
  Add("long", "mix", {{"parts", Value::Map{{"a", Weight(1)}}}});
  EXPECT_EQ(Fault([&] { Open("long")->Draw(letters_, 1, 9, 0); }).substr(0, 10), "part 'a': ");
}

TEST_F(MadeCorpus, LetsTheModelWriteFirstGreedilyAndThenBySampling) {
  Add("own", "generated", {{"greedy_tokens", 3}, {"temperature", 1.0}});
  const auto corpus = Open("own");
  EXPECT_TRUE(corpus->asks_model());
  Counting model;
  const TokenSequences drawn = corpus->Generate(model, 20, 40, 5);
  bool has_sampled_another = false;
  std::set<int32_t> starts;
  for (int64_t i = 0; i < drawn.count; ++i) {
    const auto ids = drawn.sequence(i);
    starts.insert(ids[0]);
    EXPECT_NE(ids[0], 0);  // No text.
    for (int j = 1; j <= 3; ++j) EXPECT_EQ(ids[j], (ids[j - 1] + 1) % 128);
    for (int j = 4; j < 40; ++j) has_sampled_another |= ids[j] != (ids[j - 1] + 1) % 128;
  }
  EXPECT_GT(starts.size(), 10u);
  EXPECT_TRUE(has_sampled_another);
  // Fewer are the first of more; the same seed gives the same.
  EXPECT_EQ(corpus->Generate(model, 7, 40, 5).ids, std::vector<int32_t>(drawn.ids.begin(), drawn.ids.begin() + 7 * 40));
  EXPECT_NE(corpus->Generate(model, 7, 40, 6).ids, corpus->Generate(model, 7, 40, 5).ids);
}

TEST_F(MadeCorpus, BeginsWithAPromptWhereOneIsGiven) {
  Add("own", "generated", {{"start", "prompt"}, {"prompt", "ab"}, {"temperature", 0.0}});
  Counting model;
  EXPECT_THAT(Texts(Open("own")->Generate(model, 2, 6, 0)), ElementsAre("abcdef", "abcdef"));
  Add("none", "generated", {{"start", "bos"}});
  EXPECT_EQ(Fault([&] { Open("none")->Generate(model, 1, 4, 0); }),
            "start 'bos' needs a tokenizer with a beginning-of-sequence token, and this one has none. Use random or prompt.");
  EXPECT_EQ(Fault([&] { Add("odd", "generated", {{"prompt", "x"}}), Open("odd"); }),
            "corpus 'generated': start is 'random' and prompt is 'x'. A prompt goes with start: prompt, and only with it.");
}

// exp(ln 3) : 1 : exp(ln 6 / 2 * 2) ...: shares 0.3, 0.1, 0.6 of logits ln 3, 0, ln 6 at temperature 1.
TEST(GeneratedCorpusSample, TakesTokensByTheirShares) {
  const std::vector<float> logits = {std::log(3.0F), 0.0F, std::log(6.0F)};
  const auto at = [&](double temperature, double uniform) { return GeneratedCorpus::Sample(logits, temperature, uniform); };
  EXPECT_EQ(at(1, 0.29), 0);
  EXPECT_EQ(at(1, 0.31), 1);
  EXPECT_EQ(at(1, 0.39), 1);
  EXPECT_EQ(at(1, 0.41), 2);
  EXPECT_EQ(at(1, 0.999), 2);
  EXPECT_EQ(at(0, 0.1), 2);
  // At 1/2 the shares are 9 : 1 : 36 of 46.
  EXPECT_EQ(at(0.5, 0.19), 0);
  EXPECT_EQ(at(0.5, 0.20), 1);
  EXPECT_EQ(at(0.5, 0.23), 2);
}

TEST_F(MadeCorpus, WritesMessagesByTheTemplateOfTheirRole) {
  const auto path = folder_ / "chat.jsonl";
  std::ofstream(path) << R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]})" << "\n";
  const Value::Map file = {{"path", path.string()}, {"field", "messages"}, {"mode", "documents"}};
  const auto with = [&](Value::Map more) {
    more.insert(more.end(), file.begin(), file.end());
    return more;
  };
  Add("one", "text", with({{"turn", "<{{role}}>{{content}}."}}));
  EXPECT_THAT(Texts(Open("one")->Draw(letters_, 1, 24, 0)), ElementsAre("<user>hi.<assistant>yes."));
  Add("by_role", "text", with({{"turns", Value::Map{{"user", Value::Map{{"text", "[{{content|upper}}]"}}},
                                                    {"assistant", Value::Map{{"text", "{{content}}"}}}}},
                               {"begin", "^"}}));
  EXPECT_THAT(Texts(Open("by_role")->Draw(letters_, 1, 8, 0)), ElementsAre("^[HI]yes"));
  EXPECT_NE(Open("one")->digest(), Open("by_role")->digest());
  Add("half", "text", with({{"turns", Value::Map{{"user", Value::Map{{"text", "x"}}}}}}));
  EXPECT_EQ(Fault([&] { Open("half")->Draw(letters_, 1, 1, 0); }),
            path.string() + ":1: 'messages'[1]: role 'assistant' has no template. Roles of 'turns': user. Add it, or a 'turn' "
                            "for all others.");
  Add("plain", "text", with({}));
  EXPECT_EQ(Fault([&] { Open("plain")->Draw(letters_, 1, 1, 0); }),
            path.string() + ":1: has no string in field 'messages'. Fields: messages. Set 'field' to the one that holds the text.");
}

}  // namespace
}  // namespace bitlaw
