// libFuzzer's entry: bitlaw_fuzz --target=<name> [libFuzzer's own options] <corpus folder>...
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fuzz/target.h"

namespace {

const bitlaw::fuzz::Target* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--target=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view word = (*argv)[i];
    if (word.starts_with(kOption)) chosen = bitlaw::fuzz::FindTarget(word.substr(kOption.size()));
  }
  if (chosen != nullptr) return 0;
  std::fprintf(stderr, "bitlaw_fuzz: --target=<name> must name one of:");
  for (const auto& target : bitlaw::fuzz::Targets()) std::fprintf(stderr, " %s", target.name);
  std::fprintf(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bitlaw::fuzz::RunOnce(*chosen, {reinterpret_cast<const char*>(data), size});
  return 0;
}
