// A hundred workers in simulated time, by the same model as docs/scaling.md.
#include <gtest/gtest.h>

#include "simulation/claims_model.h"

namespace bitlaw {
namespace {

ClaimsModel HundredWorkers() {
  ClaimsModel model;
  model.trials = 2000;
  model.workers = 100;
  model.trial_s = 30;
  return model;
}

TEST(ClaimsAtScale, EachTrialIsDoneOnceAndFewClaimsAreLost) {
  const ClaimsOutcome outcome = Simulate(HundredWorkers());
  EXPECT_EQ(outcome.done, 2000u);
  EXPECT_EQ(outcome.done_twice, 0u);
  EXPECT_LT(static_cast<double>(outcome.refused), 2.0 * static_cast<double>(outcome.claims));
  EXPECT_LT(outcome.span_s, 1.4 * outcome.ideal_s);
}

TEST(ClaimsAtScale, TrialsOfKilledWorkersAreDoneByOthers) {
  ClaimsModel model = HundredWorkers();
  model.killed = 10;
  const ClaimsOutcome outcome = Simulate(model);
  EXPECT_EQ(outcome.done, 2000u);
  EXPECT_EQ(outcome.done_twice, 0u);
}

TEST(ClaimsAtScale, ManyWorkersLookLessOften) {
  ClaimsModel model = HundredWorkers();
  model.trials = 600;
  const ClaimsOutcome usual = Simulate(model);
  model.names_per_s = std::numeric_limits<double>::infinity();
  const ClaimsOutcome unbounded = Simulate(model);
  EXPECT_EQ(unbounded.done, 600u);
  EXPECT_GT(unbounded.per_s(unbounded.lists), 1.5 * usual.per_s(usual.lists));
}

}  // namespace
}  // namespace bitlaw
