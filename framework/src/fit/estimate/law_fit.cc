#include "fit/estimate/law_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "fit/data/constant_covariate.h"
#include "fit/estimate/fit_methods.h"

namespace bitlaw {

std::vector<const MethodFit*> LawFit::Methods() const {
  std::vector<const MethodFit*> methods;
  for (const auto* method : {&own, &binomial, &ols, &least_squares}) {
    if (*method) methods.push_back(&**method);
  }
  return methods;
}

const NonlinearResult* LawFit::DetailOf(const MethodFit& method) const {
  const auto found = [](const std::optional<NonlinearResult>& detail) { return detail ? &*detail : nullptr; };
  if (method.is_ols) return nullptr;
  if (own && method.procedure == own->procedure) return found(own_detail);
  return found(method.of_counts() ? binomial_detail : least_squares_detail);
}

namespace {

bool IsMissing(double value) { return std::isnan(value); }

// Of a law file, where all parameters have one.
void AddGivenStart(const Law& law, double LawParameter::* member, const char* name, NonlinearOptions& options) {
  std::vector<double> start;
  for (const LawParameter& parameter : law.parameters()) start.push_back(parameter.*member);
  if (std::none_of(start.begin(), start.end(), IsMissing)) options.given_starts.emplace_back(name, start);
}

template <typename Detail>
void Keep(DetailedFit<Detail> found, std::optional<MethodFit>& fit, std::optional<Detail>& detail, std::string& why) {
  fit = std::move(found.fit);
  detail = std::move(found.detail);
  why = std::move(found.why_none);
}

void FitIteratively(const FitMethods& methods, const Law& law, const FitSettings& settings, LawFit& out) {
  NonlinearOptions options;
  options.random_starts = settings.random_starts;
  options.seed = settings.seed;
  if (out.ols) {
    options.given_starts.emplace_back("OLS", out.ols->theta());
    options.enough_agreeing = 2;  // It starts them well: random ones only confirm.
  }
  AddGivenStart(law, &LawParameter::start, "law file", options);
  AddGivenStart(law, &LawParameter::published, "published", options);
  Keep(methods.Iterate(FitProcedure(), options), out.least_squares, out.least_squares_detail, out.why_no_least_squares);

  const FitProcedure own = law.procedure();
  const bool is_ols = own.loss == FitProcedure::Loss::kSquares && own.space == FitProcedure::Space::kLog && out.ols &&
                      out.ols->of_log();
  if (own.loss != FitProcedure::Loss::kBinomial && own != FitProcedure() && !is_ols) {
    if (out.least_squares) options.given_starts.emplace_back("least squares", out.least_squares->theta());
    Keep(methods.Iterate(own, options), out.own, out.own_detail, out.why_no_own);
  }
}

// Maximum likelihood of the counts, rows at or below chance included.
void FitCounts(const FitMethods& methods, const FitProblem& problem, const FitSettings& settings, LawFit& out) {
  const FitRows& rows = problem.rows();
  const size_t k = problem.law().parameters().size();
  out.why_no_binomial = problem.selected().why_no_counts;
  if (!out.why_no_binomial.empty()) return;
  if (rows.size() <= k) {
    out.why_no_binomial =
        fmt::format("{} counts, for {}", Counted(rows.size(), "row has", "rows have"), Counted(k, "parameter"));
    return;
  }
  out.why_no_binomial = ExplainConstantCovariate(problem.law(), rows);
  if (!out.why_no_binomial.empty()) return;
  NonlinearOptions options;
  options.seed = settings.seed;
  if (out.ols) options.given_starts.emplace_back("OLS", out.ols->theta());
  if (out.least_squares) options.given_starts.emplace_back("least squares", out.least_squares->theta());
  // The fits to the response start it well; only without them it searches on its own.
  options.random_starts = options.given_starts.empty() ? settings.random_starts : std::min(settings.random_starts, 2);
  Keep(methods.Iterate(problem.procedure(), options), out.binomial, out.binomial_detail, out.why_no_binomial);
}

FitProcedure Binomial() {
  FitProcedure procedure;
  procedure.loss = FitProcedure::Loss::kBinomial;
  return procedure;
}

// A fit of nothing but what the rows allow to be said.
void Describe(const Law& law, const Table& table, const LawRows& rows, LawFit& fit) {
  fit.law = law.name();
  fit.formula = law.formula_text();
  fit.response = law.response();
  fit.citation = law.citation();
  fit.incoming = rows.incoming;
  fit.used = rows.fit.size();
  fit.held_out_incoming = rows.held_out_incoming;
  fit.held_out_used = rows.held_out.size();
  fit.excluded = rows.excluded;
  fit.held_out_excluded = rows.held_out_excluded;
  fit.at_chance = rows.at_chance;
  fit.warnings = rows.warnings;
  const auto covariates = law.covariates();
  for (const LawParameter& parameter : law.parameters()) {
    const std::string& name = parameter.name;
    if (law.infers_parameters()) fit.inferred_parameters.push_back(name);
    if (table.Find(name) == nullptr || std::find(covariates.begin(), covariates.end(), name) != covariates.end()) continue;
    const std::string origin = table.origin().empty() ? "the table" : table.origin();
    if (law.infers_parameters()) {
      throw Error(ErrorKind::kSpec, fmt::format("law '{}' does not say which of its names are parameters, and '{}' is a "
                                                "column of {}. List the parameters: parameters: {{A: {{min: 0}}, "
                                                "alpha: {{}}}}.",
                                                law.name(), name, origin));
    }
    fit.warnings.push_back(fmt::format("'{}' is a parameter of the law; the column of that name in {} is not used", name,
                                       origin));
  }
}

void CountQuantizers(const Table& table, const std::vector<size_t>& rows, LawFit& fit) {
  const TableColumn* column = table.Find("quantizer");
  if (column == nullptr) return;
  for (const size_t row : rows) {
    const std::string name = table.CellText(*column, row);
    if (!IsQuantizer(name)) continue;
    const auto found =
        std::find_if(fit.quantizers.begin(), fit.quantizers.end(), [&](const auto& one) { return one.first == name; });
    if (found == fit.quantizers.end()) {
      fit.quantizers.emplace_back(name, 1);
    } else {
      ++found->second;
    }
  }
}

}  // namespace

bool IsQuantizer(const std::string& name) { return !name.empty() && name != "none"; }

LawFit FitLaw(const Law& law, const Table& table, const FitSettings& settings, std::span<const size_t> only) {
  LawFit fit;
  const auto form = law.linear_form();
  const Table chosen = only.empty() ? table : table.Rows(only);
  const FitProblem problem(law, chosen, settings, FitProcedure());
  const LawRows& rows = problem.selected();
  Describe(law, chosen, rows, fit);
  const FitMethods methods(problem, chosen, settings);

  const size_t k = law.parameters().size();
  std::string why;
  if (rows.fit.size() <= k) {
    why = fmt::format("{} left for {}: at least {} are needed", Counted(rows.fit.size(), "row is", "rows are"),
                      Counted(k, "parameter"), k + 1);
  } else {
    why = ExplainConstantCovariate(law, rows.fit);
  }
  if (!why.empty()) {
    fit.why_no_ols = fit.why_no_least_squares = why;
  } else {
    if (form) {
      Keep(methods.Linear(*form), fit.ols, fit.ols_detail, fit.why_no_ols);
    } else {
      fit.why_no_ols = "the formula is not linear in its parameters, nor is its logarithm";
    }
    // Where the linear form does not tell parameters apart, no iteration will.
    if (form && !fit.ols) {
      fit.why_no_least_squares = fit.why_no_ols;
    } else {
      FitIteratively(methods, law, settings, fit);
    }
  }
  FitCounts(methods, problem.With(Binomial()), settings, fit);
  CountQuantizers(chosen, fit.binomial ? rows.counted_index : rows.fit_index, fit);
  return fit;
}

std::optional<MethodFit> FitMethod(const Law& law, const Table& table, const FitSettings& settings,
                                   const FitProcedure& procedure, std::string& why) {
  return FitMethod(FitProblem(law, table, settings, procedure), table, settings, why);
}

std::optional<MethodFit> FitMethod(const FitProblem& problem, const Table& table, const FitSettings& settings,
                                   std::string& why) {
  const Law& law = problem.law();
  const FitRows& used = problem.rows();
  if (problem.of_counts() && used.size() == 0) {
    why = problem.selected().why_no_counts;
    return std::nullopt;
  }
  if (used.size() <= law.parameters().size()) {
    why = fmt::format("{} for {}", Counted(used.size(), "row"), Counted(law.parameters().size(), "parameter"));
    return std::nullopt;
  }
  why = ExplainConstantCovariate(law, used);
  if (!why.empty()) return std::nullopt;
  NonlinearOptions options;
  options.random_starts = settings.random_starts;
  options.seed = settings.seed;
  const FitMethods methods(problem, table, settings);
  const std::vector<double>& y = problem.selected().fit.y;
  const auto form = law.linear_form();
  // A linear form of the logarithm cannot start what has no logarithm.
  if (form && (!form->of_log || std::all_of(y.begin(), y.end(), [](double value) { return value > 0; }))) {
    const DetailedFit<OlsResult> linear = methods.Linear(*form);
    const FitProcedure& asked = problem.procedure();
    if (linear.fit && asked.loss == FitProcedure::Loss::kSquares && asked.space == linear.fit->procedure.space)
      return linear.fit;
    if (linear.fit) {
      options.given_starts.emplace_back("OLS", linear.fit->theta());
      options.random_starts = std::min(options.random_starts, 2);
    }
  }
  AddGivenStart(law, &LawParameter::start, "law file", options);
  DetailedFit<NonlinearResult> found = methods.Iterate(problem.procedure(), options);
  why = std::move(found.why_none);
  return std::move(found.fit);
}

}  // namespace bitlaw
