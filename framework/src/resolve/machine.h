#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "plan/plan.h"
#include "spec/decoder.h"

namespace bitlaw {

/// Bytes that this process may still write in the file system that holds `folder`, or will hold it.
BITLAW_EXPORT uintmax_t FreeBytes(const std::filesystem::path& folder);

/// The machine on which a study is to run, as far as a study depends on it.
struct BITLAW_EXPORT Machine {
  std::vector<std::string> devices;  ///< "cpu", "cuda:0", ...; empty: not known, and not asked about.
  std::string why_no_card;           ///< What to say beside of a study that needs one; "" where there are cards.
  int threads = 1;                   ///< Of all workers together.
  int workers = 0;                   ///< 0: ChosenWorkers().
  std::function<uintmax_t(const std::filesystem::path&)> free_bytes = FreeBytes;
};

/// How many worker processes suit a plan: one for each of several devices; on the CPU one a thread (16 at most) if every
/// model is small, because their matrix products are too short to share between threads; else one.
BITLAW_EXPORT int ChosenWorkers(const Plan& plan, int threads);

/// What would keep the machine from running the plan: a missing device, an output folder that cannot be written, too
/// little room there for the codes of one trial a worker. Leaves nothing behind in the output.
BITLAW_EXPORT void CheckMachine(const Plan& plan, const Machine& machine, int workers, Faults& faults);

}  // namespace bitlaw
