#include "records/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "sample_record.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

std::string ErrorOf(const std::string& text, const std::string& digest) {
  try {
    ReadTaskRecord(text, digest, "r.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    return error.what();
  }
  return "no error";
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(TaskRecord, ReadsBackToTheSameBytes) {
  const TaskRecord record = SampleRecord();
  const std::string text = WriteRecord(record);
  EXPECT_EQ(WriteRecord(ReadTaskRecord(text, RecordDigest(record.key), "r.json")), text);
}

TEST(TaskRecord, KeepsEveryFieldThroughAFile) {
  const TaskRecord record = SampleRecord();
  const TaskRecord read = ReadTaskRecord(WriteRecord(record), RecordDigest(record.key), "r.json");
  EXPECT_EQ(read.trial.axes, record.trial.axes);
  EXPECT_EQ(read.model.parameters_non_embedding(), 900);
  EXPECT_EQ(read.quantization->fallbacks, record.quantization->fallbacks);
  EXPECT_EQ(read.calibration->seed, 7u);
  EXPECT_EQ(read.card.limit, 2);
  EXPECT_EQ(read.card.metrics[1].kind, MetricKind::kPerplexity);
  EXPECT_DOUBLE_EQ(read.metrics[1].value, 12.5);
  EXPECT_EQ(read.counts, record.counts);
  EXPECT_EQ(read.factors, record.factors);
  EXPECT_EQ(*FindFactor(read.factors, "rotation"), Value("hadamard"));
  EXPECT_TRUE(FindFactor(read.factors, "steps")->is_null());
  EXPECT_EQ(FindFactor(read.factors, "G"), nullptr);
  EXPECT_EQ(read.card.factors, record.card.factors);
}

TEST(TaskRecord, NamesARoleThatIsNone) {
  const TaskRecord record = SampleRecord();
  EXPECT_EQ(ErrorOf(Replaced(WriteRecord(record), "\"role\": \"scale\"", "\"role\": \"size\""), RecordDigest(record.key)),
            "r.json: not a whole record: 'factors[0].role' is a string, not the role of a factor.");
}

// What bitlaw of API epoch 2 wrote: no factors, and the smallest group size in their place.
TEST(TaskRecord, OfFormat2IsNamedAsOldAndNeverHalfRead) {
  const TaskRecord record = SampleRecord();
  std::string text = Replaced(WriteRecord(record), "\"format\": 3", "\"format\": 2");
  text = Replaced(text, "\"bits_effective\": 3.25", "\"bits_effective\": 3.25, \"group_size\": 32");
  EXPECT_EQ(ErrorOf(text, RecordDigest(record.key)), "r.json: the record's format is 2. This bitlaw "
            "reads format 3: read it with the bitlaw that wrote it, or do its trial again with `bitlaw run`, which leaves this file where it is.");
}

TEST(TaskFactors, AreThoseOfTheCardAndMeansOverItems) {
  TaskCard card;
  card.few_shot = 5;
  card.factors = {{.column = "answers", .value = 4}};
  card.item_factors = {{.column = "steps", .unit = "steps"}, {.column = "depth"}};
  std::vector<ItemScore> items(3);
  items[0].factors = {2, std::nan("")};
  items[1].factors = {5, std::nan("")};
  const std::vector<RecordedFactor> expected = {{"few_shot", "examples", FactorRole::kOther, 5},
                                                {"answers", "", FactorRole::kOther, 4},
                                                {"steps", "steps", FactorRole::kOther, 3.5},  // (2 + 5) / 2
                                                {"depth", "", FactorRole::kOther, Value()}};
  EXPECT_EQ(TaskFactors(card, items), expected);
}

TEST(Items, KeepTheirFactors) {
  TaskCard card;
  card.name = "chains";
  card.metrics = {{"steps", MetricKind::kMean, true}};  // The factor's column gives way.
  card.item_factors = {{.column = "steps"}};
  std::vector<ItemScore> items(2);
  items[0].id = "a", items[0].values = {{1, 1}}, items[0].factors = {4};
  items[1].id = "b", items[1].values = {{0, 1}};
  const std::string text = WriteItems(card, items);
  EXPECT_EQ(text, "id,steps,chance,steps_\na,1,0,4\nb,0,0,\n");
  const std::vector<ItemScore> read = ReadItems(card, text, "i.csv");
  EXPECT_EQ(read[0].factors, std::vector<double>{4});
  EXPECT_TRUE(std::isnan(read[1].factors.at(0)));
}

TEST(TaskRecord, WritesUnknownNumbersAsNullNeverAsZero) {
  const TaskRecord record = SampleRecord();
  const std::string text = WriteRecord(record);
  EXPECT_THAT(text, HasSubstr("\"standard_error\": null"));
  EXPECT_TRUE(std::isnan(ReadTaskRecord(text, RecordDigest(record.key), "r.json").metrics[0].standard_error));
}

TEST(TaskRecord, SaysNothingOfAQuantizationThatDidNotTakePlace) {
  TaskRecord record = SampleRecord();
  record.quantization.reset();
  record.calibration.reset();
  const std::string text = WriteRecord(record);
  EXPECT_THAT(text, HasSubstr("\"quantization\": null"));
  EXPECT_FALSE(ReadTaskRecord(text, RecordDigest(record.key), "r.json").quantization.has_value());
}

TEST(TaskRecord, NamesEveryFieldThatIsWrong) {
  const TaskRecord record = SampleRecord();
  std::string text = Replaced(WriteRecord(record), "\"rows\": 0", "\"rows\": \"0\"");
  text = Replaced(text, "\"stratum\"", "\"strata\"");
  EXPECT_EQ(ErrorOf(text, RecordDigest(record.key)),
            "r.json: not a whole record: 'task.stratum' is missing; 'task.strata' is not a field of a record; "
            "'items.rows' is a string, not an integer.");
}

TEST(TaskRecord, RefusesAKeyThatDoesNotGiveTheFileName) {
  const TaskRecord record = SampleRecord();
  const std::string text = Replaced(WriteRecord(record), "\"dtype\": \"float32\"", "\"dtype\": \"bfloat16\"");
  EXPECT_EQ(ErrorOf(text, RecordDigest(record.key)),
            "r.json: not a whole record: its key does not give its file name: the file was edited or renamed.");
}

TEST(TaskRecord, RefusesAnotherFormat) {
  const TaskRecord record = SampleRecord();
  const std::string text = Replaced(WriteRecord(record), "\"format\": 3", "\"format\": 99");
  EXPECT_EQ(ErrorOf(text, RecordDigest(record.key)), "r.json: the record's format is 99. This bitlaw "
            "reads format 3: read it with the bitlaw that wrote it, or do its trial again with `bitlaw run`, which leaves this file where it is.");
}

constexpr char kEdited[] =
    "r.json: not a whole record: its content does not give its 'content_digest': the file was edited.";

TEST(TaskRecord, RefusesEveryEditOfItsContent) {
  const TaskRecord record = SampleRecord();
  const std::string text = WriteRecord(record), digest = RecordDigest(record.key);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{{"\"value\": 0.5", "\"value\": 0.6"},
                                                                                 {"\"value\": 12.5", "\"value\": null"},
                                                                                 {"\"rows\": 0", "\"rows\": 1"},
                                                                                 {"\"chance\": 0.25", "\"chance\": 0.2"},
                                                                                 {"\"KM\"", "\"KR\""},
                                                                                 {"\"requests\": 8", "\"requests\": 9"}}) {
    EXPECT_EQ(ErrorOf(Replaced(text, from, to), digest), kEdited) << from;
  }
}

TEST(TaskRecord, RefusesAContentWithoutItsDigest) {
  const TaskRecord record = SampleRecord();
  const std::string text = WriteRecord(record);
  const size_t begin = text.find(",\n", text.find("\"counts\"")), end = text.rfind("\n}");
  EXPECT_EQ(ErrorOf(text.substr(0, begin) + text.substr(end), RecordDigest(record.key)), kEdited);
}

TEST(TaskRecord, TakesNoNoticeOfWhiteSpace) {
  const TaskRecord record = SampleRecord();
  EXPECT_EQ(ErrorOf(Replaced(WriteRecord(record), "\n", "\n\n  "), RecordDigest(record.key)), "no error");
}

TEST(QuantizationRecord, RefusesLayersThatWereTakenOut) {
  const TaskRecord task = SampleRecord();
  QuantizationRecord record;
  record.key = task.key;
  record.quantization = *task.quantization;
  record.layers = {{"q_proj", 3.25, "", {}}};
  const std::string text = WriteRecord(record);
  EXPECT_EQ(ReadQuantizationRecord(text, RecordDigest(record.key), "r.json").layers.size(), 1u);
  record.layers.clear();
  const std::string empty = WriteRecord(record);
  // The emptied content with the digest of the whole one.
  const std::string field = "\"content_digest\": \"";
  const size_t mine = text.find(field) + field.size(), theirs = empty.find(field) + field.size();
  std::string edited = empty;
  edited.replace(theirs, 64, text.substr(mine, 64));
  try {
    ReadQuantizationRecord(edited, RecordDigest(record.key), "r.json");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), kEdited);
  }
}

