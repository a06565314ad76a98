#include "base/files/file_watch.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * kSecond_ns + time.tv_nsec; }

// Two seconds are the coarsest clock in use (FAT).
bool IsSettled(const FileStamp& stamp) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return Nanoseconds(now) - std::max(stamp.changed_ns, stamp.modified_ns) > 2 * kSecond_ns;
}

}  // namespace

bool FileStamp::SameButForStatus(const FileStamp& other) const {
  return size_bytes == other.size_bytes && modified_ns == other.modified_ns && inode == other.inode;
}

FileStamp StampOf(const std::filesystem::path& file) {
  struct stat status;
  if (::stat(file.c_str(), &status) != 0) return {};
  return {status.st_size, Nanoseconds(status.st_mtim), Nanoseconds(status.st_ctim),
          static_cast<int64_t>(status.st_ino)};
}

WatchedFile Watch(const std::filesystem::path& file) {
  for (int tries = 0; tries < 3; ++tries) {
    WatchedFile watched{file, StampOf(file), "", false};
    watched.settled = IsSettled(watched.stamp);
    watched.digest = DigestOfFile(file);
    if (StampOf(file) == watched.stamp) return watched;
  }
  throw Error(ErrorKind::kIo, fmt::format("{}: the file changed each time it was read. Wait until it is written.",
                                          file.string()));
}

FileWatch::State FileWatch::Check(std::string& why) {
  State state = State::kSame;
  for (WatchedFile& file : files_) {
    const FileStamp now = StampOf(file.path);
    if (now == file.stamp && file.settled) continue;
    WatchedFile again;
    try {
      again = Watch(file.path);
    } catch (const Error& error) {
      why = error.what();
      return State::kOther;
    }
    if (again.digest != file.digest) {
      why = fmt::format("{}: the file's SHA-256 was {}, and is {}.", file.path.string(), ShortDigest(file.digest),
                        ShortDigest(again.digest));
      return State::kOther;
    }
    // Only the status differs: nobody wrote to it, so that what was read meanwhile was this content.
    if (!again.stamp.SameButForStatus(file.stamp)) state = State::kTouched;
    file = std::move(again);
  }
  return state;
}

}  // namespace bitlaw
