#pragma once

#include <string>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// gnuplot's SVG as pages and papers of either theme can have it: what is black takes the colour of the text around
/// (currentColor), its ids begin with `id` so that several fit into one page, its title is `title`, and groups without
/// content are gone. A picture by itself is dark on light, or light on dark where the reader prefers that.
BITLAW_EXPORT std::string SvgForThemes(const std::string& svg, const std::string& id, const std::string& title);

/// What SvgForThemes() returned, to stand inside an HTML page: without the XML declaration and its own style, with the
/// palette's colours as CSS variables --c0, --c1, ... (fallback: the colour itself) and a label for who cannot see it.
BITLAW_EXPORT std::string SvgInPage(const std::string& svg);

/// A text where markup may not begin: & < > " '
BITLAW_EXPORT std::string EscapedMarkup(const std::string& text);

}  // namespace bitlaw
