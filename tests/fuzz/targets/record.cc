// Records of trials, their companion files, and the cache of digests beside them. What a digest guards is changed
// before the digest is taken: with the old one, no change would get past its check.
#include <algorithm>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "fuzz/target.h"
#include "records/digest_cache.h"
#include "records/record.h"
#include "unit/records/sample_record.h"

namespace bitlaw::fuzz {
namespace {

// A record with the digest that its content has as it stands, and the digest that its key files it by.
struct WholeRecord {
  explicit WholeRecord(std::string_view input) {
    Value record = ParseJson(input, "input");
    const Value* key = record.Find("key");
    digest = key == nullptr ? std::string(64, '0') : RecordDigest(*key);
    if (record.is_map()) SetContentDigest(record);
    text = PrettyJson(record);
  }
  std::string digest, text;
};

void TaskRecordText(std::string_view input) {
  const WholeRecord whole(input);
  const TaskRecord record = ReadTaskRecord(whole.text, whole.digest, "record.json");
  const std::string text = WriteRecord(record);
  Require(WriteRecord(ReadTaskRecord(text, whole.digest, "written.json")) == text,
          "record: what is written reads back");
}

void QuantizationRecordText(std::string_view input) {
  const WholeRecord whole(input);
  const QuantizationRecord record = ReadQuantizationRecord(whole.text, whole.digest, "record.json");
  const std::string text = WriteRecord(record);
  Require(WriteRecord(ReadQuantizationRecord(text, whole.digest, "written.json")) == text,
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

// What is said of "/tmp/w.bin" is said of the file that is asked for.
void DigestsFile(std::string_view input) {
  const auto data = WriteScratch("weights.bin", "12345");
  Value cache = ParseJson(input, "input");
  const Value *files = cache.Find("files"), *entries = cache.Find("entries");
  if (files != nullptr && files->is_map() && entries != nullptr) {
    Value::Map renamed = files->AsMap();
    for (auto& [path, known] : renamed) {
      if (path == "/tmp/w.bin") path = data.string();
    }
    const Value content = Value::Map{{"files", renamed}, {"entries", *entries}};
    cache.Set("files", renamed);
    cache.Set("digest", DigestOf(content.CanonicalJson()));
  }
  const auto file = WriteScratch("digests.json", PrettyJson(cache));
  DigestCache known(file);
  known.CachedFiles({data});
  known.CachedEntry("tokens");
  Require(known.Files({data}).size() == 64, "digests: a file has a digest whatever the cache says");
  known.SetEntry("tokens", std::string(64, 'a'));
  known.Save();
  const DigestCache saved(file);
  Require(saved.CachedEntry("tokens") == std::string(64, 'a'), "digests: what was saved is known");
  saved.CachedFiles({data});
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
  items[0].right = "1";
  items[0].chosen.assign(items[0].values.size(), 0);
  items[0].target = "Tokyo";
  items[0].extracted.assign(items[0].values.size(), "Cairo, \"the old\"\ncity");
  return {plain, WriteItems(SampleRecord().card, items)};
}

const Register kTaskRecord("task_record", TaskRecordText, TaskRecordSamples);
const Register kQuantizationRecord("quant_record", QuantizationRecordText, QuantizationRecordSamples);
const Register kItems("items", Items, ItemsSamples);
const Register kDigests("digests", DigestsFile);

}  // namespace
}  // namespace bitlaw::fuzz
