#include "formula_law.h"

#include <algorithm>
#include <cmath>

#include "bitlaw/api/factor.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

OptionSchema FormulaLaw::Schema() {
  OptionSchema parameter;
  parameter.Real("min").Optional().Doc("Lower bound.");
  parameter.Real("max").Optional().Doc("Upper bound.");
  parameter.Real("start").Optional().Doc("Where one of the starts of an iterative fit begins.");
  parameter.Real("fix").Optional().Doc("Held at this value; the law is tested with it against the law without.");
  parameter.Real("published").Optional().Doc("The value that the source prints.");
  parameter.String("unit").Default("").Doc("For tables; empty for exponents.");
  parameter.String("doc").Default("").Doc("What the parameter means.");

  OptionSchema covariate;
  covariate.String("column").Doc("The column of the table that this name of the formula stands for.");
  covariate.String("unit").Default("").Doc("For tables.");
  covariate.String("doc").Default("").Doc("What the covariate means.");

  OptionSchema schema;
  schema.String("title").Default("").Doc("A line for reports.");
  schema.String("response")
      .Default("-log(acc_adj)")
      .Doc("What the formula predicts, as an expression over columns of the table.");
  schema.String("formula").Doc("f(x; parameters). Names that are not parameters are columns of the table.");
  schema.GroupMap("parameters", parameter)
      .MinItems(1)
      .Optional()
      .Doc("The unknowns, by name; {} for one without bounds. Not given: the names of the formula that are Greek letters "
           "or single letters, where its other names are columns of observations.csv.");
  schema.GroupMap("covariates", covariate).Optional().Doc("Names of the formula that are not names of columns.");
  schema.String("citation").Default("").Doc("Where the form comes from.");

  OptionSchema procedure;
  procedure.Choice("loss", {"squares", "huber", "huber_likelihood", "binomial"})
      .Default("squares")
      .Doc("What is minimized over residuals; huber_likelihood has a free scale, binomial needs counts.");
  procedure.Choice("space", {"response", "log"}).Default("response").Doc("Residuals of the response or its logarithm.");
  procedure.Real("delta").Above(0).Default(1e-3).Doc("Where Huber's loss turns linear.");
  schema.Group("procedure", procedure)
      .Doc("How the source found its coefficients; fitted beside OLS and least squares if it is another way.");
  return schema;
}

FormulaLaw::FormulaLaw(std::string name, const Options& options)
    : name_(std::move(name)), response_(options.String("response")), citation_(options.String("citation")) {
  const Expression written = Expression::Parse(options.String("formula"), options.Raw("formula").mark());
  formula_text_ = written.Text();
  std::vector<std::string> tests;
  const Expression formula = written.LiftTextTests(tests);
  Expression::Parse(response_, options.Raw("response").mark());  // A malformed response fails here, not in the fit.
  if (options.Has("parameters")) {
    FindParameters(options, formula);
  } else {
    InferParameters(options, formula);
  }
  FindCovariates(options, formula);
  const Options procedure = options.Group("procedure");
  const std::string& loss = procedure.String("loss");
  procedure_.loss = loss == "squares"            ? FitProcedure::Loss::kSquares
                    : loss == "huber"            ? FitProcedure::Loss::kHuber
                    : loss == "huber_likelihood" ? FitProcedure::Loss::kHuberLikelihood
                                                 : FitProcedure::Loss::kBinomial;
  procedure_.space =
      procedure.String("space") == "log" ? FitProcedure::Space::kLog : FitProcedure::Space::kResponse;
  procedure_.delta = procedure.Real("delta");

  std::vector<std::string> parameter_names, scope;
  for (const LawParameter& parameter : parameters_) parameter_names.push_back(parameter.name);
  scope = parameter_names;
  scope.insert(scope.end(), symbols_.begin(), symbols_.end());
  compiled_ = formula.Compile(scope);

  const auto form = FindLinearForm(formula, parameter_names);
  if (!form) return;
  linear_form_.emplace();
  linear_form_->of_log = form->of_log;
  for (const auto& term : form->terms) {
    linear_form_->columns.push_back({term.feature.Text(), term.parameter, term.is_log});
    features_.push_back(term.feature.Compile(symbols_));
  }
  if (form->offset) offset_ = form->offset->Compile(symbols_);
}

void FormulaLaw::FindParameters(const Options& options, const Expression& formula) {
  const std::vector<std::string> used = formula.names();
  std::string faults;
  const auto fault = [&](const SourceMark& mark, const std::string& text) {
    faults += (faults.empty() ? "" : "\n") + (mark.Text().empty() ? text : mark.Text() + ": " + text);
  };
  for (const auto& [name, given] : options.GroupMap("parameters")) {
    LawParameter parameter;
    parameter.name = name;
    parameter.unit = given.String("unit");
    if (given.Has("min")) parameter.min = given.Real("min");
    if (given.Has("max")) parameter.max = given.Real("max");
    if (given.Has("start")) parameter.start = given.Real("start");
    if (given.Has("published")) parameter.published = given.Real("published");
    const SourceMark& mark = given.map().mark();
    if (std::find(used.begin(), used.end(), name) == used.end()) {
      fault(mark, "parameter '" + name + "' is not in the formula '" + formula_text_ + "'." + DidYouMean(name, used));
    }
    const bool is_fixed = given.Has("fix");
    if (is_fixed) {
      const double value = given.Real("fix");
      if (value < parameter.min || value > parameter.max || given.Has("start")) {
        fault(mark, "parameter '" + name + "' has fix " + Value(value).Text() +
                        (given.Has("start") ? " and a start. Leave the start out." : ", which is outside its bounds."));
      }
      parameter.min = parameter.max = value;
    } else if (!(parameter.min < parameter.max)) {
      fault(mark, "parameter '" + name + "' has min " + Value(parameter.min).Text() + " and max " +
                      Value(parameter.max).Text() + ". min must be smaller.");
    }
    if (parameter.start < parameter.min || parameter.start > parameter.max) {
      fault(mark,
            "parameter '" + name + "' has start " + Value(parameter.start).Text() + ", which is outside its bounds.");
    }
    parameters_.push_back(std::move(parameter));
  }
  if (!faults.empty()) throw Error(ErrorKind::kSpec, faults);
}

