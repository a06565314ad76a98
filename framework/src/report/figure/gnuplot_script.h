#pragma once

#include <string>

#include "bitlaw/base/export.h"
#include "report/figure/figure.h"

namespace bitlaw {

/// Hexadecimal, "#0072b2", of FigureSeries::colour; "#000000" for that of the text.
BITLAW_EXPORT std::string PaletteColour(int colour);
/// How many colours there are before they repeat.
inline constexpr int kPaletteSize = 6;

/// A script for gnuplot (5.4) that draws a figure into the folder where gnuplot runs:
///   NAME.svg, NAME.pdf             all panels and the legend, for papers
///   NAME.panel1.svg, ...           each panel by itself, to be laid out by a page that may be narrow
///   NAME.legend.svg                their legend; none where nothing is named
/// Texts go between single quotes, where gnuplot expands nothing. Same figure, same bytes.
BITLAW_EXPORT std::string GnuplotScript(const Figure& figure);

/// Whether the figure has a legend.
BITLAW_EXPORT bool HasLegend(const Figure& figure);

}  // namespace bitlaw
