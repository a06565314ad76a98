#include "bitlaw/sdk/decoder/logit_peaks.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "sdk/decoder/tensor/device_kernels.h"
#include "sdk/decoder/tensor/tensor_kernels.h"

namespace bitlaw {

LogitPeaks PeaksOf(const at::Tensor& logits) {
  const int64_t rows = logits.size(0), vocabulary = logits.size(1);
  LogitPeaks peaks{std::vector<int64_t>(rows), std::vector<double>(rows)};
  if (HasKernels(logits)) {
    const at::Tensor contiguous = logits.contiguous();
    WithKernels(contiguous, [&](const auto& kernels, const auto& data) {
      const auto* from = data(contiguous);
      at::parallel_for(0, rows, 1, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          kernels.log_sum(from + r * vocabulary, vocabulary, &peaks.best[r], &peaks.log_sum[r]);
        }
      });
    });
    return peaks;
  }
  if (HasDeviceKernels(logits) && rows > 0) {
    const at::Tensor contiguous = logits.contiguous();
    const at::Tensor best = at::empty({rows}, logits.options().dtype(at::kLong));
    const at::Tensor log_sum = at::empty({rows}, logits.options().dtype(at::kDouble));
    LaunchFor(logits, "LogSum", rows, 256, contiguous.data_ptr(), static_cast<long long>(vocabulary), best.data_ptr(),
              log_sum.data_ptr());
    const at::Tensor host_best = best.cpu(), host_sum = log_sum.cpu();
    std::copy_n(host_best.data_ptr<int64_t>(), rows, peaks.best.begin());
    std::copy_n(host_sum.data_ptr<double>(), rows, peaks.log_sum.begin());
    return peaks;
  }
  const at::Tensor wide = logits.to(at::kFloat);
  const at::Tensor best = at::argmax(wide, -1).to(at::kCPU);                 // [P]
  const at::Tensor log_sum = at::logsumexp(wide, -1).to(at::kCPU, at::kDouble);  // [P]
  std::copy_n(best.data_ptr<int64_t>(), rows, peaks.best.begin());
  std::copy_n(log_sum.data_ptr<double>(), rows, peaks.log_sum.begin());
  return peaks;
}

}  // namespace bitlaw
