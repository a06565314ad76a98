#include "bitlaw/sdk/checkpoint/mapped_tensor.h"

#include <ATen/ATen.h>

#include <cstring>
#include <memory>
#include <utility>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

// What a tensor holds of a mapping for as long as it or any view of it lives. Its pages are given back then: blocks
// that were dropped do not fill memory.
struct HeldPages {
  std::shared_ptr<const MappedFile> file;
  uint64_t offset_bytes, size_bytes;
};

void LetGo(void* context) {
  const std::unique_ptr<HeldPages> held(static_cast<HeldPages*>(context));
  held->file->Release(held->offset_bytes, held->size_bytes);
}

}  // namespace

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
  auto* held = new HeldPages{std::move(file), offset_bytes, size_bytes};
  return at::for_blob(place, shape).context(held, &LetGo).options(stored).make_tensor().to(wanted);
}

bool IsMapped(const at::Tensor& tensor) {
  return tensor.defined() && tensor.has_storage() && tensor.storage().data_ptr().get_deleter() == &LetGo;
}

}  // namespace bitlaw
