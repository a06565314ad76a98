#include "bitlaw/sdk/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// Closes on every way out; the mapping stays valid after its descriptor is closed.
struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::Open(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& what) { throw Error(ErrorKind::kIo, path.string() + ": " + what); };
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) fail(std::string("cannot be opened: ") + std::strerror(errno) + ".");
  struct stat status {};
  if (fstat(file.number, &status) != 0) fail(std::string("cannot be examined: ") + std::strerror(errno) + ".");
  if (!S_ISREG(status.st_mode)) fail("is not a regular file.");
  if (status.st_size == 0) fail("is empty. The file was cut off.");
  const auto size_bytes = static_cast<uint64_t>(status.st_size);
  void* bytes = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.number, 0);
  if (bytes == MAP_FAILED) fail(std::string("cannot be mapped into memory: ") + std::strerror(errno) + ".");
  return std::shared_ptr<const MappedFile>(new MappedFile(path, static_cast<std::byte*>(bytes), size_bytes));
}

MappedFile::~MappedFile() { munmap(bytes_, size_bytes_); }

}  // namespace bitlaw
