#include "base/files/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// Ten million rows of observations, a hundred times what a large study writes.
constexpr uint64_t kMaxReadBytes = uint64_t{4} << 30;

[[noreturn]] void Fail(const fs::path& path, const char* what) {
  const std::string reason = std::strerror(errno);
  throw Error(ErrorKind::kIo, fmt::format("{}: {}: {}.", path.string(), what, reason));
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool Close() {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd) == 0;
  }

 private:
  int fd_;
};

// The rename itself is durable only once the folder that holds the name is on the disk.
void SyncFolder(const fs::path& folder) {
  Descriptor descriptor(folder, O_RDONLY | O_DIRECTORY);
  if (descriptor.get() < 0) Fail(folder, "the folder cannot be opened");
  // Some network file systems cannot sync a folder and say EINVAL; there the rename is as durable as it gets.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL) Fail(folder, "the folder cannot be synced");
}

// Makes what is missing below `within`; that itself too if it is empty.
void MakeFolder(const fs::path& folder, const fs::path& within) {
  std::error_code error;
  if (folder.empty() || fs::is_directory(folder, error)) return;
  if (folder == within) throw Error(ErrorKind::kIo, fmt::format("{}: the folder is not there any more.", folder.string()));
  const fs::path parent = folder.parent_path();
  MakeFolder(parent, within);
  fs::create_directory(folder, error);
  if (error) throw Error(ErrorKind::kIo, fmt::format("{}: the folder cannot be made: {}.", folder.string(), error.message()));
  SyncFolder(parent.empty() ? "." : parent);
}

}  // namespace

void WriteDurably(const fs::path& path, std::string_view bytes, const fs::path& within) {
  MakeFolder(path.parent_path(), within);
  // Several processes may write the same record at once, with the same bytes: each needs its own temporary file.
  static std::atomic<unsigned> counter{0};
  fs::path temporary = path;
  temporary += fmt::format(".{}.{}.tmp", ::getpid(), counter++);
  {
    Descriptor descriptor(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (descriptor.get() < 0) Fail(temporary, "the file cannot be made");
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t wrote = ::write(descriptor.get(), bytes.data() + done, bytes.size() - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) {
        const int reason = errno;
        ::unlink(temporary.c_str());
        errno = reason;
        Fail(temporary, "writing stopped");
      }
      done += static_cast<size_t>(wrote);
    }
    if (::fsync(descriptor.get()) != 0) Fail(temporary, "the file cannot be synced");
    if (!descriptor.Close()) Fail(temporary, "the file cannot be closed");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) Fail(path, "the file cannot be renamed into place");
  SyncFolder(path.has_parent_path() ? path.parent_path() : ".");
}

std::string ReadWholeFile(const fs::path& path) { return ReadRegularFile(path, kMaxReadBytes); }

}  // namespace bitlaw
