#include "evaluate/encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
#include "support/toy_model.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::ThrowsMessage;
using testing::ToyTokenizer;

constexpr int32_t kSpaceA = 256, kTh = 257, kBos = 259, kEos = 260;

TEST(EncodePair, SplitsWhereTheContextEnds) {
  const EncodedPair pair = EncodePair(ToyTokenizer(), "Q:", " b");
  EXPECT_THAT(pair.context, ElementsAre('Q', ':'));
  EXPECT_THAT(pair.continuation, ElementsAre(' ', 'b'));
}

TEST(EncodePair, MovesTrailingWhiteSpaceToTheContinuation) {
  const EncodedPair pair = EncodePair(ToyTokenizer(), "Q: \n\xC2\xA0", "a");  // Space, line feed, no-break space.
  EXPECT_THAT(pair.context, ElementsAre('Q', ':'));
  EXPECT_THAT(pair.continuation, ElementsAre(' ', '\n', 0xC2, 0xA0, 'a'));
}

TEST(EncodePair, MovedSpaceMergesWithTheContinuation) {
  EXPECT_THAT(EncodePair(ToyTokenizer(), "Q: ", "a").continuation, ElementsAre(kSpaceA));
}

TEST(EncodePair, KeepsTheSplitOfTheContextAloneWhenTokensMergeAcrossIt) {
  // encode("ct") has 2 ids and encode("cth") has 2: the merged token counts as context, and nothing is left.
  EXPECT_THAT(EncodePair(ToyTokenizer(), "ct", "h").continuation, ElementsAre());
  const EncodedPair pair = EncodePair(ToyTokenizer(), "ct", "hx");
  EXPECT_THAT(pair.context, ElementsAre('c', 't'));
  EXPECT_THAT(pair.continuation, ElementsAre('x'));
}

TEST(EncodePair, PutsThePrefixTokenBeforeAnEmptyContext) {
  EXPECT_THAT(EncodePair(ToyTokenizer(), "", "th").context, ElementsAre(kBos));
  EXPECT_THAT(EncodePair(ToyTokenizer(), "", "th").continuation, ElementsAre(kTh));
  EXPECT_THAT(EncodePair(ToyTokenizer(ToyTokenizer::Template::kNone, /*has_bos=*/false), "", "th").context,
              ElementsAre(kEos));
}

TEST(EncodePair, DoesNotDoubleAPrefixTokenThatIsThere) {
  const ToyTokenizer with_template(ToyTokenizer::Template::kBos);
  EXPECT_THAT(EncodePair(with_template, "", "<s>b").context, ElementsAre(kBos));
  EXPECT_THAT(EncodePair(with_template, "", "<s>b").continuation, ElementsAre('b'));
  EXPECT_THAT(EncodePair(with_template, "<s>Q", "b").context, ElementsAre(kBos, 'Q'));
  EXPECT_THAT(EncodePair(with_template, "Q", "b").context, ElementsAre(kBos, 'Q'));
}

TEST(EncodePair, WhiteSpaceAloneIsNoEmptyContext) {
  EXPECT_THAT(EncodePair(ToyTokenizer(), " ", "b").context, ElementsAre());
  EXPECT_THAT(EncodePair(ToyTokenizer(), " ", "b").continuation, ElementsAre(' ', 'b'));
  EXPECT_THAT(EncodePair(ToyTokenizer(ToyTokenizer::Template::kBos), " ", "b").context, ElementsAre(kBos));
}

