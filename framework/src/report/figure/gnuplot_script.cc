#include "report/figure/gnuplot_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bitlaw {

namespace {

constexpr const char* kPalette[kPaletteSize] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
constexpr int kFilled[] = {7, 9, 5, 13, 11}, kHollow[] = {6, 8, 4, 12, 10};
constexpr int kMarks = 5;

constexpr double kPanelWidth = 420, kPanelHeight = 330;  // Points of a screen.
constexpr double kLetter = 7.4, kSample = 60, kLine = 24;

// Between single quotes nothing is expanded; a quote is doubled. Control characters would end the line.
std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? ' ' : c;
  }
  return out + "'";
}

std::string Number(double value) { return std::isfinite(value) ? fmt::format("{:.9g}", value) : "NaN"; }

std::string Bound(double value) { return std::isnan(value) ? "*" : fmt::format("{:.9g}", value); }

// A column of text in a datablock would need quotes of its own: only numbers stand there.
std::string DataBlock(const std::string& name, const FigureSeries& one) {
  std::string out = "$" + name + " << EOD\n";
  for (size_t i = 0; i < one.x.size(); ++i) {
    out += Number(one.x[i]);
    if (!one.y.empty()) out += " " + Number(one.y[i]);
    if (!one.x_low.empty()) out += " " + Number(one.x_low[i]) + " " + Number(one.x_high[i]);
    if (!one.y_low.empty()) out += " " + Number(one.y_low[i]) + " " + Number(one.y_high[i]);
    out += "\n";
  }
  return out + "EOD\n";
}

std::string Style(const FigureSeries& one) {
  const std::string colour = " lc rgb '" + PaletteColour(one.colour) + "'";
  const int mark = ((one.mark % kMarks) + kMarks) % kMarks;
  switch (one.kind) {
    case FigureSeries::Kind::kLine:
      return fmt::format("lines{} lw {}{}", colour, one.subdued ? "0.8" : "1.6", one.dashed ? " dt 2" : "");
    case FigureSeries::Kind::kBand: return "filledcurves fs transparent solid 0.2 noborder" + colour;
    case FigureSeries::Kind::kPoints: break;
  }
  const bool along_x = !one.x_low.empty(), along_y = !one.y_low.empty();
  const char* with = along_x && along_y ? "xyerrorbars" : along_x ? "xerrorbars" : along_y ? "yerrorbars" : "points";
  return fmt::format("{}{} pt {} ps {} lw 1", with, colour, (one.hollow ? kHollow : kFilled)[mark],
                     one.subdued ? "0.45" : "0.75");
}

// What one entry of the legend looks like.
std::string LegendStyle(const FigureSeries& one) {
  FigureSeries bare = one;
  bare.x_low.clear(), bare.y_low.clear();
  if (one.kind == FigureSeries::Kind::kBand)
    return "boxes fs transparent solid 0.2 noborder lc rgb '" + PaletteColour(one.colour) + "'";
  return Style(bare);
}

std::vector<FigureSeries> LegendEntries(const Figure& figure) {
  std::vector<FigureSeries> entries;
  for (const FigurePanel& panel : figure.panels) {
    for (const FigureSeries& one : panel.series) {
      if (one.name.empty()) continue;
      const auto same = [&](const FigureSeries& each) { return each.name == one.name; };
      if (std::none_of(entries.begin(), entries.end(), same)) entries.push_back(one);
    }
  }
  return entries;
}

size_t LegendColumns(const std::vector<FigureSeries>& entries, double width) {
  size_t longest = 0;
  for (const FigureSeries& one : entries) longest = std::max(longest, one.name.size());
  const double each = kSample + kLetter * static_cast<double>(longest);
  return std::clamp<size_t>(static_cast<size_t>(width / each), 1, std::max<size_t>(1, entries.size()));
}

size_t LegendRows(const std::vector<FigureSeries>& entries, double width) {
  const size_t columns = LegendColumns(entries, width);
  return (entries.size() + columns - 1) / columns;
}

std::string LegendPlot(const std::vector<FigureSeries>& entries, double width, double top) {
  std::string out = "reset\nset lmargin 0\nset rmargin 0\nset tmargin 0\nset bmargin 0\nunset border\nunset tics\nset xrange [0:1]\nset yrange [0:1]\n";
  out += fmt::format("set key at screen 0.02,{:.4g} left top Left reverse noenhanced samplen 2 vertical maxrows {}\n", top,
                     LegendRows(entries, width));
  out += "plot -1 notitle";
  for (const FigureSeries& one : entries)
    out += ", keyentry with " + LegendStyle(one) + " title " + Quoted(one.name);
  return out + "\n";
}

