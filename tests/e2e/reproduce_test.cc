// `bitlaw reproduce`: one trial again, beside its record.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <fstream>

#include "bitlaw/base/digest.h"
#include "records/folder/listing.h"
#include "records/record_store.h"
#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class ReproduceVerb : public StudyFolder {
 protected:
  void SetUp() override {
    study_ = WriteStudy(
        "  - {quantizer: gptq, bits: 3, group_size: 16, calibration: {corpus: lines, sequences: 2, tokens: 32}}\n",
        "[uses, endings]");
    ASSERT_EQ(RunStudy(study_, "out").exit_code, 0);
    const RecordStore store(folder_ / "out");
    for (const auto& [digest, files] : ListFolder(store.output()).records) {
      std::vector<std::string> faults;
      if (const auto task = store.FindTask(digest, faults)) {
        (task->quantization ? tasks_ : unquantized_)[task->card.name] = digest;
      } else {
        quantization_ = digest;
      }
    }
    ASSERT_EQ(tasks_.size(), 2u);
  }
  ProgramEnd Reproduce(const std::string& record, const std::string& results,
                       std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"--plugin",  BITLAW_E2E_PLUGINS, "--configs", BITLAW_SOURCE_DIR "/tests/support",
                                      "--quiet",   "reproduce",        record,      "--results",
                                      In(results)};
    words.insert(words.end(), more.begin(), more.end());
    return StartedProgram(words, folder_).Wait();
  }
  std::string In(const std::string& name) const { return (folder_ / name).string(); }

  fs::path study_;
  std::map<std::string, std::string> tasks_, unquantized_;
  std::string quantization_;
};

TEST_F(ReproduceVerb, SaysThatATaskAndAQuantizationAreTheSame) {
  const auto before = FilesOf("out");
  const ProgramEnd task = Reproduce(tasks_.at("endings").substr(0, 10), "out");
  EXPECT_EQ(task.exit_code, 0) << task.err;
  EXPECT_THAT(task.out, AllOf(HasSubstr(", endings: reproduced, to the last bit\n  codes: equal, SHA-256 "),
                              HasSubstr(": equal, "), Not(HasSubstr("Provenance")), Not(HasSubstr("determines"))));
  const ProgramEnd quantization = Reproduce(quantization_, "out", {"--output", In("again")});
  EXPECT_EQ(quantization.exit_code, 0) << quantization.err;
  EXPECT_THAT(quantization.out, HasSubstr(", quantization: reproduced, to the last bit\n  codes: equal, SHA-256 "));
  EXPECT_EQ(FilesOf("again/records").size(), 1u);
  EXPECT_EQ(FilesOf("out"), before);
  EXPECT_THAT(Reproduce(quantization_, "out", {"--output", In("again")}).err, HasSubstr("/again: is there already."));
}

