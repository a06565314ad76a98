#include "report/figure/figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"

namespace bitlaw {

Table FigureTable(const Figure& figure) {
  std::vector<std::string> panels, series;
  std::vector<std::vector<double>> numbers(7);
  const auto add = [&](const FigurePanel& panel, const std::string& name, const std::vector<double>& row) {
    panels.push_back(panel.title);
    series.push_back(name);
    for (size_t j = 0; j < numbers.size(); ++j) numbers[j].push_back(row[j]);
  };
  const auto at = [](const std::vector<double>& values, size_t i) { return values.empty() ? kUnset : values[i]; };
  for (const FigurePanel& panel : figure.panels) {
    for (const FigureSeries& one : panel.series) {
      for (size_t i = 0; i < one.x.size(); ++i) {
        add(panel, one.name,
            {one.x[i], at(one.y, i), at(one.x_low, i), at(one.x_high, i), at(one.y_low, i), at(one.y_high, i), kUnset});
      }
    }
    if (!panel.grid) continue;
    for (size_t i = 0; i < panel.grid->y.size(); ++i) {
      for (size_t j = 0; j < panel.grid->x.size(); ++j) {
        add(panel, panel.grid->label,
            {panel.grid->x[j], panel.grid->y[i], kUnset, kUnset, kUnset, kUnset,
             panel.grid->z[i * panel.grid->x.size() + j]});
      }
    }
  }
  Table table(figure.name);
  table.AddTexts("panel", std::move(panels));
  table.AddTexts("series", std::move(series));
  const char* names[] = {"x", "y", "x_low", "x_high", "y_low", "y_high", "z"};
  for (size_t j = 0; j < numbers.size(); ++j) table.AddNumbers(names[j], std::move(numbers[j]));
  return table;
}

void CheckFigure(const Figure& figure) {
  const auto is_of_file = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (figure.name.empty() || !std::all_of(figure.name.begin(), figure.name.end(), is_of_file))
    throw InternalError("figure '" + figure.name + "': its name is no file's");
  const auto check = [&](const std::string& what, size_t has, size_t needs, bool may_lack) {
    if (has == needs || (may_lack && has == 0)) return;
    throw InternalError(fmt::format("figure '{}': {} has {} values where x has {}", figure.name, what, has, needs));
  };
  for (const FigurePanel& panel : figure.panels) {
    for (const FigureSeries& one : panel.series) {
      const size_t n = one.x.size();
      check("y", one.y.size(), one.kind == FigureSeries::Kind::kBand ? 0 : n, false);
      const bool is_band = one.kind == FigureSeries::Kind::kBand;
      check("y_low", one.y_low.size(), n, !is_band), check("y_high", one.y_high.size(), one.y_low.size(), false);
      check("x_low", one.x_low.size(), n, true), check("x_high", one.x_high.size(), one.x_low.size(), false);
    }
    if (panel.grid) check("z", panel.grid->z.size(), panel.grid->x.size() * panel.grid->y.size(), false);
  }
}

std::string AxisNumber(double number) {
  const double size = std::fabs(number);
  constexpr std::pair<double, const char*> kLarge[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  for (const auto& [unit, letter] : kLarge) {
    if (size < 0.9995 * unit || size >= 1e15) continue;
    const double scaled = number / unit;
    return fmt::format("{}{}", std::fabs(scaled) < 9.95 ? fmt::format("{:.2g}", scaled) : fmt::format("{:.0f}", scaled),
                       letter);
  }
  return fmt::format("{:.3g}", number);
}

std::string AxisText(const FigureAxis& axis) { return axis.unit.empty() ? axis.label : axis.label + " [" + axis.unit + "]"; }

}  // namespace bitlaw
