#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "report/figure/figure.h"

namespace bitlaw {

/// Pictures of figures, as gnuplot draws them.
struct BITLAW_EXPORT DrawnFigures {
  std::map<std::string, std::string> files;  ///< Names of GnuplotScript() -> bytes; SVG after SvgForThemes().
  /// Why there are none, or which are missing, with what to do; empty exactly when every figure is there. "" too where
  /// there is nothing to draw.
  std::string why_none;
};

/// Runs `program`, gnuplot 5.4 or later found by PATH, once for all figures, in a temporary folder of its own.
/// A program that is missing or fails costs the pictures and nothing else. Same figures, same bytes: dates that gnuplot
/// writes into PDF are set to 2000-01-01.
BITLAW_EXPORT DrawnFigures DrawFigures(std::span<const Figure> figures, const std::string& program = "gnuplot");

}  // namespace bitlaw
