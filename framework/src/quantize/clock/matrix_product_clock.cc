#include "quantize/clock/matrix_product_clock.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace bitlaw {
namespace {

// Leaves only: aten::linear and aten::matmul end in one of these.
constexpr std::string_view kProducts[] = {"aten::mm",      "aten::addmm",    "aten::addmm_",  "aten::bmm",
                                          "aten::baddbmm", "aten::baddbmm_", "aten::addmv",
                                          "bitlaw::bfloat16_product", "bitlaw::float32_product"};

std::atomic<bool> g_is_taken{false};
std::atomic<int64_t> g_nanoseconds{0};
std::atomic<int> g_threads{1};

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Started : at::ObserverContext {
  int64_t at_ns = Now();
};

std::unique_ptr<at::ObserverContext> Begin(const at::RecordFunction& function) {
  const std::string_view name = function.name();
  for (const std::string_view product : kProducts) {
    if (name == product) return std::make_unique<Started>();
  }
  return nullptr;
}

void End(const at::RecordFunction&, at::ObserverContext* context) {
  if (context == nullptr) return;
  const int64_t spent = Now() - static_cast<Started*>(context)->at_ns;
  g_nanoseconds += at::in_parallel_region() ? spent / g_threads : spent;
}

}  // namespace

MatrixProductClock::MatrixProductClock() {
  if (g_is_taken.exchange(true)) return;
  is_active_ = true;
  g_nanoseconds = 0;
  g_threads = at::get_num_threads();
  handle_ = at::addGlobalCallback(at::RecordFunctionCallback(&Begin, &End).scopes({at::RecordScope::FUNCTION}));
}

MatrixProductClock::~MatrixProductClock() {
  if (!is_active_) return;
  at::removeCallback(handle_);
  g_is_taken = false;
}

double MatrixProductClock::seconds() const { return is_active_ ? static_cast<double>(g_nanoseconds) * 1e-9 : 0.0; }

}  // namespace bitlaw