TEST(QuantizationRecord, SumsUpExpertsWhereThereAreAny) {
  QuantizationRecord record;
  record.key = SampleRecord().key;
  record.quantization = *SampleRecord().quantization;
  const std::string dense = WriteRecord(record);
  EXPECT_EQ(dense.find("experts"), std::string::npos);  // As before there was such a field.
  EXPECT_FALSE(ReadQuantizationRecord(dense, RecordDigest(record.key), "r.json").experts.has_value());
  record.experts = ExpertRecord{8, 0, 31, 64, 16, 2};
  const std::string text = WriteRecord(record);
  EXPECT_THAT(text, HasSubstr("\"routed_tokens_least\": 0"));
  const QuantizationRecord read = ReadQuantizationRecord(text, RecordDigest(record.key), "r.json");
  ASSERT_TRUE(read.experts.has_value());
  EXPECT_EQ(read.experts->experts, 8);
  EXPECT_EQ(read.experts->routed_tokens_median, 31);
  EXPECT_EQ(read.experts->routed_tokens_greatest, 64);
  EXPECT_EQ(read.experts->minimum_tokens, 16);
  EXPECT_EQ(read.experts->below_minimum, 2);
}

TEST(TaskRecord, RefusesEveryFileThatWasCutOff) {
  const TaskRecord record = SampleRecord();
  const std::string digest = RecordDigest(record.key), text = WriteRecord(record);
  // The last byte is a line end, without which the record is whole.
  for (size_t size = 0; size + 1 < text.size(); ++size) {
    EXPECT_NE(ErrorOf(text.substr(0, size), digest), "no error") << size;
  }
}

