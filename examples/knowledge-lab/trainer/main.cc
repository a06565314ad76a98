#include <ATen/Parallel.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/openblas_core.h"
#include "../world/tasks.h"
#include "train.h"

namespace bitlaw::lab {

const std::vector<Rung>& Ladder() {
  auto net = [](const char* family, int64_t hidden, int64_t layers, int64_t heads, int64_t kv_heads, int64_t ffn,
                int64_t experts = 0) {
    NetConfig config;
    config.family = family;
    config.hidden = hidden, config.layers = layers, config.heads = heads, config.kv_heads = kv_heads, config.ffn = ffn;
    config.head_dim = hidden / heads;
    config.experts = experts, config.chosen = experts > 0 ? 2 : 0;
    return config;
  };
  static const std::vector<Rung> ladder = {
      {"lab-qwen3-123k", net("qwen3", 64, 2, 4, 2, 256), 5000, 4096, 4e-3, 0.05, 1},
      {"lab-qwen3-240k", net("qwen3", 96, 2, 6, 3, 320), 5000, 4096, 4e-3, 0.05, 2},
      {"lab-qwen3-492k", net("qwen3", 128, 2, 4, 2, 512), 5000, 4096, 3e-3, 0.05, 1},
      {"lab-qwen3-985k", net("qwen3", 128, 4, 4, 2, 512), 5000, 4096, 3e-3, 0.05, 1},
      {"lab-qwen3-1.8m", net("qwen3", 192, 4, 6, 3, 576), 5000, 4096, 2.5e-3, 0.05, 1},
      {"lab-qwen3-3.9m", net("qwen3", 256, 5, 8, 4, 768), 5000, 4096, 2e-3, 0.05, 1},
      {"lab-llama-123k", net("llama", 64, 2, 4, 2, 256), 5000, 4096, 4e-3, 0.05, 1},
      {"lab-llama-492k", net("llama", 128, 2, 4, 2, 512), 5000, 4096, 3e-3, 0.05, 1},
      {"lab-llama-985k", net("llama", 128, 4, 4, 2, 512), 5000, 4096, 3e-3, 0.05, 1},
      {"lab-moe-518k", net("qwen3_moe", 64, 2, 4, 2, 160, 8), 5000, 4096, 4e-3, 0.05, 1},
      {"lab-moe-1.3m", net("qwen3_moe", 128, 2, 4, 2, 192, 8), 5000, 4096, 3e-3, 0.05, 1},
      {"lab-moe-2.6m", net("qwen3_moe", 128, 4, 4, 2, 192, 8), 5000, 4096, 3e-3, 0.05, 1},
  };
  return ladder;
}

const Rung& FindRung(const std::string& name) {
  std::vector<std::string> names;
  for (const Rung& rung : Ladder()) {
    if (rung.name == name) return rung;
    names.push_back(rung.name);
  }
  throw Error(ErrorKind::kSpec, "'" + name + "' is no rung of the ladder." + DidYouMean(name, names) +
                                    " Rungs: " + JoinNames(names) + ".");
}

World LabWorld() { return World(20261122); }

}  // namespace bitlaw::lab

int main(int argc, char** argv) {
  bitlaw::ChooseOpenBlasCore(argv);
  using namespace bitlaw::lab;
  CLI::App app{"Makes the knowledge lab: a small world, models trained on it, and the tasks that ask about it.",
               "bitlaw_lab"};
  app.require_subcommand(1);
  std::string rung_name, folder;
  TaskFiles files;
  int64_t steps = 0;
  uint64_t seed = 0;
  double checkpoint_s = 30;
  std::vector<int64_t> snapshots;
  CLI::App* train = app.add_subcommand("train", "Train one rung, or go on where it stopped");
  train->add_option("rung", rung_name, "Which rung; see list")->required();
  train->add_option("--output", folder, "Folder for checkpoint, log and the finished model")->required();
  train->add_option("--steps", steps, "Other than the rung's own number of steps, for a trial run");
  train->add_option("--seed", seed, "Other than the rung's own seed, for a trial run");
  train->add_option("--checkpoint-seconds", checkpoint_s, "Seconds between checkpoints")->capture_default_str();
  train->add_option("--snapshots", snapshots, "Steps after which the model is written as it is then, as 50,500")
      ->delimiter(',');
  CLI::App* list = app.add_subcommand("list", "Show the ladder");
  CLI::App* tasks = app.add_subcommand("tasks", "Write the tasks (YAML and JSONL) and calibration texts");
  tasks->add_option("--prefix", files.prefix, "First part of every task's name")->capture_default_str();
  tasks->add_option("--items", files.items, "Items a task")->capture_default_str();
  tasks->add_option("--text-tokens", files.text_tokens, "Tokens a calibration text")->capture_default_str();
  tasks->add_option("--output", folder, "Folder to write to")->required();
  try {
    app.parse(argc, argv);
    if (*train) {
      at::set_num_threads(1);  // Two rungs at once use two cores better than one rung does.
      Rung rung = FindRung(rung_name);
      if (steps > 0) rung.steps = steps;
      if (seed > 0) rung.seed = seed;
      Train(rung, LabWorld(), folder, checkpoint_s, snapshots);
    } else if (*tasks) {
      WriteTasks(LabWorld(), files, folder);
    } else if (*list) {
      for (const Rung& rung : Ladder()) {
        std::printf("%-16s %9lld non-embedding parameters, %lld tokens of training\n", rung.name.c_str(),
                    static_cast<long long>(rung.net.parameters_non_embedding()),
                    static_cast<long long>(rung.steps * rung.rows));
      }
    }
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const bitlaw::Error& error) {
    std::fprintf(stderr, "bitlaw_lab: %s\n", error.what());
    return 2 + static_cast<int>(error.kind());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bitlaw_lab: internal error: %s\n", error.what());
    return 1;
  }
}
