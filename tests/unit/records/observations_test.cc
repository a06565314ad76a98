#include "records/observations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace bitlaw {
namespace {

using testing::ElementsAre;
using testing::IsNan;

// One model of 1,000 parameters outside embeddings, unquantized and by 'gptq' with two axes; T hides no column of ours.
Plan SmallPlan() {
  Plan plan;
  plan.study.name = "small";
  PlannedModel model;
  model.spec.name = "tiny";
  model.summary.architecture = "llama";
  model.summary.parameters_total = 1500;
  model.summary.parameters_embedding = 500;
  model.summary.hidden_size = 48;
  plan.models.push_back(model);
  Trial none;
  none.id = "000000000000";
  none.label = "tiny none";
  none.quantizer = "none";
  none.axes = {{"bits", Value()}, {"order", Value()}, {"T", Value()}};
  Trial gptq = none;
  gptq.id = "111111111111";
  gptq.label = "tiny gptq bits=3";
  gptq.quantizer = "gptq";
  gptq.axes = {{"bits", int64_t{3}}, {"order", "act"}, {"T", int64_t{7}}};
  gptq.bits_requested = 3;
  gptq.bits_per_weight = 3.5;
  gptq.group_size_effective = 32;
  gptq.calibration = CalibrationSpec{"c4", 8, 512, 0};
  plan.trials = {none, gptq};
  return plan;
}

std::vector<TaskCard> OneCard() {
  TaskCard card;
  card.name = "arc";
  card.stratum = "KM";
  card.metrics = {{"acc", MetricKind::kAccuracy, true}, {"loss", MetricKind::kMean, false}};
  return {card};
}

TEST(ObservationColumns, AreKnownBeforeAnythingIsRecorded) {
  std::vector<std::string> names, texts;
  for (const ObservationColumn& column : ObservationColumns(SmallPlan())) {
    names.push_back(column.name);
    if (column.is_text) texts.push_back(column.name);
  }
  EXPECT_THAT(names, ElementsAre("study", "trial", "label", "model", "family", "hold_out", "N", "parameters_total",
                                 "quantizer", "B", "bits_effective", "G", "Cb", "T", "corpus", "dtype", "bits", "order",
                                 "task", "stratum", "metric", "metric_kind", "primary", "value", "standard_error",
                                 "items", "chance", "acc_adj", "limit", "baseline_value", "fallbacks", "record"));
  EXPECT_THAT(texts, ElementsAre("study", "trial", "label", "model", "family", "quantizer", "corpus", "dtype", "order",
                                 "task", "stratum", "metric", "metric_kind", "record"));
}

TEST(PlannedObservations, HoldWhatIsKnownAndStandInsForScores) {
  const Table planned = PlannedObservations(SmallPlan(), OneCard());
  ASSERT_EQ(planned.rows(), 4u);  // Two trials, two metrics.
  EXPECT_THAT(planned.Numbers("N"), ElementsAre(1000, 1000, 1000, 1000));
  EXPECT_THAT(planned.Numbers("B"), ElementsAre(16, 16, 3, 3));
  EXPECT_THAT(planned.Numbers("G"), ElementsAre(IsNan(), IsNan(), 32, 32));
  EXPECT_THAT(planned.Numbers("Cb"), ElementsAre(IsNan(), IsNan(), 8, 8));
  EXPECT_THAT(planned.Numbers("T"), ElementsAre(IsNan(), IsNan(), 512, 512));  // Calibration's, not the axis'.
  EXPECT_THAT(planned.Numbers("bits"), ElementsAre(IsNan(), IsNan(), 3, 3));
  EXPECT_THAT(planned.At("order").texts, ElementsAre("", "", "act", "act"));
  EXPECT_THAT(planned.At("stratum").texts, ElementsAre("KM", "KM", "KM", "KM"));
  EXPECT_THAT(planned.Numbers("primary"), ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(planned.Numbers("acc_adj"), ElementsAre(0.5, IsNan(), 0.5, IsNan()));  // (0.75 - 0.5) / (1 - 0.5)
}

TEST(PlannedObservations, OfManyTrialsKeepThoseWithAnotherColumnFilled) {
  Plan plan = SmallPlan();
  Trial last = plan.trials[1];
  plan.trials.assign(600, plan.trials[0]);
  plan.trials.push_back(last);
  const Table planned = PlannedObservations(plan, OneCard());
  EXPECT_EQ(planned.rows(), 2u * 501);  // 500, and the only one with a B of 3.
  EXPECT_EQ(planned.Numbers("Cb").back(), 8);
}

}  // namespace
}  // namespace bitlaw
