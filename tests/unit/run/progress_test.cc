#include "run/progress.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <limits>

namespace bitlaw {
namespace {

LaunchProgress Halfway() {
  LaunchProgress progress;
  progress.tasks_total = 100;
  progress.tasks_at_start = 20;
  progress.tasks_done = 60;
  progress.elapsed_s = 80;
  progress.remaining_s = 80;
  progress.current = "tiny gptq bits=3: evaluate arc_easy";
  progress.last_score = "arc_easy acc 0.42 +- 0.02";
  return progress;
}

TEST(DurationText, FitsItsUnitToItsSize) {
  EXPECT_EQ(DurationText(40), "40 s");
  EXPECT_EQ(DurationText(720), "12 min");
  EXPECT_EQ(DurationText(3.5 * 3600), "3.5 h");
  EXPECT_EQ(DurationText(3 * 86400), "3.0 d");
  EXPECT_EQ(DurationText(std::numeric_limits<double>::quiet_NaN()), "?");
}

TEST(ProgressLine, TellsHowFarItIsAndTheTimeLeft) {
  EXPECT_EQ(ProgressLine(Halfway(), 200),
            "[60/100] 60 %, 80 s left | tiny gptq bits=3: evaluate arc_easy | arc_easy acc 0.42 +- 0.02");
}

TEST(ProgressLine, SaysThatItDoesNotKnowYet) {
  LaunchProgress progress = Halfway();
  progress.tasks_done = progress.tasks_at_start;
  progress.remaining_s = LaunchProgress().remaining_s;
  EXPECT_EQ(ProgressLine(progress, 24), "[20/100] 20 %, ? left | ");
}

TEST(LogLine, BeginsWithTheTimeAndHowFarItIs) {
  ::setenv("TZ", "UTC", 1);
  LaunchProgress progress = Halfway();
  EXPECT_EQ(LogLine(progress, "tiny done", 1764338592), "2025-11-28 14:03:12 [60/100, 80 s left] tiny done");
  progress.trials_failed = 2;
  EXPECT_EQ(LogLine(progress, "tiny done", 1764338592), "2025-11-28 14:03:12 [60/100, 80 s left, 2 failed] tiny done");
  EXPECT_EQ(LogLine({}, "note: joins", 1764338592), "2025-11-28 14:03:12 note: joins");
}

TEST(ProgressLine, CountsFailures) {
  LaunchProgress progress = Halfway();
  progress.trials_failed = 2;
  EXPECT_EQ(ProgressLine(progress, 40), "[60/100] 60 %, 80 s left | 2 failed | ti");
}

}  // namespace
}  // namespace bitlaw
