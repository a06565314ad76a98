#include "bitlaw/sdk/grids/hessian_error.h"

#include <ATen/ATen.h>

#include "math/symmetric_product.h"

namespace bitlaw {

double HessianError(const at::Tensor& given, const at::Tensor& hessian) {
  const at::Tensor d = given.to(hessian.scalar_type());  // [C_out, C_in]
  if (hessian.is_cpu()) return SymmetricForm(d, hessian);
  return at::mm(d, hessian).mul_(d).sum(at::kDouble).item<double>();
}

}  // namespace bitlaw
