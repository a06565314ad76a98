#include "bitlaw/base/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// A pointer is below 1,024 bytes by its specification, and its first line is the version.
constexpr uint64_t kMaxPointerBytes = 1024;
constexpr std::string_view kPointerBeginnings[] = {"version https://git-lfs.github.com/spec/",
                                                   "version https://hawser.github.com/spec/"};

// As large a piece as the kernel reads at once without strain; a large file takes its bytes in such pieces.
constexpr size_t kPieceBytes = size_t{64} << 20;

[[noreturn]] void Fail(const std::filesystem::path& path, const std::string& what) {
  throw Error(ErrorKind::kIo, path.string() + ": " + what);
}

[[noreturn]] void FailWithErrno(const std::filesystem::path& path, const char* what) {
  Fail(path, std::string(what) + ": " + std::strerror(errno) + ".");
}

void RequireRegular(const std::filesystem::path& path, mode_t mode) {
  if (S_ISREG(mode)) return;
  if (S_ISDIR(mode)) Fail(path, "is a folder, where a file is needed.");
  const char* type = S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
  Fail(path, std::string("is ") + type +
                 ", where a regular file is needed: its size is checked before it is read. Write the content to a "
                 "file first.");
}

// Up to `size` bytes into `bytes`; fewer only at the end of the file.
size_t ReadInto(const std::filesystem::path& path, int descriptor, char* bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor, bytes + done, std::min(size - done, kPieceBytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) FailWithErrno(path, "reading stopped");
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void RefuseGitLfsPointer(const std::filesystem::path& path, int descriptor, uint64_t size_bytes) {
  if (size_bytes > kMaxPointerBytes) return;
  char bytes[kMaxPointerBytes];
  const ssize_t got = ::pread(descriptor, bytes, sizeof bytes, 0);
  const std::string_view text(bytes, static_cast<size_t>(std::max<ssize_t>(got, 0)));
  const bool is_pointer =
      std::any_of(std::begin(kPointerBeginnings), std::end(kPointerBeginnings),
                  [&](std::string_view beginning) { return text.substr(0, beginning.size()) == beginning; }) &&
      text.find("\noid ") != std::string_view::npos;
  if (!is_pointer) return;
  std::string stands_for = "another file";
  if (const size_t size = text.find("\nsize "); size != std::string_view::npos) {
    const std::string_view rest = text.substr(size + 6);
    const size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    if (digits > 0) stands_for = "a file of " + std::string(rest.substr(0, digits)) + " bytes";
  }
  Fail(path, "is a Git LFS pointer of " + std::to_string(text.size()) + " bytes that stands for " + stands_for +
                 ". Fetch the file itself: 'git lfs pull' in the repository, or download it again.");
}

struct stat StatusOf(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) FailWithErrno(path, "cannot be read");
  return status;
}

}  // namespace

RegularFile::RegularFile(const std::filesystem::path& path) : path_(path) {
  // Opening can already act on a device, so the type is asked before; and it may have been exchanged since, so after.
  RequireRegular(path, StatusOf(path).st_mode);
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) FailWithErrno(path, "cannot be read");
  try {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) FailWithErrno(path, "cannot be examined");
    RequireRegular(path, status.st_mode);
    size_bytes_ = static_cast<uint64_t>(status.st_size);
    RefuseGitLfsPointer(path, descriptor_, size_bytes_);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

RegularFile::~RegularFile() { ::close(descriptor_); }

void RegularFile::RequireAtMost(uint64_t max_bytes) const {
  if (size_bytes_ <= max_bytes) return;
  throw Error(ErrorKind::kBudget, path_.string() + ": has " + std::to_string(size_bytes_) + " bytes. At most " +
                                      std::to_string(max_bytes) + " are accepted.");
}

std::string ReadRegularFile(const std::filesystem::path& path, uint64_t max_bytes) {
  const RegularFile file(path);
  file.RequireAtMost(max_bytes);
  std::string bytes(file.size_bytes(), '\0');
  bytes.resize(ReadInto(path, file.descriptor(), bytes.data(), bytes.size()));
  // What grew meanwhile, and what has no size until it is read.
  char more[1 << 16];
  while (const size_t got = ReadInto(path, file.descriptor(), more, sizeof more)) {
    if (got > max_bytes - bytes.size()) {
      throw Error(ErrorKind::kBudget, path.string() + ": has more than " + std::to_string(max_bytes) +
                                          " bytes, which is the limit.");
    }
    bytes.append(more, got);
  }
  return bytes;
}

}  // namespace bitlaw
