#include "records/responses/item_responses.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <numbers>
#include <optional>

#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {
namespace {

constexpr double kNone = ItemResponses::kNone;

// The mean of one number an item, and its error; NaN if an item has none.
MetricSummary MeanOver(const std::vector<ItemScore>& items, const std::function<double(size_t)>& of) {
  MetricSummary none;
  std::vector<ItemScore> values;
  for (size_t i = 0; i < items.size(); ++i) {
    const double value = of(i);
    if (!std::isfinite(value)) return none;
    values.push_back({"", {{value, 1.0}}});
  }
  return values.empty() ? none : Summarize({"", MetricKind::kMean, false}, 0, values);
}

// The choice that is right; nothing of an item without choices.
std::optional<size_t> RightChoice(const ItemScore& item) {
  size_t right = 0;
  const char* end = item.right.data() + item.right.size();
  const auto [at, status] = std::from_chars(item.right.data(), end, right);
  if (item.right.empty() || status != std::errc() || at != end || right >= item.loglikelihoods_nats.size()) return {};
  return right;
}

double BytesOfChoice(const ItemScore& item, size_t right) {
  if (right >= item.lengths.size()) return kNone;
  const bool is_whole = CountCharacters(item.target) == item.lengths[right];
  return static_cast<double>(is_whole ? static_cast<int64_t>(item.target.size()) : item.lengths[right]);
}

// Which metric of the card has this name or kind; its size where none has.
template <class Is>
size_t MetricThat(const TaskCard& card, Is&& is) {
  return static_cast<size_t>(std::find_if(card.metrics.begin(), card.metrics.end(), is) - card.metrics.begin());
}

double BitsPerByte(const TaskCard& card, const ItemScore& item) {
  const size_t own = MetricThat(card, [](const MetricCard& metric) {
    return metric.name == "bits_per_byte" && metric.kind == MetricKind::kMean;
  });
  if (own < item.values.size()) return item.values[own].value;
  if (!item.loglikelihoods_nats.empty()) {
    const std::optional<size_t> right = RightChoice(item);
    return right ? -item.loglikelihoods_nats[*right] / std::numbers::ln2 / BytesOfChoice(item, *right) : kNone;
  }
  const size_t loss =
      MetricThat(card, [](const MetricCard& metric) { return metric.kind == MetricKind::kPerplexity; });
  if (loss >= item.values.size() || item.right.empty() || item.values[loss].weight != 1) return kNone;
  return item.values[loss].value / std::numbers::ln2 / static_cast<double>(item.right.size());
}

// ln of what the choices have of their sum.
std::vector<double> Normalized(const std::vector<double>& loglikelihoods) {
  const double most = *std::max_element(loglikelihoods.begin(), loglikelihoods.end());
  double sum = 0;
  for (const double one : loglikelihoods) sum += std::exp(one - most);
  std::vector<double> out;
  for (const double one : loglikelihoods) out.push_back(one - most - std::log(sum));
  return out;
}

double Divergence(const ItemScore& unquantized, const ItemScore& item) {
  const size_t choices = item.loglikelihoods_nats.size();
  if (choices < 2 || unquantized.loglikelihoods_nats.size() != choices) return kNone;
  const std::vector<double> p = Normalized(unquantized.loglikelihoods_nats), q = Normalized(item.loglikelihoods_nats);
  double sum = 0;
  for (size_t i = 0; i < choices; ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  return std::max(0.0, sum);  // Rounding alone is below.
}

double Characters(const ItemScore& item) {
  return item.loglikelihoods_nats.empty() && item.lengths.size() == 1 ? static_cast<double>(item.lengths[0]) : kNone;
}

bool AreSame(const std::vector<ItemScore>& a, const std::vector<ItemScore>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const ItemScore& x, const ItemScore& y) { return x.id == y.id; });
}

}  // namespace

const std::array<ItemResponseColumn, 10>& ItemResponseColumns() {
  using R = ItemResponses;
  static const std::array<ItemResponseColumn, 10> kColumns = {{
      {"bits_per_byte", &R::bits_per_byte, false},
      {"bits_per_byte_error", &R::bits_per_byte_error, true},
      {"baseline_bits_per_byte", &R::baseline_bits_per_byte, false},
      {"added_bits_per_byte", &R::added_bits_per_byte, false},
      {"added_bits_per_byte_error", &R::added_bits_per_byte_error, true},
      {"kl_choices", &R::kl_choices, false},
      {"kl_choices_error", &R::kl_choices_error, true},
      {"answer_characters", &R::answer_characters, false},
      {"answer_characters_error", &R::answer_characters_error, true},
      {"baseline_answer_characters", &R::baseline_answer_characters, false},
  }};
  return kColumns;
}

std::string TasksTelling(const std::string& column) {
  for (const std::string what : {"bits_per_byte", "kl_choices", "answer_characters"}) {
    if (column == what || column == "baseline_" + what || column == "added_" + what) return what + "_tasks";
  }
  return "";
}

ItemResponses ResponsesOf(const TaskCard& card, const std::vector<ItemScore>& items,
                          const std::vector<ItemScore>* unquantized) {
  ItemResponses out;
  const auto bits = [&](const std::vector<ItemScore>& of) {
    return MeanOver(of, [&](size_t i) { return BitsPerByte(card, of[i]); });
  };
  const auto characters = [](const std::vector<ItemScore>& of) {
    return MeanOver(of, [&](size_t i) { return Characters(of[i]); });
  };
  const MetricSummary own_bits = bits(items), own_characters = characters(items);
  out.bits_per_byte = own_bits.value;
  out.bits_per_byte_error = own_bits.standard_error;
  out.answer_characters = own_characters.value;
  out.answer_characters_error = own_characters.standard_error;
  if (unquantized == nullptr || !AreSame(*unquantized, items)) return out;
  const std::vector<ItemScore>& before = *unquantized;
  out.baseline_bits_per_byte = bits(before).value;
  out.baseline_answer_characters = characters(before).value;
  const MetricSummary added =
      MeanOver(items, [&](size_t i) { return BitsPerByte(card, items[i]) - BitsPerByte(card, before[i]); });
  const MetricSummary kl = MeanOver(items, [&](size_t i) { return Divergence(before[i], items[i]); });
  out.added_bits_per_byte = added.value;
  out.added_bits_per_byte_error = added.standard_error;
  out.kl_choices = kl.value;
  out.kl_choices_error = kl.standard_error;
  return out;
}

ItemResponses ItemResponseReader::Of(const TaskRecord& record, const TaskRecord* unquantized) {
  if (record.card.metrics.empty() || record.card.metrics[0].kind == MetricKind::kPerplexity) return {};
  const std::vector<ItemScore>* before = nullptr;
  if (unquantized != nullptr) {
    const std::string digest = RecordDigest(unquantized->key);
    auto found = unquantized_.find(digest);
    if (found == unquantized_.end()) found = unquantized_.emplace(digest, store_.Items(*unquantized)).first;
    before = &found->second;
    if (digest == RecordDigest(record.key)) return ResponsesOf(record.card, *before, before);
  }
  return ResponsesOf(record.card, store_.Items(record), before);
}

}  // namespace bitlaw