TEST(RecordKey, ChangesWithEverythingThatDeterminesANumber) {
  TrialContent trial;
  TaskContent task;
  const std::string original = RecordDigest(TaskKey(trial, task));
  auto differs = [&](auto change) {
    TrialContent other_trial = trial;
    TaskContent other_task = task;
    change(other_trial, other_task);
    return RecordDigest(TaskKey(other_trial, other_task)) != original;
  };
  EXPECT_FALSE(differs([](auto&, auto&) {}));
  EXPECT_TRUE(differs([](auto& x, auto&) { x.weights_digest = "1"; }));
  EXPECT_TRUE(differs([](auto& x, auto&) { x.backend_version = "1"; }));
  EXPECT_TRUE(differs([](auto& x, auto&) { x.compute.dtype = Dtype::kBFloat16; }));
  EXPECT_TRUE(differs([](auto& x, auto&) { x.compute.device = "cuda"; }));
  EXPECT_TRUE(differs([](auto& x, auto&) { x.quantizer_version = "1"; }));
  EXPECT_TRUE(differs([](auto& x, auto&) { x.quantizer_options = Value::Map{{"bits", 3}}; }));
  EXPECT_TRUE(differs([](auto& x, auto&) { x.calibration_digest = "1"; }));
  EXPECT_TRUE(differs([](auto&, auto& x) { x.digest = "1"; }));
  EXPECT_TRUE(differs([](auto&, auto& x) { x.component_version = "1"; }));
  EXPECT_TRUE(differs([](auto&, auto& x) { x.name = "1"; }));
}