TEST(ScoredInput, DropsTheLastIdAndScoresFromTheLastOfTheContext) {
  const ScoredInput input = MakeScoredInput({{1, 2, 3}, {4, 5, 6}}, 100, "x");
  EXPECT_THAT(input.input, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(input.targets, ElementsAre(4, 5, 6));
  EXPECT_EQ(input.first_scored, 2);
  EXPECT_FALSE(input.truncated);
}

TEST(ScoredInput, TruncatesTheContextAtItsLeft) {
  EXPECT_FALSE(MakeScoredInput({{1, 2, 3}, {4, 5}}, 4, "x").truncated);
  const ScoredInput input = MakeScoredInput({{1, 2, 3}, {4, 5}}, 3, "x");
  EXPECT_THAT(input.input, ElementsAre(2, 3, 4));
  EXPECT_EQ(input.first_scored, 1);
  EXPECT_TRUE(input.truncated);
  EXPECT_THAT(MakeScoredInput({{1, 2, 3}, {4, 5}}, 2, "x").input, ElementsAre(3, 4));
}

template <typename Body>
std::string ErrorOf(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ScoredInput, NamesTheItemThatCannotBeScored) {
  EXPECT_EQ(ErrorOf([] { MakeScoredInput({{1}, {}}, 10, "task 'x', item '3'"); }),
            "task 'x', item '3': the continuation adds no token to its context, so it has no likelihood. Change the "
            "prompt or the target.");
  EXPECT_EQ(ErrorOf([] { MakeScoredInput({{1}, {2, 3, 4}}, 2, "i"); }),
            "i: the continuation has 3 tokens, and the model has 2 positions.");
  EXPECT_EQ(ErrorOf([] { MakeScoredInput({{}, {2}}, 2, "i"); }),
            "i: the context is white space alone, and this tokenizer makes no token of it, so nothing predicts the "
            "first token. Change the prompt.");
}

TEST(Windows, DisjointOnesPredictAllButTheirFirstToken) {
  RollingRequest request{"abcdefgh", WindowConvention::kDisjoint, 3, 0};
  const auto windows = MakeWindows(ToyTokenizer(), request, 100, "x");
  ASSERT_EQ(windows.size(), 2u);  // "gh" is dropped.
  EXPECT_THAT(windows[1].input, ElementsAre('d', 'e'));
  EXPECT_THAT(windows[1].targets, ElementsAre('e', 'f'));
  EXPECT_EQ(windows[1].first_scored, 0);
  request.max_windows = 1;
  EXPECT_EQ(MakeWindows(ToyTokenizer(), request, 100, "x").size(), 1u);
}

TEST(Windows, ATextWithoutTokensHasNoneWhateverTheTemplateAdds) {
  const RollingRequest empty{"", WindowConvention::kRolling, 3, 0};
  EXPECT_TRUE(MakeWindows(ToyTokenizer(), empty, 512, "x").empty());
  const ToyTokenizer with_bos(ToyTokenizer::Template::kBos);
  EXPECT_TRUE(MakeWindows(with_bos, empty, 512, "x").empty());
  // The template's BOS is scored with a text that has tokens, as the public harness scores it.
  const RollingRequest letter{"x", WindowConvention::kRolling, 3, 0};
  EXPECT_THAT(MakeWindows(with_bos, letter, 512, "x").at(0).targets, ElementsAre(259, 'x'));
  const RollingRequest written{"<s>", WindowConvention::kRolling, 3, 0};
  EXPECT_THAT(MakeWindows(with_bos, written, 512, "x").at(0).targets, ElementsAre(259));
}

TEST(Encoding, ATokenThatTheModelHasNoRowForIsNamed) {
  const std::vector<int32_t> ids = {'a', 259, 'b'};
  EXPECT_NO_THROW(RequireEmbedded(ToyTokenizer(), ids, 260, "item"));
  EXPECT_THAT([&] { RequireEmbedded(ToyTokenizer(), ids, 259, "item"); },
              ThrowsMessage<Error>("item: token 259 ('<s>') has no row in the model's embeddings, which have 259. The "
                                   "tokenizer has more entries than the model."));
}

TEST(Windows, RollingOnesPredictEveryTokenOnce) {
  // The worked table of docs/evaluation.md: 8 ids, windows of 3.
  const RollingRequest request{"abcdefgh", WindowConvention::kRolling, 3, 0};
  const auto windows = MakeWindows(ToyTokenizer(), request, 3, "x");
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_THAT(windows[0].input, ElementsAre(kBos, 'a', 'b'));
  EXPECT_THAT(windows[0].targets, ElementsAre('a', 'b', 'c'));
  EXPECT_THAT(windows[1].input, ElementsAre('c', 'd', 'e'));
  EXPECT_THAT(windows[1].targets, ElementsAre('d', 'e', 'f'));
  EXPECT_THAT(windows[2].input, ElementsAre('e', 'f', 'g'));
  EXPECT_THAT(windows[2].targets, ElementsAre('g', 'h'));
  EXPECT_EQ(windows[2].first_scored, 1);
}

TEST(Windows, SayWhyATextHasNone) {
  EXPECT_EQ(ErrorOf([] { MakeWindows(ToyTokenizer(), {"ab", WindowConvention::kDisjoint, 3, 0}, 9, "t"); }),
            "t: the text has 2 tokens, fewer than one window of 3.");
  EXPECT_EQ(ErrorOf([] { MakeWindows(ToyTokenizer(), {"ab", WindowConvention::kDisjoint, 30, 0}, 9, "t"); }),
            "t: window_tokens = 30, and the model has 9 positions. Use a window of at most that many tokens.");
}

}  // namespace
}  // namespace bitlaw
