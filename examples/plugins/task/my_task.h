#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/digest.h"

/// After "ab..ab..a", is b the likelier of two letters?
///
/// An item has two requests, one a choice, and is right if the first is the likelier. Chance is 1/2.
class MyTask final : public bitlaw::Task {
 public:
  static bitlaw::OptionSchema Schema() {
    bitlaw::OptionSchema schema;
    schema.Int("items").Range(1, 1000).Default(26).Doc("Items asked.");
    schema.String("stratum").Default("KA").Doc("Group that laws are fitted to.");
    return schema;
  }

  MyTask(const bitlaw::Options& options, const bitlaw::TaskContext& context) : items_(options.Int("items")) {
    card_.name = context.name;
    card_.version = "1";  // Raise it when scores may change: records of other versions are not used again.
    card_.stratum = options.String("stratum");
    card_.metrics = {{"acc", bitlaw::MetricKind::kAccuracy, true}};
    card_.description = "Letters that were seen before.";
  }

  const bitlaw::TaskCard& card() const override { return card_; }

  std::vector<bitlaw::TaskItem> Items() const override {
    std::vector<bitlaw::TaskItem> items;
    for (int64_t i = 0; i < items_; ++i) {
      const std::string a(1, static_cast<char>('a' + i % 26)), b(1, static_cast<char>('A' + i % 26));
      const std::string other(1, static_cast<char>('A' + (i + 13) % 26));
      const std::string context = a + b + ".." + a + b + ".." + a;
      items.push_back({std::to_string(i),
                       {bitlaw::LoglikelihoodRequest{context, b}, bitlaw::LoglikelihoodRequest{context, other}}});
    }
    return items;
  }

  std::vector<bitlaw::ItemScore> Score(const bitlaw::TaskItem& item,
                                       std::span<const bitlaw::Response> responses) const override {
    const double right = std::get<bitlaw::LoglikelihoodResponse>(responses[0]).loglikelihood_nats;
    const double wrong = std::get<bitlaw::LoglikelihoodResponse>(responses[1]).loglikelihood_nats;
    bitlaw::ItemScore score{.id = item.id, .values = {{right > wrong ? 1.0 : 0.0}}, .chance = 0.5};
    score.loglikelihoods_nats = {right, wrong};  // Kept, so that other metrics need no new run.
    // For whoever looks at the item (bitlaw samples): numbers of the right choice and of the chosen one, and their texts.
    score.right = "0";
    score.chosen = {right > wrong ? 0 : 1};
    score.target = std::get<bitlaw::LoglikelihoodRequest>(item.requests[0]).continuation;
    score.extracted = {std::get<bitlaw::LoglikelihoodRequest>(item.requests[right > wrong ? 0 : 1]).continuation};
    return {score};
  }

  /// Of all that could change a score. A task with data files adds theirs (bitlaw::DigestOfFile).
  std::string digest() const override { return bitlaw::DigestOf("my_task 1, items " + std::to_string(items_)); }

 private:
  int64_t items_;
  bitlaw::TaskCard card_;
};
