// From records to the items that each trial lost and gained, which verdicts are made of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "fit/study/degradation.h"
#include "records/record_store.h"
#include "support/fixture_study.h"
#include "unit/records/sample_record.h"

namespace bitlaw {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Observations of records that are written as they are named. Each has two metrics, as a row each.
class StudyFlipsTest : public ::testing::Test {
 protected:
  // A trial on a task, right (1) or wrong (0) item by item; "none" is its quantizer where it is the baseline.
  std::string Add(const std::string& trial, const std::string& quantizer, const std::string& task,
                  const std::vector<int>& right, MetricKind first = MetricKind::kAccuracy) {
    TaskRecord record = SampleRecord();
    record.key.Set("of", trial + task);
    record.card.name = task;
    record.card.metrics = {{"acc", first, true}, {"acc_norm", MetricKind::kAccuracy, true}};
    record.metrics = {{"acc", 0.5, 0.1, static_cast<int64_t>(right.size()), 0}, {"acc_norm", 1, 0, 1, 0}};
    std::vector<ItemScore> items;
    for (size_t i = 0; i < right.size(); ++i)
      items.push_back({std::to_string(i), {{static_cast<double>(right[i]), 1}, {1, 1}}, 0});
    const std::string digest = store_.Write(record, items);
    for (size_t m = 0; m < 2; ++m) {
      trials_.push_back(trial), quantizers_.push_back(quantizer), tasks_.push_back(task);
      kinds_.emplace_back(m == 0 && first != MetricKind::kAccuracy ? "mean" : "accuracy");
      primary_.push_back(m == 0 ? 1 : 0);
      records_.push_back(digest);
    }
    return digest;
  }

  Table Observations() const {
    Table table("observations");
    table.AddTexts("trial", trials_), table.AddTexts("label", trials_), table.AddTexts("quantizer", quantizers_);
    table.AddTexts("model", std::vector<std::string>(trials_.size(), "tiny"));
    table.AddTexts("task", tasks_), table.AddTexts("stratum", std::vector<std::string>(trials_.size(), "KM"));
    table.AddTexts("record", records_), table.AddTexts("metric_kind", kinds_), table.AddNumbers("primary", primary_);
    return table;
  }

  ScratchFolder folder_;
  RecordStore store_{folder_.path()};

 private:
  std::vector<std::string> trials_, quantizers_, tasks_, records_, kinds_;
  std::vector<double> primary_;
};

TEST_F(StudyFlipsTest, CountItemsThatOneModelAloneHasRight) {
  Add("base", "none", "arc", {1, 1, 1, 0, 0, 1});
  Add("three", "rtn", "arc", {0, 0, 1, 1, 0, 0});  // Three lost, one gained.
  const StudyFlips flips = ReadStudyFlips(Observations(), store_);
  EXPECT_THAT(flips.notes, IsEmpty());
  ASSERT_EQ(flips.trials.size(), 1u);
  EXPECT_EQ(flips.trials[0].trial + " " + flips.trials[0].model + " " + flips.trials[0].quantizer, "three tiny rtn");
  ASSERT_EQ(flips.trials[0].benchmarks.size(), 1u) << "of each task the first metric";
  const BenchmarkFlips& arc = flips.trials[0].benchmarks[0];
  EXPECT_EQ(arc.task + " " + arc.stratum, "arc KM");
  EXPECT_EQ(arc.items, 6);
  EXPECT_EQ(arc.lost, 3);
  EXPECT_EQ(arc.gained, 1);
}

TEST_F(StudyFlipsTest, LeaveOutAndCountWhatCannotBeCompared) {
  Add("base", "none", "arc", {1, 1});
  Add("base", "none", "f1", {1, 1}, MetricKind::kMean);
  Add("three", "rtn", "arc", {1, 0});
  Add("three", "rtn", "f1", {0, 0}, MetricKind::kMean);  // No accuracy.
  Add("three", "rtn", "alone", {0, 0});                  // Of no unquantized model.
  const std::string lost = Add("four", "rtn", "arc", {0, 0});
  std::filesystem::remove(store_.RecordPath(lost));
  const StudyFlips flips = ReadStudyFlips(Observations(), store_);
  ASSERT_EQ(flips.trials.size(), 1u);
  ASSERT_EQ(flips.trials[0].benchmarks.size(), 1u);
  EXPECT_EQ(flips.trials[0].benchmarks[0].lost, 1);
  EXPECT_THAT(flips.notes, ElementsAre("1 result has no unquantized model to compare with",
                                       HasSubstr("1 record could not be read; the first: ")));
}

TEST_F(StudyFlipsTest, OfMoreTrialsThanAreReadTakeSomeOfAll) {
  Add("base", "none", "arc", {1});
  for (const char* trial : {"a", "b", "c", "d", "e", "f"}) Add(trial, "rtn", "arc", {0});
  const StudyFlips flips = ReadStudyFlips(Observations(), store_, 3);
  std::vector<std::string> read;
  for (const TrialFlips& trial : flips.trials) read.push_back(trial.trial);
  EXPECT_THAT(read, ElementsAre("a", "c", "e"));
}

}  // namespace
}  // namespace bitlaw
