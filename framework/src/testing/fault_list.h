#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/error.h"

namespace bitlaw::testing {

/// What a conformance kit found: sentences that begin with what was tried, each once, and at most twenty of them.
class FaultList {
 public:
  /// `subject`: "task 'mine'". `most`: what comes after so many faults is not kept.
  explicit FaultList(std::string subject, size_t most = 20) : subject_(std::move(subject)), most_(most) {}
  FaultList(const FaultList&) = delete;  // A copy would keep what it is told to itself.
  FaultList& operator=(const FaultList&) = delete;

  /// Adds "<subject>: <what>".
  void operator()(const std::string& what) {
    const std::string text = subject_ + ": " + what;
    if (all_.size() < most_ && std::find(all_.begin(), all_.end(), text) == all_.end()) all_.push_back(text);
  }

  /// Calls `body`; what it throws is a fault, and no reason to stop.
  void Try(const std::function<void()>& body) {
    try {
      body();
    } catch (const Error& error) {
      (*this)("it cannot be tried: " + std::string(error.what()));
    } catch (const std::exception& error) {
      (*this)("it throws '" + std::string(error.what()) + "', which is no bitlaw::Error.");
    }
  }

  const std::vector<std::string>& all() const { return all_; }

 private:
  std::string subject_;
  size_t most_;
  std::vector<std::string> all_;
};

}  // namespace bitlaw::testing
