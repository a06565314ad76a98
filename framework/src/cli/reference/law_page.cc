#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/sdk/expression/expression.h"
#include "cli/reference/reference_pages.h"

namespace bitlaw {
namespace {

std::string Number(double value) { return Value(value).Text(); }

std::string Bounds(const LawParameter& one) {
  const bool has_min = std::isfinite(one.min), has_max = std::isfinite(one.max);
  if (has_min && has_max) return Number(one.min) + " to " + Number(one.max);
  return has_min ? ">= " + Number(one.min) : has_max ? "<= " + Number(one.max) : "";
}

std::string Columns(const Law& law) {
  std::vector<std::string> columns(law.covariates().begin(), law.covariates().end());
  for (const std::string& name : Expression::Parse(law.response()).names()) columns.push_back(name);
  std::string text;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (std::find(columns.begin(), columns.begin() + static_cast<std::ptrdiff_t>(i), columns[i]) ==
        columns.begin() + static_cast<std::ptrdiff_t>(i))
      text += (text.empty() ? "" : ", ") + Code(columns[i]);
  }
  return text;
}

std::string Methods(const Law& law) {
  std::string text = "iterative: no linear form";
  if (const auto form = law.linear_form())
    text = std::string("ordinary least squares ") +
           (form->of_log ? "of the logarithm of the response" : "as it stands") + ", and iterative";
  const FitProcedure own = law.procedure();
  if (own == FitProcedure()) return text;
  const char* loss = own.loss == FitProcedure::Loss::kSquares           ? "squares"
                     : own.loss == FitProcedure::Loss::kHuber           ? "Huber loss"
                     : own.loss == FitProcedure::Loss::kHuberLikelihood ? "Huber likelihood with a free scale"
                                                                        : "binomial likelihood";
  text += std::string("; the source's procedure: ") + loss;
  if (own.loss != FitProcedure::Loss::kBinomial)
    text += own.space == FitProcedure::Space::kLog ? " of the logarithm of the response" : " of the response";
  if (own.loss == FitProcedure::Loss::kHuber || own.loss == FitProcedure::Loss::kHuberLikelihood)
    text += ", knee " + Number(own.delta);
  return text;
}

std::string Section(const NamedLaw& named) {
  const Law& law = *named.law;
  const auto texts = named.spec.options->map().AsMap();
  std::string title;
  for (const auto& [key, value] : texts) {
    if (key == "title" && value.is_string()) title = value.AsString();
  }
  std::string page = "\n## `" + named.spec.name + "`\n\n" + (title.empty() ? "" : title + ".\n\n");
  page += "    " + law.response() + " = " + law.formula_text() + "\n\n";
  page += MarkdownHead({"parameter", "bounds", "published", "unit", "meaning"});
  std::string meanings;
  for (const LawParameter& one : law.parameters()) {
    std::string doc;
    if (const Value* all = named.spec.given.Find("parameters"); all != nullptr && all->is_map()) {
      const Value* own = all->Find(one.name);
      const Value* text = own != nullptr && own->is_map() ? own->Find("doc") : nullptr;
      if (text != nullptr && text->is_string()) doc = text->AsString();
    }
    page += MarkdownRow(
        {Code(one.name), Bounds(one), std::isnan(one.published) ? "" : Number(one.published), one.unit, doc});
  }
  page += "\n- Columns: " + Columns(law) + "\n- Fitted by: " + Methods(law) + "\n";
  if (!law.citation().empty()) page += "- Source: " + law.citation() + "\n";
  return page +
         "- Symbols with their units, what the source prints, when to use it: "
         "[configs/laws](../../configs/laws/README.md#" +
         named.spec.name + ")\n";
}

}  // namespace

std::string LawPage(const std::vector<NamedLaw>& laws) {
  std::string page = "# Reference: the laws that come with bitlaw\n\n" +
                     PageNote("laws", "of the files in `configs/laws`") +
                     "\nThe guide is [laws](../laws.md), which says how a study gets each column. `published` is the "
                     "coefficient that the source "
                     "prints. A law of one's own is a file like these, or a line: `--law 'A * N^alpha'`.\n\n" +
                     MarkdownHead({"law", "response", "columns"});
  for (const NamedLaw& one : laws)
    page +=
        MarkdownRow({"[" + one.spec.name + "](#" + one.spec.name + ")", Code(one.law->response()), Columns(*one.law)});
  for (const NamedLaw& one : laws) page += Section(one);
  return page;
}

}  // namespace bitlaw
