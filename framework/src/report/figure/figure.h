#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "fit/table/unset.h"
#include "records/table.h"

namespace bitlaw {

struct BITLAW_EXPORT FigureAxis {
  enum class Scale { kLinear, kLog2, kLog10 };
  std::string label, unit;  ///< unit "": none
  Scale scale = Scale::kLinear;
  double low = kUnset, high = kUnset;  ///< NaN: as the data ask.
  std::vector<double> ticks;           ///< Where numbers stand; empty: the renderer's choice.
  std::vector<std::string> names;      ///< Names at 1, 2, ... in place of numbers; then `ticks` is not read.
};

/// One set of marks, one line or one band. Series of one name in several panels share a place in the legend.
struct BITLAW_EXPORT FigureSeries {
  enum class Kind { kPoints, kLine, kBand };
  /// Of the palette (Okabe and Ito 2008, those of its colours that are seen on white and on black), taken modulo its size;
  /// kTextColour: that of the text.
  static constexpr int kTextColour = -1;
  Kind kind = Kind::kPoints;
  std::string name;  ///< "": not in the legend
  int colour = 0;
  int mark = 0;         ///< Shape of points, modulo 5: circle, triangle, square, diamond, triangle upside down.
  bool hollow = false;  ///< Points: the outline alone (what was held out).
  bool dashed = false;  ///< Lines
  bool subdued = false; ///< Thin and pale: what is behind other things.
  std::vector<double> x, y;             ///< Equal lengths. A band has no y.
  std::vector<double> x_low, x_high;    ///< Error bars along x, of points; empty: none.
  std::vector<double> y_low, y_high;    ///< Error bars along y, or the edges of a band; empty: none.
};

/// Values on a rectangular grid: cells in shades with the values written in them, or lines of equal value.
struct BITLAW_EXPORT FigureGrid {
  std::string label;
  bool is_contour = false;
  std::vector<double> x, y;    ///< Of contours places on the axes; of cells 1, 2, ... under the axes' names.
  std::vector<double> z;       ///< [y, x]; NaN: nothing there.
  std::vector<double> levels;  ///< Of contours.
  double low = 0, high = 1;    ///< Of cells: the values of the palest and the darkest shade.
};

struct BITLAW_EXPORT FigurePanel {
  std::string title;
  FigureAxis x, y;
  std::vector<FigureSeries> series;
  std::optional<FigureGrid> grid;
};

/// A figure as data; GnuplotFigures() draws it.
struct BITLAW_EXPORT Figure {
  std::string name;     ///< Of its files, without ending: letters, digits, '_' and '-'.
  std::string title;
  std::string caption;  ///< What is shown, of which rows, and what its bars and bands are.
  std::vector<FigurePanel> panels;
  double panel_size = 1;  ///< Of its panels, times the usual.
  bool is_drawn = true;  ///< Whether pictures of it will be beside the report.
};

/// One row a point: panel, series, x, y, x_low, x_high, y_low, y_high; z of grids. Missing is empty.
BITLAW_EXPORT Table FigureTable(const Figure& figure);

/// InternalError for lengths that do not fit, or a name that is no file's.
BITLAW_EXPORT void CheckFigure(const Figure& figure);

/// A number as axes show it: "56k", "1.8M", "0.05", "-3.2e-05".
BITLAW_EXPORT std::string AxisNumber(double number);

/// Text as an axis shows it: "N [weights]".
BITLAW_EXPORT std::string AxisText(const FigureAxis& axis);

}  // namespace bitlaw
