#include "report/recommend_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bitlaw {

std::string ScoreName(const Recommendation& recommendation) {
  if (recommendation.weights.size() == 1) return recommendation.weights[0].first;
  const double first = recommendation.weights[0].second;
  const bool is_equal = std::all_of(recommendation.weights.begin(), recommendation.weights.end(),
                                    [&](const auto& one) { return std::fabs(one.second - first) < 1e-12; });
  std::string names;
  for (const auto& [name, weight] : recommendation.weights)
    names += (names.empty() ? "" : ", ") + name + (is_equal ? std::string() : fmt::format(" x {:.3g}", weight));
  return "mean of " + names;
}

namespace {

ReportCell WithBounds(double value, const Interval& interval, int places) {
  ReportCell cell = Fixed(value, places);
  if (std::isnan(value)) return cell;
  cell.parts = {{"low", interval.low}, {"high", interval.high}};
  if (std::isfinite(interval.low))
    cell.text += fmt::format(" [{:.{}f}, {:.{}f}]", interval.low, places, interval.high, places);
  return cell;
}

std::string SizeOf(const Standing& one) { return (one.is_size_estimated ? "~" : "") + ShortSize(one.weight_bytes); }

bool HasCache(const Recommendation& recommendation) { return recommendation.constraints.context_tokens > 0; }

// "KR 0.948 [0.921, 0.970], 98 % of 16-bit [96, 100]"
std::string StratumText(const StratumStanding& one, bool with_kept) {
  std::string text = fmt::format("{} {}", one.stratum, WithBounds(one.value, one.interval, 3).text);
  if (with_kept && !std::isnan(one.kept))
    text += fmt::format(", {:.1f} % of 16-bit [{:.1f}, {:.1f}]", 100 * one.kept, 100 * one.kept_interval.low,
                        100 * one.kept_interval.high);
  return text;
}

std::string SizesText(const Recommendation& recommendation, const Standing& one) {
  std::string text = "weights " + SizeOf(one);
  if (HasCache(recommendation))
    text += fmt::format(", cache {}, together {}", ShortSize(one.cache_bytes), ShortSize(one.memory_bytes()));
  return text;
}

// "weights 395 kB", "mean of KM, KR 0.650 [0.630, 0.670]", "KM ...", a line each.
std::vector<std::string> Lines(const Recommendation& recommendation, const Standing& one) {
  std::vector<std::string> lines = {SizesText(recommendation, one)};
  if (recommendation.weights.size() > 1)
    lines.push_back(ScoreName(recommendation) + " " + WithBounds(one.score, one.score_interval, 3).text);
  const auto& floors = recommendation.constraints.floors;
  for (const StratumStanding& stratum : one.strata) {
    const auto counts = [&](const auto& weight) { return weight.first == stratum.stratum; };
    const auto is_floor = [&](const Floor& floor) { return floor.stratum == stratum.stratum; };
    if (std::none_of(floors.begin(), floors.end(), is_floor) &&
        std::none_of(recommendation.weights.begin(), recommendation.weights.end(), counts))
      continue;
    std::string line = StratumText(stratum, true);
    for (const std::string& text : {stratum.warning, stratum.beside}) {
      if (!text.empty()) line += "; " + text;
    }
    lines.push_back(std::move(line));
  }
  for (size_t f = 0; f < floors.size(); ++f) lines.push_back(floors[f].Text() + ": " + Name(one.floors[f].verdict));
  return lines;
}

// "lab-492k gptq bits=4: weights 395 kB, mean of KM, KR 0.650 [0.630, 0.670]"
std::string Brief(const Recommendation& recommendation, const Standing& one) {
  return fmt::format("{}: {}, {} {}", one.label, SizesText(recommendation, one), ScoreName(recommendation),
                     WithBounds(one.score, one.score_interval, 3).text);
}

ReportTable StandingTable(const Recommendation& recommendation, const std::vector<Standing>& standings, size_t most,
                          std::string name) {
  ReportTable table;
  table.name = std::move(name);
  table.header = {"", "configuration", "weights"};
  if (HasCache(recommendation)) table.header.insert(table.header.end(), {"cache", "together"});
  table.header.emplace_back("bits");
  if (recommendation.weights.size() > 1) table.header.push_back(ScoreName(recommendation));
  for (const auto& [stratum, weight] : recommendation.weights) table.header.push_back(stratum);
  for (const Floor& floor : recommendation.constraints.floors) table.header.push_back(floor.Text());
  const bool compares = recommendation.constraints.order == Constraints::Order::kAccuracy &&
                        std::any_of(standings.begin(), standings.end(),
                                    [](const Standing& one) { return !std::isnan(one.against_first.value); });
  if (compares) table.header.emplace_back("less the first");
  const bool warns =
      std::any_of(standings.begin(), standings.end(), [](const Standing& one) { return !one.is_measured; });
  if (warns) table.header.emplace_back("to know");
  for (size_t i = 0; i < std::min(most, standings.size()); ++i) {
    const Standing& one = standings[i];
    std::vector<ReportCell> row = {Whole(static_cast<double>(i + 1)), one.label, SizeOf(one)};
    if (HasCache(recommendation)) {
      row.emplace_back(ShortSize(one.cache_bytes));
      row.emplace_back(ShortSize(one.memory_bytes()));
    }
    row.push_back(Fixed(one.bits_effective, 2));
    if (recommendation.weights.size() > 1) row.push_back(WithBounds(one.score, one.score_interval, 3));
    std::string warning;
    for (const auto& [stratum, weight] : recommendation.weights) {
      const StratumStanding& part = *one.Of(stratum);
      row.push_back(WithBounds(part.value, part.interval, 3));
      for (const std::string& text : {part.warning, part.beside}) {
        if (text.empty() || warning.find(text) != std::string::npos) continue;
        warning += (warning.empty() ? "" : "; ") + stratum + ": " + text;
      }
    }
    for (size_t f = 0; f < recommendation.constraints.floors.size(); ++f) {
      const FloorStanding& at = one.floors[f];
      row.emplace_back(recommendation.constraints.floors[f].is_relative
                           ? fmt::format("{:.1f} % [{:.1f}, {:.1f}] {}", 100 * at.value, 100 * at.interval.low,
                                         100 * at.interval.high, Name(at.verdict))
                           : Name(at.verdict));
    }
    if (compares) {
      const ItemEstimate& less = one.against_first;
      row.push_back(std::isnan(less.value) ? ReportCell("") : Estimate(less.value, less.error));
    }
    if (warns) row.emplace_back(warning);
    table.rows.push_back(std::move(row));
  }
  return table;
}

ReportTable FrontTable(const Recommendation& recommendation) {
  ReportTable table;
  table.name = "front";
  table.header = {HasCache(recommendation) ? "weights and cache" : "weights", ScoreName(recommendation), "source",
                  "meets", "configuration"};
  std::vector<const Standing*> front;
  for (const auto* list : {&recommendation.measured, &recommendation.predicted, &recommendation.others}) {
    for (const Standing& one : *list) {
      if (one.is_on_front) front.push_back(&one);
    }
  }
  std::stable_sort(front.begin(), front.end(),
                   [](const Standing* a, const Standing* b) { return a->memory_bytes() < b->memory_bytes(); });
  for (const Standing* one : front) {
    ReportCell size(ShortSize(one->memory_bytes()));
    size.is_number = true;
    size.number = one->memory_bytes();
    table.rows.push_back({size, WithBounds(one->score, one->score_interval, 3), one->is_measured ? "measured" : "law",
                          one->why_out.empty() ? "yes" : "no: " + one->why_out, one->label});
  }
  return table;
}

}  // namespace