TEST(RecordKey, CountsBatchingOnlyWhereItChangesMoreThanRounding) {
  TrialContent trial;
  TaskContent a, b;
  b.evaluate = Value::Map{{"batch_tokens", 512}};
  EXPECT_EQ(RecordDigest(TaskKey(trial, a)), RecordDigest(TaskKey(trial, b)));
  trial.compute.dtype = Dtype::kBFloat16;
  EXPECT_NE(RecordDigest(TaskKey(trial, a)), RecordDigest(TaskKey(trial, b)));
}

TEST(RecordKey, DoesNotDependOnTheOrderOfOptions) {
  TrialContent a, b;
  a.quantizer_options = Value::Map{{"bits", 3}, {"damp", 0.01}};
  b.quantizer_options = Value::Map{{"damp", 0.01}, {"bits", 3}};
  EXPECT_EQ(RecordDigest(QuantizationKey(a)), RecordDigest(QuantizationKey(b)));
}

TEST(ItemsFile, QuotesIdsAndLeavesUnknownValuesEmpty) {
  EXPECT_EQ(WriteItems(SampleRecord().card, SampleItems()),
            "id,acc,perplexity,perplexity_weight,chance\n"
            "\"Mercury, 1\",1,2.5,511,0.25\n"
            "\"say \"\"b\"\"\",0,,511,0.3333333333333333\n");
}

TEST(ItemsFile, ReadsBackToTheSameItems) {
  const TaskCard card = SampleRecord().card;
  const auto items = ReadItems(card, WriteItems(card, SampleItems()), "i.csv");
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].id, "Mercury, 1");
  EXPECT_EQ(items[1].id, "say \"b\"");
  EXPECT_EQ(items[0].values[1].weight, 511);
  EXPECT_TRUE(std::isnan(items[1].values[1].value));
  EXPECT_EQ(items[1].chance, 1.0 / 3);
}

TEST(ItemsFile, KeepsPartsLikelihoodsAndLengthsWhereThereAreAny) {
  TaskCard card;
  card.metrics = {{"acc", MetricKind::kAccuracy, true}};
  std::vector<ItemScore> items = {{"0", {{1, 1}}, 0.5}, {"1", {{0, 1}}, 0.5}};
  items[0].group = "law, roman";
  items[0].loglikelihoods_nats = {-12.5, -1.0 / 3};
  items[0].lengths = {4, 17};
  const std::string text = WriteItems(card, items);
  EXPECT_EQ(text,
            "id,acc,chance,group,loglikelihoods,lengths\n"
            "0,1,0.5,\"law, roman\",-12.5 -0.3333333,4 17\n"
            "1,0,0.5,,,\n");
  const auto read = ReadItems(card, text, "i.csv");
  EXPECT_EQ(read[0].group, "law, roman");
  EXPECT_THAT(read[0].loglikelihoods_nats, ::testing::ElementsAre(-12.5, -0.3333333));
  EXPECT_THAT(read[0].lengths, ::testing::ElementsAre(4, 17));
  EXPECT_EQ(read[0].chance, 0.5);
  EXPECT_EQ(read[1].group, "");
  EXPECT_TRUE(read[1].loglikelihoods_nats.empty());
  try {
    ReadItems(card, "id,acc,chance,lengths\n7,1,0.5,4 x\n", "i.csv");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "i.csv: item '7': 'x' is no number.");
  }
}

