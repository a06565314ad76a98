#include "bitlaw/sdk/checkpoint/mapped_tensor.h"

#include <ATen/ATen.h>

#include <cstring>

#include "bitlaw/base/error.h"

namespace bitlaw {

at::Tensor MappedTensor(std::shared_ptr<const MappedFile> file, uint64_t offset_bytes,
                        const std::vector<int64_t>& shape, at::ScalarType stored, at::ScalarType wanted) {
  const uint64_t element_bytes = c10::elementSize(stored);
  uint64_t size_bytes = element_bytes;
  for (const int64_t size : shape) size_bytes *= static_cast<uint64_t>(size);
  if (offset_bytes > file->size_bytes() || size_bytes > file->size_bytes() - offset_bytes) {
    throw InternalError(file->path().string() + ": a tensor beyond the end of the file was asked for.");
  }
  std::byte* place = const_cast<std::byte*>(file->bytes()) + offset_bytes;
  if (reinterpret_cast<uintptr_t>(place) % element_bytes != 0) {
    at::Tensor copy = at::empty(shape, stored);
    std::memcpy(copy.data_ptr(), place, size_bytes);
    return copy.to(wanted);
  }
  // The deleter holds the mapping for as long as the tensor or any view of it lives, and then gives its pages back: blocks
  // that were dropped do not fill memory.
  const auto release = [file = std::move(file), offset_bytes, size_bytes](void*) {
    file->Release(offset_bytes, size_bytes);
  };
  return at::from_blob(place, shape, release, stored).to(wanted);
}

}  // namespace bitlaw
