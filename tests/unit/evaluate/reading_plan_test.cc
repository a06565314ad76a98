#include "evaluate/reading_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "bitlaw/base/rng.h"

namespace bitlaw {
namespace {

using ::testing::Each;
using ::testing::SizeIs;
using Sequences = std::vector<std::vector<int32_t>>;

ReadingPlan PlanOf(const Sequences& sequences, const ReadingPlanOptions& options = {}, int64_t room = 0) {
  std::vector<PlannedText> texts;
  for (const auto& sequence : sequences) {
    const auto length = static_cast<int64_t>(sequence.size());
    texts.push_back({&sequence, length - 1, room > 0 ? length - 1 : length, room});
  }
  return PlanReading(texts, options);
}

int64_t TokensOf(const ReadingPlan::Pass& pass) {
  int64_t tokens = 0;
  for (const auto& piece : pass.pieces) tokens += piece.end - piece.begin;
  return tokens;
}

TEST(ReadingPlan, ReadsOnceWhatTextsOfAPassHaveInCommon) {
  const ReadingPlan plan = PlanOf({{1, 2, 3, 4, 10}, {7, 7, 7, 1}, {1, 2, 3, 4, 11, 12}, {7, 7, 7, 2}});
  ASSERT_THAT(plan.headers, SizeIs(1));
  ASSERT_THAT(plan.headers[0].passes, SizeIs(1));
  const ReadingPlan::Pass& pass = plan.headers[0].passes[0];
  ASSERT_THAT(pass.pieces, SizeIs(6));  // A question and two answers, twice.
  EXPECT_EQ(TokensOf(pass), 4 + 1 + 2 + 3 + 1 + 1);
  for (const ReadingPlan::Ending& ending : pass.endings) {
    EXPECT_EQ(pass.pieces[ending.piece].text, ending.text);
    EXPECT_EQ(pass.pieces[ending.piece].parent, ending.text % 2 == 0 ? 0 : 3);
  }
}

TEST(ReadingPlan, SharesAtEveryDepth) {
  const ReadingPlan plan = PlanOf({{1, 2, 2, 5}, {1, 2, 2, 6}, {1, 3, 3, 5}, {1, 3, 3, 6}});
  EXPECT_EQ(TokensOf(plan.headers[0].passes[0]), 1 + 2 + 1 + 1 + 2 + 1 + 1);
}

TEST(ReadingPlan, ATextThatAnotherStartsWithEndsInsideIt) {
  const ReadingPlan plan = PlanOf({{1, 2, 3}, {1, 2}});
  const ReadingPlan::Pass& pass = plan.headers[0].passes[0];
  EXPECT_EQ(TokensOf(pass), 3);
  for (const ReadingPlan::Ending& ending : pass.endings) EXPECT_EQ(ending.piece, ending.text == 1 ? 0 : 1);
}

TEST(ReadingPlan, TextsThatGrowHaveTheirLastTokenForThemselves) {
  const ReadingPlan plan = PlanOf({{1, 2, 3}, {1, 2, 3}, {1, 2, 3, 4}}, {}, /*room=*/5);
  const ReadingPlan::Pass& pass = plan.headers[0].passes[0];
  EXPECT_EQ(TokensOf(pass), 2 + 1 + 1 + 2);
  std::set<int64_t> ends;
  for (const ReadingPlan::Ending& ending : pass.endings) ends.insert(ending.piece);
  EXPECT_THAT(ends, SizeIs(3));
  for (const ReadingPlan::Piece& piece : pass.pieces) EXPECT_FALSE(ends.contains(piece.parent)) << "grows, and has children";
  EXPECT_EQ(plan.held_tokens, 6 + 3 * 5);
}

TEST(ReadingPlan, CutsPassesWhereFewestTokensAreReadAgain) {
  // Three questions of 40 tokens with four answers of 5: a pass holds more than one of them.
  Sequences sequences;
  for (int32_t q = 0; q < 3; ++q) {
    for (int32_t a = 0; a < 4; ++a) {
      std::vector<int32_t> ids(40, q);
      ids.insert(ids.end(), 5, 100 + a);
      sequences.push_back(std::move(ids));
    }
  }
  for (const int64_t pass_tokens : {90, 110}) {  // Two passes of 110 would do, and read a question twice.
    const ReadingPlan plan = PlanOf(sequences, {.pass_tokens = pass_tokens});
    ASSERT_THAT(plan.headers, SizeIs(1));
    ASSERT_THAT(plan.headers[0].passes, SizeIs(3));
    for (const auto& pass : plan.headers[0].passes) EXPECT_EQ(TokensOf(pass), 60);
  }
}

// `count` questions of 10 own tokens behind a header of `length` tokens that starts with `first`.
void AddSubject(int32_t first, int64_t length, int count, Sequences& sequences) {
  for (int32_t i = 0; i < count; ++i) {
    std::vector<int32_t> ids(length, first);
    for (int32_t k = 0; k < 10; ++k) ids.push_back(1000 + i * 16 + k);
    sequences.push_back(std::move(ids));
  }
}

TEST(ReadingPlan, ReadsALongHeaderOnceForAllItsQuestions) {
  Sequences sequences;
  AddSubject(5, 300, 40, sequences);
  AddSubject(6, 200, 40, sequences);
  const ReadingPlan plan = PlanOf(sequences, {.pass_tokens = 200});
  ASSERT_THAT(plan.headers, SizeIs(3));
  EXPECT_TRUE(plan.headers[0].passes.empty());
  EXPECT_EQ(plan.headers[1].length, 300);
  EXPECT_EQ(plan.headers[2].length, 200);
  ASSERT_THAT(plan.headers[1].passes, SizeIs(2));
  EXPECT_EQ(TokensOf(plan.headers[1].passes[0]), 200);
  EXPECT_EQ(plan.held_tokens, 500);
}

TEST(ReadingPlan, NestsHeaders) {
  Sequences sequences;
  AddSubject(5, 300, 40, sequences);
  AddSubject(6, 200, 40, sequences);
  for (auto& sequence : sequences) sequence.insert(sequence.begin(), 50, 9);
  const ReadingPlan plan = PlanOf(sequences, {.pass_tokens = 200});
  ASSERT_THAT(plan.headers, SizeIs(4));
  EXPECT_EQ(plan.headers[1].length, 50);
  EXPECT_EQ(plan.headers[2].parent, 1);
  EXPECT_EQ(plan.headers[2].length, 350);
  EXPECT_EQ(plan.headers[3].parent, 1);
}

TEST(ReadingPlan, LeavesAHeaderOutWhereOnePassIsEnough) {
  Sequences sequences;
  AddSubject(5, 300, 6, sequences);
  AddSubject(6, 10, 6, sequences);
  const ReadingPlan plan = PlanOf(sequences, {.pass_tokens = 450});
  ASSERT_THAT(plan.headers, SizeIs(1));
  ASSERT_THAT(plan.headers[0].passes, SizeIs(1));
  EXPECT_EQ(TokensOf(plan.headers[0].passes[0]), 310 + 12 * 10);
}

TEST(ReadingPlan, KeepsToTheMemory) {
  Sequences sequences;
  AddSubject(5, 300, 40, sequences);
  for (const int64_t held : {400, 1000}) {
    const ReadingPlan plan = PlanOf(sequences, {.pass_tokens = 350, .held_tokens = held}, /*room=*/20);
    EXPECT_LE(plan.held_tokens, held);
    EXPECT_GT(plan.held_tokens, held - 50) << "passes are smaller than they need be";
  }
  EXPECT_EQ(PlanOf(sequences, {.pass_tokens = 350, .held_tokens = 1}).held_tokens, 310) << "a text has what it needs";
}

TEST(ReadingPlan, WithoutSharingReadsEveryTextWhole) {
  Sequences sequences;
  AddSubject(5, 30, 4, sequences);
  sequences.push_back(sequences[0]);
  const ReadingPlan plan = PlanOf(sequences, {.share = false});
  EXPECT_EQ(TokensOf(plan.headers[0].passes[0]), 5 * 40);
}

// The tokens of a text by its pieces.
std::vector<int32_t> TextOf(const ReadingPlan& plan, const ReadingPlan::Header& header, const ReadingPlan::Pass& pass,
                            int64_t piece, const Sequences& sequences) {
  std::vector<int32_t> ids;
  for (; piece >= 0; piece = pass.pieces[piece].parent) {
    const auto& [parent, text, begin, end] = pass.pieces[piece];
    EXPECT_EQ(begin, parent >= 0 ? pass.pieces[parent].end : header.length);
    EXPECT_LT(parent, piece);
    ids.insert(ids.begin(), sequences[text].begin() + begin, sequences[text].begin() + end);
  }
  const auto& example = sequences[header.example];
  ids.insert(ids.begin(), example.begin(), example.begin() + header.length);
  EXPECT_TRUE(header.parent < 0 || plan.headers[header.parent].length < header.length);
  return ids;
}

TEST(ReadingPlan, PiecesMakeUpEveryTextOnce) {
  Rng rng(7);
  for (int round = 0; round < 60; ++round) {
    Sequences sequences;
    const int64_t room = round % 3;
    std::set<std::vector<int32_t>> distinct;
    for (int i = 0; i < 60; ++i) {
      std::vector<int32_t> ids(1 + rng.Below(40));
      for (auto& id : ids) id = static_cast<int32_t>(rng.Below(10) == 0);  // Long common runs.
      if (room > 0 || distinct.insert(ids).second) sequences.push_back(std::move(ids));
    }
    const ReadingPlan plan = PlanOf(sequences, {.pass_tokens = 64, .held_tokens = 150}, room);
    std::vector<int> seen(sequences.size(), 0);
    for (const auto& header : plan.headers) {
      for (const auto& pass : header.passes) {
        EXPECT_TRUE(TokensOf(pass) <= 64 || pass.endings.size() == 1);
        for (const auto& ending : pass.endings) {
          ++seen[ending.text];
          EXPECT_EQ(TextOf(plan, header, pass, ending.piece, sequences), sequences[ending.text]);
        }
      }
    }
    EXPECT_THAT(seen, Each(1));
  }
}

}  // namespace
}  // namespace bitlaw