TEST(ItemsFile, KeepsTheRightAndTheChosenAnswerWhereThereAreAny) {
  TaskCard card;
  card.metrics = {{"acc", MetricKind::kAccuracy, true}, {"acc_norm", MetricKind::kAccuracy, true}};
  std::vector<ItemScore> items = {{"0", {{1, 1}, {0, 1}}, 0.5}, {"1", {{0, 1}, {0, 1}}, 0.5}, {"2", {{0, 1}, {0, 1}}, 0.5}};
  items[0].right = "2";
  items[0].chosen = {2, 0};
  items[1].right = "=1+1, \"two\"\n or 2";
  const std::string text = WriteItems(card, items);
  EXPECT_EQ(text,
            "id,acc,acc_norm,chance,right,chosen\n"
            "0,1,0,0.5,2,2 0\n"
            "1,0,0,0.5,\"'=1+1, \"\"two\"\"\n or 2\",\n"
            "2,0,0,0.5,,\n");
  const auto read = ReadItems(card, text, "i.csv");
  EXPECT_EQ(read[0].right, "2");
  EXPECT_THAT(read[0].chosen, ::testing::ElementsAre(2, 0));
  EXPECT_EQ(read[1].right, items[1].right);
  EXPECT_TRUE(read[1].chosen.empty());
  EXPECT_EQ(read[2].right, "");
  try {
    ReadItems(card, "id,acc,acc_norm,chance,chosen\n7,1,1,0.5,4\n", "i.csv");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "i.csv: item '7': 'chosen' holds 1 choices, and the record has 2 metrics.");
  }
}

TEST(ItemsFile, KeepsTargetsAndWhatWasTakenForTheAnswerWithoutSayingAnythingTwice) {
  TaskCard card;
  card.metrics = {{"acc", MetricKind::kAccuracy, true}, {"acc_norm", MetricKind::kAccuracy, true}};
  std::vector<ItemScore> items = {{"0", {{1, 1}, {0, 1}}, 0.5}, {"1", {{0, 1}, {0, 1}}, 0.5}};
  items[0].right = "1";
  items[0].chosen = {1, 0};
  items[0].target = "Tokyo";
  items[0].extracted = {"Tokyo", "Cairo"};
  items[1].right = "0";
  items[1].chosen = {2, 2};
  items[1].target = std::string(79, 'e') + "é!";  // 81 characters.
  items[1].extracted = {"=Lima", "=Lima"};
  const std::string text = WriteItems(card, items);
  EXPECT_EQ(text,
            "id,acc,acc_norm,chance,right,chosen,target,extracted,acc_norm_extracted\n"
            "0,1,0,0.5,1,1 0,Tokyo,,Cairo\n"
            "1,0,0,0.5,0,2 2," +
                std::string(79, 'e') + "é...,'=Lima,'=Lima\n");
  const auto read = ReadItems(card, text, "i.csv");
  EXPECT_EQ(read[0].target, "Tokyo");
  EXPECT_THAT(read[0].extracted, ::testing::ElementsAre("Tokyo", "Cairo"));
  EXPECT_EQ(read[1].target, std::string(79, 'e') + "é...");
  EXPECT_THAT(read[1].extracted, ::testing::ElementsAre("=Lima", "=Lima"));
  items[0].extracted.pop_back();
  EXPECT_THROW(WriteItems(card, items), InternalError);
}

TEST(ItemsFile, KeepsAnswersOfWordsInOneColumnWhereMetricsAgree) {
  TaskCard card;
  card.metrics = {{"exact_match", MetricKind::kAccuracy, true}, {"f1", MetricKind::kMean, true}};
  std::vector<ItemScore> items = {{"0", {{1, 1}, {1, 1}}}, {"1", {{0, 1}, {0, 1}}}};
  items[0].right = items[0].target = "Cairo";
  items[0].extracted = {"Cairo", "Cairo"};
  items[1].right = "4";
  items[1].target = "four";
  items[1].extracted = {"", ""};
  const std::string text = WriteItems(card, items);
  EXPECT_EQ(text,
            "id,exact_match,f1,chance,right,target,extracted\n"
            "0,1,1,0,Cairo,,Cairo\n"
            "1,0,0,0,4,four,\n");
  const auto read = ReadItems(card, text, "i.csv");
  EXPECT_EQ(read[0].target, "Cairo");
  EXPECT_THAT(read[0].extracted, ::testing::ElementsAre("Cairo", "Cairo"));
  EXPECT_EQ(read[1].target, "four");
  EXPECT_THAT(read[1].extracted, ::testing::ElementsAre("", ""));
}

