#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bitlaw {

/// What a GGUF file calls a tensor that a Hugging Face checkpoint calls `name`
/// ("model.layers.3.self_attn.q_proj.weight": "blk.3.attn_q.weight"); "" for one that it has no name for. What norms of
/// a block are called depends on the architecture, a value of general.architecture. Experts of a block have one tensor
/// [E, C_out, C_in] and so one name: "model.layers.3.mlp.experts.7.up_proj.weight" is in "blk.3.ffn_up_exps.weight".
std::string GgufName(const std::string& name, std::string_view architecture);

/// Which of its block's experts a tensor of that name belongs to (7 of the above); nullopt for any other.
std::optional<int64_t> ExpertOf(std::string_view name);

/// Whether files of this architecture have the halves of each query and key head interleaved.
bool InterleavesHeads(std::string_view architecture);

}  // namespace bitlaw
