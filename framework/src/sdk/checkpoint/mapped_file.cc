#include "bitlaw/sdk/checkpoint/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"

namespace bitlaw {

std::shared_ptr<const MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  const RegularFile file(path);  // The mapping stays valid after it is closed.
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::kIo, path.string() + ": " + what); };
  if (file.size_bytes() == 0) fail("is empty. The file was cut off.");
  void* bytes =
      mmap(nullptr, file.size_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.descriptor(), 0);
  if (bytes == MAP_FAILED) fail(std::string("cannot be mapped into memory: ") + std::strerror(errno) + ".");
  return std::shared_ptr<const MappedFile>(new MappedFile(path, static_cast<std::byte*>(bytes), file.size_bytes()));
}

void MappedFile::Release(uint64_t offset, uint64_t count) const {
  static const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = (offset + page - 1) / page * page, end = (offset + count) / page * page;
  if (begin < end) madvise(bytes_ + begin, end - begin, MADV_DONTNEED);  // Advice: where it is not taken, pages stay.
}

MappedFile::~MappedFile() { munmap(bytes_, size_bytes_); }

}  // namespace bitlaw
