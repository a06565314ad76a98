#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/study/item_statistics.h"
#include "records/record_store.h"
#include "records/table.h"

namespace bitlaw {

/// One benchmark of a quantized model beside the unquantized one: the items on which the two disagree.
struct BITLAW_EXPORT BenchmarkFlips {
  std::string task, stratum;
  int64_t items = 0;   ///< That both answered.
  int64_t lost = 0;    ///< Right before, wrong after.
  int64_t gained = 0;  ///< Wrong before, right after.
};
struct BITLAW_EXPORT TrialFlips {
  std::string trial, label, model, quantizer;
  std::vector<BenchmarkFlips> benchmarks;
};
struct BITLAW_EXPORT StudyFlips {
  std::vector<TrialFlips> trials;  ///< Quantized ones, in the order of the observations.
  std::vector<std::string> notes;  ///< What was left out, and why.
};

/// The flips of every quantized trial of observations (columns trial, label, model, quantizer, task, stratum, record,
/// primary, metric_kind), from the records of the same output folder. Of each task the first metric, if it is an
/// accuracy. A result without an unquantized one, or whose record cannot be read, is left out and counted in the notes.
/// Of more than `most_trials` quantized trials only so many are read, evenly spread over the order of the observations.
BITLAW_EXPORT StudyFlips ReadStudyFlips(const Table& observations, const RecordStore& store,
                                        size_t most_trials = std::numeric_limits<size_t>::max());

/// How the benchmarks of a trial become one p-value. In each, the hypothesis is that quantization changed no benchmark:
/// an item on which the two models disagree is as likely lost as gained, so that lost ~ Binomial(lost + gained, 1/2),
/// and the alternative is one-sided: more is lost.
/// Source: McNemar 1947, exact; Fisher's method for kFisher; Holm 1979 over trials. That each sample's pair of scores is
/// tested, and benchmarks combined into one decision, is the proposal of Kübler et al. 2026 (arXiv:2602.10144, abstract);
/// the combinations below are defined here.
enum class CombineBenchmarks {
  /// Of all items together: P(X >= sum lost), X ~ Binomial(sum lost + sum gained, 1/2).
  kPooled,
  /// Of the benchmark with the smallest p: the exact chance that the smallest of that many exact p-values is so small,
  ///   1 - prod_t (1 - F_t(min p)),  F_t(x) = the largest p-value not above x that benchmark t can have.
  kWorst,
  /// Fisher's: -2 sum ln p_t against chi squared with 2 k degrees of freedom. p-values of counts are coarse, which makes
  /// it conservative.
  kFisher,
  /// The smaller of kPooled and kWorst, times two (Bonferroni): finds a loss that all benchmarks share and one that a
  /// single benchmark has. The default.
  kAny,
};
BITLAW_EXPORT std::vector<std::string> CombineBenchmarksNames();  ///< "pooled", "worst", "fisher", "any"
BITLAW_EXPORT CombineBenchmarks ParseCombineBenchmarks(std::string_view name);

struct BITLAW_EXPORT DegradationSettings {
  double confidence = 0.95;  ///< 1 - the chance of one false "degraded" or more among all trials.
  CombineBenchmarks combine = CombineBenchmarks::kAny;
};

/// The one-sided p-values of a trial. NaN without a benchmark.
struct BITLAW_EXPORT DegradationTest {
  double pooled_p = std::numeric_limits<double>::quiet_NaN();
  double worst_p = std::numeric_limits<double>::quiet_NaN();
  double fisher_p = std::numeric_limits<double>::quiet_NaN();
  std::string worst_task;  ///< Of the smallest p, the first of several; "" where every p is 1.
  double Combined(CombineBenchmarks how) const;
};
BITLAW_EXPORT DegradationTest TestDegradation(std::span<const BenchmarkFlips> benchmarks);

/// Whether a quantized model has got worse, over all its benchmarks.
struct BITLAW_EXPORT DegradationVerdict {
  std::string trial, label, model;
  int64_t benchmarks = 0, items = 0, lost = 0, gained = 0;
  /// (gained - lost) / items: all items alike, as the pooled test has them.
  double change = std::numeric_limits<double>::quiet_NaN();
  /// An upper bound, one-sided at the settings' confidence, of the true loss over all items: what "not shown" leaves
  /// open. At least 0. Of this trial alone, not of the family.
  double loss_at_most = std::numeric_limits<double>::quiet_NaN();
  DegradationTest test;
  double p = std::numeric_limits<double>::quiet_NaN();       ///< test.Combined(settings.combine)
  double p_holm = std::numeric_limits<double>::quiet_NaN();  ///< Adjusted over all trials of the call.
  bool degraded = false;                                     ///< p_holm <= 1 - confidence
};

/// One verdict a trial; with probability `confidence` none of them is a false alarm, however the trials depend on each
/// other (Holm). Items are taken as independent: copies of one question, or many questions about one text, are not.
BITLAW_EXPORT std::vector<DegradationVerdict> JudgeDegradation(std::span<const TrialFlips> trials,
                                                               const DegradationSettings& settings = {});

/// Upper bound of (lost - gained) / items, one-sided. Source: Agresti and Min 2005, Statistics in Medicine 24: Wald's
/// interval after half an item is added to each of the four kinds (right or wrong, before or after).
BITLAW_EXPORT double LossAtMost(int64_t items, int64_t lost, int64_t gained, double confidence);

}  // namespace bitlaw
