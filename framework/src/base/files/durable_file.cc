#include "base/files/durable_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "base/files/write_fault.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// Ten million rows of observations, a hundred times what a large study writes.
constexpr uint64_t kMaxReadBytes = uint64_t{4} << 30;

[[noreturn]] void Fail(const fs::path& path, const char* what) {
  const int reason = errno;
  throw Error(ErrorKind::kIo, fmt::format("{}: {}: {}", path.string(), what, WriteFaultText(reason)));
}

// `path` is what an error names.
void WriteAll(int descriptor, std::string_view bytes, const fs::path& path) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) Fail(path, "writing stopped");
    done += static_cast<size_t>(wrote);
  }
}

// The rename itself is durable only once the folder that holds the name is on the disk.
void SyncFolder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) Fail(folder, "the folder cannot be opened");
  // Some network file systems cannot sync a folder and say EINVAL; there the rename is as durable as it gets.
  const bool is_synced = ::fsync(descriptor) == 0 || errno == EINVAL;
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  if (!is_synced) Fail(folder, "the folder cannot be synced");
}

std::string& WriterName() {
  static std::string name;
  return name;
}

enum class Placed { kYes, kTaken, kCannot };

// A second name for a file that is there: exclusive on every file system that has links, NFS among them.
Placed PlaceByLink(const char* temporary, const char* path) {
  if (::link(temporary, path) == 0) return Placed::kYes;
  const int reason = errno;
  // A server that was asked twice, since its first answer was lost, says that the link is there: it is, to this file.
  struct stat file{};
  if (reason == EEXIST) return ::stat(temporary, &file) == 0 && file.st_nlink == 2 ? Placed::kYes : Placed::kTaken;
  errno = reason;
  return Placed::kCannot;
}

// Where there are no links: a rename that the kernel refuses if the name is taken; else one after a look.
Placed PlaceByRename(const char* temporary, const char* path) {
  if (::renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return Placed::kYes;
  if (errno == EEXIST) return Placed::kTaken;
  if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return Placed::kCannot;
  if (::access(path, F_OK) == 0) return Placed::kTaken;
  return ::rename(temporary, path) == 0 ? Placed::kYes : Placed::kCannot;
}

}  // namespace

void MakeFolders(const fs::path& folder, const fs::path& within, Synced synced) {
  std::error_code error;
  if (folder.empty() || fs::is_directory(folder, error)) return;
  if (folder == within) throw Error(ErrorKind::kIo, fmt::format("{}: the folder is not there any more.", folder.string()));
  const fs::path parent = folder.parent_path();
  MakeFolders(parent, within, synced);
  fs::create_directory(folder, error);
  if (error) throw Error(ErrorKind::kIo, fmt::format("{}: the folder cannot be made: {}.", folder.string(), error.message()));
  if (synced != Synced::kNothing) SyncFolder(parent.empty() ? "." : parent);
}

void NameTemporaries(const std::string& name) { WriterName() = name; }

DurableFile::DurableFile(fs::path path, const fs::path& within, Synced synced)
    : path_(std::move(path)), temporary_(path_), synced_(synced) {
  MakeFolders(path_.parent_path(), within, synced);
  // Several processes may write the same record at once, with the same bytes: each needs its own temporary file.
  static std::atomic<unsigned> counter{0};
  if (!WriterName().empty()) temporary_ += "." + WriterName();
  temporary_ += fmt::format(".{}.{}.tmp", ::getpid(), counter++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) Fail(path_, "the file cannot be made");
}

DurableFile::~DurableFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void DurableFile::Write(std::string_view bytes) { WriteAll(descriptor_, bytes, temporary_); }

void DurableFile::Close() {
  if (synced_ != Synced::kNothing && ::fsync(descriptor_) != 0) Fail(temporary_, "the file cannot be synced");
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0) Fail(temporary_, "the file cannot be closed");
}

void DurableFile::SyncName() const {
  if (synced_ == Synced::kFileAndFolder) SyncFolder(path_.has_parent_path() ? path_.parent_path() : ".");
}

void DurableFile::Commit() {
  Close();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) Fail(path_, "the file cannot be renamed into place");
  temporary_.clear();
  SyncName();
}

bool DurableFile::CommitNew() {
  Close();
  Placed placed = PlaceByLink(temporary_.c_str(), path_.c_str());
  const bool has_links = placed != Placed::kCannot;
  if (!has_links && (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK)) {
    placed = PlaceByRename(temporary_.c_str(), path_.c_str());
  }
  if (placed == Placed::kCannot) Fail(path_, "the file cannot be put into place");
  if (has_links || placed == Placed::kTaken) ::unlink(temporary_.c_str());
  temporary_.clear();
  if (placed == Placed::kYes) SyncName();
  return placed == Placed::kYes;
}

WaitingBytes::WaitingBytes(fs::path folder) : folder_(folder.empty() ? "." : std::move(folder)) {
  MakeFolders(folder_, {});
  std::string name = (folder_ / ".waiting.XXXXXX.tmp").string();
  descriptor_ = ::mkostemps(name.data(), /*suffix length=*/4, O_CLOEXEC);
  if (descriptor_ < 0) Fail(folder_, "no file can be made in the folder");
  ::unlink(name.c_str());
}

WaitingBytes::~WaitingBytes() { ::close(descriptor_); }

uint64_t WaitingBytes::Append(std::string_view bytes) {
  WriteAll(descriptor_, bytes, folder_);
  return std::exchange(size_, size_ + bytes.size());
}

std::string WaitingBytes::Read(uint64_t offset, uint64_t count) const {
  std::string bytes(count, '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t got =
        ::pread(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) Fail(folder_, "what was written there cannot be read back");
    if (got == 0) throw InternalError("bytes were asked for beyond those that wait in " + folder_.string());
    done += static_cast<size_t>(got);
  }
  return bytes;
}

void WriteDurably(const fs::path& path, std::string_view bytes, const fs::path& within, Synced synced) {
  DurableFile file(path, within, synced);
  file.Write(bytes);
  file.Commit();
}

bool WriteNewDurably(const fs::path& path, std::string_view bytes, const fs::path& within) {
  DurableFile file(path, within);
  file.Write(bytes);
  return file.CommitNew();
}

std::string ReadWholeFile(const fs::path& path) { return ReadRegularFile(path, kMaxReadBytes); }

}  // namespace bitlaw
