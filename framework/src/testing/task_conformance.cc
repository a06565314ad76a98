#include "bitlaw/testing/task_conformance.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <variant>

#include "bitlaw/base/error.h"
#include "testing/fault_list.h"

namespace bitlaw::testing {
namespace {

bool SameRequest(const Request& a, const Request& b) {
  if (a.index() != b.index()) return false;
  if (const auto* x = std::get_if<LoglikelihoodRequest>(&a)) {
    const auto& y = std::get<LoglikelihoodRequest>(b);
    return x->context == y.context && x->continuation == y.continuation;
  }
  if (const auto* x = std::get_if<RollingRequest>(&a)) {
    const auto& y = std::get<RollingRequest>(b);
    return x->text == y.text && x->convention == y.convention && x->window_tokens == y.window_tokens &&
           x->max_windows == y.max_windows;
  }
  const auto &x = std::get<GenerateRequest>(a), &y = std::get<GenerateRequest>(b);
  return x.context == y.context && x.until == y.until && x.max_new_tokens == y.max_new_tokens;
}

bool SameItems(const std::vector<TaskItem>& a, const std::vector<TaskItem>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const TaskItem& x, const TaskItem& y) {
    return x.id == y.id &&
           std::equal(x.requests.begin(), x.requests.end(), y.requests.begin(), y.requests.end(), SameRequest);
  });
}

/// NaN equals NaN.
bool SameValues(const std::vector<ItemScore>& a, const std::vector<ItemScore>& b) {
  const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const ItemScore& x, const ItemScore& y) {
    return x.id == y.id && x.chance == y.chance && x.extracted == y.extracted &&
           std::equal(
               x.values.begin(), x.values.end(), y.values.begin(), y.values.end(),
               [&](const ItemValue& v, const ItemValue& w) { return same(v.value, w.value) && v.weight == w.weight; });
  });
}

/// A response to one request: as of a model that is sure of it, or that would never say so.
Response MadeUpResponse(const Request& request, bool is_good, const std::string& text) {
  if (const auto* ask = std::get_if<LoglikelihoodRequest>(&request)) {
    const auto tokens = std::max<int64_t>(1, static_cast<int64_t>(ask->continuation.size()));
    // A nat in all, or ten a byte: better also by every normalization.
    return LoglikelihoodResponse{is_good ? -1.0 : -10.0 * static_cast<double>(tokens), is_good, tokens};
  }
  if (const auto* ask = std::get_if<RollingRequest>(&request)) {
    RollingResponse windows;
    for (int w = 1; w <= 3; ++w) {
      const int64_t tokens = std::max<int64_t>(1, ask->window_tokens - 1);
      windows.windows.push_back({static_cast<double>(tokens * w) * (is_good ? 0.5 : 1.0), tokens});
    }
    return windows;
  }
  return GenerateResponse{text, static_cast<int64_t>(text.size()), false};
}

std::string RequestFault(const Request& request) {
  if (const auto* ask = std::get_if<LoglikelihoodRequest>(&request)) {
    return ask->continuation.empty() ? "asks for the likelihood of an empty text" : "";
  }
  if (const auto* ask = std::get_if<RollingRequest>(&request)) {
    if (ask->text.empty()) return "has an empty text";
    if (ask->window_tokens < 2) return "has windows of " + std::to_string(ask->window_tokens) + " tokens, fewer than 2";
    return ask->max_windows < 0 ? "has a negative number of windows" : "";
  }
  const auto& ask = std::get<GenerateRequest>(request);
  if (ask.max_new_tokens < 1) return "lets the model write " + std::to_string(ask.max_new_tokens) + " tokens";
  for (const std::string& until : ask.until) {
    if (until.empty()) return "has an empty text that ends an answer";
  }
  return "";
}

