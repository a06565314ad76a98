#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Marks in the order of what a device is given to do, and the time that it took from one to another. To make a mark
/// waits for nothing.
class BITLAW_EXPORT StreamEvents {
 public:
  class Mark {
   public:
    virtual ~Mark() = default;
  };

  virtual ~StreamEvents() = default;
  /// After all that the device was given so far.
  virtual std::shared_ptr<const Mark> Record() = 0;
  /// Waits until the device has come to `second`, the later one.
  virtual double SecondsBetween(const Mark& first, const Mark& second) = 0;
};

/// Marks in the stream that computes on `device`. Null on the host, and with libtorch before 2.3, whose events have no
/// times.
BITLAW_EXPORT std::unique_ptr<StreamEvents> EventsOf(const at::Device& device);

}  // namespace bitlaw
