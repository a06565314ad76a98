// Records of trials, their companion files, and the cache of digests beside them.
#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "fuzz/target.h"
#include "records/digest_cache.h"
#include "records/record.h"
#include "unit/records/sample_record.h"

namespace bitlaw::fuzz {
namespace {

// The digest that a record of this key is filed by, so that changes elsewhere in the text reach its reader.
std::string DigestOf(std::string_view text) {
  const Value record = ParseJson(text, "input");
  const Value* key = record.Find("key");
  return key == nullptr ? std::string(64, '0') : RecordDigest(*key);
}

void TaskRecordText(std::string_view input) {
  const std::string digest = DigestOf(input);
  const TaskRecord record = ReadTaskRecord(input, digest, "record.json");
  const std::string text = WriteRecord(record);
  Require(WriteRecord(ReadTaskRecord(text, digest, "written.json")) == text, "record: what is written reads back");
}

void QuantizationRecordText(std::string_view input) {
  const std::string digest = DigestOf(input);
  const QuantizationRecord record = ReadQuantizationRecord(input, digest, "record.json");
  const std::string text = WriteRecord(record);
  Require(WriteRecord(ReadQuantizationRecord(text, digest, "written.json")) == text,
          "quantization record: what is written reads back");
}

void Items(std::string_view input) {
  TaskCard card;
  card.name = "task";
  card.metrics = {{"acc", MetricKind::kAccuracy, true}, {"perplexity", MetricKind::kPerplexity, false}};
  const std::vector<ItemScore> items = ReadItems(card, input, "items.csv");
  const std::string text = WriteItems(card, items);
  Require(WriteItems(card, ReadItems(card, text, "written.csv")) == text, "items: what is written reads back");
  for (size_t i = 0; i < card.metrics.size(); ++i) Summarize(card.metrics[i], i, items);
}

void DigestsFile(std::string_view input) {
  const auto file = WriteScratch("digests.json", input);
  const auto data = WriteScratch("weights.bin", "12345");
  DigestCache cache(file);
  cache.CachedFiles({data});
  cache.CachedEntry("tokens");
  Require(cache.Files({data}).size() == 64, "digests: a file has a digest whatever the cache says");
  cache.SetEntry("tokens", std::string(64, 'a'));
  cache.Save();
  Require(DigestCache(file).CachedEntry("tokens") == std::string(64, 'a'), "digests: what was saved is known");
  DigestCache(file).CachedFiles({data});
}

std::vector<std::string> TaskRecordSamples() {
  TaskRecord plain = SampleRecord();
  plain.quantization.reset();
  plain.calibration.reset();
  return {WriteRecord(SampleRecord()), WriteRecord(plain)};
}

std::vector<std::string> QuantizationRecordSamples() {
  const TaskRecord sample = SampleRecord();
  QuantizationRecord record;
  TrialContent trial;
  trial.weights_digest = std::string(64, 'a');
  trial.backend = "hf";
  trial.quantizer = "rtn";
  trial.quantizer_options = Value::Map{{"bits", 3}};
  record.key = QuantizationKey(trial);
  record.trial = sample.trial;
  record.model = sample.model;
  record.quantization = *sample.quantization;
  record.calibration = sample.calibration;
  record.layers = {{"q_proj", 3.25, "", {{"loss", 0.5}}}, {"k_proj", 16, "round_to_nearest", {}}};
  return {WriteRecord(record)};
}

std::vector<std::string> ItemsSamples() {
  std::vector<ItemScore> items = SampleItems();
  const std::string plain = WriteItems(SampleRecord().card, items);
  items[0].group = "physics, hard";
  items[0].loglikelihoods_nats = {-12.5, -8.25};
  items[0].lengths = {3, 14};
  return {plain, WriteItems(SampleRecord().card, items)};
}

const Register kTaskRecord("task_record", TaskRecordText, TaskRecordSamples);
const Register kQuantizationRecord("quant_record", QuantizationRecordText, QuantizationRecordSamples);
const Register kItems("items", Items, ItemsSamples);
const Register kDigests("digests", DigestsFile);

}  // namespace
}  // namespace bitlaw::fuzz
