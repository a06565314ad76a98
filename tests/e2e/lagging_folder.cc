// A library for LD_PRELOAD that lets its process see a folder as a client of a network file system does which keeps for a
// while that a name was not there: what another machine made is invisible for BITLAW_E2E_LAG_MS below BITLAW_E2E_LAG_FOLDER.
// A "machine" is a folder of its own, BITLAW_E2E_LAG_HOST, where its processes note what they made or were told of by a
// creation that failed, as such a client does. Creation, links and renames ask the real folder, and what replaced a file
// is seen by all at once: opening a name that is known asks the server. BITLAW_E2E_LAG_HOST/hidden grows by a byte whenever
// something was not seen.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace {

template <class Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

const char* Setting(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

bool IsBelow(const char* path) {
  static const char* const folder = Setting("BITLAW_E2E_LAG_FOLDER");
  return *folder != '\0' && path != nullptr && std::strncmp(path, folder, std::strlen(folder)) == 0;
}

int RealOpen(const char* path, int flags, mode_t mode) {
  static auto* const real = Real<int(const char*, int, ...)>("open");
  return real(path, flags, mode);
}
int RealStat(const char* path, struct stat* status) {
  static auto* const real = Real<int(const char*, struct stat*)>("stat");
  return real(path, status);
}

// A file of a machine's folder, or of the one beside it that is everybody's.
void NoteName(const char* within, unsigned long long inode, char (&name)[PATH_MAX]) {
  std::snprintf(name, sizeof name, "%s%s/%llu", Setting("BITLAW_E2E_LAG_HOST"), within, inode);
}

void Append(const char* file, const char* text) {
  const int reason = errno;
  const int descriptor = RealOpen(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor >= 0 && ::write(descriptor, text, std::strlen(text)) < 0) errno = 0;
  if (descriptor >= 0) ::close(descriptor);
  errno = reason;
}

// From now on this machine, or every one, knows what the name is of.
void Know(const char* path, const char* within = "") {
  const int reason = errno;
  struct stat status {};
  if (RealStat(path, &status) == 0) {
    char note[PATH_MAX];
    NoteName(within, status.st_ino, note);
    Append(note, "");
  }
  errno = reason;
}

constexpr const char* kEverybody = "/../everybody";

// Whether this machine sees a file that is there.
bool IsSeen(const char* path) {
  struct stat status {}, known {};
  if (RealStat(path, &status) != 0 || !S_ISREG(status.st_mode)) return true;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const double age_ms = 1e3 * static_cast<double>(now.tv_sec - status.st_ctim.tv_sec) +
                        1e-6 * static_cast<double>(now.tv_nsec - status.st_ctim.tv_nsec);
  if (age_ms >= std::atof(Setting("BITLAW_E2E_LAG_MS"))) return true;
  char note[PATH_MAX];
  for (const char* within : {"", kEverybody}) {
    NoteName(within, status.st_ino, note);
    if (RealStat(note, &known) == 0) return true;
  }
  std::snprintf(note, sizeof note, "%s/hidden", Setting("BITLAW_E2E_LAG_HOST"));
  Append(note, ".");
  return false;
}

int Open(const char* path, int flags, mode_t mode) {
  if (!IsBelow(path)) return RealOpen(path, flags, mode);
  if ((flags & O_CREAT) == 0 && !IsSeen(path)) {
    errno = ENOENT;
    return -1;
  }
  const int descriptor = RealOpen(path, flags, mode);
  if ((flags & O_CREAT) != 0) Know(path);
  return descriptor;
}

mode_t ModeOf(int flags, va_list& arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? static_cast<mode_t>(va_arg(arguments, int)) : 0;
}

dirent* ReadSeen(DIR* folder) {
  static auto* const real = Real<dirent*(DIR*)>("readdir");
  char link[64], path[PATH_MAX], whole[PATH_MAX + 300];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", ::dirfd(folder));
  const ssize_t size = ::readlink(link, path, sizeof path - 1);
  if (size < 0) return real(folder);
  path[size] = '\0';
  while (dirent* entry = real(folder)) {
    std::snprintf(whole, sizeof whole, "%s/%s", path, entry->d_name);
    if (!IsBelow(whole) || IsSeen(whole)) return entry;
  }
  return nullptr;
}

}  // namespace

extern "C" {
#define BITLAW_SEEN __attribute__((visibility("default")))

BITLAW_SEEN int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open(path, flags, mode);
}
BITLAW_SEEN int access(const char* path, int mode) {
  static auto* const real = Real<int(const char*, int)>("access");
  if (!IsBelow(path) || IsSeen(path)) return real(path, mode);
  errno = ENOENT;
  return -1;
}
BITLAW_SEEN int stat(const char* path, struct stat* status) {
  if (!IsBelow(path) || IsSeen(path)) return RealStat(path, status);
  errno = ENOENT;
  return -1;
}
BITLAW_SEEN FILE* fopen64(const char* path, const char* mode) {
  static auto* const real = Real<FILE*(const char*, const char*)>("fopen64");
  if (!IsBelow(path)) return real(path, mode);
  if (*mode == 'r' && !IsSeen(path)) {
    errno = ENOENT;
    return nullptr;
  }
  FILE* file = real(path, mode);
  if (*mode != 'r') Know(path);
  return file;
}
BITLAW_SEEN int link(const char* from, const char* to) {
  static auto* const real = Real<int(const char*, const char*)>("link");
  const int result = real(from, to);
  if (IsBelow(to)) Know(to);  // Also where it failed because the name is there.
  return result;
}
BITLAW_SEEN int rename(const char* from, const char* to) {
  static auto* const real = Real<int(const char*, const char*)>("rename");
  struct stat before {};
  const bool replaces = IsBelow(to) && RealStat(to, &before) == 0;
  const int result = real(from, to);
  if (IsBelow(to)) Know(to, replaces ? kEverybody : "");
  return result;
}
BITLAW_SEEN dirent* readdir(DIR* folder) { return ReadSeen(folder); }
}
