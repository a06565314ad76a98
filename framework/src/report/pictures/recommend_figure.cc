#include "report/pictures/recommend_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/pictures/axes.h"
#include "report/recommend_table.h"

namespace bitlaw {

namespace {

bool IsShown(const Standing& one) { return one.memory_bytes() > 0 && std::isfinite(one.score); }

FigureSeries Points(std::string name, int colour, int mark, bool hollow = false) {
  FigureSeries series;
  series.name = std::move(name), series.colour = colour, series.mark = mark, series.hollow = hollow;
  return series;
}

// The intervals of points that have none end where the points are.
void AddPoint(const Standing& one, double unit, bool with_interval, FigureSeries& to) {
  to.x.push_back(one.memory_bytes() / unit), to.y.push_back(one.score);
  if (!with_interval) return;
  const bool has = std::isfinite(one.score_interval.low) && std::isfinite(one.score_interval.high);
  to.y_low.push_back(has ? one.score_interval.low : one.score);
  to.y_high.push_back(has ? one.score_interval.high : one.score);
}

// Stairs through the front: from each of its points on, nothing measured is better until the next.
FigureSeries FrontLine(const std::vector<const Standing*>& all, double unit, double last) {
  std::vector<const Standing*> front;
  std::copy_if(all.begin(), all.end(), std::back_inserter(front),
               [](const Standing* one) { return one->is_on_front && one->is_measured; });
  std::sort(front.begin(), front.end(), [](const Standing* a, const Standing* b) {
    return a->memory_bytes() != b->memory_bytes() ? a->memory_bytes() < b->memory_bytes() : a->score < b->score;
  });
  FigureSeries line;
  line.kind = FigureSeries::Kind::kLine, line.name = "front of what was measured",
  line.colour = FigureSeries::kTextColour;
  for (const Standing* one : front) {
    const double x = one->memory_bytes() / unit;
    if (!line.x.empty()) line.x.push_back(x), line.y.push_back(line.y.back());
    line.x.push_back(x), line.y.push_back(one->score);
  }
  if (!line.x.empty()) line.x.push_back(last / unit), line.y.push_back(line.y.back());
  return line;
}

}  // namespace

Figure RecommendFigure(const Recommendation& recommendation) {
  const Constraints& c = recommendation.constraints;
  Figure figure;
  figure.name = "recommendation";
  figure.title = "Size against accuracy";
  figure.panel_size = 1.6;
  std::vector<const Standing*> all;
  for (const auto* list : {&recommendation.measured, &recommendation.predicted, &recommendation.others}) {
    for (const Standing& one : *list) {
      if (IsShown(one)) all.push_back(&one);
    }
  }
  if (all.empty()) return figure;
  std::set<double> sizes;
  for (const Standing* one : all) sizes.insert(one->memory_bytes());
  const bool has_cache = c.context_tokens > 0;
  const double limit = has_cache ? c.most_memory_bytes : std::min(c.most_weight_bytes, c.most_memory_bytes);
  if (std::isfinite(limit)) sizes.insert(limit);
  FigurePanel panel;
  const auto [unit, axis] = BytesAxis(has_cache ? "weights and cache" : "weights", sizes);
  panel.x = axis;
  panel.y.label = ScoreName(recommendation) + ", chance-adjusted";

  const Standing* first = recommendation.measured.empty() ? nullptr : &recommendation.measured.front();
  const Standing* smaller =
      recommendation.smaller_no_worse ? &recommendation.measured[*recommendation.smaller_no_worse] : nullptr;
  FigureSeries met = Points("measured and meets the constraints", 0, 0),
               out = Points("measured but does not", 0, 0, true);
  FigureSeries expected = Points("not measured: by law '" + recommendation.law + "'", 3, 3, true);
  FigureSeries chosen = Points("the first choice", 1, 2), as_good = Points("smaller and not told from the first", 2, 1);
  // Of what is neither chosen nor on the front the intervals would hide the rest.
  FigureSeries front = Points("", FigureSeries::kTextColour, 0);
  front.subdued = true;
  for (const Standing* one : all) {
    if (one == first) {
      AddPoint(*one, unit, true, chosen);
    } else if (one == smaller) {
      AddPoint(*one, unit, true, as_good);
    } else if (!one->is_measured) {
      AddPoint(*one, unit, true, expected);
    } else {
      AddPoint(*one, unit, false, one->why_out.empty() ? met : out);
      if (one->is_on_front) AddPoint(*one, unit, true, front);
    }
  }
  if (std::isfinite(limit)) {
    double low = INFINITY, high = -INFINITY;
    for (const Standing* one : all) low = std::min(low, one->score), high = std::max(high, one->score);
    FigureSeries line;
    line.kind = FigureSeries::Kind::kLine, line.dashed = true, line.colour = FigureSeries::kTextColour;
    line.name = fmt::format("at most {}", ShortSize(limit));
    line.x = {limit / unit, limit / unit}, line.y = {low, high};
    panel.series.push_back(std::move(line));
  }
  panel.series.push_back(FrontLine(all, unit, *sizes.rbegin()));
  for (FigureSeries* series : {&out, &met, &front, &expected, &as_good, &chosen}) {
    if (!series->x.empty()) panel.series.push_back(std::move(*series));
  }
  std::erase_if(panel.series, [](const FigureSeries& one) { return one.x.empty(); });
  figure.panels.push_back(std::move(panel));
  figure.caption = fmt::format(
      "Constraints: {}. Bars are {:.3g} % intervals, of items where it was measured and of the law elsewhere; shown "
      "for the "
      "front, the choices and what the law expects. The best of many noisy points is flattered: the line is an upper "
      "edge.",
      c.Text().empty() ? "none" : c.Text(), 100 * recommendation.level);
  return figure;
}

}  // namespace bitlaw