namespace {

// Columns of observations.csv that laws are made of.
const std::vector<std::string>& UsualColumns() {
  static const std::vector<std::string> columns = [] {
    std::vector<std::string> names;
    for (const Factor& factor : StandardFactors()) names.push_back(factor.column);
    names.push_back("baseline_acc_adj");
    return names;
  }();
  return columns;
}

// A, k, alpha, beta_2, c1: a Greek letter or one of the Latin alphabet that is no column's, with digits or a suffix.
bool LooksLikeParameter(const std::string& name) {
  static const std::vector<std::string> greek = {
      "alpha", "beta", "gamma", "delta", "epsilon", "eps", "zeta", "eta",   "theta", "iota", "kappa", "lambda", "mu",
      "nu",    "xi",   "omicron", "pi",  "rho",     "sigma", "tau", "upsilon", "phi", "chi",  "psi",   "omega"};
  const size_t end = name.find_first_of("_0123456789");
  const std::string stem = name.substr(0, end);
  const std::string capitals_of_columns = "BCDGLNPST";
  if (stem.size() == 1) return capitals_of_columns.find(stem[0]) == std::string::npos;
  return std::find(greek.begin(), greek.end(), stem) != greek.end();
}

std::string Upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return text;
}

}  // namespace

void FormulaLaw::InferParameters(const Options& options, const Expression& formula) {
  infers_parameters_ = true;
  const std::vector<std::string> used = formula.names();
  const auto is_column = [](const std::string& name) {
    return std::find(UsualColumns().begin(), UsualColumns().end(), name) != UsualColumns().end();
  };
  const auto given_as_covariate = [&](const std::string& name) {
    if (!options.Has("covariates")) return false;
    for (const auto& [symbol, unused] : options.GroupMap("covariates")) {
      if (symbol == name) return true;
    }
    return false;
  };
  for (const std::string& name : used) {
    const bool is_test = QuotedName(name) != name;
    if (is_column(name) || is_test || given_as_covariate(name)) continue;
    // n where N is meant is a slip, unless N is there too.
    const std::string capital = Upper(name);
    const bool is_slip = capital != name && is_column(capital) && std::find(used.begin(), used.end(), capital) == used.end();
    if (!LooksLikeParameter(name) || is_slip) {
      throw Error(ErrorKind::kSpec,
                  formula.Where(name) + " is neither a usual column (" + JoinNames(UsualColumns()) +
                      ") nor looks like a parameter." + (is_slip ? " Did you mean '" + capital + "'?" : "") +
                      " Say which names are parameters, the others are columns: parameters: {A: {min: 0}, alpha: {}}.");
    }
    LawParameter parameter;
    parameter.name = name;
    parameters_.push_back(std::move(parameter));
  }
  if (!parameters_.empty()) return;
  const std::string place = options.Raw("formula").mark().Text();
  throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "the formula '" + formula_text_ +
                                    "' has no name that looks like a parameter. Name one in 'parameters'.");
}

void FormulaLaw::FindCovariates(const Options& options, const Expression& formula) {
  for (const std::string& name : formula.names()) {
    const bool is_parameter = std::any_of(parameters_.begin(), parameters_.end(),
                                          [&](const auto& parameter) { return parameter.name == name; });
    if (!is_parameter) symbols_.push_back(name);
  }
  columns_ = symbols_;
  if (!options.Has("covariates")) return;
  for (const auto& [symbol, given] : options.GroupMap("covariates")) {
    const auto found = std::find(symbols_.begin(), symbols_.end(), symbol);
    if (found == symbols_.end()) {
      const std::string place = given.map().mark().Text();
      throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "covariate '" + symbol +
                                        "' is not in the formula '" + formula_text_ + "'." +
                                        DidYouMean(symbol, symbols_));
    }
    columns_[static_cast<size_t>(found - symbols_.begin())] = given.String("column");
  }
}

double FormulaLaw::LinearFeatures(std::span<const double> x, std::span<double> features) const {
  for (size_t j = 0; j < features_.size(); ++j) features[j] = features_[j].Number(x);
  return offset_ ? offset_->Number(x) : 0.0;
}

long double FormulaLaw::LinearFeaturesExtended(std::span<const double> x, std::span<long double> features) const {
  for (size_t j = 0; j < features_.size(); ++j) features[j] = features_[j].NumberExtended(x);
  return offset_ ? offset_->NumberExtended(x) : 0.0L;
}

}  // namespace bitlaw
