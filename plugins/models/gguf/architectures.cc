#include "architectures.h"

#include <array>

namespace bitlaw {
namespace {

constexpr GateActivation kGelu = GateActivation::kGeluTanh;

// Source: src/models/*.cpp and conversion/*.py of llama.cpp. Norms of Gemma are stored with the 1 that they add.
constexpr std::array<GgufArchitecture, 9> kArchitectures = {{
    {.name = "llama", .interleaved = true},
    {.name = "qwen2"},
    {.name = "qwen3"},
    {.name = "smollm3", .interleaved = true, .no_rope_period = 4},
    {.name = "olmo2", .norm_place = NormPlace::kAfter, .qk_norm_whole = true},
    {.name = "gemma", .activation = kGelu, .scales_embedding = true},
    {.name = "gemma2", .norm_place = NormPlace::kBoth, .activation = kGelu, .scales_embedding = true,
     .window_period = 2, .default_window = 4096, .blocks_of_wide_heads = 46, .softcaps = true},
    {.name = "gemma3", .norm_place = NormPlace::kBoth, .activation = kGelu, .scales_embedding = true,
     .window_period = 6, .blocks_of_wide_heads = 62, .local_rope_theta = 10000},
    {.name = "phi3", .window_period = 1, .long_rope = true},
}};

}  // namespace

const GgufArchitecture* FindGgufArchitecture(std::string_view name) {
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (architecture.name == name) return &architecture;
  }
  return nullptr;
}

std::string KnownGgufArchitectures() {
  std::string names;
  for (const GgufArchitecture& architecture : kArchitectures) {
    names += (names.empty() ? "" : ", ") + std::string(architecture.name);
  }
  return names;
}

bool HasInterleavedHeads(std::string_view architecture) {
  const GgufArchitecture* found = FindGgufArchitecture(architecture);
  return found != nullptr && found->interleaved;
}

}  // namespace bitlaw
