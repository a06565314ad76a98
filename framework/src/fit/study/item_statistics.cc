#include "fit/study/item_statistics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "fit/refit/replicates.h"
#include "fit/solve/least_squares.h"

namespace bitlaw {

namespace {

struct Pair {
  ItemValue first, second;
};

bool IsRatio(MetricKind kind) { return kind == MetricKind::kPerplexity || kind == MetricKind::kRatio; }

double Chance(const MetricSummary& summary) { return summary.chance >= 1 ? 0 : summary.chance; }
double Adjusted(const MetricSummary& summary) { return ChanceAdjusted(summary.value, Chance(summary)); }
double AdjustedError(const MetricSummary& summary) {
  return ChanceAdjustedError(summary.standard_error, Chance(summary));
}

// Sum of the values over sum of the weights; of means every weight is 1.
struct Totals {
  double difference = 0, first = 0, second = 0, weight = 0;
  void Add(const Pair& pair, bool ratio) {
    difference += pair.second.value - pair.first.value;
    first += pair.first.value;
    second += pair.second.value;
    weight += ratio ? pair.first.weight : 1;
  }
};

}  // namespace

double McNemarP(int64_t only_first, int64_t only_second) {
  return std::min(1.0, 2 * CoinTail(std::max(only_first, only_second), only_first + only_second));
}

double DetectableDifference(double deviation, int64_t items, const PairedSettings& settings) {
  const double z = NormalQuantile(0.5 + settings.confidence / 2) + NormalQuantile(settings.power);
  return z * deviation / std::sqrt(static_cast<double>(items));
}

PairedDifference ComparePaired(const MetricCard& metric, size_t index, std::span<const ItemScore> first,
                               std::span<const ItemScore> second, const PairedSettings& settings) {
  std::map<std::string, ItemValue> by_id;
  for (const ItemScore& score : first) by_id[score.id] = score.values.at(index);
  PairedDifference result;
  std::vector<Pair> pairs;
  for (const ItemScore& score : second) {
    const auto found = by_id.find(score.id);
    if (found == by_id.end()) {
      ++result.unpaired;
      continue;
    }
    const Pair pair{found->second, score.values.at(index)};
    by_id.erase(found);
    if (std::isnan(pair.first.value) || std::isnan(pair.second.value)) {
      ++result.unpaired;
    } else {
      pairs.push_back(pair);
    }
  }
  result.unpaired += static_cast<int64_t>(by_id.size());
  result.items = static_cast<int64_t>(pairs.size());
  if (pairs.empty()) return result;

  const bool ratio = IsRatio(metric.kind);
  Totals totals;
  for (const Pair& pair : pairs) totals.Add(pair, ratio);
  result.first = totals.first / totals.weight;
  result.second = totals.second / totals.weight;
  result.difference = totals.difference / totals.weight;
  if (metric.kind == MetricKind::kPerplexity) {
    result.first = std::exp(result.first);
    result.second = std::exp(result.second);
  }
  if (metric.kind == MetricKind::kAccuracy) {
    for (const Pair& pair : pairs) {
      result.only_first += pair.first.value > pair.second.value;
      result.only_second += pair.second.value > pair.first.value;
    }
    result.mcnemar_p = McNemarP(result.only_first, result.only_second);
  }
  if (pairs.size() < 2) return result;
  const double n = static_cast<double>(pairs.size());
  double squares = 0;
  for (const Pair& pair : pairs) {
    const double weight = ratio ? pair.first.weight : 1;
    squares += std::pow(pair.second.value - pair.first.value - result.difference * weight, 2);
  }
  result.standard_error = std::sqrt(squares * n / (n - 1)) / totals.weight;
  result.detectable = DetectableDifference(result.standard_error, 1, settings);

  std::vector<double> drawn;
  const Rng rng(settings.seed);
  for (int64_t r = 0; r < settings.resamples; ++r) {
    Rng stream = rng.Fork(static_cast<uint64_t>(r));
    Totals resample;
    for (size_t i = 0; i < pairs.size(); ++i) resample.Add(pairs[stream.Below(pairs.size())], ratio);
    drawn.push_back(resample.difference / resample.weight);
  }
  if (drawn.empty()) return result;
  std::sort(drawn.begin(), drawn.end());
  result.low = Quantile(drawn, (1 - settings.confidence) / 2);
  result.high = Quantile(drawn, (1 + settings.confidence) / 2);
  return result;
}

std::vector<PartSummary> SummarizeParts(const MetricCard& metric, size_t index, std::span<const ItemScore> scores) {
  std::map<std::string, std::vector<ItemScore>> by_part;
  for (const ItemScore& score : scores) {
    if (!score.group.empty()) by_part[score.group].push_back(score);
  }
  std::vector<PartSummary> parts;
  for (const auto& [part, members] : by_part) parts.push_back({part, Summarize(metric, index, members)});
  return parts;
}

MetricSummary PoolParts(std::span<const PartSummary> parts) {
  MetricSummary pooled;
  double items = 0, value = 0, chance = 0, squares = 0;
  for (const PartSummary& part : parts) {
    const double n = static_cast<double>(part.summary.items);
    if (n == 0) continue;
    pooled.name = part.summary.name;
    pooled.items += part.summary.items;
    items += n;
    value += n * part.summary.value;
    chance += n * part.summary.chance;
    squares += (n - 1) * n * part.summary.standard_error * part.summary.standard_error;
  }
  if (items == 0) return pooled;
  pooled.value = value / items;
  pooled.chance = chance / items;
  const double variance = squares / (items - static_cast<double>(parts.size()));
  pooled.standard_error = std::sqrt(variance / items);
  return pooled;
}

std::vector<std::string> StratumAggregateNames() { return {"adjusted", "accuracy", "items", "worst"}; }

StratumAggregate ParseStratumAggregate(std::string_view name) {
  const std::vector<std::string> names = StratumAggregateNames();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error(ErrorKind::kSpec,
                "aggregate '" + std::string(name) + "' is not known. Known: " + JoinNames(names) + ".");
  }
  return static_cast<StratumAggregate>(found - names.begin());
}

