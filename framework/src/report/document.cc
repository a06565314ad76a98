#include "report/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "records/table.h"

namespace bitlaw {

namespace {

ReportCell NumberCell(double number, std::string shown) {
  ReportCell cell(std::isnan(number) ? "-" : std::move(shown));
  cell.number = number;
  cell.is_number = true;
  return cell;
}

bool IsNumberColumn(const ReportTable& table, size_t column) {
  bool any = false;
  for (const auto& row : table.rows) {
    if (row[column].is_number) {
      any = true;
    } else if (!row[column].text.empty() && row[column].text != "-") {
      return false;
    }
  }
  return any;
}

bool IsWordCharacter(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; }

// A text that renders as itself, on one line: names come from whoever wrote the study and its data files. Control
// characters become spaces; what Markdown, HTML or formulas would take for their own is escaped.
std::string MarkdownCell(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    // Within a word an underscore is plain.
    const bool in_word = i > 0 && i + 1 < text.size() && IsWordCharacter(text[i - 1]) && IsWordCharacter(text[i + 1]);
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '_':
        if (!in_word) out += '\\';
        out += c;
        break;
      case '\\': case '`': case '*': case '[': case ']': case '|': case '$': out += '\\', out += c; break;
      case '~':
        // Two of them strike out.
        if ((i > 0 && text[i - 1] == c) || (i + 1 < text.size() && text[i + 1] == c)) out += '\\';
        out += c;
        break;
      default: out += static_cast<unsigned char>(c) < ' ' || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

// The same where it begins a line: a heading, list or line of another kind is not meant.
std::string MarkdownLine(const std::string& text) {
  std::string out = MarkdownCell(text);
  const size_t digits = out.find_first_not_of("0123456789");
  if (!out.empty() && (out[0] == '#' || out[0] == '+' || out[0] == '-' || out[0] == '=' || out[0] == '~')) {
    out.insert(0, 1, '\\');
  } else if (digits != 0 && digits != std::string::npos && (out[digits] == '.' || out[digits] == ')')) {
    out.insert(digits, 1, '\\');
  }
  return out;
}

// For a terminal: names must not move the cursor or begin a line.
std::string PlainLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace

size_t WidthOf(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

ReportCell Significant(double number, int digits) { return NumberCell(number, fmt::format("{:.{}g}", number, digits)); }

ReportCell Fixed(double number, int places) { return NumberCell(number, fmt::format("{:.{}f}", number, places)); }

ReportCell RSquared(double number, int places) {
  ReportCell cell = Fixed(number, places);
  if (number < -1) cell.text = "below zero";
  return cell;
}

ReportCell Whole(double number) {
  if (!std::isfinite(number)) return NumberCell(number, fmt::format("{}", number));
  std::string digits = fmt::format("{:.0f}", std::fabs(number));
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return NumberCell(number, (number < 0 ? "-" : "") + digits);
}

ReportCell Between(double low, double high) {
  if (std::isnan(low) && std::isnan(high)) return "-";
  ReportCell cell(fmt::format("[{:.4g}, {:.4g}]", low, high));
  cell.parts = {{"low", low}, {"high", high}};
  return cell;
}

namespace {

ReportCell EstimateText(double value, double standard_error) {
  if (std::isnan(value)) return NumberCell(value, "-");
  if (std::isnan(standard_error)) return NumberCell(value, fmt::format("{:.4g} (-)", value));
  // Two significant digits of the error set the decimals of both; very large and small values go by exponent.
  const double size = std::max(std::fabs(value), standard_error);
  if (size >= 1e5 || (size > 0 && size < 1e-4))
    return NumberCell(value, fmt::format("{:.4g} ({:.2g})", value, standard_error));
  const int magnitude = standard_error > 0 ? static_cast<int>(std::floor(std::log10(standard_error))) : -5;
  const int places = std::clamp(1 - magnitude, 0, 6);
  return NumberCell(value, fmt::format("{:.{}f} ({:.{}f})", value, places, standard_error, places));
}

}  // namespace

ReportCell Estimate(double value, double standard_error) {
  ReportCell cell = EstimateText(value, standard_error);
  cell.parts = {{"standard error", standard_error}};
  return cell;
}

std::string RenderText(const ReportTable& table) {
  const size_t columns = table.header.size();
  std::vector<size_t> width(columns);
  std::vector<bool> right(columns);
  for (size_t j = 0; j < columns; ++j) {
    width[j] = WidthOf(table.header[j]);
    right[j] = IsNumberColumn(table, j);
    for (const auto& row : table.rows) width[j] = std::max(width[j], WidthOf(row[j].text));
  }
  std::string out;
  if (!table.title.empty()) out += PlainLine(table.title) + "\n";
  const auto line = [&](auto&& cell_of) {
    std::string text = " ";
    for (size_t j = 0; j < columns; ++j) {
      const std::string cell = PlainLine(cell_of(j));
      const std::string pad(width[j] - WidthOf(cell), ' ');
      text += " " + (right[j] ? pad + cell : cell + pad) + " ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line([&](size_t j) { return table.header[j]; });
  line([&](size_t j) { return std::string(width[j], '-'); });
  for (const auto& row : table.rows) line([&](size_t j) { return row[j].text; });
  for (const std::string& note : table.notes) out += "  " + PlainLine(note) + "\n";
  return out;
}

std::string RenderMarkdown(const ReportTable& table) {
  std::string out;
  if (!table.title.empty()) out += "**" + MarkdownCell(table.title) + "**\n\n";
  out += "|";
  for (const std::string& name : table.header) out += " " + MarkdownCell(name) + " |";
  out += "\n|";
  for (size_t j = 0; j < table.header.size(); ++j) out += IsNumberColumn(table, j) ? " ---: |" : " --- |";
  out += "\n";
  for (const auto& row : table.rows) {
    out += "|";
    for (const ReportCell& cell : row) out += " " + MarkdownCell(cell.text) + " |";
    out += "\n";
  }
  if (!table.notes.empty()) out += "\n";
  for (const std::string& note : table.notes) out += MarkdownLine(note) + "  \n";
  return out;
}

std::string RenderCsv(const ReportTable& table) {
  Table csv(table.name);
  for (size_t j = 0; j < table.header.size(); ++j) {
    const auto with_parts =
        std::find_if(table.rows.begin(), table.rows.end(), [&](const auto& row) { return !row[j].parts.empty(); });
    if (IsNumberColumn(table, j)) {
      std::vector<double> numbers;
      for (const auto& row : table.rows) numbers.push_back(row[j].number);
      csv.AddNumbers(table.header[j], std::move(numbers));
    } else if (with_parts == table.rows.end()) {
      std::vector<std::string> texts;
      for (const auto& row : table.rows) texts.push_back(row[j].text);
      csv.AddTexts(table.header[j], std::move(texts));
    }
    if (with_parts == table.rows.end()) continue;
    for (size_t part = 0; part < (*with_parts)[j].parts.size(); ++part) {
      std::vector<double> numbers;
      for (const auto& row : table.rows)
        numbers.push_back(part < row[j].parts.size() ? row[j].parts[part].second : kUnset);
      csv.AddNumbers(table.header[j] + " " + (*with_parts)[j].parts[part].first, std::move(numbers));
    }
  }
  return WriteCsv(csv);
}

namespace {

std::string TextOf(const ReportSection& section) {
  std::string out = "\n" + PlainLine(section.title) + "\n" + std::string(WidthOf(section.title), '-') + "\n";
  for (const std::string& paragraph : section.paragraphs) out += PlainLine(paragraph) + "\n";
  for (const std::string& bullet : section.bullets) out += "- " + PlainLine(bullet) + "\n";
  for (size_t i = 0; i < section.tables.size(); ++i) {
    if (i > 0 || !section.paragraphs.empty() || !section.bullets.empty()) out += "\n";
    out += RenderText(section.tables[i]);
  }
  for (const Figure& figure : section.figures) {
    out += PlainLine(fmt::format("- {}: {}/{}.{}. {}", figure.title, kFigureFolder, figure.name,
                                 figure.is_drawn ? "svg" : "csv", figure.caption)) + "\n";
  }
  return out;
}

std::string MarkdownOf(const ReportSection& section) {
  std::string out = "\n## " + MarkdownCell(section.title) + "\n";
  for (const std::string& paragraph : section.paragraphs) out += "\n" + MarkdownLine(paragraph) + "\n";
  if (!section.bullets.empty()) out += "\n";
  for (const std::string& bullet : section.bullets) out += "- " + MarkdownLine(bullet) + "\n";
  for (const ReportTable& table : section.tables) out += "\n" + RenderMarkdown(table);
  for (const Figure& figure : section.figures) {
    const std::string title = MarkdownCell(figure.title);
    if (figure.is_drawn) out += fmt::format("\n![{}]({}/{}.svg)\n", title, kFigureFolder, figure.name);
    out += fmt::format("\n**{}.** {}\n", title, MarkdownCell(figure.caption));
  }
  return out;
}

}  // namespace

std::string RenderText(const ReportDocument& document) {
  std::string out = PlainLine(document.title) + "\n" + std::string(WidthOf(document.title), '=') + "\n";
  for (const ReportSection& section : document.sections) out += TextOf(section);
  if (document.appendix.empty()) return out;
  out += "\nAppendix: the whole analysis\n============================\n";
  for (const ReportSection& section : document.appendix) out += TextOf(section);
  return out;
}

std::string RenderMarkdown(const ReportDocument& document) {
  std::string out = "# " + MarkdownCell(document.title) + "\n";
  for (const ReportSection& section : document.sections) out += MarkdownOf(section);
  if (document.appendix.empty()) return out;
  out += "\n## Appendix: the whole analysis\n";
  for (const ReportSection& section : document.appendix) {
    out += "\n<details>\n<summary>" + MarkdownCell(section.title) + "</summary>\n" + MarkdownOf(section) + "\n</details>\n";
  }
  return out;
}

}  // namespace bitlaw