std::string AxisLines(char letter, const FigureAxis& axis) {
  std::string out = fmt::format("set {}label {} noenhanced\n", letter, Quoted(AxisText(axis)));
  if (axis.scale != FigureAxis::Scale::kLinear)
    out += fmt::format("set logscale {} {}\n", letter, axis.scale == FigureAxis::Scale::kLog2 ? 2 : 10);
  std::string tics;
  if (!axis.names.empty()) {
    for (size_t i = 0; i < axis.names.size(); ++i)
      tics += fmt::format("{}{} {}", i > 0 ? ", " : "", Quoted(axis.names[i]), i + 1);
    out += fmt::format("set {}range [0.5:{}.5]\n", letter, axis.names.size());
  } else {
    for (size_t i = 0; i < axis.ticks.size(); ++i)
      tics += fmt::format("{}{} {}", i > 0 ? ", " : "", Quoted(AxisNumber(axis.ticks[i])), Number(axis.ticks[i]));
    out += fmt::format("set {}range [{}:{}]\n", letter, Bound(axis.low), Bound(axis.high));
    if (tics.empty()) out += fmt::format("set format {} '{}'\n", letter, "%g");
  }
  if (!tics.empty()) out += fmt::format("set {}tics ({}) noenhanced\nunset m{}tics\n", letter, tics, letter);
  return out;
}

// From pale to dark, as one hue: readable on either theme with the text of the cell.
std::string CellColour(double share) {
  const double t = std::clamp(share, 0.0, 1.0);
  const auto mix = [&](double from, double to) { return static_cast<int>(std::lround(from + (to - from) * t)); };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0xfd, 0x00), mix(0xf0, 0x5a), mix(0xd5, 0x94));
}

// Cells are rectangles with their values in them. Colours of text beside black are kept by SvgForThemes().
std::string CellLines(const FigureGrid& grid) {
  std::string out;
  int object = 0;
  for (size_t i = 0; i < grid.y.size(); ++i) {
    for (size_t j = 0; j < grid.x.size(); ++j) {
      const double value = grid.z[i * grid.x.size() + j];
      if (std::isnan(value)) continue;
      const double share = (value - grid.low) / (grid.high - grid.low);
      ++object;
      out += fmt::format("set object {} rectangle center {:.9g},{:.9g} size 0.96,0.94 fs solid 1 noborder fc rgb '{}' back\n",
                         object, grid.x[j], grid.y[i], CellColour(share));
      out += fmt::format("set label {} '{:.2f}' at {:.9g},{:.9g} center tc rgb '{}' front\n", object, value, grid.x[j],
                         grid.y[i], share > 0.55 ? "#fefefe" : "#010101");
    }
  }
  return out;
}

std::string ContourLines(const FigureGrid& grid, const std::string& block) {
  std::string out = "$" + block + " << EOD\n";
  for (size_t i = 0; i < grid.y.size(); ++i) {
    for (size_t j = 0; j < grid.x.size(); ++j)
      out += Number(grid.x[j]) + " " + Number(grid.y[i]) + " " + Number(grid.z[i * grid.x.size() + j]) + "\n";
    out += "\n";
  }
  out += "EOD\n";
  std::string levels;
  for (const double level : grid.levels) levels += (levels.empty() ? "" : ",") + Number(level);
  out += "set table $" + block + "lines\nset contour base\nunset surface\nset cntrparam levels discrete " + levels +
         "\nsplot $" + block +
         " using 1:2:3 with lines\nunset table\nunset contour\nset surface\n";
  return out;
}

// The data of a figure, once for all of its pictures.
std::string Blocks(const Figure& figure) {
  std::string out;
  for (size_t p = 0; p < figure.panels.size(); ++p) {
    for (size_t s = 0; s < figure.panels[p].series.size(); ++s)
      out += DataBlock(fmt::format("p{}s{}", p, s), figure.panels[p].series[s]);
  }
  return out;
}

