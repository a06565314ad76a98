#include "quantize/clock/phase_clock.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace bitlaw {
namespace {

// A device that does what it is given when somebody waits for it: its own clock counts the seconds of that alone.
struct Device {
  double given_s = 0;  // What it was given so far.
  double done_s = 0;
  int waits = 0;
};

class EmulatedEvents : public StreamEvents {
 public:
  explicit EmulatedEvents(Device& device) : device_(device) {}

  std::shared_ptr<const Mark> Record() override {
    auto mark = std::make_shared<Place>();
    mark->at_s = device_.given_s;
    return mark;
  }
  double SecondsBetween(const Mark& first, const Mark& second) override {
    const double end_s = static_cast<const Place&>(second).at_s;
    if (end_s > device_.done_s) ++device_.waits;
    device_.done_s = std::max(device_.done_s, end_s);
    return end_s - static_cast<const Place&>(first).at_s;
  }

 private:
  struct Place : Mark {
    double at_s = 0;
  };
  Device& device_;
};

TEST(PhaseClock, KnowsPhasesOfADeviceOnceTheyAreDoneAndWaitsForNone) {
  Device device;
  PhaseClock clock(at::kCPU, std::make_unique<EmulatedEvents>(device));
  double forward_s = 0, statistics_s = 0;
  {
    const Timed step(clock, forward_s);
    device.given_s += 5;
    const Timed observer(clock, statistics_s, &forward_s);
    device.given_s += 2;
  }
  device.given_s += 100;  // Of no phase.
  PhaseClock::Span shared = clock.Begin();
  device.given_s += 9;
  clock.End(shared);
  double first_s = 0, second_s = 1;
  clock.Add(shared, 1.0 / 3, first_s);
  clock.Add(shared, 2.0 / 3, second_s);
  EXPECT_EQ(device.waits, 0);
  EXPECT_EQ(forward_s, 0);
  clock.Settle();
  EXPECT_EQ(statistics_s, 2);
  EXPECT_EQ(forward_s, 5);  // 7 less the 2 of the phase within.
  EXPECT_DOUBLE_EQ(first_s, 3);
  EXPECT_DOUBLE_EQ(second_s, 7);
}

TEST(PhaseClock, AsksWhatIsLongDoneBeforeMarksArePiledUp) {
  Device device;
  PhaseClock clock(at::kCPU, std::make_unique<EmulatedEvents>(device));
  double sum_s = 0;
  for (int phase = 0; phase < 1500; ++phase) {
    const Timed timed(clock, sum_s);
    device.given_s += 1;
  }
  EXPECT_EQ(sum_s, 1500 - 1024);
  clock.Settle();
  EXPECT_EQ(sum_s, 1500);
}

TEST(PhaseClock, OfTheHostIsThatOfTheWall) {
  EXPECT_EQ(EventsOf(at::kCPU), nullptr);
  PhaseClock clock(at::kCPU);
  double outer_s = 0, inner_s = 0;
  const Clock::time_point start = Clock::now();
  {
    const Timed outer(clock, outer_s);
    const Timed inner(clock, inner_s, &outer_s);
    while (SecondsSince(start) < 0.01) {
    }
  }
  EXPECT_GE(inner_s, 0.009);
  EXPECT_LE(inner_s + outer_s, SecondsSince(start));
}

}  // namespace
}  // namespace bitlaw
