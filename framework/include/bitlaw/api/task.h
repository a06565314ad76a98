#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "bitlaw/api/factor.h"
#include "bitlaw/base/export.h"

namespace bitlaw {

/// The three kinds of question that a benchmark may ask a model. Their semantics are those of
/// lm-evaluation-harness (docs/evaluation.md has the worked table of windows).

/// ln p(continuation | context). Trailing white space of `context` moves to the continuation before encoding.
struct BITLAW_EXPORT LoglikelihoodRequest {
  std::string context;  ///< May be empty: then the tokenizer's prefix token (BOS, else EOS) is the context.
  std::string continuation;
};

/// How a long text is cut into windows for perplexity. A perplexity means nothing without its convention.
enum class WindowConvention {
  /// GPTQ paper: the text is tokenized once, cut into disjoint windows of `window_tokens`, the rest dropped;
  /// each window predicts window_tokens - 1 tokens with no context from before it.
  kDisjoint,
  /// lm-evaluation-harness rolling: every token is predicted once, context of one token between windows.
  kRolling,
};

/// ln p(text), window by window.
struct BITLAW_EXPORT RollingRequest {
  std::string text;
  WindowConvention convention = WindowConvention::kDisjoint;
  int64_t window_tokens = 2048;
  int64_t max_windows = 0;  ///< 0: all. Otherwise the first so many; recorded and flagged as a limit.
};

/// Greedy continuation of `context` until one of `until` appears, a stop token is drawn, or the limit is hit.
struct BITLAW_EXPORT GenerateRequest {
  std::string context;
  std::vector<std::string> until;
  int64_t max_new_tokens = 32;
};

using Request = std::variant<LoglikelihoodRequest, RollingRequest, GenerateRequest>;

struct BITLAW_EXPORT LoglikelihoodResponse {
  double loglikelihood_nats = std::numeric_limits<double>::quiet_NaN();
  bool is_greedy = false;  ///< Every continuation token is the argmax.
  int64_t tokens = 0;      ///< Scored tokens.
};

struct BITLAW_EXPORT WindowLoss {
  double loss_nats = std::numeric_limits<double>::quiet_NaN();  ///< -sum ln p over the window's predictions.
  int64_t tokens = 0;                                           ///< Predictions in the window.
};

struct BITLAW_EXPORT RollingResponse {
  std::vector<WindowLoss> windows;
};

struct BITLAW_EXPORT GenerateResponse {
  std::string text;  ///< Cut before the first stop string.
  int64_t tokens = 0;
  bool hit_limit = false;
};

using Response = std::variant<LoglikelihoodResponse, RollingResponse, GenerateResponse>;

/// One question of a benchmark: one or more requests that are scored together (the choices of an item).
struct BITLAW_EXPORT TaskItem {
  std::string id;  ///< Stable within the task: the index in the data file unless the data name one.
  std::vector<Request> requests;
  /// Numbers that tell items apart and that laws may use: one for each of TaskCard::item_factors, in that order; NaN:
  /// missing. Empty: none of them.
  std::vector<double> factors{};
};

/// One value of an item under one metric. NaN: this metric does not apply to the item.
/// For accuracies the value is 0 or 1; for perplexities it is a loss with its token count as weight.
struct BITLAW_EXPORT ItemValue {
  double value = std::numeric_limits<double>::quiet_NaN();
  double weight = 1.0;
};

struct BITLAW_EXPORT ItemScore {
  std::string id;
  std::vector<ItemValue> values;  ///< One for each of TaskCard::metrics, in that order; several rows for
                                  ///< several windows are several ItemScores.
  double chance = 0.0;            ///< Probability that a uniform guess is right.
  std::string group{};            ///< Part of the benchmark that the item belongs to (a subject); "" without parts.
  /// What the values were made of, so that other metrics need no new run; empty where there is nothing to keep.
  std::vector<double> loglikelihoods_nats{};  ///< One for each scored text (the choices of an item).
  std::vector<int64_t> lengths{};  ///< Characters of those texts, delimiter left out; of a generated text, all it has.
  /// The right answer, for whoever looks at the item: of choices, the number of the right one from 0; otherwise its text
  /// (of several that are accepted, the first). "" where there is none.
  std::string right{};
  /// Of choices: the number, from 0, of the one that each of `values` took for the model's answer. Empty elsewhere.
  std::vector<int64_t> chosen{};
  /// Text of the right answer: of choices that of the right one, elsewhere `right`. "" where there is none.
  std::string target{};
  /// The text that each of `values` took for the model's answer, before it is normalized to be compared: of choices that
  /// of the chosen one; of a generated text what was taken out of it, "" where nothing was found. Empty where a task
  /// sees no answer as text (a loss). Texts are whole: records cut them (docs/records.md).
  std::vector<std::string> extracted{};
  std::vector<double> factors{};  ///< As TaskItem::factors; empty: those of the item.
};

enum class MetricKind {
  kAccuracy,    ///< Mean of 0/1; chance-adjustable: (acc - chance) / (1 - chance).
  kPerplexity,  ///< exp(sum loss / sum tokens), loss in nats.
  kMean,        ///< Any other mean over items.
  kRatio,       ///< sum value / sum weight: bits a byte.
};

struct BITLAW_EXPORT MetricCard {
  std::string name;  ///< "acc", "acc_norm", "exact_match", "perplexity", ...
  MetricKind kind = MetricKind::kAccuracy;
  bool higher_is_better = true;
};

/// What a benchmark is; all of it goes into the record.
struct BITLAW_EXPORT TaskCard {
  std::string name;     ///< "arc_easy"
  std::string version;  ///< Of the task's definition; raised when scores may change.
  std::string stratum;  ///< "KM", "KA", "KR", or any other grouping's name; "" if in none.
  std::vector<MetricCard> metrics;  ///< The first is the primary one, which laws are fitted to.
  int64_t few_shot = 0;
  std::optional<int64_t> limit;  ///< Items scored when fewer than the file holds.
  std::string description, citation, licence;
  /// For perplexity tasks: "gptq_disjoint_2048"; "" otherwise.
  std::string convention;
  /// What distinguishes this task from others, beside few_shot, which the framework fills in.
  std::vector<Factor> factors;
  /// What distinguishes its items from each other: the steps of a chain, the length of an answer. Declared without
  /// values, which come with each TaskItem: the column of observations.csv has their mean over the scored items, and
  /// the items of a record have a column of this name.
  std::vector<Factor> item_factors;
};

/// The aggregate of one metric over the items.
struct BITLAW_EXPORT MetricSummary {
  std::string name;
  double value = std::numeric_limits<double>::quiet_NaN();
  double standard_error = std::numeric_limits<double>::quiet_NaN();
  int64_t items = 0;
  double chance = 0.0;  ///< Mean over items.
};

/// A benchmark: asks requests of a model, scores the responses.
///
/// A task never sees a model or a tokenizer. Threads: const calls are safe from several threads.
/// Devices: a task holds no tensor. Texts go out and numbers come back, all on the host; the framework, which encodes and
/// scores, holds the tensors of a batch on the model's device and no longer than for that batch.
class BITLAW_EXPORT Task {
 public:
  virtual ~Task() = default;

  virtual const TaskCard& card() const = 0;

  /// Every item with its requests, few-shot header and templates applied. Error(kIo / kSpec) with file and
  /// line for data that do not have the fields which the task names.
  virtual std::vector<TaskItem> Items() const = 0;

  /// The scores of one item: one ItemScore, or one a window for rolling requests.
  /// `responses` matches item.requests one to one.
  virtual std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const = 0;

  /// Digest of definition and data: everything that could change a score. Reads the data files.
  virtual std::string digest() const = 0;
};

/// Mean, chance and standard error of metric `index` over items.
///   kAccuracy, kMean: mean; sample standard deviation (n - 1) / sqrt(n).
///   kPerplexity: exp(L), L = sum loss / sum tokens; standard error by the delta method over windows,
///     exp(L) * sqrt( sum_i (loss_i - L t_i)^2 * n / (n - 1) ) / sum_i t_i.
///   kRatio: R = sum value / sum weight; sqrt( sum_i (value_i - R w_i)^2 * n / (n - 1) ) / sum_i w_i.
BITLAW_EXPORT MetricSummary Summarize(const MetricCard& metric, size_t index, std::span<const ItemScore> scores);

}  // namespace bitlaw
