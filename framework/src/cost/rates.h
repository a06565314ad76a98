#pragma once

#include <filesystem>
#include <string>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// How fast a machine computes, as far as an estimate depends on it. The defaults are round numbers of one core
/// of a server's processor with AVX-512.
struct BITLAW_EXPORT Rates {
  double float32_flops = 100e9;     ///< Of large products, with the threads of one worker, or on one device; a second.
  double bfloat16_flops = 100e9;
  double half_width = 48;           ///< Width of a layer at which products reach half of that.
  double solver_share = 0.35;       ///< Of float32_flops: factorizations and column walks.
  double weight_s = 4e-9;           ///< To round one weight to nearest.
  double layer_s = 4e-4;            ///< Of each layer that is quantized, beside its arithmetic.
  double step_layer_s = 1e-5;       ///< Of each layer in a pass of one token a text.
  double token_s = 4e-6;            ///< Of each evaluated token beside its arithmetic, generated or read.
  double memory_bytes_per_s = 10e9; ///< At which weights are read in a pass of one token a text.
  double disk_bytes_per_s = 1e9;    ///< At which checkpoints are opened.
  double trial_s = 0.02;            ///< Of a trial: opening, claim, calibration text.
  double record_s = 4e-3;           ///< Of a record: syncs of the file system.
  double start_s = 1.5;             ///< Of a worker process.
  double memory_bytes = 0;          ///< Of the machine, or of one device; 0: not known.
  std::string source = "assumed of a server's core, since nothing is measured in a build without libtorch";  ///< Where they come from, for people.

  static Rates OfCard();  ///< Round numbers of a server's GPU.
  double flops(Dtype dtype) const { return dtype == Dtype::kFloat32 ? float32_flops : bfloat16_flops; }
};

/// What a file of rates (configs/machines) may say.
BITLAW_EXPORT const OptionSchema& RatesSchema();

/// Reads such a file. One Error(kSpec) with every fault, Error(kIo) where there is none.
BITLAW_EXPORT Rates ReadRates(const std::filesystem::path& file);

/// Bytes of memory that processes here may use: the machine's, or less where a control group (a container's, a batch
/// job's) allows less. 0: not known.
BITLAW_EXPORT double MachineMemoryBytes();

}  // namespace bitlaw
