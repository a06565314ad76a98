#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <set>

#include "bitlaw/api/corpus.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "plugin/host.h"

namespace bitlaw {
namespace {

using testing::ElementsAre;

/// One token a byte, id = byte; 256 ends a document. Counts what it encodes.
class ByteTokenizer : public Tokenizer {
 public:
  explicit ByteTokenizer(bool has_eos = true) : has_eos_(has_eos) {}
  std::vector<int32_t> Encode(std::string_view text, bool) const override {
    bytes_encoded += text.size();
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string Decode(std::span<const int32_t>, bool) const override { return ""; }
  int64_t vocab_size() const override { return 257; }
  std::optional<int32_t> bos_id() const override { return std::nullopt; }
  std::optional<int32_t> eos_id() const override { return has_eos_ ? std::optional<int32_t>(256) : std::nullopt; }
  std::vector<int32_t> stop_ids() const override { return {}; }
  const std::string& digest() const override { return digest_; }
  mutable std::atomic<size_t> bytes_encoded = 0;

 private:
  bool has_eos_;
  std::string digest_ = "bytes";
};

class TextCorpusTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) / (std::string("bitlaw_corpus_") + test->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }

  static std::unique_ptr<Corpus> Make(const std::string& path, const std::string& mode, Value::Map more = {}) {
    static PluginHost* host = [] {
      auto* made = new PluginHost(OwnFingerprint());
      made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_corpus_text.so");
      return made;
    }();
    more.emplace_back("path", path);
    more.emplace_back("mode", mode);
    const Component& component = host->Find(ComponentKind::kCorpus, "text");
    return host->MakeCorpus("text", component.schema.Resolve(Value(more), component.full_name()));
  }

  static void ExpectError(ErrorKind kind, const std::string& text, const std::function<void()>& action) {
    try {
      action();
      ADD_FAILURE() << "no error; expected: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.what(), text);
      EXPECT_EQ(Name(error.kind()), Name(kind));
    }
  }

  static std::string TextOf(std::span<const int32_t> ids) {
    std::string text;
    for (const int32_t id : ids) text += id == 256 ? '|' : static_cast<char>(id);
    return text;
  }

  std::filesystem::path folder_;
  ByteTokenizer tokenizer_;
};

/// Ten documents "aaa...", "bbb...", of 5, 10, ..., 50 letters.
std::string TenDocuments() {
  std::string lines;
  for (int i = 0; i < 10; ++i)
    lines += R"({"text": ")" + std::string(5 * (i + 1), static_cast<char>('a' + i)) + "\"}\n";
  return lines;
}

TEST_F(TextCorpusTest, SmallerDrawsAreTheFirstSequencesOfLargerOnes) {
  const std::string path = Write("t.jsonl", TenDocuments());
  for (const char* mode : {"concatenate", "documents"}) {
    const auto corpus = Make(path, mode);
    const TokenSequences large = corpus->Draw(tokenizer_, 6, 20, 7);
    ASSERT_EQ(large.ids.size(), 6u * 20u);
    for (const int64_t count : {1, 2, 5}) {
      const TokenSequences small = corpus->Draw(tokenizer_, count, 20, 7);
      EXPECT_EQ(small.ids, std::vector<int32_t>(large.ids.begin(), large.ids.begin() + count * 20)) << mode << count;
    }
    EXPECT_EQ(corpus->Draw(tokenizer_, 6, 20, 7).digest(), large.digest());
    EXPECT_NE(corpus->Draw(tokenizer_, 6, 20, 8).digest(), large.digest());
  }
}

TEST_F(TextCorpusTest, DocumentsGivesOneWindowADocumentAndSkipsShortOnes) {
  const auto corpus = Make(Write("t.jsonl", TenDocuments()), "documents");
  const TokenSequences drawn = corpus->Draw(tokenizer_, 6, 25, 3);  // e (25 letters) to j (50) are long enough.
  std::set<std::string> windows;
  for (int64_t i = 0; i < drawn.count; ++i) windows.insert(TextOf(drawn.sequence(i)));
  std::set<std::string> expected;
  for (char c = 'e'; c <= 'j'; ++c) expected.insert(std::string(25, c));
  EXPECT_EQ(windows, expected);
}

