#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

struct BITLAW_EXPORT PairedSettings {
  int64_t resamples = 2000;  ///< Of the bootstrap over items.
  uint64_t seed = 1;
  double confidence = 0.95;  ///< Of the interval, and 1 - level of the test in the detectable effect.
  double power = 0.8;        ///< Of the test in the detectable effect.
};

/// Two results of one task, compared item by item: what the items have in common cancels.
struct BITLAW_EXPORT PairedDifference {
  int64_t items = 0;     ///< That both have.
  int64_t unpaired = 0;  ///< That one of the two lacks; left out.
  /// The metric over the paired items, and second - first. Of perplexities the difference is ln(second / first), in
  /// nats a unit of weight (a token, a word, a byte).
  double first = std::numeric_limits<double>::quiet_NaN();
  double second = std::numeric_limits<double>::quiet_NaN();
  double difference = std::numeric_limits<double>::quiet_NaN();
  double standard_error = std::numeric_limits<double>::quiet_NaN();
  double low = std::numeric_limits<double>::quiet_NaN();  ///< Percentile bootstrap over items.
  double high = std::numeric_limits<double>::quiet_NaN();
  /// Accuracies alone: items that are right in one of the two, and McNemar's exact two-sided p of an even split.
  int64_t only_first = 0, only_second = 0;
  double mcnemar_p = std::numeric_limits<double>::quiet_NaN();
  /// The smallest true difference that a test at this confidence finds with this power: (z + z') standard errors.
  double detectable = std::numeric_limits<double>::quiet_NaN();
};

/// Metric `index` of two results of one task, paired by item id.
BITLAW_EXPORT PairedDifference ComparePaired(const MetricCard& metric, size_t index, std::span<const ItemScore> first,
                                             std::span<const ItemScore> second, const PairedSettings& settings = {});

/// Two-sided exact p that `only_first` and `only_second` are halves of their sum.
/// Source: McNemar 1947; the binomial form.
BITLAW_EXPORT double McNemarP(int64_t only_first, int64_t only_second);

/// The smallest true difference that `items` items can show, when single items differ with standard deviation
/// `deviation`. For paired accuracies deviation^2 is at most the share of items on which the two disagree.
BITLAW_EXPORT double DetectableDifference(double deviation, int64_t items, const PairedSettings& settings = {});

/// A part of a benchmark (a subject).
struct BITLAW_EXPORT PartSummary {
  std::string part;
  MetricSummary summary;
};
/// Metric `index` by ItemScore::group, in order of names. Empty if no item belongs to a part.
BITLAW_EXPORT std::vector<PartSummary> SummarizeParts(const MetricCard& metric, size_t index,
                                                      std::span<const ItemScore> scores);

/// All parts together: the mean over items, with the error that is left when every part has its own mean,
///   var = sum (n_i - 1) n_i se_i^2 / (sum n_i - k),  se = sqrt(var / sum n_i).
/// It is smaller than the error of the plain mean, which counts differences between parts as noise. Parts of one item
/// have no error and leave it unknown. Source: lm-evaluation-harness 0.4.13, pooled_sample_stderr.
BITLAW_EXPORT MetricSummary PoolParts(std::span<const PartSummary> parts);

/// How several benchmarks become one number.
enum class StratumAggregate {
  kAdjusted,  ///< Mean over benchmarks of (acc - chance) / (1 - chance).
  kAccuracy,  ///< Mean over benchmarks of the accuracy.
  kItems,     ///< All items alike: (acc - chance) / (1 - chance) of their mean accuracy and mean chance.
  kWorst,     ///< The smallest of the adjusted accuracies.
};
BITLAW_EXPORT std::vector<std::string> StratumAggregateNames();  ///< "adjusted", "accuracy", "items", "worst"
BITLAW_EXPORT StratumAggregate ParseStratumAggregate(std::string_view name);

struct BITLAW_EXPORT StratumScore {
  int64_t members = 0, items = 0;
  double value = std::numeric_limits<double>::quiet_NaN();
  /// Of the members' errors, taken as independent; of kWorst that of the worst member.
  double standard_error = std::numeric_limits<double>::quiet_NaN();
};
/// Accuracies of the members of a stratum -> one number. NaN without members.
BITLAW_EXPORT StratumScore AggregateStratum(std::span<const MetricSummary> members, StratumAggregate how);

}  // namespace bitlaw
