#include "recommend/constraints.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "fit/options/grouping.h"

namespace bitlaw {

namespace {

// A number at the beginning, and what follows it, trimmed.
std::optional<std::pair<double, std::string>> LeadingNumber(std::string_view text) {
  const std::string_view trimmed = Trim(text);
  double number = 0;
  const auto [end, status] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), number);
  if (status != std::errc() || !std::isfinite(number)) return std::nullopt;
  return std::pair(number, std::string(Trim(trimmed.substr(static_cast<size_t>(end - trimmed.data())))));
}

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

std::string Floor::Text() const {
  if (!is_relative) return fmt::format("{} >= {:.4g}", stratum, least);
  return fmt::format("{} >= {:.4g} % of {}", stratum, 100 * least, reference.empty() ? "16-bit" : reference);
}

Floor ParseFloor(const std::string& text) {
  const auto refuse = [&](const std::string& why) {
    return Error(ErrorKind::kSpec,
                 fmt::format("--floor '{}': {}. Write 'KR >= 95% of 16-bit' for a share of what the same "
                             "model has unquantized, 'of best' or 'of MODEL' for that of another one, or "
                             "'KR >= 0.4' for an adjusted accuracy.",
                             text, why));
  };
  const size_t sign = text.find(">=");
  if (sign == std::string::npos) throw refuse("there is no '>='");
  Floor floor;
  floor.stratum = std::string(Trim(std::string_view(text).substr(0, sign)));
  if (floor.stratum.empty()) throw refuse("no stratum stands before '>='");
  const auto number = LeadingNumber(std::string_view(text).substr(sign + 2));
  if (!number) throw refuse("no number follows '>='");
  floor.least = number->first;
  std::string rest = number->second;
  if (rest.starts_with('%')) {
    floor.least /= 100;
    rest = std::string(Trim(std::string_view(rest).substr(1)));
  }
  if (rest.starts_with("of ")) {
    floor.is_relative = true;
    floor.reference = std::string(Trim(std::string_view(rest).substr(3)));
    if (floor.reference == "16-bit" || floor.reference == "16 bits" || floor.reference == "16") floor.reference.clear();
  } else if (!rest.empty()) {
    throw refuse("'" + rest + "' is neither '%' nor 'of 16-bit'");
  }
  if (!(floor.least >= 0) || floor.least > (floor.is_relative ? 2 : 1))
    throw refuse(floor.is_relative ? "a share lies between 0 and 200 %" : "an adjusted accuracy lies between 0 and 1");
  return floor;
}

std::vector<std::pair<std::string, double>> ParseStratumWeights(const std::string& text) {
  std::vector<std::pair<std::string, double>> weights;
  double sum = 0;
  for (const auto& [stratum, value] : ParseAssignments(text, ',', "--weight '" + text + "'")) {
    const auto number = LeadingNumber(value);
    if (!number || !number->second.empty() || number->first < 0) {
      throw Error(ErrorKind::kSpec,
                  fmt::format("--weight: {} = '{}' is no number of at least 0. Write 'KR=2, KM=1'.", stratum, value));
    }
    weights.emplace_back(stratum, number->first);
    sum += number->first;
  }
  if (!(sum > 0))
    throw Error(ErrorKind::kSpec, fmt::format("--weight '{}': no stratum counts. Write 'KR=2, KM=1'.", text));
  return weights;
}

double ParseSize(const std::string& text, const std::string& option) {
  static const std::vector<std::pair<std::string, double>> kUnits = {
      {"", 1},      {"b", 1},      {"kb", 1e3},        {"mb", 1e6},           {"gb", 1e9},
      {"tb", 1e12}, {"kib", 1024}, {"mib", 1048576.0}, {"gib", 1073741824.0}, {"tib", 1099511627776.0}};
  const auto number = LeadingNumber(text);
  for (const auto& [unit, bytes] : kUnits) {
    if (number && number->first > 0 && LowerCase(number->second) == unit) return number->first * bytes;
  }
  throw Error(
      ErrorKind::kSpec,
      fmt::format("{} '{}' is no size. Write a number and B, kB, MB, GB, KiB, MiB or GiB: 400kB, 8GiB.", option, text));
}

std::string ShortSize(double bytes) {
  if (!std::isfinite(bytes)) return "-";
  const char* unit = "B";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    if (bytes < 999.5) break;
    bytes /= 1000;
    unit = next;
  }
  return bytes >= 99.95 || *unit == 'B' ? fmt::format("{:.0f} {}", bytes, unit) : fmt::format("{:.3g} {}", bytes, unit);
}

std::string Constraints::Text() const {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : "; ") + part; };
  if (std::isfinite(most_weight_bytes)) add("weights of at most " + ShortSize(most_weight_bytes));
  const std::string cache = fmt::format("{:.0f} tokens x {:.0f}", context_tokens, batch);
  if (std::isfinite(most_cache_bytes))
    add(fmt::format("a cache of at most {} for {}", ShortSize(most_cache_bytes), cache));
  if (std::isfinite(most_memory_bytes))
    add(fmt::format("weights and the cache of {} in at most {}", cache, ShortSize(most_memory_bytes)));
  if (std::isfinite(most_bits)) add(fmt::format("at most {:.4g} bits a weight", most_bits));
  if (!models.empty()) {
    std::string names;
    for (const std::string& model : models) names += (names.empty() ? "" : ", ") + model;
    add("models " + names);
  }
  if (!need.empty()) add(need);
  for (const Floor& floor : floors) add(floor.Text() + (is_sure ? " (by the lower end of the interval)" : ""));
  return text;
}

}  // namespace bitlaw
