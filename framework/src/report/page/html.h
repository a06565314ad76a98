#pragma once

#include <string>

#include "bitlaw/base/export.h"
#include "report/document.h"
#include "report/figure/draw_figures.h"

namespace bitlaw {

/// The report as one HTML file that needs nothing else: no scripts, no other files. Light or dark as the reader prefers,
/// from a phone's width on, and on paper; the appendix is behind folds. Figures are those of `drawn`; of one that is not
/// there the caption stands with drawn.why_none.
BITLAW_EXPORT std::string RenderHtml(const ReportDocument& document, const DrawnFigures& drawn);

/// For a paper: a LaTeX document with booktabs tables and figures/NAME.pdf; of the appendix only what is_in_paper. Its
/// packages are those of Debian's texlive-latex-recommended.
BITLAW_EXPORT std::string RenderLatex(const ReportDocument& document, const DrawnFigures& drawn);

}  // namespace bitlaw
