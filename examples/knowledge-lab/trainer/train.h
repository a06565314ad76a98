#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "net.h"
#include "../world/world.h"

namespace bitlaw::lab {

/// One model of the ladder: its shape and how it is trained. Everything follows from these numbers.
struct Rung {
  std::string name;
  NetConfig net;                      ///< vocab is filled in from the world.
  int64_t steps = 5000, rows = 4096;  ///< rows: tokens a step.
  double rate = 3e-3, decay = 0.05;
  uint64_t seed = 1;
};

/// Every rung, smallest first within its family.
const std::vector<Rung>& Ladder();
const Rung& FindRung(const std::string& name);  ///< Error(kSpec) with a "did you mean".

/// The world that every rung is trained on.
World LabWorld();

/// Trains a rung, or goes on from <folder>/checkpoint.bin. Writes the checkpoint (at once every `checkpoint_s` seconds,
/// by rename), <folder>/log.csv (step, tokens, loss, accuracy of each kind) and, when done, the Hugging Face folder.
/// Killed at any moment it loses at most checkpoint_s seconds; the result is the same as without the kill. After each of
/// the steps `snapshots` it also writes the model as it is then, as <folder>/<rung>-step<n>: a trajectory of training.
void Train(const Rung& rung, const World& world, const std::filesystem::path& folder, double checkpoint_s,
           const std::vector<int64_t>& snapshots = {});

/// config.json, model.safetensors (bfloat16), tokenizer.json, tokenizer_config.json, generation_config.json.
void ExportHuggingFace(const Rung& rung, Net& net, const World& world, const std::filesystem::path& folder);

/// Share of `items` whose whole answer is the argmax, token by token: what greedy generation scores.
double GreedyAccuracy(Net& net, const World& world, const std::vector<Item>& items);

}  // namespace bitlaw::lab
