#include "quantize/clock/stream_events.h"

#include "bitlaw/sdk/machine/torch_version.h"

#if BITLAW_TORCH_AT_LEAST(2, 3)
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#endif

namespace bitlaw {

#if BITLAW_TORCH_AT_LEAST(2, 3)

namespace {

struct TimedEvent : StreamEvents::Mark {
  explicit TimedEvent(c10::DeviceType type) : event(type, c10::EventFlag::BACKEND_DEFAULT) {}
  c10::Event event;
};

class TorchEvents : public StreamEvents {
 public:
  explicit TorchEvents(const at::Device& device) : device_(device), streams_(device.type()) {}

  std::shared_ptr<const Mark> Record() override {
    auto mark = std::make_shared<TimedEvent>(device_.type());
    mark->event.record(streams_.getStream(device_));
    return mark;
  }

  double SecondsBetween(const Mark& first, const Mark& second) override {
    const c10::Event& last = static_cast<const TimedEvent&>(second).event;
    last.synchronize();
    return static_cast<const TimedEvent&>(first).event.elapsedTime(last) * 1e-3;  // Milliseconds.
  }

 private:
  const at::Device device_;
  const c10::impl::VirtualGuardImpl streams_;
};

}  // namespace

std::unique_ptr<StreamEvents> EventsOf(const at::Device& device) {
  return device.is_cpu() ? nullptr : std::make_unique<TorchEvents>(device);
}

#else

std::unique_ptr<StreamEvents> EventsOf(const at::Device&) { return nullptr; }

#endif

}  // namespace bitlaw