ReportDocument RecommendDocument(const Recommendation& recommendation, size_t most, bool front) {
  const Constraints& c = recommendation.constraints;
  const auto& measured = recommendation.measured;
  const auto& predicted = recommendation.predicted;
  const bool by_accuracy = c.order == Constraints::Order::kAccuracy;
  const std::string wanted = c.Text().empty() ? "no constraint" : c.Text();
  ReportDocument document;
  document.title = "Recommendation: " + wanted;
  ReportSection& first = document.sections.emplace_back();
  if (!measured.empty()) {
    first.title = "Take " + measured[0].label;
    for (std::string& line : Lines(recommendation, measured[0])) first.bullets.push_back(std::move(line));
    first.bullets[0] = "measured; " + first.bullets[0];
    if (by_accuracy && recommendation.smaller_no_worse) {
      const Standing& smaller = measured[*recommendation.smaller_no_worse];
      first.bullets.push_back(
          fmt::format("smaller, and these items do not tell it from the first ({:+.3f} +- {:.3f}): {}",
                      smaller.against_first.value, smaller.against_first.error, Brief(recommendation, smaller)));
    }
  } else {
    first.title = "Nothing that was measured meets this";
    if (recommendation.best_without_floors && !c.floors.empty())
      first.bullets.push_back("the best that fits, whatever floor it misses: " +
                              Brief(recommendation, *recommendation.best_without_floors));
    if (recommendation.smallest_without_caps)
      first.bullets.push_back((c.floors.empty() ? "the smallest there is: " : "the smallest that keeps the floors: ") +
                              Brief(recommendation, *recommendation.smallest_without_caps));
  }
  if (!predicted.empty()) {
    const bool is_better = measured.empty() || (by_accuracy ? predicted[0].score > measured[0].score
                                                            : predicted[0].weight_bytes < measured[0].weight_bytes);
    if (is_better)
      first.bullets.push_back("worth measuring, by law '" + recommendation.law +
                              "' alone: " + Brief(recommendation, predicted[0]));
  }
  size_t out = 0;
  std::string reasons;
  for (const auto& [reason, count] : recommendation.left_out) {
    out += count;
    reasons += fmt::format("{}{} {}", reasons.empty() ? "" : ", ", count, reason);
  }
  const size_t met = measured.size() + predicted.size();
  first.bullets.push_back(fmt::format("{} of {} configurations meet it{}", met, met + out,
                                      reasons.empty() ? "" : "; the others: " + reasons));
  for (const std::string& note : recommendation.notes) first.bullets.push_back(note);
  const std::string by = by_accuracy                               ? ScoreName(recommendation) + ", highest first"
                         : c.order == Constraints::Order::kWeights ? "smallest weights first"
                                                                   : "least memory first";
  const std::string percent = fmt::format("{:.0f} %", 100 * recommendation.level);
  if (!measured.empty()) {
    ReportSection& section = document.sections.emplace_back();
    section.title = "Measured, by " + by;
    section.tables.push_back(StandingTable(recommendation, measured, most, "measured"));
    ReportTable& table = section.tables.back();
    if (measured.size() > most)
      table.notes.push_back(fmt::format("and {} more (--top {})", measured.size() - most, measured.size()));
    table.notes.push_back("adjusted accuracies with " + percent +
                          " intervals of their items; what compares two configurations is "
                          "of the same items, with its paired error");
  }
  if (!predicted.empty()) {
    ReportSection& section = document.sections.emplace_back();
    section.title = "Not measured: what law '" + recommendation.law + "' expects, by " + by + ". Measure before use";
    section.tables.push_back(StandingTable(recommendation, predicted, most, "predicted"));
    ReportTable& table = section.tables.back();
    if (predicted.size() > most)
      table.notes.push_back(fmt::format("and {} more (--top {})", predicted.size() - most, predicted.size()));
    table.notes.push_back(percent +
                          " prediction intervals, as of bitlaw predict; ~: a size from other rows of the model");
  }
  if (front) {
    ReportSection& section = document.sections.emplace_back();
    section.title = "Front: nothing that was measured is smaller and more accurate";
    section.tables.push_back(FrontTable(recommendation));
  }
  return document;
}

