#include "column_order.h"

#include <ATen/ATen.h>

#include <tuple>

namespace bitlaw {

at::Tensor ColumnOrder(const at::Tensor& diagonals, int64_t group_size) {
  const auto sorted = [](const at::Tensor& values) {
    return at::sort(values, /*stable=*/true, /*dim=*/-1, /*descending=*/true);
  };
  if (group_size == 0) return std::get<1>(sorted(diagonals));  // [E, C]
  const int64_t items = diagonals.size(0), columns = diagonals.size(1), groups = columns / group_size;
  const at::TensorOptions whole = diagonals.options().dtype(at::kLong);
  const at::Tensor rest = at::arange(groups * group_size, columns, whole).expand({items, -1});
  if (groups == 0) return rest.contiguous();
  const auto [values, inside] =
      sorted(diagonals.narrow(1, 0, groups * group_size).reshape({items, groups, group_size}));  // [E, groups, G]
  const at::Tensor outside = std::get<1>(sorted(values.select(2, 0)));                           // [E, groups]
  const at::Tensor column = inside + at::arange(groups, whole).mul(group_size).unsqueeze(1);     // [E, groups, G]
  const at::Tensor order = column.gather(1, outside.unsqueeze(2).expand_as(column));
  return at::cat({order.reshape({items, groups * group_size}), rest}, 1);
}

at::Tensor GroupOrder(const at::Tensor& order, int64_t group_size) {
  return order.slice(1, 0, order.size(1), group_size).floor_divide(group_size);
}

}  // namespace bitlaw