/// What one score has that no score may.
std::string ScoreFault(const TaskCard& card, const TaskItem& item, const ItemScore& score) {
  if (score.values.size() != card.metrics.size()) {
    return "has " + std::to_string(score.values.size()) + " values for " + std::to_string(card.metrics.size()) +
           " metrics";
  }
  if (!(score.chance >= 0 && score.chance < 1))
    return "has the chance " + std::to_string(score.chance) + ", not in [0, 1)";
  if (!score.factors.empty() && score.factors.size() != card.item_factors.size()) {
    return "has another number of factors than the card's item_factors";
  }
  if (!score.chosen.empty() && score.chosen.size() != score.values.size()) {
    return "says for " + std::to_string(score.chosen.size()) + " of " + std::to_string(score.values.size()) +
           " values which choice was taken";
  }
  if (!score.extracted.empty() && score.extracted.size() != score.values.size()) {
    return "says for " + std::to_string(score.extracted.size()) + " of " + std::to_string(score.values.size()) +
           " values which text was taken for the answer";
  }
  const bool is_written = std::holds_alternative<GenerateRequest>(item.requests.front());
  const size_t texts = is_written ? 1 : score.loglikelihoods_nats.size();
  if (score.lengths.size() > 0 && score.lengths.size() != texts) {
    return "has " + std::to_string(score.lengths.size()) + " lengths of " + std::to_string(texts) + " texts";
  }
  if (score.id.empty() || (score.id != item.id && !std::holds_alternative<RollingRequest>(item.requests.front()))) {
    return "has the id '" + score.id + "'";
  }
  for (size_t m = 0; m < score.values.size(); ++m) {
    const auto& [value, weight] = score.values[m];
    const MetricCard& metric = card.metrics[m];
    const std::string of = " for '" + metric.name + "'";
    if (std::isnan(value)) continue;
    if (!std::isfinite(value)) return "is not finite" + of;
    if (metric.kind == MetricKind::kAccuracy && value != 0 && value != 1) {
      return "is " + std::to_string(value) + of + ", an accuracy, which is 0 or 1";
    }
    const bool is_weighted = metric.kind == MetricKind::kPerplexity || metric.kind == MetricKind::kRatio;
    if (is_weighted && !(weight > 0)) return "has the weight " + std::to_string(weight) + of;
    const bool has_right = !score.right.empty() && score.right.find_first_not_of("0123456789") == std::string::npos;
    if (metric.kind == MetricKind::kAccuracy && has_right && !score.chosen.empty() &&
        (value == 1) != (std::to_string(score.chosen[m]) == score.right)) {
      return "is " + std::to_string(static_cast<int>(value)) + of + ", where choice " +
             std::to_string(score.chosen[m]) + " was taken and " + score.right + " is right";
    }
    if (!score.chosen.empty() && !score.extracted.empty() && std::to_string(score.chosen[m]) == score.right &&
        score.extracted[m] != score.target) {
      return "took '" + score.extracted[m] + "'" + of + ", which is choice " + score.right +
             ", the right one, and its target is '" + score.target + "'";
    }
  }
  return "";
}

}  // namespace

