#include "fit/output/trial_costs.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>

#include "records/record_store.h"
#include "unit/records/sample_record.h"

namespace bitlaw {
namespace {

// A quantization says total_s, a task elapsed_s; a trial's tasks add up.
TEST(TrialCosts, AreSecondsOfTheQuantizationAndOfAllTasks) {
  std::string folder = (std::filesystem::temp_directory_path() / "bitlaw-costs-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const RecordStore store(folder);
  TaskRecord record = SampleRecord();
  const std::string first = store.Write(record, SampleItems());
  record.key.Set("again", 1);
  const std::string second = store.Write(record, SampleItems());
  store.WriteTimings(first, Value::Map{{"elapsed_s", 1.5}});
  store.WriteTimings(second, Value::Map{{"elapsed_s", 0.25}});
  store.WriteTimings(record.quantization->record, Value::Map{{"total_s", 8.0}, {"quantize_s", 2.0}});
  Table observations("observations");
  observations.AddTexts("trial", {"t", "t", "u"});
  observations.AddTexts("record", {first, second, std::string(64, '0')});
  const Table costs = TrialCosts(observations, folder);
  std::filesystem::remove_all(folder);
  EXPECT_EQ(costs.TextAt("trial", 0), "t");
  EXPECT_EQ(costs.NumberAt("quantize_s", 0), 8.0);
  EXPECT_EQ(costs.NumberAt("evaluate_s", 0), 1.75);
  EXPECT_TRUE(std::isnan(costs.NumberAt("quantize_s", 1)));
  EXPECT_TRUE(std::isnan(costs.NumberAt("evaluate_s", 1)));
}

}  // namespace
}  // namespace bitlaw