StratumScore AggregateStratum(std::span<const MetricSummary> members, StratumAggregate how) {
  StratumScore score;
  for (const MetricSummary& member : members) score.items += member.items;
  score.members = static_cast<int64_t>(members.size());
  if (members.empty()) return score;
  const double k = static_cast<double>(members.size());
  double value = 0, squares = 0;
  switch (how) {
    case StratumAggregate::kAdjusted: {
      StratumMean mean;
      for (const MetricSummary& member : members) mean.Add(Adjusted(member), AdjustedError(member));
      score.value = mean.acc_adj();
      score.standard_error = mean.standard_error();
      break;
    }
    case StratumAggregate::kAccuracy:
      for (const MetricSummary& member : members) {
        value += member.value;
        squares += std::pow(member.standard_error, 2);
      }
      score.value = value / k;
      score.standard_error = std::sqrt(squares) / k;
      break;
    case StratumAggregate::kItems: {
      double chance = 0;
      const double n = static_cast<double>(score.items);
      for (const MetricSummary& member : members) {
        const double share = static_cast<double>(member.items) / n;
        value += share * member.value;
        chance += share * member.chance;
        squares += std::pow(share * member.standard_error, 2);
      }
      score.value = ChanceAdjusted(value, chance);
      score.standard_error = ChanceAdjustedError(std::sqrt(squares), chance);
      break;
    }
    case StratumAggregate::kWorst: {
      const auto worst = std::min_element(members.begin(), members.end(), [](const auto& a, const auto& b) {
        return Adjusted(a) < Adjusted(b);
      });
      score.value = Adjusted(*worst);
      score.standard_error = AdjustedError(*worst);
      break;
    }
  }
  return score;
}

}  // namespace bitlaw
