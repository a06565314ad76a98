#include "records/interchange/recorded_trial.h"

#include <time.h>

#include <algorithm>

namespace bitlaw {

std::string LastDate(const RecordedTrial& trial) {
  std::string last;
  for (const RecordedTask& task : trial.tasks) {
    const Value* date = task.timings.is_map() ? task.timings.Find("date") : nullptr;
    if (date != nullptr && date->is_string()) last = std::max(last, date->AsString());
  }
  return last;
}

double EpochSeconds(const std::string& date) {
  tm utc{};
  const char* end = ::strptime(date.c_str(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return end != nullptr && *end == '\0' ? static_cast<double>(::timegm(&utc)) : 0;
}

std::string OutputTypeOf(const RecordedTask& task) {
  if (!task.texts.empty() && !task.texts.front().requests.empty()) {
    const std::vector<Request>& requests = task.texts.front().requests;
    if (std::holds_alternative<GenerateRequest>(requests.front())) return "generate_until";
    if (std::holds_alternative<RollingRequest>(requests.front())) return "loglikelihood_rolling";
    return requests.size() > 1 ? "multiple_choice" : "loglikelihood";
  }
  // By what is recorded of the items.
  if (!task.record.card.convention.empty()) return "loglikelihood_rolling";
  if (!task.items.empty() && !task.items.front().loglikelihoods_nats.empty())
    return task.items.front().loglikelihoods_nats.size() > 1 ? "multiple_choice" : "loglikelihood";
  return "generate_until";
}

}  // namespace bitlaw
