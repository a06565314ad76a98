#include "records/observations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace bitlaw {
namespace {

using testing::ElementsAre;
using testing::IsNan;

// One model of 1,000 parameters outside embeddings, unquantized and by 'gptq' with three axes, of which a factor repeats one.
Plan SmallPlan() {
  Plan plan;
  plan.study.name = "small";
  PlannedModel model;
  model.spec.name = "tiny";
  model.summary.architecture = "llama";
  model.summary.parameters_total = 1500;
  model.summary.parameters_embedding = 500;
  plan.models.push_back(model);
  const auto column = [](const char* name, FactorSource source, std::string origin = std::string(kOwnOrigin)) {
    Factor factor{.column = name};
    if (const Factor* standard = FindStandardFactor(name)) factor = *standard;
    return FactorColumn{factor, source, std::move(origin), true};
  };
  plan.factors = {column("N", FactorSource::kModel), column("B", FactorSource::kQuantizer),
                  column("bits_effective", FactorSource::kQuantizer),
                  column("outliers", FactorSource::kQuantizer, "quantizer 'gptq'"),
                  column("Cb", FactorSource::kCalibration), column("D", FactorSource::kStudy, "the study")};
  plan.task_factors = {column("few_shot", FactorSource::kTask), column("steps", FactorSource::kTask, "task 'arc'")};
  Trial none;
  none.id = "000000000000";
  none.label = "tiny none";
  none.quantizer = "none";
  none.axes = {{"bits", Value()}, {"order", Value()}, {"outliers", Value()}};
  none.factors = {1000, 16, 16.0, Value(), Value(), 36e12};
  Trial gptq = none;
  gptq.id = "111111111111";
  gptq.label = "tiny gptq bits=3";
  gptq.quantizer = "gptq";
  gptq.axes = {{"bits", int64_t{3}}, {"order", "act"}, {"outliers", 0.25}};
  gptq.factors = {1000, 3, 3.5, 0.25, 8, 36e12};
  gptq.calibration = CalibrationSpec{"c4", 8, 512, 0};
  plan.trials = {none, gptq};
  return plan;
}

std::vector<TaskCard> OneCard() {
  TaskCard card;
  card.name = "arc";
  card.stratum = "KM";
  card.few_shot = 5;
  card.item_factors = {{.column = "steps"}};
  card.metrics = {{"acc", MetricKind::kAccuracy, true}, {"loss", MetricKind::kMean, false}};
  return {card};
}

TEST(ObservationColumns, AreKnownBeforeAnythingIsRecorded) {
  std::vector<std::string> names, texts;
  for (const ObservationColumn& column : ObservationColumns(SmallPlan())) {
    names.push_back(column.name);
    if (column.is_text) texts.push_back(column.name);
  }
  EXPECT_THAT(names, ElementsAre("study", "trial", "label", "model", "family", "hold_out", "N", "quantizer", "B",
                                 "bits_effective", "outliers", "Cb", "corpus", "dtype", "D", "bits", "order", "task",
                                 "stratum", "few_shot", "steps", "metric", "metric_kind", "primary", "value", "standard_error",
                                 "items", "chance", "acc_adj", "limit", "baseline_value",
                                 "bits_per_byte", "bits_per_byte_error", "baseline_bits_per_byte",
                                 "added_bits_per_byte", "added_bits_per_byte_error", "kl_choices", "kl_choices_error",
                                 "answer_characters", "answer_characters_error", "baseline_answer_characters",
                                 "fallbacks", "overlap", "record"));
  EXPECT_THAT(texts, ElementsAre("study", "trial", "label", "model", "family", "quantizer", "corpus", "dtype", "order",
                                 "task", "stratum", "metric", "metric_kind", "record"));
}

TEST(ObservationColumns, ThatAreNoFactorsAreReserved) {
  Plan plan = SmallPlan();
  for (Trial& trial : plan.trials) trial.axes.clear();
  std::vector<std::string> own;
  for (const ObservationColumn& column : ObservationColumns(plan)) {
    if (!column.factor) own.push_back(column.name);
  }
  EXPECT_THAT(ReservedColumns(), testing::IsSupersetOf(own));
}

TEST(ObservationColumns, AreWrittenWithWhatTheirFactorsAre) {
  const std::vector<ObservationColumn> columns = ObservationColumns(SmallPlan());
  const std::vector<ObservationColumn> read = ReadColumns(WriteColumns(columns), "columns.json");
  ASSERT_EQ(read.size(), columns.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].name, columns[i].name);
    EXPECT_EQ(read[i].is_text, columns[i].is_text);
    EXPECT_EQ(read[i].factor, columns[i].factor) << read[i].name;
    EXPECT_EQ(read[i].origin, columns[i].origin);
  }
  EXPECT_EQ(read[8].name, "B");
  EXPECT_EQ(read[8].factor->role, FactorRole::kPrecision);
  EXPECT_EQ(read[8].factor->anchor, Value(16));
  EXPECT_EQ(read[8].origin, "bitlaw itself");
}

TEST(PlannedObservations, HoldWhatIsKnownAndStandInsForScores) {
  const Table planned = PlannedObservations(SmallPlan(), OneCard());
  ASSERT_EQ(planned.rows(), 4u);  // Two trials, two metrics.
  EXPECT_THAT(planned.Numbers("N"), ElementsAre(1000, 1000, 1000, 1000));
  EXPECT_THAT(planned.Numbers("B"), ElementsAre(16, 16, 3, 3));
  EXPECT_THAT(planned.Numbers("outliers"), ElementsAre(IsNan(), IsNan(), 0.25, 0.25));
  EXPECT_THAT(planned.Numbers("D"), ElementsAre(36e12, 36e12, 36e12, 36e12));
  EXPECT_THAT(planned.Numbers("Cb"), ElementsAre(IsNan(), IsNan(), 8, 8));
  EXPECT_THAT(planned.Numbers("few_shot"), ElementsAre(5, 5, 5, 5));
  EXPECT_THAT(planned.Numbers("steps"), ElementsAre(1, 1, 1, 1));  // A stand-in: items have the values.
  EXPECT_THAT(planned.Numbers("bits"), ElementsAre(IsNan(), IsNan(), 3, 3));
  EXPECT_THAT(planned.At("order").texts, ElementsAre("", "", "act", "act"));
  EXPECT_THAT(planned.At("stratum").texts, ElementsAre("KM", "KM", "KM", "KM"));
  EXPECT_THAT(planned.Numbers("primary"), ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(planned.Numbers("acc_adj"), ElementsAre(0.5, IsNan(), 0.5, IsNan()));  // (0.75 - 0.5) / (1 - 0.5)
  EXPECT_THAT(planned.Numbers("kl_choices"), ElementsAre(0.5, IsNan(), 0.5, IsNan()));
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
