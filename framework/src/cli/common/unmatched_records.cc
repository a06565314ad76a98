#include "cli/common/unmatched_records.h"

#include <fmt/format.h>

#include "base/text/counted.h"
#include "records/record_store.h"

namespace bitlaw {

std::string UnmatchedRecords(const Plan& plan, const std::string& study_file) {
  const std::string trials = "the study's " + Counted(plan.trials.size(), "trial");
  const std::string folder = (plan.study.output / "records").string();
  const size_t there = RecordStore(plan.study.output).Count();
  if (there == 0) return fmt::format("{} has no records of {}. `bitlaw run {}` makes them.", folder, trials, study_file);
  return fmt::format(
      "{} has {}, but none matches {} as far as is known without reading models: digests of the models or "
      "calibration texts, as they are now, were not yet taken in this folder, or the records are of other data, models "
      "or "
      "options. `bitlaw run {}` looks, and does what is missing.",
      folder, Counted(there, "record"), trials, study_file);
}

}  // namespace bitlaw
