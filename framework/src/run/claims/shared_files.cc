#include "run/claims/shared_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/files/durable_file.h"
#include "base/files/write_fault.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

[[noreturn]] void Fail(const fs::path& path, const char* what, int reason) {
  throw Error(ErrorKind::kIo, fmt::format("{}: {}: {}", path.string(), what, WriteFaultText(reason)));
}

// False, and errno, where not all could be written.
bool WriteAll(int descriptor, const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t wrote = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    done += static_cast<size_t>(wrote);
  }
  return true;
}

// A new file under `folder`, whose own folders are made; -1, and errno, where it cannot be made.
int OpenNew(const fs::path& folder, const fs::path& path) {
  const auto open = [&] { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); };
  const int descriptor = open();
  if (descriptor >= 0 || errno != ENOENT) return descriptor;
  std::error_code error;  // Not the folder itself: it may have been deleted, and must not come back.
  if (!fs::is_directory(folder, error)) Fail(folder, "the output folder is gone", ENOENT);
  MakeFolders(path.parent_path(), folder, Synced::kNothing);
  return open();
}

}  // namespace

bool FolderFiles::Create(const std::string& name, const std::string& content) {
  const fs::path path = folder_ / name;
  const int descriptor = OpenNew(folder_, path);
  if (descriptor < 0 && errno == EEXIST) return false;
  if (descriptor < 0) Fail(path, "the file cannot be made", errno);
  const bool is_written = WriteAll(descriptor, content);
  const int reason = errno;
  const bool is_closed = ::close(descriptor) == 0;  // NFS writes now.
  if (!is_written || !is_closed) {
    ::unlink(path.c_str());
    Fail(path, "writing stopped", is_written ? errno : reason);
  }
  return true;
}

void FolderFiles::Replace(const std::string& name, const std::string& content) {
  // Not synced: a machine that loses power beats no more.
  static std::atomic<unsigned> counter{0};
  const fs::path path = folder_ / name;
  const fs::path temporary = fmt::format("{}.{}.{}.tmp", path.string(), ::getpid(), counter++);
  const int descriptor = OpenNew(folder_, temporary);
  if (descriptor < 0) Fail(temporary, "the file cannot be made", errno);
  const bool is_written = WriteAll(descriptor, content);
  const bool is_placed = ::close(descriptor) == 0 && is_written && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (is_placed) return;
  const int reason = errno;
  ::unlink(temporary.c_str());
  Fail(path, "the file cannot be written", reason);
}

void FolderFiles::Remove(const std::string& name) {
  std::error_code ignored;
  fs::remove(folder_ / name, ignored);
}

void FolderFiles::RemoveFolder(const std::string& folder) {
  std::error_code ignored;
  fs::remove_all(folder_ / folder, ignored);
}

std::optional<std::string> FolderFiles::Read(const std::string& name) const {
  const fs::path path = folder_ / name;
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  try {
    return ReadWholeFile(path);
  } catch (const Error&) {  // Removed meanwhile.
    return std::nullopt;
  }
}

bool FolderFiles::Exists(const std::string& name) const { return ::access((folder_ / name).c_str(), F_OK) == 0; }

std::vector<std::string> FolderFiles::List(const std::string& folder) const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder_ / folder, error), end; !error && entry != end; entry.increment(error)) {
    names.push_back(entry->path().filename().string());
  }
  return names;
}

}  // namespace bitlaw