TEST_F(ReproduceVerb, SaysWhatDiffersAndByHowMuch) {
  // The same key with one answer turned over, other codes, and another machine.
  const RecordStore store(folder_ / "out"), other(folder_ / "other");
  fs::create_directories(other.output());
  std::vector<std::string> faults;
  const std::string digest = tasks_.at("uses");
  TaskRecord record = *store.FindTask(digest, faults);
  std::vector<ItemScore> items = store.Items(record);
  const double before = items[0].values[0].value;
  items[0].values[0].value = 1 - before;
  items[0].loglikelihoods_nats[0] += 0.25;
  const double value = record.metrics[0].value;
  record.metrics[0] = Summarize(record.card.metrics[0], 0, items);
  record.quantization->codes_digest = std::string(64, 'a');
  other.Write(record, items);
  Value timings = store.Timings(digest);
  timings.Set("host", "elsewhere");
  timings.Set("threads", 1);
  Value plugins = *timings.Find("plugins");
  plugins.Set("lost", Value(Value::Map{{"version", "0.1"}}));
  timings.Set("plugins", plugins);
  other.WriteTimings(digest, timings);
  for (const char* file : {"work.json", "trials.jsonl"})
    fs::copy_file(folder_ / "out" / file, folder_ / "other" / file);
  const ProgramEnd end = Reproduce(digest, "other", {"--json", In("comparison.json")});
  EXPECT_EQ(end.exit_code, 6) << end.err;
  const double difference = value - record.metrics[0].value;
  EXPECT_THAT(end.out, AllOf(HasSubstr(", uses: not reproduced\n"), HasSubstr("  codes: SHA-256 aaaaaaaaaaaa -> "),
                             HasSubstr(fmt::format("  {}: {} -> {}, {:+.4g} (", record.metrics[0].name,
                                                   record.metrics[0].value, value, difference)),
                             HasSubstr(fmt::format("    1 of {} items differ in it, by 1 at most\n", items.size())),
                             HasSubstr(fmt::format("  items: {} of {} equal; others: {}\n", items.size() - 1,
                                                   items.size(), items[0].id)),
                             HasSubstr("  loglikelihoods: differ by 0.25 nats at most\n"),
                             HasSubstr("Provenance that differs:\n"), HasSubstr("  host: elsewhere -> "),
                             HasSubstr("  plugins.lost: {version: '0.1'} -> (not recorded)\n")));
  const Value json = ParseJson(StartedProgram::Text(folder_ / "comparison.json"), "json");
  EXPECT_EQ(*json.Find("equal"), Value(false));
  EXPECT_EQ(*json.Find("different_items"), Value(Value::List{items[0].id}));
}

// What the record was made of is not there any more: the numbers are compared, and the cause is named.
TEST_F(ReproduceVerb, NamesWhatDeterminesTheNumbersAndChanged) {
  WriteTinyCheckpoint(folder_ / "tiny", {.seed = 7});
  const ProgramEnd end = Reproduce(tasks_.at("uses"), "out");
  EXPECT_EQ(end.exit_code, 6) << end.err;
  EXPECT_THAT(end.out,
              AllOf(HasSubstr("What determines the numbers is not the same:\n"), HasSubstr("  weights_digest: ")));
}

TEST_F(ReproduceVerb, NeedsTheStudyOfTheTrial) {
  const auto other = WriteStudy("  - {quantizer: rtn, bits: 3}\n", "[uses]");
  ASSERT_EQ(RunStudy(other, "out", {"--only", "rtn"}).exit_code, 0);
  EXPECT_THAT(Reproduce(tasks_.at("endings"), "out").err,
              HasSubstr("is none of the last run of its folder. Name the study that has it: --study STUDY.yaml."));
  WriteStudy("  - {quantizer: gptq, bits: 3, group_size: 16, calibration: {corpus: lines, sequences: 2, tokens: 32}}\n",
             "[uses, endings]");
  EXPECT_EQ(Reproduce(tasks_.at("endings"), "out", {"--study", study_.string()}).exit_code, 0);
  fs::remove(folder_ / "out/work.json");
  EXPECT_THAT(Reproduce(tasks_.at("endings"), "out").err,
              HasSubstr("/out: it has no work.json, so that the study of the record is not "
                        "known. Name it: --study STUDY.yaml."));
}

// Everything that may explain a difference stands beside the times.
TEST_F(ReproduceVerb, TimingsHoldTheProvenance) {
  const RecordStore store(folder_ / "out");
  for (const std::string& digest : {tasks_.at("uses"), quantization_}) {
    const Value timings = store.Timings(digest);
    for (const char* name : {"bitlaw", "revision", "code_digest", "study_digest", "host", "system", "cpu", "libtorch",
                             "compiler", "blas", "threads", "device", "dtype", "date"})
      EXPECT_NE(timings.Find(name), nullptr) << name;
    EXPECT_EQ(*timings.Find("dtype"), Value("float32"));
    EXPECT_EQ(timings.Find("study_digest")->AsString(), DigestOfFile(folder_ / "out/work.json"));
    EXPECT_EQ(timings.Find("code_digest")->AsString().size(), 64u);
    EXPECT_NE(timings.Find("plugins")->Find("bitlaw.hf"), nullptr) << timings.Text();
  }
}

}  // namespace
}  // namespace bitlaw
