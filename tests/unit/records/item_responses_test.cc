#include "records/responses/item_responses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <utility>

#include "records/folder/compare.h"
#include "sample_record.h"

namespace bitlaw {
namespace {

using std::numbers::ln2;
using ::testing::IsNan;

TaskCard CardOf(std::vector<MetricCard> metrics) {
  TaskCard card;
  card.name = "t";
  card.metrics = std::move(metrics);
  return card;
}

const TaskCard kChoices = CardOf({{"acc", MetricKind::kAccuracy, true}});

// An item with choices: likelihoods up to a common factor, the first choice right.
ItemScore Choices(const std::string& id, const std::vector<double>& likelihoods, const std::string& target = "abcd",
                  int64_t characters = 4) {
  ItemScore item{id, {{1, 1}}, 0.5};
  for (const double one : likelihoods) item.loglikelihoods_nats.push_back(std::log(one) - 5);
  item.lengths.assign(likelihoods.size(), characters);
  item.right = "0";
  item.target = target;
  return item;
}

TEST(KlOverChoices, IsThatOfTheLikelihoodsDividedByTheirSum) {
  // 0.75 ln(0.75 / 0.5) + 0.25 ln(0.25 / 0.5) = 0.130812, and 0: their mean, and its error (0.130812 / sqrt 2) / sqrt 2.
  const std::vector<ItemScore> before = {Choices("a", {3, 1}), Choices("b", {0.2, 0.2})},
                               after = {Choices("a", {0.1, 0.1}), Choices("b", {0.7, 0.7})};
  const ItemResponses told = ResponsesOf(kChoices, after, &before);
  EXPECT_NEAR(told.kl_choices, 0.13081203594113694 / 2, 1e-12);
  EXPECT_NEAR(told.kl_choices_error, 0.13081203594113694 / 2, 1e-12);
  // The other way round: 0.5 ln(0.5 / 0.75) + 0.5 ln(0.5 / 0.25) = 0.143841.
  EXPECT_NEAR(ResponsesOf(kChoices, before, &after).kl_choices, 0.14384103622589045 / 2, 1e-12);
  EXPECT_EQ(ResponsesOf(kChoices, before, &before).kl_choices, 0);
}

TEST(KlOverChoices, IsOfItemsThatBothModelsScored) {
  const std::vector<ItemScore> one = {Choices("a", {3, 1})}, other = {Choices("b", {3, 1})},
                               more = {Choices("a", {3, 1, 1})};
  EXPECT_THAT(ResponsesOf(kChoices, one, nullptr).kl_choices, IsNan());
  EXPECT_THAT(ResponsesOf(kChoices, one, &other).kl_choices, IsNan());
  EXPECT_THAT(ResponsesOf(kChoices, one, &other).baseline_bits_per_byte, IsNan());
  EXPECT_THAT(ResponsesOf(kChoices, one, &more).kl_choices, IsNan());
}

// Nats of the right choice are `bits` ln 2.
ItemScore Bits(const std::string& id, double bits, const std::string& target, int64_t characters) {
  ItemScore item = Choices(id, {1, 1}, target, characters);
  item.loglikelihoods_nats[0] = -bits * ln2;
  return item;
}

TEST(BitsPerByte, AreMeansOverItemsOfTheRightAnswers) {
  // 8 bits of 4 bytes, 4 of the two bytes of one letter: 2 and 2; the unquantized model's 4 of 4 and 2 of 2.
  const std::vector<ItemScore> after = {Bits("a", 8, "abcd", 4), Bits("b", 4, "\u00e9", 1)},
                               before = {Bits("a", 4, "abcd", 4), Bits("b", 3, "\u00e9", 1)};
  const ItemResponses told = ResponsesOf(kChoices, after, &before);
  EXPECT_NEAR(told.bits_per_byte, 2, 1e-12);
  EXPECT_NEAR(told.bits_per_byte_error, 0, 1e-12);
  EXPECT_NEAR(told.baseline_bits_per_byte, 1.25, 1e-12);
  EXPECT_NEAR(told.added_bits_per_byte, 0.75, 1e-12);
  EXPECT_NEAR(told.added_bits_per_byte_error, 0.25, 1e-12);  // 1 and 0.5.
  EXPECT_THAT(told.answer_characters, IsNan());
}

TEST(BitsPerByte, CountTheCharactersOfWhatIsNotRecordedWhole) {
  // The letter of a choice was scored, not its text; and a record keeps 80 characters of a text.
  EXPECT_NEAR(ResponsesOf(kChoices, {Bits("a", 3, "Li\u00e8ge", 1)}, nullptr).bits_per_byte, 3, 1e-12);
  EXPECT_NEAR(ResponsesOf(kChoices, {Bits("a", 3, std::string(80, 'a') + "...", 120)}, nullptr).bits_per_byte, 3.0 / 120,
              1e-12);
}

TEST(BitsPerByte, OfOneTextComeFromItsLoss) {
  const TaskCard cloze = CardOf({{"acc", MetricKind::kAccuracy, true}, {"perplexity", MetricKind::kPerplexity, false}});
  ItemScore item{"a", {{1, 1}, {6 * ln2, 1}}, 0};
  item.right = item.target = "abc";
  EXPECT_NEAR(ResponsesOf(cloze, {item}, nullptr).bits_per_byte, 2, 1e-12);
  const TaskCard own = CardOf({{"exact_match", MetricKind::kAccuracy, true}, {"bits_per_byte", MetricKind::kMean, false}});
  ItemScore answer{"a", {{1, 1}, {1.5, 1}}, 0};
  answer.right = "abc";
  EXPECT_EQ(ResponsesOf(own, {answer}, nullptr).bits_per_byte, 1.5);
}

TEST(BitsPerByte, AreUnknownWhereOneItemDoesNotTellThem) {
  std::vector<ItemScore> items = {Bits("a", 8, "abcd", 4), Bits("b", 4, "abcd", 4)};
  items[1].right = "";
  EXPECT_THAT(ResponsesOf(kChoices, items, &items).bits_per_byte, IsNan());
  EXPECT_EQ(ResponsesOf(kChoices, items, &items).kl_choices, 0);
}

TEST(AnswerCharacters, AreThoseOfWhatWasWritten) {
  ItemScore a{"a", {{1, 1}}, 0}, b{"b", {{0, 1}}, 0};
  a.lengths = {3}, b.lengths = {7};
  const std::vector<ItemScore> items = {a, b};
  const ItemResponses told = ResponsesOf(CardOf({{"exact_match", MetricKind::kAccuracy, true}}), items, &items);
  EXPECT_EQ(told.answer_characters, 5);
  EXPECT_EQ(told.answer_characters_error, 2);  // sqrt(8) / sqrt(2)
  EXPECT_EQ(told.baseline_answer_characters, 5);
  EXPECT_THAT(told.bits_per_byte, IsNan());
  EXPECT_THAT(told.kl_choices, IsNan());
}

// Items with this length of the generated text; 0: as records once were.
std::string WriteWithLengths(const RecordStore& store, int64_t length) {
  TaskRecord record = SampleRecord();
  std::vector<ItemScore> items = SampleItems();
  for (ItemScore& item : items) {
    if (length > 0) item.lengths = {length};
  }
  return store.Write(record, items);
}

TEST(AnswerCharacters, TellRecordsApartThatBothHaveThem) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "bitlaw_answer_characters";
  std::filesystem::remove_all(folder);
  std::vector<RecordStore> stores;
  std::string digest;
  for (const int64_t length : {0, 3, 4}) {
    std::filesystem::create_directories(folder / std::to_string(length));
    stores.emplace_back(folder / std::to_string(length));
    digest = WriteWithLengths(stores.back(), length);
  }
  EXPECT_EQ(CompareRecords(stores[0], digest, stores[1], digest).different_items.size(), 0u);
  EXPECT_EQ(CompareRecords(stores[1], digest, stores[2], digest).different_items.size(), 2u);
  std::filesystem::remove_all(folder);
}

TEST(ItemResponseColumns, HaveEachErrorAfterItsMean) {
  std::string mean;
  for (const ItemResponseColumn& column : ItemResponseColumns()) {
    if (column.is_error) {
      EXPECT_EQ(column.name, mean + "_error");
    }
    if (!column.is_error) mean = column.name;
  }
}

}  // namespace
}  // namespace bitlaw
