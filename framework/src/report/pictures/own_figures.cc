#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/table/column_map.h"
#include "report/pictures/axes.h"
#include "report/pictures/best_laws.h"
#include "report/pictures/study_figures.h"
#include "spec/figures/figure_options.h"

namespace bitlaw {

namespace {

// Rows of every stratum, with the column `stratum`; of columns that only some strata have, those that all have.
Table RowsOfStrata(const Table& observations) {
  const StrataData strata = SplitStrata(observations);
  std::vector<std::string> names;
  Table all(observations.origin());
  if (strata.strata.empty()) return all;
  for (const TableColumn& column : strata.strata.front().table.columns()) {
    const auto has = [&](const StratumData& one) {
      const TableColumn* found = one.table.Find(column.name);
      return found != nullptr && found->is_text == column.is_text;
    };
    if (column.name == "stratum" || !std::all_of(strata.strata.begin(), strata.strata.end(), has)) continue;
    TableColumn joined;
    joined.name = column.name, joined.is_text = column.is_text;
    for (const StratumData& one : strata.strata) {
      const TableColumn& part = *one.table.Find(column.name);
      joined.numbers.insert(joined.numbers.end(), part.numbers.begin(), part.numbers.end());
      joined.texts.insert(joined.texts.end(), part.texts.begin(), part.texts.end());
    }
    all.Add(std::move(joined));
  }
  std::vector<std::string> of;
  for (const StratumData& one : strata.strata) of.insert(of.end(), one.table.rows(), one.name);
  all.AddTexts("stratum", std::move(of));
  return all;
}

// A column's values, or an expression's, as texts that group points; numbers stay in their order.
struct Groups {
  std::vector<std::string> of_row;
  std::vector<std::string> names;  // In order: numbers rising, texts by letter.
};

Groups GroupsOf(const Table& table, const std::string& text, bool with_name) {
  Groups groups;
  if (text.empty()) {
    groups.of_row.assign(table.rows(), "");
    groups.names = {""};
    return groups;
  }
  const TableColumn* column = table.Find(text);
  if (column != nullptr && column->is_text) {
    groups.of_row = column->texts;
    groups.names = column->texts;
    std::sort(groups.names.begin(), groups.names.end());
  } else {
    std::vector<double> numbers = table.Evaluate(Expression::Parse(text));
    const auto name_of = [&](double number) {
      const std::string shown = std::isnan(number) ? "none" : fmt::format("{:.6g}", number);
      return with_name ? text + " = " + shown : shown;
    };
    for (const double number : numbers) groups.of_row.push_back(name_of(number));
    std::sort(numbers.begin(), numbers.end(), [](double a, double b) {
      return std::isnan(a) != std::isnan(b) ? std::isnan(b) : a < b;
    });
    for (const double number : numbers) groups.names.push_back(name_of(number));
  }
  groups.names.erase(std::unique(groups.names.begin(), groups.names.end()), groups.names.end());
  return groups;
}

FigureAxis::Scale ScaleOf(const std::string& name) {
  return name == "log2"    ? FigureAxis::Scale::kLog2
         : name == "log10" ? FigureAxis::Scale::kLog10
                           : FigureAxis::Scale::kLinear;
}

Figure MakeFigure(const StudyResults& results, const FigureOptions& options) {
  constexpr size_t kMostPanels = 12, kMostColours = 30;
  const Table observations = MapColumns(results.observations, results.description.map);
  Table table = options.of_tasks ? observations : RowsOfStrata(observations);
  if (!options.where.empty()) table = table.Rows(table.Where(Expression::Parse(options.where)));
  const std::vector<double> x = table.Evaluate(Expression::Parse(options.x));
  const std::vector<double> y = table.Evaluate(Expression::Parse(options.y));
  const Groups colours = GroupsOf(table, options.colour, true), facets = GroupsOf(table, options.facet, true);
  const auto refuse = [&](const char* key, size_t count, size_t most) {
    throw Error(ErrorKind::kSpec,
                fmt::format("{} has {} values; a figure shows {} at most. Narrow it by where", key, count, most));
  };
  if (facets.names.size() > kMostPanels) refuse("facet", facets.names.size(), kMostPanels);
  if (colours.names.size() > kMostColours) refuse("colour", colours.names.size(), kMostColours);
  Figure figure;
  figure.name = "own_" + options.name;
  figure.title = options.title;
  const bool x_is_log = options.x_scale != "linear", y_is_log = options.y_scale != "linear";
  size_t shown = 0;
  for (const std::string& facet : facets.names) {
    FigurePanel panel;
    panel.title = facet;
    panel.x.label = options.x, panel.x.unit = UnitOf(results, options.x), panel.x.scale = ScaleOf(options.x_scale);
    panel.y.label = options.y, panel.y.unit = UnitOf(results, options.y), panel.y.scale = ScaleOf(options.y_scale);
    for (size_t c = 0; c < colours.names.size(); ++c) {
      FigureSeries series;
      series.name = colours.names[c];
      series.colour = series.mark = static_cast<int>(c);
      for (size_t row = 0; row < table.rows(); ++row) {
        if (facets.of_row[row] != facet || colours.of_row[row] != colours.names[c]) continue;
        if (!std::isfinite(x[row]) || !std::isfinite(y[row])) continue;
        if ((x_is_log && x[row] <= 0) || (y_is_log && y[row] <= 0)) continue;
        series.x.push_back(x[row]), series.y.push_back(y[row]);
      }
      shown += series.x.size();
      if (!series.x.empty()) panel.series.push_back(std::move(series));
    }
    if (!panel.series.empty()) figure.panels.push_back(std::move(panel));
  }
  if (shown == 0) throw Error(ErrorKind::kSpec, "no row has a value of both x and y");
  figure.caption = fmt::format("{}{}{}.", Counted(shown, "point"),
                               options.of_tasks ? ", each a trial on a task" : ", each a trial in a stratum",
                               options.where.empty() ? "" : ", where " + options.where);
  if (shown < table.rows())
    figure.caption += fmt::format(" {} without a value{} not shown.", Counted(table.rows() - shown, "row"),
                                  fmt::format("{} {}", x_is_log || y_is_log ? ", or without one above 0," : "",
                                              table.rows() - shown == 1 ? "is" : "are"));
  return figure;
}

}  // namespace

void AddOwnFigures(const StudyResults& results, StudyFigures& figures) {
  for (const FigureOptions& options : ReadFigureOptions(results.description.figures)) {
    try {
      figures.figures.push_back(MakeFigure(results, options));
    } catch (const Error& error) {
      std::string why = error.what();
      if (why.ends_with('.')) why.pop_back();
      figures.left_out.push_back("figure '" + options.name + "' of the study: " + why + ".");
    }
  }
}

}  // namespace bitlaw
