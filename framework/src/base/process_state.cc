#include "base/process_state.h"

#include <sys/stat.h>

#include <cfenv>
#include <clocale>
#include <fstream>
#include <string>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

namespace bitlaw {
namespace {

// Flush to zero and denormals are zero.
unsigned Subnormals() {
#ifdef __SSE__
  return _mm_getcsr() & 0x8040u;
#else
  return 0;
#endif
}

void SetSubnormals([[maybe_unused]] unsigned bits) {
#ifdef __SSE__
  _mm_setcsr((_mm_getcsr() & ~0x8040u) | bits);
#endif
}

// umask() can only be asked by setting it, which other threads would see.
unsigned Umask() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Umask:")) return static_cast<unsigned>(std::stoul(line.substr(6), nullptr, 8));
  }
  return 022;
}

}  // namespace

ProcessState::ProcessState()
    : rounding_(std::fegetround()), subnormals_(Subnormals()), umask_(Umask()),
      locale_(std::setlocale(LC_ALL, nullptr)) {}

std::string ProcessState::Change() const {
  std::string what;
  const auto add = [&](bool changed, const char* text) {
    if (changed) what += (what.empty() ? "" : "; ") + std::string(text);
  };
  add(std::fegetround() != rounding_, "rounds floating-point numbers in another direction");
  add(Subnormals() != subnormals_, "takes subnormal numbers in another way");
  add(Umask() != umask_, "makes files with another umask");
  add(std::setlocale(LC_ALL, nullptr) != locale_, "uses another locale");
  return what;
}

void ProcessState::Restore() const {
  RestoreThread();
  ::umask(umask_);
  std::setlocale(LC_ALL, locale_.c_str());
}

void ProcessState::RestoreThread() const {
  std::fesetround(rounding_);
  SetSubnormals(subnormals_);
}

}  // namespace bitlaw