ReportTable RecommendTable(const Recommendation& recommendation) {
  ReportTable table;
  table.name = "recommend";
  table.header = {"configuration", "model",          "quantizer", "trial",          "source", "weight_bytes",
                  "cache_bytes",   "bits_effective", "score",     "less the first", "front",  "meets"};
  for (const auto& stratum : recommendation.weights) table.header.push_back(stratum.first);
  for (const auto* list : {&recommendation.measured, &recommendation.predicted, &recommendation.others}) {
    for (const Standing& one : *list) {
      std::vector<ReportCell> row = {one.label,
                                     one.model,
                                     one.quantizer,
                                     one.trial,
                                     one.is_measured ? "measured" : "law",
                                     Significant(one.weight_bytes, 17),
                                     Significant(one.cache_bytes, 17),
                                     Significant(one.bits_effective, 17),
                                     WithBounds(one.score, one.score_interval, 3),
                                     Estimate(one.against_first.value, one.against_first.error),
                                     one.is_on_front ? "yes" : "no",
                                     one.why_out.empty() ? "yes" : "no: " + one.why_out};
      for (const auto& stratum : recommendation.weights) {
        const StratumStanding& part = *one.Of(stratum.first);
        row.push_back(WithBounds(part.value, part.interval, 3));
      }
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

}  // namespace bitlaw
