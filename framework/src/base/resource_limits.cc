#include "base/resource_limits.h"

#include <algorithm>

namespace bitlaw {
namespace {

bool Get(size_t which, rlimit& limit) { return ::getrlimit(static_cast<__rlimit_resource>(which), &limit) == 0; }
bool Set(size_t which, const rlimit& limit) { return ::setrlimit(static_cast<__rlimit_resource>(which), &limit) == 0; }

}  // namespace

ResourceLimits::ResourceLimits() {
  for (size_t i = 0; i < limits_.size(); ++i) Get(i, limits_[i]);
}

bool ResourceLimits::Restore() const {
  bool is_whole = true;
  for (size_t i = 0; i < limits_.size(); ++i) {
    rlimit now{};
    if (!Get(i, now)) continue;
    // RLIM_INFINITY is the greatest of the numbers.
    const rlimit wanted = {std::max(now.rlim_cur, limits_[i].rlim_cur), std::max(now.rlim_max, limits_[i].rlim_max)};
    if (wanted.rlim_cur == now.rlim_cur && wanted.rlim_max == now.rlim_max) continue;
    if (Set(i, wanted)) continue;
    is_whole = false;
    Set(i, {std::min(wanted.rlim_cur, now.rlim_max), now.rlim_max});
  }
  return is_whole;
}

}  // namespace bitlaw
