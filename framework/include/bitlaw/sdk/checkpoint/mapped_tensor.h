#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/sdk/checkpoint/mapped_file.h"

namespace bitlaw {

/// The tensor of `shape` and dtype `stored` at `offset_bytes` of `file`, as `wanted`.
///
/// A view of the mapping, which it keeps alive, if the two dtypes are equal and the place is aligned for them;
/// otherwise a copy. The caller has checked that the tensor lies within the file.
BITLAW_EXPORT at::Tensor MappedTensor(std::shared_ptr<const MappedFile> file, uint64_t offset_bytes,
                                      const std::vector<int64_t>& shape, at::ScalarType stored,
                                      at::ScalarType wanted);

/// Whether `tensor` is such a view, or a view of one: making it anew copies nothing.
BITLAW_EXPORT bool IsMapped(const at::Tensor& tensor);

}  // namespace bitlaw