std::vector<std::string> TaskFaults(const std::function<std::unique_ptr<Task>()>& make,
                                    const std::string& name, const TaskTrial& trial) {
  FaultList fault("task '" + name + "'");
  fault.Try([&] {
    const std::unique_ptr<Task> task = make(), other = make();
    const TaskCard& card = task->card();
    if (card.name.empty()) fault("its card has no name.");
    if (card.version.empty())
      fault("its card has no version, so that records of other definitions would pass for its own.");
    if (card.metrics.empty()) {
      fault("its card has no metric.");
      return;
    }
    std::set<std::string> names;
    for (const MetricCard& metric : card.metrics) {
      if (metric.name.empty() || !names.insert(metric.name).second) {
        fault("its card has a metric without a name or one name twice.");
      }
    }
    for (const Factor& factor : card.factors) {
      if (const std::string why = ExplainFactor(factor); !why.empty()) fault("factor '" + factor.column + "': " + why);
    }
    for (const Factor& factor : card.item_factors) {
      if (const std::string why = ExplainFactor(factor); !why.empty()) fault("factor '" + factor.column + "': " + why);
      if (!factor.value.is_null()) fault("item factor '" + factor.column + "' is declared with a value.");
    }
    const std::string digest = task->digest();
    if (digest.empty()) fault("its digest is empty, so that records of other data would pass for its own.");

    const std::vector<TaskItem> items = task->Items();
    if (items.empty()) {
      fault("it has no items.");
      return;
    }
    if (card.limit && static_cast<int64_t>(items.size()) > *card.limit) {
      fault("it has " + std::to_string(items.size()) + " items, and its card's limit is " +
            std::to_string(*card.limit) + ".");
    }
    std::set<std::string> ids;
    for (const TaskItem& item : items) {
      if (item.id.empty() || !ids.insert(item.id).second) fault("item id '" + item.id + "' is empty or there twice.");
      if (item.requests.empty()) {
        fault("item '" + item.id + "' asks nothing.");
        return;
      }
      for (const Request& request : item.requests) {
        if (const std::string why = RequestFault(request); !why.empty())
          fault("item '" + item.id + "' " + why + ".");
      }
      if (!item.factors.empty() && item.factors.size() != card.item_factors.size()) {
        fault("item '" + item.id + "' has " + std::to_string(item.factors.size()) + " factors, and the card has " +
              std::to_string(card.item_factors.size()) + " item_factors.");
      }
    }
    if (!SameItems(items, task->Items())) fault("it has other items the second time.");
    if (!SameItems(items, other->Items())) fault("another object has other items.");
    if (other->digest() != digest || task->digest() != digest)
      fault("another object, or a second call, has another digest.");

    std::vector<bool> reaches_one(card.metrics.size()), reaches_zero(card.metrics.size()), varies(card.metrics.size());
    bool writes = false, has_primary = false, has_choice = false;
    const auto tried = std::min(items.size(), static_cast<size_t>(std::max<int64_t>(1, trial.max_items)));
    for (size_t i = 0; i < tried; ++i) {
      const TaskItem& item = items[i];
      std::string right;
      std::vector<std::vector<ItemScore>> all;
      const auto score = [&](const std::vector<Response>& responses) {
        std::vector<ItemScore> scores = task->Score(item, responses);
        if (scores.empty()) fault("item '" + item.id + "' gets no score.");
        if (scores.size() > 1 && !std::holds_alternative<RollingRequest>(item.requests.front())) {
          fault("item '" + item.id + "' gets " + std::to_string(scores.size()) + " scores, and it has no windows.");
        }
        bool is_sound = !scores.empty();
        for (const ItemScore& one : scores) {
          const std::string why = ScoreFault(card, item, one);
          if (!why.empty()) fault("a score of item '" + item.id + "' " + why + ".");
          is_sound &= why.empty();
        }
        if (!SameValues(scores, task->Score(item, responses))) {
          fault("item '" + item.id + "' gets another score for the same responses.");
        }
        if (!is_sound) return;
        right = scores.front().right;
        has_primary |= !std::isnan(scores.front().values.front().value);
        for (size_t m = 0; m < card.metrics.size(); ++m) {
          const double value = scores.front().values[m].value;
          reaches_one[m] = reaches_one[m] || value == 1;
          reaches_zero[m] = reaches_zero[m] || value == 0;
          const double before = all.empty() ? value : all.front().front().values[m].value;
          varies[m] = varies[m] || (!std::isnan(value) && !std::isnan(before) && value != before);
        }
        all.push_back(std::move(scores));
      };
      const size_t n = item.requests.size();
      for (size_t good = 0; good < n + 2; ++good) {  // Each one in turn, then all, then none.
        std::vector<Response> responses;
        for (size_t r = 0; r < n; ++r) {
          responses.push_back(
              MadeUpResponse(item.requests[r], good == r || good == n, good == n ? right : "zq"));
          writes |= std::holds_alternative<GenerateRequest>(item.requests[r]);
          has_choice |= std::holds_alternative<LoglikelihoodRequest>(item.requests[r]);
        }
        score(responses);
      }
      for (size_t m = 0; m < card.metrics.size() && all.size() == n + 2; ++m) {
        const MetricKind kind = card.metrics[m].kind;
        const bool is_loss = kind == MetricKind::kPerplexity && !card.metrics[m].higher_is_better;
        if (!is_loss || !std::holds_alternative<RollingRequest>(item.requests.front())) continue;
        if (!(all[n + 1].front().values[m].value > all[n].front().values[m].value)) {
          fault("'" + card.metrics[m].name + "' of item '" + item.id + "' does not rise with the loss of its windows.");
        }
      }
      if (!trial.knows) continue;
      score(trial.knows(item, right));
      const double value = all.empty() ? NAN : all.back().front().values.front().value;
      if (card.metrics.front().kind == MetricKind::kAccuracy && value != 1) {
        fault("item '" + item.id + "' gets " + std::to_string(value) + " for '" + card.metrics.front().name +
              "' from a model that knows the answer.");
      }
    }
    if (!has_primary) fault("no item has a value of '" + card.metrics.front().name + "', its first metric.");
    for (size_t m = 0; m < card.metrics.size(); ++m) {
      const std::string metric = "'" + card.metrics[m].name + "'";
      if (writes && !trial.knows) continue;
      if (card.metrics[m].kind == MetricKind::kAccuracy && has_choice && has_primary &&
          (!reaches_one[m] || !reaches_zero[m])) {
        fault(metric + " is never " + (reaches_one[m] ? "0" : "1") + ", whatever is answered.");
      } else if (!varies[m]) {
        fault(metric + " does not depend on the responses.");
      }
    }
  });
  return fault.all();
}

}  // namespace bitlaw::testing
