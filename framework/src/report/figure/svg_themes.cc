#include "report/figure/svg_themes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <regex>

#include "report/figure/gnuplot_script.h"

namespace bitlaw {

namespace {

constexpr const char* kStyle =
    "<style>svg{color:#1b1b1b}@media (prefers-color-scheme:dark){svg{color:#e6e6e6}}</style>";

void ReplaceAll(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// "rgb(  0, 114, 178)", as gnuplot writes "#0072b2".
std::string GnuplotColour(const std::string& hexadecimal) {
  const auto channel = [&](size_t at) { return std::stoi(hexadecimal.substr(at, 2), nullptr, 16); };
  return fmt::format("rgb({:3d}, {:3d}, {:3d})", channel(1), channel(3), channel(5));
}

}  // namespace

std::string EscapedMarkup(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

std::string SvgForThemes(const std::string& svg, const std::string& id, const std::string& title) {
  std::string out = svg;
  for (const char quote : {'"', '\''}) {
    for (const char* attribute : {"fill=", "stroke=", "color="}) {
      for (const char* black : {"black", "rgb(  0,   0,   0)"}) {
        std::string from = attribute, to = attribute;
        from += quote, from += black, from += quote;
        to += quote, to += "currentColor", to += quote;
        // `color` sets what currentColor means below it: black is then what stands around.
        if (std::string(attribute) == "color=") to.clear();
        ReplaceAll(out, from, to);
      }
    }
  }
  std::string prefix = id;
  std::replace_if(prefix.begin(), prefix.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '-');
  for (const char* quote : {"'", "\""}) {
    ReplaceAll(out, std::string("id=") + quote, std::string("id=") + quote + prefix + "-");
    ReplaceAll(out, std::string("href=") + quote + "#", std::string("href=") + quote + "#" + prefix + "-");
  }
  ReplaceAll(out, "url(#", "url(#" + prefix + "-");
  ReplaceAll(out, "<title>Gnuplot</title>", "<title>" + EscapedMarkup(title) + "</title>\n" + kStyle);
  // A drawing of three lines comes with dozens of groups that hold nothing.
  static const std::regex empty(R"(<g [^>]*>\s*</g>\s*)"), plot_title(R"(<title>[^<]*gnuplot_plot[^<]*</title>)");
  // Discs of the paper's colour below points that have error bars: on a dark page they would be bright.
  static const std::regex disc(R"(\s*<use [^>]*color='white'/>)");
  out = std::regex_replace(out, disc, "");
  for (std::string before; before != out;) before = out, out = std::regex_replace(out, empty, "");
  return std::regex_replace(out, plot_title, "");
}

std::string SvgInPage(const std::string& svg) {
  std::string out = svg;
  if (const size_t begin = out.find("<svg"); begin != std::string::npos) out.erase(0, begin);
  ReplaceAll(out, kStyle, "");
  ReplaceAll(out, "<svg", "<svg role=\"img\"");
  for (int colour = 0; colour < kPaletteSize; ++colour) {
    const std::string hexadecimal = PaletteColour(colour);
    ReplaceAll(out, GnuplotColour(hexadecimal), fmt::format("var(--c{},{})", colour, hexadecimal));
  }
  return out;
}

}  // namespace bitlaw
