#include "bitlaw/api/matrix_product.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>

#include "bitlaw/base/error.h"

#ifdef BITLAW_HAS_ONEDNN
#include <dnnl.h>
#endif

namespace bitlaw {

at::Tensor TimesTransposed(const at::Tensor& x, const at::Tensor& weight) {
#ifdef BITLAW_HAS_ONEDNN
  const auto fits = [](const at::Tensor& m) {
    return m.is_cpu() && m.scalar_type() == at::kFloat && m.dim() == 2 && m.numel() > 0;
  };
  if (fits(x) && fits(weight) && x.size(1) == weight.size(1)) {
    RECORD_FUNCTION("bitlaw::float32_product", std::vector<c10::IValue>());
    const at::Tensor left = x.contiguous(), right = weight.contiguous();
    const int64_t rows = left.size(0), inner = left.size(1), columns = right.size(0);
    at::Tensor product = at::empty({rows, columns}, left.options());
    const dnnl_status_t status =
        dnnl_sgemm('N', 'T', rows, columns, inner, 1.0F, left.data_ptr<float>(), inner, right.data_ptr<float>(), inner,
                   0.0F, product.data_ptr<float>(), columns);
    if (status != dnnl_success) {
      throw InternalError("oneDNN refuses a float32 product of [" + std::to_string(rows) + ", " + std::to_string(inner) +
                          "] and [" + std::to_string(columns) + ", " + std::to_string(inner) + "] with status " +
                          std::to_string(static_cast<int>(status)) + ".");
    }
    return product;
  }
#endif
  return at::mm(x, weight.t());
}

}  // namespace bitlaw
