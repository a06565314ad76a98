// bin/bitlaw: answers --version, sets what libraries read when they are loaded, then loads the program itself,
// lib/bitlaw/bitlaw_program.so. It links neither libtorch nor anything else that takes long to load.
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "bitlaw/sdk/machine/openblas_core.h"

namespace {

constexpr int kPluginError = 4, kFileError = 5;  // ErrorKind::kPlugin and kIo, as in the footer of --help

// libgomp's threads spin for milliseconds at the end of each parallel region. On cores that other programs use too,
// small regions then cost many times their work. libgomp reads the environment once, when it is loaded; workers inherit
// it. Who has chosen a policy keeps it.
void LetThreadsWaitQuietly() {
  if (::getenv("OMP_WAIT_POLICY") == nullptr) ::setenv("GOMP_SPINCOUNT", "2000", /*overwrite=*/0);
}

// <prefix>/bin/bitlaw -> <prefix>/lib/bitlaw/bitlaw_program.so; empty if the system does not say where the program is.
std::string LibraryPath() {
  std::string path(4096, '\0');
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0 || static_cast<size_t>(length) == path.size()) return "";
  path.resize(static_cast<size_t>(length));
  for (int level = 0; level < 2; ++level) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return "";
    path.resize(slash);
  }
  return path + "/lib/bitlaw/bitlaw_program.so";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
    if (std::puts(BITLAW_VERSION) >= 0 && std::fflush(stdout) == 0) return 0;
    std::fprintf(stderr, "bitlaw: standard output cannot be written: %s.\n", std::strerror(errno));
    return kFileError;
  }
  LetThreadsWaitQuietly();
  bitlaw::ChooseOpenBlasCore(argv);
  const std::string path = LibraryPath();
  if (path.empty()) {
    std::fprintf(stderr, "bitlaw: /proc/self/exe does not say where this program is. Mount /proc.\n");
    return kPluginError;
  }
  // Global, as if it were linked: plugins that are loaded later share its libraries.
  void* program = ::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  using Program = int (*)(int, char**);
  const auto run = program == nullptr ? nullptr : reinterpret_cast<Program>(::dlsym(program, "BitlawProgram"));
  if (run == nullptr) {
    std::fprintf(stderr, "bitlaw: %s. Build or install bitlaw anew; bin/ and lib/ belong together.\n", ::dlerror());
    return kPluginError;
  }
  return run(argc, argv);
}