// `small_font`: points of the numbers on contours. Points with error bars stand on a disc of the paper's colour,
// pointintervalbox times as wide; 0 would be taken as 1.
std::string PanelPlot(const FigurePanel& panel, size_t p, int small_font) {
  std::string out =
      "reset\nset datafile missing 'NaN'\nset key off\nset pointintervalbox 0.001\nset border 3 lw 1\nset tics "
      "nomirror out scale 0.5\n";
  out += "set grid lc rgb '#808080' lw 0.4 dt 3\n";
  if (!panel.title.empty()) out += "set title " + Quoted(panel.title) + " noenhanced\n";
  out += AxisLines('x', panel.x) + AxisLines('y', panel.y);
  const std::string grid = fmt::format("p{}grid", p);
  std::string parts;
  const auto add = [&](const std::string& part) { parts += (parts.empty() ? "" : ", ") + part; };
  if (panel.grid && panel.grid->is_contour && !panel.grid->levels.empty()) {
    out += ContourLines(*panel.grid, grid);
    add("$" + grid + "lines using 1:2 with lines lc rgb '" + PaletteColour(0) + "' lw 1.4");
    // One number a line, at its fourth point.
    add("$" + grid + "lines using 1:2:(sprintf('%.3g', $3)) every 1000::3 with labels left offset 0.2,0.5 font '," +
        std::to_string(small_font) + "'");
  } else if (panel.grid && !panel.grid->is_contour) {
    out += "unset grid\n" + CellLines(*panel.grid);
  }
  for (size_t s = 0; s < panel.series.size(); ++s) {
    const FigureSeries& one = panel.series[s];
    if (one.x.empty()) continue;
    size_t columns = 1 + (one.y.empty() ? 0 : 1) + (one.x_low.empty() ? 0 : 2) + (one.y_low.empty() ? 0 : 2);
    std::string use = "1";
    for (size_t j = 2; j <= columns; ++j) use += fmt::format(":{}", j);
    add(fmt::format("$p{}s{} using {} with {}", p, s, use, Style(one)));
  }
  // Of an empty panel the axes alone.
  if (parts.empty()) parts = "NaN notitle";
  return out + "plot " + parts + "\n";
}

}  // namespace

std::string PaletteColour(int colour) {
  if (colour == FigureSeries::kTextColour) return "#000000";
  return kPalette[((colour % kPaletteSize) + kPaletteSize) % kPaletteSize];
}

bool HasLegend(const Figure& figure) { return !LegendEntries(figure).empty(); }

std::string GnuplotScript(const Figure& figure) {
  CheckFigure(figure);
  const std::vector<FigureSeries> legend = LegendEntries(figure);
  std::string out = Blocks(figure);
  const size_t panels = std::max<size_t>(1, figure.panels.size());
  const size_t columns = panels == 1 ? 1 : panels <= 4 ? 2 : 3, rows = (panels + columns - 1) / columns;
  const double panel_width = kPanelWidth * figure.panel_size, panel_height = kPanelHeight * figure.panel_size;
  const double width = panel_width * static_cast<double>(columns);
  const double legend_height = legend.empty() ? 0 : 14 + kLine * static_cast<double>(LegendRows(legend, width));
  const double height = panel_height * static_cast<double>(rows) + legend_height;
  for (const bool is_pdf : {false, true}) {
    out += is_pdf ? fmt::format("set terminal pdfcairo size {:.4g},{:.4g} font 'sans,9' fontscale 1\n", width / 96, height / 96)
                  : fmt::format("set terminal svg size {:.0f},{:.0f} dynamic font 'sans-serif,13'\n", width, height);
    out += fmt::format("set output '{}.{}'\nset multiplot\n", figure.name, is_pdf ? "pdf" : "svg");
    for (size_t p = 0; p < figure.panels.size(); ++p) {
      const double left = static_cast<double>(p % columns) * panel_width / width;
      const double top = 1 - static_cast<double>(p / columns) * panel_height / height;
      std::string panel = PanelPlot(figure.panels[p], p, is_pdf ? 7 : 11);
      // `reset`, its first line, forgets the place.
      panel.insert(panel.find('\n') + 1,
                   fmt::format("set origin {:.5f},{:.5f}\nset size {:.5f},{:.5f}\n", left, top - panel_height / height,
                               panel_width / width, panel_height / height));
      out += panel;
    }
    if (!legend.empty()) out += LegendPlot(legend, width, (legend_height - 4) / height);
    out += "unset multiplot\nset output\n";
  }
  for (size_t p = 0; p < figure.panels.size(); ++p) {
    out +=
        fmt::format("set terminal svg size {:.0f},{:.0f} dynamic font 'sans-serif,14'\nset output '{}.panel{}.svg'\n",
                    panel_width, panel_height, figure.name, p + 1);
    out += PanelPlot(figure.panels[p], p, 11) + "set output\n";
  }
  if (!legend.empty()) {
    out += fmt::format("set terminal svg size {:.0f},{:.0f} dynamic font 'sans-serif,14'\nset output '{}.legend.svg'\n",
                       panel_width, 14 + kLine * static_cast<double>(LegendRows(legend, panel_width)), figure.name);
    out += LegendPlot(legend, panel_width, 0.98) + "set output\n";
  }
  return out;
}

}  // namespace bitlaw