TEST(ItemsFile, HoldsTextWhateverBytesAModelGenerates) {
  TaskCard card = SampleRecord().card;
  card.metrics.resize(1);
  ItemScore item{"0", {{0.0, 1.0}}, 0.0};
  item.right = "kuja";
  item.target = "kuja";
  item.extracted = {"a\0b\xF8" "c\xE2\x82"s};
  const std::string text = WriteItems(card, {item});
  EXPECT_EQ(text.find('\0'), std::string::npos);
  EXPECT_EQ(FindInvalidUtf8(text), std::string::npos);
  EXPECT_EQ(ReadItems(card, text, "i.csv").at(0).extracted.at(0), "a\uFFFDb\uFFFDc\uFFFD");
  // A file that was written with the zero byte.
  const std::string old = "id,acc,chance,right,target,extracted\n0,0,0,kuja,,a\0b\n"s;
  EXPECT_EQ(ReadItems(card, old, "i.csv").at(0).extracted.at(0), "a\uFFFDb");
}

TEST(ItemsFile, ReadsOneThatWasWrittenBeforeThereWereTargets) {
  TaskCard card;
  card.metrics = {{"acc", MetricKind::kAccuracy, true}};
  const auto read = ReadItems(card, "id,acc,chance,right,chosen\n0,1,0.5,1,1\n", "i.csv");
  EXPECT_EQ(read.at(0).right, "1");
  EXPECT_EQ(read[0].target, "");
  EXPECT_TRUE(read[0].extracted.empty());
}

TEST(ItemsFile, ReadsOneThatWasWrittenBeforeThereWereRightAnswers) {
  TaskCard card;
  card.metrics = {{"acc", MetricKind::kAccuracy, true}};
  const auto read = ReadItems(card, "id,acc,chance,group,loglikelihoods,lengths\n0,1,0.5,law,-1 -2,3 4\n", "i.csv");
  EXPECT_EQ(read.at(0).group, "law");
  EXPECT_EQ(read[0].right, "");
  EXPECT_TRUE(read[0].chosen.empty());
}

TEST(ItemsFile, GivesItsOwnColumnsAnotherNameWhereAMetricHasTheirs) {
  TaskCard card;
  for (const char* name : {"right", "right_", "group", "id", "chance", "acc", "acc_weight"}) {
    card.metrics.push_back({name, MetricKind::kMean, true});
  }
  ItemScore item{"x", {{1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 2}, {7, 1}}, 0.5};
  item.group = "law";
  item.right = "blue";
  const std::string text = WriteItems(card, {item});
  EXPECT_EQ(text,
            "id_,right,right_,group,id,chance,acc,acc_weight_,acc_weight,chance_,group_,right__\n"
            "x,1,2,3,4,5,6,2,7,0.5,law,blue\n");
  const auto read = ReadItems(card, text, "i.csv");
  EXPECT_EQ(read.at(0).id, "x");
  EXPECT_EQ(read[0].right, "blue");
  EXPECT_EQ(read[0].group, "law");
  EXPECT_EQ(read[0].chance, 0.5);
  for (size_t m = 0; m < 7; ++m) EXPECT_EQ(read[0].values[m].value, m + 1) << m;
  EXPECT_EQ(read[0].values[5].weight, 2);
}

TEST(ItemsFile, RefusesColumnsThatAreNotTheRecords) {
  try {
    ReadItems(SampleRecord().card, "id,acc,chance\n", "i.csv");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "i.csv: the columns are id, acc, chance, the record's metrics need id, acc, perplexity, chance.");
  }
}

TEST(ItemsFile, HoldsNoIdThatASpreadsheetWouldRun) {
  TaskCard card;
  card.metrics = {{"acc", MetricKind::kAccuracy, true}};
  std::vector<ItemScore> items = {{"=1+1", {{1, 1}}, 0.5}, {"'@A1", {{0, 1}}, 0.5}};
  items[0].group = "-x,y";
  const std::string text = WriteItems(card, items);
  EXPECT_EQ(text, "id,acc,chance,group\n'=1+1,1,0.5,\"'-x,y\"\n''@A1,0,0.5,\n");
  const auto read = ReadItems(card, text, "i.csv");
  EXPECT_EQ(read[0].id, "=1+1");
  EXPECT_EQ(read[0].group, "-x,y");
  EXPECT_EQ(read[1].id, "'@A1");
}

}  // namespace
}  // namespace bitlaw
