#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bitlaw {

/// What a GGUF file calls a tensor that a Hugging Face checkpoint calls `name`
/// ("model.layers.3.self_attn.q_proj.weight": "blk.3.attn_q.weight"); "" for one that it has no name for. What norms of a block are called depends on the
/// architecture, a value of general.architecture.
std::string GgufName(const std::string& name, std::string_view architecture);

/// Whether files of this architecture have the halves of each query and key head interleaved.
bool InterleavesHeads(std::string_view architecture);

}  // namespace bitlaw