TEST_F(TextCorpusTest, ConcatenateRunsOverDocumentsWithTheSeparatorBetween) {
  const std::string path = Write("t.jsonl", "{\"text\": \"ab\"}\n\n{\"text\": \"\"}\n{\"text\": \"cd\"}\n");
  EXPECT_EQ(TextOf(Make(path, "concatenate")->Draw(tokenizer_, 1, 5, 1).sequence(0)), "ab|cd");
  const auto with = [&](const char* separator) { return Make(path, "concatenate", {{"separator", separator}}); };
  EXPECT_EQ(TextOf(with("none")->Draw(tokenizer_, 1, 4, 1).sequence(0)), "abcd");
  EXPECT_EQ(TextOf(with("newline")->Draw(tokenizer_, 1, 5, 1).sequence(0)), "ab\ncd");
  EXPECT_EQ(TextOf(with("blank_line")->Draw(tokenizer_, 1, 6, 1).sequence(0)), "ab\n\ncd");
}

TEST_F(TextCorpusTest, ConcatenateReachesEveryWindowOfTheTextAboutEquallyOften) {
  const auto corpus = Make(Write("t.txt", "abcdefgh"), "concatenate");
  const TokenSequences drawn = corpus->Draw(tokenizer_, 6000, 3, 11);
  std::map<std::string, int> times;
  for (int64_t i = 0; i < drawn.count; ++i) ++times[TextOf(drawn.sequence(i))];
  ASSERT_EQ(times.size(), 6u);                                                // abc to fgh
  for (const auto& [window, n] : times) EXPECT_NEAR(n, 1000, 120) << window;  // 4 standard deviations
}

TEST_F(TextCorpusTest, EncodesOnlyTheDocumentsThatItDraws) {
  std::string lines;
  for (int i = 0; i < 500; ++i) lines += R"({"text": ")" + std::string(1000, 'x') + "\"}\n";
  const std::string path = Write("t.jsonl", lines);
  for (const char* mode : {"concatenate", "documents"}) {
    tokenizer_.bytes_encoded = 0;
    Make(path, mode)->Draw(tokenizer_, 4, 100, 1);
    EXPECT_LE(tokenizer_.bytes_encoded, 9000u) << mode;
  }
}

TEST_F(TextCorpusTest, SaysHowManySequencesATextThatIsTooShortCanGive) {
  const std::string path = Write("t.jsonl", TenDocuments());
  ExpectError(ErrorKind::kSpec,
              path +
                  ": 5 sequences of 40 tokens were asked for, and 3 of its 10 documents are that long. "
                  "Ask for at most 3, for shorter ones, or for mode 'concatenate'.",
              [&] { Make(path, "documents")->Draw(tokenizer_, 5, 40, 1); });
  const std::string letters = Write("t.txt", "abc");
  ExpectError(ErrorKind::kSpec,
              letters +
                  ": sequences of 4 tokens were asked for, and the whole text has 3. "
                  "It can give 0 of that length. Ask for shorter ones or give more text.",
              [&] { Make(letters, "concatenate")->Draw(tokenizer_, 1, 4, 1); });
}

TEST_F(TextCorpusTest, RefusesMalformedLinesWithTheirNumber) {
  const auto refused = [&](const std::string& text, const std::string& tail) {
    const std::string path = Write("t.jsonl", "{\"text\": \"good\"}\n" + text);
    ExpectError(ErrorKind::kIo, path + tail, [&] { Make(path, "documents")->Draw(tokenizer_, 1, 1, 1); });
  };
  refused("{\"body\": \"x\", \"txt\": 1}\n",
          ":2: has no string in field 'text'. Did you mean 'txt'? Fields: body, txt. "
          "Set 'field' to the one that holds the text.");
  refused("\n[1]\n", ":3: has no string in field 'text'. Fields: (none). Set 'field' to the one that holds the text.");
  refused("{\"text\": 3}\n",
          ":2: has no string in field 'text'. Fields: text. Set 'field' to the one that holds the text.");
  refused("{\"text\": \"a\xFF\"}\n", ":2: byte 28 of the file is not UTF-8. Convert the file to UTF-8.");
  const std::string path = Write("t.jsonl", "{\"text\": \"good\"}\n{\"text\": \"cut");
  try {
    Make(path, "documents")->Draw(tokenizer_, 1, 1, 1);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith(path + ":2: not JSON at byte "));
  }
}

TEST_F(TextCorpusTest, RefusesFilesThatAreNoText) {
  const std::string missing = (folder_ / "none.txt").string();
  ExpectError(ErrorKind::kIo, missing + ": cannot be read: No such file or directory.",
              [&] { Make(missing, "documents")->Draw(tokenizer_, 1, 1, 1); });
  const std::string empty = Write("empty.txt", "");
  ExpectError(ErrorKind::kIo, empty + ": holds no text.", [&] { Make(empty, "documents")->Draw(tokenizer_, 1, 1, 1); });
  const std::string table = Write("t.csv", "a");
  ExpectError(ErrorKind::kSpec, "corpus 'text': path '" + table + "' ends in '.csv'. It must be a .txt or .jsonl file.",
              [&] { Make(table, "documents"); });
}

