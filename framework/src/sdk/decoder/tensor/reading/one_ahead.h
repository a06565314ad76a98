#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

namespace bitlaw {

/// One numbered value that is made on a thread of its own while the caller does something else.
///
/// Threads  Its functions are the caller's, one at a time.
template <typename Value>
class OneAhead {
 public:
  /// Makes the value; asked to stop, it ends soon, by an exception.
  using Make = std::function<Value(const std::atomic<bool>& has_to_stop)>;

  OneAhead() = default;
  ~OneAhead() { GiveUp(); }
  OneAhead(const OneAhead&) = delete;
  OneAhead& operator=(const OneAhead&) = delete;

  /// Begins value `index`. One that was begun before is given up.
  void Begin(int64_t index, Make make) {
    GiveUp();
    index_ = index;
    has_to_stop_ = false;
    thread_ = std::thread([this, make = std::move(make)] {
      try {
        value_.emplace(make(has_to_stop_));
      } catch (...) {
        failure_ = std::current_exception();
      }
    });
  }

  /// Whether `index` is the one that was begun, and not yet taken or given up.
  bool Has(int64_t index) const { return thread_.joinable() && index_ == index; }

  /// Waits for the value. Throws what making it threw. Only if there is one.
  Value Take() {
    thread_.join();
    const std::exception_ptr failure = std::exchange(failure_, nullptr);
    if (failure) std::rethrow_exception(failure);
    Value value = *std::move(value_);
    value_.reset();
    return value;
  }

  /// Asks the thread to stop, waits for its end, and forgets what it made.
  void GiveUp() {
    if (!thread_.joinable()) return;
    has_to_stop_ = true;
    thread_.join();
    value_.reset();
    failure_ = nullptr;
  }

 private:
  int64_t index_ = 0;
  std::atomic<bool> has_to_stop_ = false;
  std::optional<Value> value_;  // The thread's until it is joined, as is the next.
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace bitlaw
