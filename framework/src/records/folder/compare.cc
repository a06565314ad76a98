#include "records/folder/compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

// Of a timings file: what differs from run to run, whatever the program and the machine.
bool IsOfOneRun(const std::string& name) {
  return name == "date" || name == "job" || name.ends_with("_s") || name.starts_with("peak_") ||
         name == "tokens_computed" || name == "budget_halvings";
}

void Collect(const std::string& prefix, const Value& then, const Value& now,
             std::vector<EntryDifference>& differences) {
  static const Value kNone;
  if (!then.is_map() || !now.is_map()) {
    if (!(then == now)) differences.push_back({prefix, then, now});
    return;
  }
  const std::string before = prefix.empty() ? "" : prefix + ".";
  for (const auto& [name, value] : then.AsMap()) {
    const Value* other = now.Find(name);
    Collect(before + name, value, other == nullptr ? kNone : *other, differences);
  }
  for (const auto& [name, value] : now.AsMap()) {
    if (then.Find(name) == nullptr) Collect(before + name, kNone, value, differences);
  }
}

bool Same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

double Distance(double a, double b) {
  if (Same(a, b)) return 0;
  const double distance = std::abs(a - b);
  return std::isnan(distance) ? std::numeric_limits<double>::infinity() : distance;
}

// Everything of an item but its values, as its file has it. Of generated texts records had no lengths once.
bool SameAnswers(const ItemScore& a, const ItemScore& b) {
  const bool has_both = !a.loglikelihoods_nats.empty() || (!a.lengths.empty() && !b.lengths.empty());
  return Same(a.chance, b.chance) && a.group == b.group && (!has_both || a.lengths == b.lengths) &&
         a.right == b.right && a.chosen == b.chosen && a.target == b.target && a.extracted == b.extracted;
}

void CompareItems(const std::vector<ItemScore>& then, const std::vector<ItemScore>& now, RecordComparison& comparison) {
  // Windows of one text share its id: they are told apart by their order.
  std::map<std::string, std::vector<const ItemScore*>> by_id;
  for (const ItemScore& item : now) by_id[item.id].push_back(&item);
  std::map<std::string, size_t> used;
  for (const ItemScore& item : then) {
    const auto found = by_id.find(item.id);
    const size_t place = used[item.id]++;
    if (found == by_id.end() || place >= found->second.size()) {
      ++comparison.items_in_one;
      continue;
    }
    const ItemScore& other = *found->second[place];
    ++comparison.items;
    bool is_same = SameAnswers(item, other) && item.values.size() == other.values.size();
    for (size_t m = 0; m < std::min({item.values.size(), other.values.size(), comparison.metrics.size()}); ++m) {
      MetricComparison& metric = comparison.metrics[m];
      const double distance = Distance(item.values[m].value, other.values[m].value);
      metric.items += distance > 0 ? 1 : 0;
      metric.largest_difference = std::max(metric.largest_difference, distance);
      is_same = is_same && distance == 0 && Same(item.values[m].weight, other.values[m].weight);
    }
    const auto &a = item.loglikelihoods_nats, &b = other.loglikelihoods_nats;
    is_same = is_same && a.size() == b.size();
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      const double distance = Distance(a[i], b[i]);
      comparison.largest_nats = std::max(comparison.largest_nats, distance);
      is_same = is_same && distance == 0;
    }
    if (!is_same) comparison.different_items.push_back(item.id);
  }
  comparison.items_in_one += now.size() - comparison.items;
}

void CompareTasks(const RecordStore& then, const TaskRecord& a, const RecordStore& now, const TaskRecord& b,
                  RecordComparison& comparison) {
  if (a.quantization) comparison.codes_then = a.quantization->codes_digest;
  if (b.quantization) comparison.codes_now = b.quantization->codes_digest;
  for (const MetricSummary& metric : a.metrics) {
    const auto other =
        std::find_if(b.metrics.begin(), b.metrics.end(), [&](const auto& x) { return x.name == metric.name; });
    const double value = other == b.metrics.end() ? std::numeric_limits<double>::quiet_NaN() : other->value;
    comparison.metrics.push_back({metric.name, metric.value, value, metric.standard_error, 0, 0});
  }
  CompareItems(then.Items(a), now.Items(b), comparison);
}

void CompareQuantizations(const QuantizationRecord& a, const QuantizationRecord& b, RecordComparison& comparison) {
  comparison.codes_then = a.quantization.codes_digest;
  comparison.codes_now = b.quantization.codes_digest;
  std::map<std::string, const LayerRecord*> layers;
  for (const LayerRecord& layer : b.layers) layers[layer.name] = &layer;
  for (const LayerRecord& layer : a.layers) {
    const auto other = layers.find(layer.name);
    const bool is_same = other != layers.end() && Same(other->second->bits_per_weight, layer.bits_per_weight) &&
                         other->second->fallback == layer.fallback;
    if (!is_same) comparison.layers.push_back(layer.name);
    if (other != layers.end()) layers.erase(other);
  }
  for (const auto& [name, layer] : layers) comparison.layers.push_back(name);
}

}  // namespace

std::vector<EntryDifference> Differences(const Value& then, const Value& now) {
  std::vector<EntryDifference> differences;
  Collect("", then, now, differences);
  return differences;
}

bool RecordComparison::is_equal() const {
  return codes_then == codes_now && items_in_one == 0 && different_items.empty() && layers.empty() &&
         std::all_of(metrics.begin(), metrics.end(), [](const MetricComparison& x) { return Same(x.then, x.now); });
}

RecordComparison CompareRecords(const RecordStore& then, const std::string& digest_then, const RecordStore& now,
                                const std::string& digest_now) {
  const WholeRecord a = ReadWholeRecord(then, digest_then), b = ReadWholeRecord(now, digest_now);
  RecordComparison comparison;
  comparison.key = Differences(*a.json.Find("key"), *b.json.Find("key"));
  const std::string from = then.RecordPath(digest_then).string(), to = now.RecordPath(digest_now).string();
  if (a.is_task && b.is_task) {
    CompareTasks(then, ReadTaskRecord(a.text, digest_then, from), now, ReadTaskRecord(b.text, digest_now, to),
                 comparison);
  } else if (!a.is_task && !b.is_task) {
    CompareQuantizations(ReadQuantizationRecord(a.text, digest_then, from),
                         ReadQuantizationRecord(b.text, digest_now, to), comparison);
  } else {
    throw Error(ErrorKind::kIo, from + " and " + to + ": one is of a task, the other of a quantization.");
  }
  const auto timings = [](const RecordStore& store, const std::string& digest) {
    Value found = store.Timings(digest);
    return found.is_map() ? found : Value(Value::Map{});
  };
  for (EntryDifference& difference : Differences(timings(then, digest_then), timings(now, digest_now))) {
    if (!IsOfOneRun(difference.name)) comparison.provenance.push_back(std::move(difference));
  }
  return comparison;
}

}  // namespace bitlaw