TEST_F(TextCorpusTest, SeesATextWithoutByteOrderMarkAndCarriageReturns) {
  const auto ids = [&](const std::string& path) { return Make(path, "concatenate")->Draw(tokenizer_, 1, 6, 1).ids; };
  const auto wanted = ids(Write("lf.txt", "ab\n\ncd"));
  EXPECT_EQ(wanted.size(), 6u);
  for (const char* text : {"\xEF\xBB\xBF" "ab\n\ncd", "ab\r\n\r\ncd", "\xEF\xBB\xBF" "ab\r\n\r\ncd", "ab\r\rcd"}) {
    const std::string path = Write("other.txt", text);
    EXPECT_EQ(ids(path), wanted);
    EXPECT_EQ(ReadPlainText(path), "ab\n\ncd") << "as a benchmark reads it";
    ExpectError(ErrorKind::kSpec,
                path + ": sequences of 7 tokens were asked for, and the whole text has 6. It can give 0 of that length. Ask "
                       "for shorter ones or give more text.",
                [&] { Make(path, "concatenate")->Draw(tokenizer_, 1, 7, 1); });
  }
  const std::string marked = Write("marked.jsonl", "\xEF\xBB\xBF\r\n{\"text\": \"ab\\r\\ncd\"}\r\n");
  EXPECT_EQ(Make(marked, "documents")->Draw(tokenizer_, 1, 6, 1).ids.size(), 6u) << "what JSON says is kept";
}

TEST_F(TextCorpusTest, RefusesUtf16) {
  const auto refused = [&](const std::string& path, const std::string& what) {
    ExpectError(ErrorKind::kIo, path + what, [&] { Make(path, "documents")->Draw(tokenizer_, 1, 1, 1); });
  };
  refused(Write("le.txt", std::string("\xFF\xFE" "a\0", 4)), ": the file is UTF-16. Convert it to UTF-8.");
  refused(Write("be.txt", std::string("\xFE\xFF\0a", 4)), ": the file is UTF-16. Convert it to UTF-8.");
  refused(Write("le.jsonl", std::string("\xFF\xFE{\0", 4)), ": the file is UTF-16. Convert it to UTF-8.");
  refused(Write("bare.txt", std::string("a\0\n\0b\0", 6)),
          ":1: the line has a zero byte, which no text has. Convert the file, which may be UTF-16, to UTF-8.");
}

TEST_F(TextCorpusTest, NeedsAnEndTokenOnlyToSeparateSeveralDocuments) {
  const ByteTokenizer without(false);
  const std::string lines = Write("t.jsonl", TenDocuments());
  ExpectError(ErrorKind::kSpec,
              lines +
                  ": separator 'eos' needs a tokenizer with an end-of-sequence token, and this one has none. "
                  "Use blank_line, newline or none.",
              [&] { Make(lines, "concatenate")->Draw(without, 1, 4, 1); });
  EXPECT_EQ(Make(Write("t.txt", "abc"), "concatenate")->Draw(without, 1, 3, 1).ids.size(), 3u);
}

TEST_F(TextCorpusTest, DigestFollowsTheTextAndWhatIsMadeOfIt) {
  const std::string one = Write("one.jsonl", TenDocuments()), same = Write("same.jsonl", TenDocuments());
  const std::string other = Write("other.jsonl", TenDocuments() + "{\"text\": \"k\"}\n");
  const std::string digest = Make(one, "documents")->digest();
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_EQ(Make(same, "documents")->digest(), digest);
  EXPECT_EQ(Make(one, "documents", {{"separator", "none"}})->digest(), digest);  // means nothing in this mode
  EXPECT_NE(Make(other, "documents")->digest(), digest);
  EXPECT_NE(Make(one, "concatenate")->digest(), digest);
  EXPECT_NE(Make(one, "documents", {{"field", "t"}})->digest(), digest);
}

TEST(TokenSequences, DigestDependsOnShapeAndIds) {
  TokenSequences a;
  a.count = 2, a.length_tokens = 3, a.ids = {1, 2, 3, 4, 5, 6};
  TokenSequences b = a;
  EXPECT_EQ(a.digest(), b.digest());
  b.count = 3, b.length_tokens = 2;
  EXPECT_NE(a.digest(), b.digest());
  b = a;
  b.ids[5] = 7;
  EXPECT_NE(a.digest(), b.digest());
}

}  // namespace
}  // namespace bitlaw
