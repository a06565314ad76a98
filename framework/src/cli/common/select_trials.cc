#include "cli/common/select_trials.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

std::vector<size_t> SelectTrials(const Plan& plan, const std::string& pattern, const std::string& flag) {
  std::vector<size_t> trials;
  const std::string anywhere = "*" + pattern + "*";
  for (size_t i = 0; i < plan.trials.size(); ++i) {
    const Trial& trial = plan.trials[i];
    if (pattern.empty() || trial.id.starts_with(pattern) ||
        ::fnmatch(anywhere.c_str(), trial.label.c_str(), FNM_CASEFOLD) == 0) {
      trials.push_back(i);
    }
  }
  if (!trials.empty() || pattern.empty()) return trials;
  throw Error(ErrorKind::kSpec, fmt::format("{} '{}' matches none of the plan's {}. Give the start of an id or a part "
                                            "of a label, * and ? allowed: `bitlaw plan` lists them.",
                                            flag, pattern, Counted(plan.trials.size(), "trial")));
}

}  // namespace bitlaw
