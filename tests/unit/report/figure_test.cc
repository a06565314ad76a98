#include "report/figure/figure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "bitlaw/base/error.h"
#include "report/figure/draw_figures.h"
#include "report/figure/gnuplot_script.h"
#include "report/figure/svg_themes.h"
#include "report/page/html.h"
#include "report/pictures/axes.h"
#include "support/fixture_study.h"
#include "support/markup_check.h"

namespace bitlaw {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Two points with error bars, a line and a band; one name that tries to leave its quotes.
Figure Sample() {
  Figure figure;
  figure.name = "sample";
  figure.title = "Accuracy <over> size";
  figure.caption = "Two & two.";
  FigureSeries points, line, band;
  points.name = "it's `date`", points.x = {1e5, 1e6}, points.y = {0.25, 0.5};
  points.y_low = {0.2, 0.4}, points.y_high = {0.3, 0.6};
  line.kind = FigureSeries::Kind::kLine, line.x = {1e5, 1e6}, line.y = {0.2, NAN}, line.dashed = true, line.colour = 1;
  band.kind = FigureSeries::Kind::kBand, band.name = "90 %", band.x = {1e5, 1e6};
  band.y_low = {0.1, 0.2}, band.y_high = {0.4, 0.7};
  FigurePanel panel;
  panel.title = "KM";
  panel.x = {"N", "weights", FigureAxis::Scale::kLog10, 9e4, 1.1e6, {1e5, 1e6}, {}};
  panel.y.label = "accuracy";
  panel.series = {band, line, points};
  figure.panels = {panel};
  return figure;
}

TEST(Figures, AreTablesOfTheirPoints) {
  EXPECT_EQ(WriteCsv(FigureTable(Sample())),
            "panel,series,x,y,x_low,x_high,y_low,y_high,z\n"
            "KM,90 %,1e+05,,,,0.1,0.4,\n"
            "KM,90 %,1e+06,,,,0.2,0.7,\n"
            "KM,,1e+05,0.2,,,,,\n"
            "KM,,1e+06,,,,,,\n"
            "KM,it's `date`,1e+05,0.25,,,0.2,0.3,\n"
            "KM,it's `date`,1e+06,0.5,,,0.4,0.6,\n");
  Figure grid;
  grid.name = "g";
  grid.panels.resize(1);
  grid.panels[0].grid = FigureGrid{"kept", false, {1, 2}, {1}, {0.5, NAN}, {}};
  EXPECT_EQ(WriteCsv(FigureTable(grid)), "panel,series,x,y,x_low,x_high,y_low,y_high,z\n,kept,1,1,,,,,0.5\n,kept,2,1,,,,,\n");
}

TEST(Figures, WithLengthsThatDoNotFitAreRefused) {
  Figure figure = Sample();
  figure.panels[0].series[2].y.pop_back();
  EXPECT_THROW(CheckFigure(figure), InternalError);
  figure = Sample();
  figure.panels[0].series[0].y_high.pop_back();
  EXPECT_THROW(CheckFigure(figure), InternalError);
  figure = Sample();
  figure.name = "../sample";
  EXPECT_THROW(CheckFigure(figure), InternalError);
}

TEST(AxisNumbers, AreShort) {
  EXPECT_EQ(AxisNumber(55520), "56k");
  EXPECT_EQ(AxisNumber(1771456), "1.8M");
  EXPECT_EQ(AxisNumber(999.6), "1k");
  EXPECT_EQ(AxisNumber(7e9), "7G");
  EXPECT_EQ(AxisNumber(0.05), "0.05");
  EXPECT_EQ(AxisNumber(-2000), "-2k");
  EXPECT_EQ(AxisNumber(0), "0");
}

TEST(Axes, HaveFewRoundTicksAroundTheirNumbers) {
  FigureAxis axis;
  SetLinearTicks(-1.46, 0, axis);
  EXPECT_THAT(axis.ticks, ElementsAre(-1.5, -1, -0.5, 0));
  EXPECT_EQ(axis.low, -1.5);
  EXPECT_EQ(axis.high, 0);
  FigureAxis both;
  SetLinearTicks(-0.09, 0.16, both);
  EXPECT_THAT(both.ticks, ElementsAre(DoubleEq(-0.1), DoubleEq(-0.05), 0, DoubleEq(0.05), DoubleEq(0.1), DoubleEq(0.15),
                                      DoubleEq(0.2)));
}

TEST(Axes, OfSizesAreInTheUnitOfTheLargest) {
  const auto [unit, axis] = BytesAxis("weights", {4e8, 2.5e9});
  EXPECT_EQ(unit, 1e9);
  EXPECT_EQ(AxisText(axis), "weights [GB]");
  EXPECT_THAT(axis.ticks, ElementsAre(DoubleEq(0.5), 1, 2));
  EXPECT_LT(axis.low, 0.4);
  EXPECT_GT(axis.high, 2.5);
  const auto [one_unit, one] = BytesAxis("weights", {5e5});
  EXPECT_EQ(one_unit, 1e3);
  EXPECT_LT(one.low, 500);
  EXPECT_GT(one.high, 500);
}

// Data are numbers; texts stand in single quotes with quotes doubled, where gnuplot runs nothing.
TEST(GnuplotScripts, SayWhatIsDrawn) {
  const std::string script = GnuplotScript(Sample());
  EXPECT_THAT(script, HasSubstr("$p0s0 << EOD\n100000 0.1 0.4\n1000000 0.2 0.7\nEOD\n"
                                "$p0s1 << EOD\n100000 0.2\n1000000 NaN\nEOD\n"
                                "$p0s2 << EOD\n100000 0.25 0.2 0.3\n1000000 0.5 0.4 0.6\nEOD\n"));
  EXPECT_THAT(script, HasSubstr("set xlabel 'N [weights]' noenhanced\nset logscale x 10\nset xrange [90000:1100000]\n"
                                "set xtics ('100k' 100000, '1M' 1000000) noenhanced\n"));
  EXPECT_THAT(script, HasSubstr("plot $p0s0 using 1:2:3 with filledcurves fs transparent solid 0.2 noborder lc rgb '#0072b2', "
                                "$p0s1 using 1:2 with lines lc rgb '#d55e00' lw 1.6 dt 2, "
                                "$p0s2 using 1:2:3:4 with yerrorbars lc rgb '#0072b2' pt 7 ps 0.75 lw 1\n"));
  EXPECT_THAT(script, HasSubstr("title 'it''s `date`'"));
  for (const char* output : {"sample.svg", "sample.pdf", "sample.panel1.svg", "sample.legend.svg"})
    EXPECT_THAT(script, HasSubstr(std::string("set output '") + output + "'\n"));
  Figure larger = Sample();
  larger.panel_size = 2;
  EXPECT_THAT(
      script,
      HasSubstr("set terminal svg size 420,330 dynamic font 'sans-serif,14'\nset output 'sample.panel1.svg'\n"));
  EXPECT_THAT(
      GnuplotScript(larger),
      HasSubstr("set terminal svg size 840,660 dynamic font 'sans-serif,14'\nset output 'sample.panel1.svg'\n"));
  Figure lines = Sample();
  lines.panels[0].title = "a\nsystem 'x'";
  EXPECT_THAT(GnuplotScript(lines), HasSubstr("set title 'a system ''x''' noenhanced\n"));
}

TEST(SvgThemes, TakeTheTextsColourForBlackAndKeepIdsApart) {
  const std::string svg = "<?xml version=\"1.0\"?>\n<svg \n viewBox=\"0 0 4 4\">\n<title>Gnuplot</title>\n"
                          "<g fill=\"none\" color=\"black\" stroke=\"black\">\n</g>\n"
                          "<circle id='gpDot' stroke='black'/><use xlink:href='#gpDot' color='rgb(  0, 114, 178)'/>"
                          "<text fill='rgb(  1,   1,   1)'>1</text></svg>";
  const std::string themed = SvgForThemes(svg, "a.panel1", "T & t");
  EXPECT_THAT(themed, HasSubstr("<title>T &amp; t</title>\n<style>svg{color:#1b1b1b}@media (prefers-color-scheme:dark)"));
  EXPECT_THAT(themed, HasSubstr("<circle id='a-panel1-gpDot' stroke='currentColor'/><use xlink:href='#a-panel1-gpDot' "
                                "color='rgb(  0, 114, 178)'/><text fill='rgb(  1,   1,   1)'>1</text></svg>"));
  EXPECT_THAT(themed, Not(HasSubstr("<g ")));
  EXPECT_EQ(SvgInPage(themed),
            "<svg role=\"img\" \n viewBox=\"0 0 4 4\">\n<title>T &amp; t</title>\n\n"
            "<circle id='a-panel1-gpDot' stroke='currentColor'/><use xlink:href='#a-panel1-gpDot' "
            "color='var(--c0,#0072b2)'/><text fill='rgb(  1,   1,   1)'>1</text></svg>");
}

// Gradients, clips and filters are named by url(#...): in a page of several pictures each must mean its own.
TEST(SvgThemes, KeepWhatIsMeantByUrlApart) {
  const std::string svg =
      "<svg><title>Gnuplot</title><defs><filter id='textbox'/></defs><clipPath id=\"c\"/>"
      "<g filter=\"url(#textbox)\" clip-path='url(#c)'>x</g></svg>";
  const std::string first = SvgForThemes(svg, "a.panel1", "T"), second = SvgForThemes(svg, "b", "T");
  EXPECT_THAT(first, HasSubstr("<filter id='a-panel1-textbox'/>"));
  EXPECT_THAT(
      first,
      HasSubstr("<clipPath id=\"a-panel1-c\"/><g filter=\"url(#a-panel1-textbox)\" clip-path='url(#a-panel1-c)'>"));
  EXPECT_THAT(second, HasSubstr("<g filter=\"url(#b-textbox)\" clip-path='url(#b-c)'>"));
  EXPECT_THAT(second, Not(HasSubstr("url(#textbox)")));
}

// A browser shows a title where the pointer rests: that of the picture, not gnuplot's of each plot.
TEST(SvgThemes, HaveNoTitlesOfPlots) {
  const std::string themed = SvgForThemes(
      "<svg><title>Gnuplot</title><g id='gnuplot_plot_1'><title>gnuplot_plot_1</title><path/></g></svg>", "a", "T");
  EXPECT_THAT(themed, HasSubstr("<title>T</title>"));
  EXPECT_THAT(themed, HasSubstr("<g id='a-gnuplot_plot_1'><path/></g>"));
}

// gnuplot draws a disc of the paper's colour below a point that has error bars, which would be bright on a dark page.
TEST(SvgThemes, HaveNoWhiteDiscs) {
  const std::string themed = SvgForThemes(
      "<svg><title>Gnuplot</title>\n\t<use xlink:href='#p' transform='translate(1,2)' color='white'/>"
      "<use xlink:href='#p' color='rgb(  0, 114, 178)'/></svg>",
      "a", "T");
  EXPECT_THAT(themed, Not(HasSubstr("white")));
  EXPECT_THAT(themed, HasSubstr("<use xlink:href='#a-p' color='rgb(  0, 114, 178)'/>"));
}

ReportDocument SampleDocument() {
  ReportDocument document;
  document.title = "Study <b>";
  ReportSection section{"Found_1", {"a & b"}, {"50 % of \\x"}, {}};
  section.tables.push_back({"t", "T", {"law", "R2"}, {{"p_n", RSquared(-23477)}}, {"n = 1"}});
  section.figures = {Sample()};
  document.sections = {section};
  document.appendix = {{"All", {"rest"}, {}, {}}};
  return document;
}

TEST(HtmlPages, HoldEverythingAndNothingOfOthers) {
  DrawnFigures drawn;
  drawn.why_none = "gnuplot is not installed";
  const std::string without = RenderHtml(SampleDocument(), drawn);
  EXPECT_EQ(ExplainMarkup(without), "");
  EXPECT_THAT(without, HasSubstr("<h1>Study &lt;b&gt;</h1>\n<section>\n<h2>Found_1</h2>\n<p>a &amp; b</p>\n<ul>\n"
                                 "<li>50 % of \\x</li>\n</ul>\n<div class=\"table\"><table>\n<caption>T</caption>\n"
                                 "<thead><tr><th scope=\"col\">law</th><th scope=\"col\" class=\"n\">R2</th></tr></thead>\n"
                                 "<tbody>\n<tr><td>p_n</td><td class=\"n\">below zero</td></tr>\n</tbody></table></div>\n"
                                 "<p class=\"note\">n = 1</p>\n"
                                 "<figure id=\"figure-sample\">\n<figcaption><strong>Accuracy &lt;over&gt; size.</strong> Two &amp; "
                                 "two.</figcaption>\n<p class=\"note\">Not drawn: gnuplot is not installed.</p>\n</figure>\n"));
  EXPECT_THAT(without, HasSubstr("<details>\n<summary>All</summary>\n<p>rest</p>\n</details>\n"));
  // A dark page for who asks for one, a sheet of paper in narrow columns, a phone at its own width.
  for (const char* part : {"@media (prefers-color-scheme:dark){:root{--back:#161718;", "@media print{body{max-width:none",
                           "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"})
    EXPECT_THAT(without, HasSubstr(part));
  for (const char* foreign : {"http:", "https:", "<script", "@import", "src="}) EXPECT_THAT(without, Not(HasSubstr(foreign)));
  drawn.files["sample.panel1.svg"] = "<?xml?><svg><path/></svg>";
  EXPECT_THAT(RenderHtml(SampleDocument(), drawn), HasSubstr("<div class=\"panels\">\n<div><svg role=\"img\"><path/></svg></div>\n"));
  drawn.files["sample.legend.svg"] = "<svg><text/></svg>";
  EXPECT_THAT(RenderHtml(SampleDocument(), drawn),
              HasSubstr("<div class=\"legend\"><svg role=\"img\"><text/></svg></div>\n<div class=\"panels\">"));
  ReportDocument named = SampleDocument();
  named.sections[0].tables[0].rows[0][0].text = "<i>&'\"";
  EXPECT_THAT(RenderHtml(named, drawn), HasSubstr("<td>&lt;i&gt;&amp;&#39;&quot;</td>"));
}

TEST(LatexPages, SetTextsAsTheyAre) {
  DrawnFigures drawn;
  drawn.files["sample.pdf"] = "%PDF";
  const std::string tex = RenderLatex(SampleDocument(), drawn);
  EXPECT_THAT(tex, HasSubstr("\\title{Study \\textless{}b\\textgreater{}}"));
  EXPECT_THAT(tex, HasSubstr("\\item 50 \\% of \\textbackslash{}x\n"));
  EXPECT_THAT(tex, HasSubstr("\\begin{tabular}{lr}\n\\toprule\nlaw & R2 \\\\\n\\midrule\np\\_n & below zero \\\\\n\\bottomrule\n"));
  EXPECT_THAT(tex, HasSubstr("\\includegraphics[width=\\textwidth]{figures/sample.pdf}\n"));
  EXPECT_THAT(tex, Not(HasSubstr("rest")));
  EXPECT_THAT(tex, Not(HasSubstr("adjustbox"))) << "it is not in texlive-latex-recommended";
}

// Of the appendix what a paper needs, over as many pages as it takes.
TEST(LatexPages, HaveTheLongTablesOfTheAppendixThatAPaperNeeds) {
  ReportDocument document = SampleDocument();
  ReportSection section;
  section.title = "Verdicts";
  section.tables = {
      {"v", "V", {"trial", "items"}, {{"a name of more than twenty-four letters", Whole(1200)}}, {"n & 1"}}};
  document.appendix.push_back(section);
  EXPECT_THAT(RenderLatex(document, {}), Not(HasSubstr("Verdicts")));
  document.appendix.back().is_in_paper = true;
  const std::string tex = RenderLatex(document, {});
  EXPECT_THAT(
      tex,
      HasSubstr(
          "\\section*{Verdicts}\n{\\scriptsize\\raggedright\\setlength{\\tabcolsep}{3pt}\n"
          "\\begin{longtable}{lr}\n\\caption{V} \\\\\n\\toprule\ntrial & items \\\\\n\\midrule\n"
          "\\endfirsthead\n\\toprule\ntrial & items \\\\\n\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n"
          "a name of more than twenty-four letters & 1,200 \\\\\n\\end{longtable}\n\\par\\noindent n \\& 1\n\\par}\n"));
  EXPECT_THAT(tex, Not(HasSubstr("rest")));
}

// Names are broken within what numbers leave of the line, headers over lines; a page is turned where that is too
// little.
TEST(LatexPages, KeepWideTablesOnThePage) {
  const auto table = [](size_t numbers) {
    ReportTable made{
        "v", "V", {"trial"}, {{std::string(30, 'e') + " " + std::string(30, 'a') + " " + std::string(30, 'o')}}, {}};
    for (size_t i = 0; i < numbers; ++i) {
      made.header.emplace_back("loss at most of these");
      made.rows[0].push_back(Fixed(0.123456, 6));
    }
    return made;
  };
  ReportDocument document;
  document.title = "Wide";
  document.appendix.resize(1);
  document.appendix[0].is_in_paper = true;
  document.appendix[0].tables = {table(6)};
  // 6 numbers of 8 letters, 7 columns: 6 * 8 * 4.1 + 7 * 6 = 238.8 pt.
  const std::string upright = RenderLatex(document, {});
  EXPECT_THAT(
      upright,
      HasSubstr("\\begin{longtable}{>{\\raggedright\\arraybackslash}p{\\dimexpr\\linewidth-239pt\\relax}rrrrrr}\n"));
  EXPECT_THAT(upright, HasSubstr(" & \\shortstack[r]{loss at \\\\ most of \\\\ these} & "));
  EXPECT_THAT(upright, Not(HasSubstr("\\begin{landscape}")));
  document.appendix[0].tables.push_back(table(10));
  const std::string tex = RenderLatex(document, {});
  EXPECT_THAT(tex, HasSubstr("\\begin{landscape}\n{\\scriptsize"));
  if (std::system("command -v pdflatex > /dev/null 2>&1") != 0) GTEST_SKIP() << "pdflatex is not installed";
  const ScratchFolder folder;
  folder.Write("wide.tex", tex);
  const std::string command =
      "cd '" + folder.path().string() + "' && pdflatex -interaction=nonstopmode -halt-on-error wide.tex > set.txt 2>&1";
  ASSERT_EQ(std::system((command + " && " + command).c_str()), 0);
  std::ifstream log(folder.path() / "set.txt");
  const std::string set{std::istreambuf_iterator<char>(log), {}};
  EXPECT_THAT(set, Not(HasSubstr("Overfull \\hbox")));
}

TEST(MarkdownPages, FoldTheAppendixAndLinkWhatIsDrawn) {
  ReportDocument document = SampleDocument();
  EXPECT_THAT(RenderMarkdown(document), HasSubstr("\n![Accuracy &lt;over&gt; size](figures/sample.svg)\n"));
  EXPECT_THAT(RenderMarkdown(document), HasSubstr("\n<details>\n<summary>All</summary>\n\n## All\n\nrest\n\n</details>\n"));
  document.sections[0].figures[0].is_drawn = false;
  EXPECT_THAT(RenderMarkdown(document), Not(HasSubstr("![")));
}

TEST(DrawnFigures, AreNoneWithoutTheProgramAndSayWhatToInstall) {
  const std::vector<Figure> figures = {Sample()};
  const DrawnFigures drawn = DrawFigures(figures, "bitlaw-no-such-gnuplot");
  EXPECT_TRUE(drawn.files.empty());
  EXPECT_EQ(drawn.why_none,
            "the program 'bitlaw-no-such-gnuplot' is not installed. Install it (Debian and Ubuntu: apt install gnuplot-nox) and "
            "run 'bitlaw report' again");
  EXPECT_THAT(DrawFigures(figures, "false").why_none, HasSubstr("the program 'false' ended with exit code 1"));
  EXPECT_THAT(DrawFigures(figures, "true").why_none, HasSubstr("the program 'true' did not write sample.svg, sample.pdf"));
}

TEST(DrawnFigures, AreWellFormedAndTheSameEachTime) {
  const std::vector<Figure> figures = {Sample()};
  const DrawnFigures drawn = DrawFigures(figures);
  if (drawn.why_none.find("is not installed") != std::string::npos) GTEST_SKIP() << drawn.why_none;
  EXPECT_EQ(drawn.why_none, "");
  for (const char* name : {"sample.svg", "sample.panel1.svg", "sample.legend.svg"}) {
    ASSERT_TRUE(drawn.files.contains(name)) << name;
    EXPECT_EQ(ExplainMarkup(drawn.files.at(name)), "") << name;
    EXPECT_THAT(drawn.files.at(name), Not(HasSubstr("'black'")));
    EXPECT_THAT(drawn.files.at(name), Not(HasSubstr(" color='white'")));
  }
  // Once a figure, and once its own legend; the texts are as they were given.
  EXPECT_THAT(drawn.files.at("sample.svg"), HasSubstr("it's `date`"));
  EXPECT_THAT(drawn.files.at("sample.panel1.svg"), HasSubstr("N [weights]"));
  EXPECT_TRUE(drawn.files.at("sample.pdf").starts_with("%PDF"));
  EXPECT_EQ(DrawFigures(figures).files, drawn.files);
}

}  // namespace
}  // namespace bitlaw
