#include "fit/output/trial_costs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "records/record_store.h"

namespace bitlaw {

namespace {

constexpr double kUnset = std::numeric_limits<double>::quiet_NaN();

// `key`: elapsed_s of a task, total_s of a quantization.
double Seconds(const Value& timings, const char* key) {
  const Value* elapsed = timings.is_map() ? timings.Find(key) : nullptr;
  return elapsed != nullptr && elapsed->is_number() ? elapsed->AsReal() : kUnset;
}

}  // namespace

Table TrialCosts(const Table& observations, const std::filesystem::path& output) {
  struct Cost {
    double quantize_s = kUnset, evaluate_s = 0;
    std::set<std::string> records;
  };
  const RecordStore store(output);
  std::vector<std::string> trials;
  std::map<std::string, Cost> costs;
  bool any = false;
  for (size_t row = 0; row < observations.rows(); ++row) {
    const std::string trial = observations.TextAt("trial", row), record = observations.TextAt("record", row);
    const auto [at, is_new] = costs.emplace(trial, Cost());
    if (is_new) trials.push_back(trial);
    if (record.empty() || !at->second.records.insert(record).second) continue;
    const double seconds = Seconds(store.Timings(record), "elapsed_s");
    at->second.evaluate_s += seconds;
    any = any || !std::isnan(seconds);
    if (std::isnan(seconds) || at->second.records.size() > 1) continue;
    std::vector<std::string> faults;
    const auto read = store.FindTask(record, faults);
    if (read && read->quantization)
      at->second.quantize_s = Seconds(store.Timings(read->quantization->record), "total_s");
  }
  Table table("costs");
  if (!any) return table;
  std::vector<double> quantize, evaluate;
  for (const std::string& trial : trials) {
    quantize.push_back(costs[trial].quantize_s);
    evaluate.push_back(costs[trial].records.empty() ? kUnset : costs[trial].evaluate_s);
  }
  table.AddTexts("trial", std::move(trials));
  table.AddNumbers("quantize_s", std::move(quantize));
  table.AddNumbers("evaluate_s", std::move(evaluate));
  return table;
}

}  // namespace bitlaw
