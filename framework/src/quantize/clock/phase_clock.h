#pragma once

#include <c10/core/Device.h>

#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "bitlaw/sdk/machine/device_code.h"
#include "quantize/clock/stream_events.h"

namespace bitlaw {

using Clock = std::chrono::steady_clock;

inline double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What phases of work on a device take: the device's own time of what it is given in them, known once it is done.
/// Nobody waits for that; where there are no events, each phase begins and ends with waiting. On the host times are
/// known at once.
class PhaseClock {
 public:
  struct Span {
    std::shared_ptr<const StreamEvents::Mark> first, last;  // Null without events.
    Clock::time_point start{};
    double elapsed_s = 0;
  };

  explicit PhaseClock(const at::Device& device) : PhaseClock(device, EventsOf(device)) {}
  PhaseClock(const at::Device& device, std::unique_ptr<StreamEvents> events)
      : device_(device), events_(std::move(events)) {}
  PhaseClock(const PhaseClock&) = delete;
  PhaseClock& operator=(const PhaseClock&) = delete;

  Span Begin() {
    Span span;
    if (events_) {
      span.first = events_->Record();
    } else {
      WaitForDevice(device_);
      span.start = Clock::now();
    }
    return span;
  }

  void End(Span& span) {
    if (events_) {
      span.last = events_->Record();
    } else {
      WaitForDevice(device_);
      span.elapsed_s = SecondsSince(span.start);
    }
  }

  /// Adds the time of a span that has ended, times `factor`, to `sum`: now or in Settle(). `sum` stays in its place
  /// until then.
  void Add(const Span& span, double factor, double& sum) {
    if (!events_) {
      sum += factor * span.elapsed_s;
      return;
    }
    owed_.push_back({span, factor, &sum});
    while (owed_.size() > kMostOwed) Pay();  // The device was there long ago.
  }

  /// All sums are complete after it.
  void Settle() {
    while (!owed_.empty()) Pay();
  }

 private:
  static constexpr size_t kMostOwed = 1024;

  struct Owed {
    Span span;
    double factor;
    double* sum;
  };

  void Pay() {
    const Owed owed = std::move(owed_.front());
    owed_.pop_front();
    *owed.sum += owed.factor * events_->SecondsBetween(*owed.span.first, *owed.span.last);
  }

  const at::Device device_;
  const std::unique_ptr<StreamEvents> events_;
  std::deque<Owed> owed_;
};

/// Adds the time of its scope to `sum`, and takes it from that of the phase around it, if there is one.
class Timed {
 public:
  Timed(PhaseClock& clock, double& sum, double* around = nullptr)
      : clock_(clock), sum_(sum), around_(around), span_(clock.Begin()) {}
  ~Timed() {
    try {
      clock_.End(span_);
      clock_.Add(span_, 1, sum_);
      if (around_ != nullptr) clock_.Add(span_, -1, *around_);
    } catch (...) {  // A device that failed says so again where it is next asked for something.
    }
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  PhaseClock& clock_;
  double& sum_;
  double* const around_;
  PhaseClock::Span span_;
};

}  // namespace bitlaw
