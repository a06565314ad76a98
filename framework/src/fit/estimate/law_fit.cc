#include "fit/estimate/law_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/data/accuracy_checks.h"
#include "fit/law/null_law.h"
#include "fit/options/task_lists.h"

namespace bitlaw {

OptionSchema FitSchema() {
  OptionSchema schema;
  schema.Choice("chance_rule", {"likelihood", "exclude"})
      .Default("likelihood")
      .Doc(
          "Rows with accuracy at or below chance: likelihood fits counts, which have room for them; exclude leaves "
          "them out and counts them.");
  schema.String("weights").Default("").Doc(
      "Row weights, 1 / variance of the response: an expression over columns, or item_errors for standard errors.");
  schema.Int("random_starts").Range(0, 1000).Default(16).Doc("Random starts of an iterative fit.");
  schema.Int("seed").Min(0).Default(0).Doc("Seed of the random starts.");
  schema.Bool("nulls").Default(true).Doc("Fit f(N), f(B), f(N,B) and the loss against 16 bits beside every law.");
  OptionField text;
  text.type = OptionType::kString;
  schema.Real("confidence").Above(0).Below(1).Default(0.9).Doc("Level of all intervals.");
  schema.Int("bootstrap").Range(0, 1000000).Default(500).Doc("Bootstrap replicates; 0: none.");
  schema.String("bootstrap_unit")
      .Default("auto")
      .Doc(
          "What counts as independent, in every section: trials, items, or a column whose equal values belong "
          "together; "
          "auto: model where the table has such a column, else trials.");
  schema.Bool("profile").Default(false).Doc("Profile intervals of the parameters.");
  schema.List("derived", text).Optional().Doc("Functions of the parameters with intervals: doubling = 2^alpha.");
  schema.Int("k_fold").Range(0, 100).Default(5).Doc("Folds of the cross-validation; 0: none.");
  schema.Bool("leave_one_out").Default(false).Doc("Predict each row by a fit without it.");
  schema.List("leave_out", text).Optional().Doc("Columns whose values are left out one after the other: model.");
  schema.List("hold_outs", text)
      .Optional()
      .Doc("Conditions whose rows are predicted by a fit without them, beside the largest N and the lowest B.");
  schema.Bool("compare").Default(true).Doc("Compare the laws with each other, and each with its own factors left out.");
  schema.String("groups").Default("").Doc("Column of a Chow test; empty: family, if it varies.");
  schema.Int("permutations").Range(0, 1000000).Default(1000).Doc("Random groupings of the tasks into strata; 0: none.");
  schema.List("zones", text).Optional().Doc("Conditions, fitted apart; not given: the values of B.");
  schema.Bool("average_tasks")
      .Default(true)
      .Doc("A row is a trial, with the mean over a stratum's tasks; false: each task.");
  schema.List("controls", text)
      .Optional()
      .Doc("What laws are cleared of, linear in OLS: a column, name = expression, or name: task = number, ...");
  schema.List("groupings", text)
      .Optional()
      .Doc("Other strata of the tasks, fitted beside: 'name: stratum = task, task; stratum = task', or a column.");
  schema.GroupMap("fix", OptionSchema())
      .Optional()
      .Doc("Parameters held at a number in every law that has them, and tested: {alpha: 0.34}.");
  schema.Int("threads").Range(0, 1024).Default(0).Doc("Threads; 0: one a core. Results are the same for any number.");
  return schema;
}

namespace {

// The entries of `fix`, which are numbers by free names.
std::vector<HeldValue> ReadFix(const Value& fix) {
  const auto refuse = [](const SourceMark& mark, const std::string& what) {
    const std::string place = mark.Text();
    throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") + "fit: " + what + " Write fix: {alpha: 0.34}.");
  };
  if (!fix.is_map()) refuse(fix.mark(), "'fix' is " + fix.Text() + ", not a map from parameters to numbers.");
  std::vector<HeldValue> held;
  for (const auto& [name, value] : fix.AsMap()) {
    if (!value.is_number() || !std::isfinite(value.AsReal()))
      refuse(value.mark(), "'fix." + name + "' is " + value.Text() + ", not a number.");
    held.push_back({name, value.AsReal(), value.key_mark().Text()});
  }
  return held;
}

}  // namespace

FitSettings ReadFitSettings(const Value& given) {
  FitSettings settings;
  Value others = given;
  if (const Value* fix = given.is_map() ? given.Find("fix") : nullptr) {
    settings.fix = ReadFix(*fix);
    others.Set("fix", Value());  // Its names are free, which no schema of options has with numbers.
  }
  const Options options = FitSchema().Resolve(others, "fit");
  settings.chance_rule = options.String("chance_rule") == "exclude" ? ChanceRule::kExclude : ChanceRule::kLikelihood;
  settings.weights = options.String("weights");
  settings.random_starts = static_cast<int>(options.Int("random_starts"));
  settings.seed = static_cast<uint64_t>(options.Int("seed"));
  settings.nulls = options.Bool("nulls");
  const auto texts = [&](const char* name) {
    return options.Has(name) ? options.Strings(name) : std::vector<std::string>();
  };
  settings.confidence = options.Real("confidence");
  settings.bootstrap = static_cast<int>(options.Int("bootstrap"));
  settings.bootstrap_unit = UnquotedName(options.String("bootstrap_unit"));
  settings.profile = options.Bool("profile");
  settings.derived = texts("derived");
  settings.k_fold = static_cast<int>(options.Int("k_fold"));
  if (settings.k_fold == 1) {
    const std::string place = options.Raw("k_fold").mark().Text();
    throw Error(ErrorKind::kSpec, (place.empty() ? "" : place + ": ") +
                                      "fit: 'k_fold' is 1, which leaves no row to fit. Use 0 for none, or 2 to 100.");
  }
  settings.leave_one_out = options.Bool("leave_one_out");
  settings.leave_out = texts("leave_out");
  for (std::string& column : settings.leave_out) column = UnquotedName(column);
  settings.hold_outs = texts("hold_outs");
  settings.compare = options.Bool("compare");
  settings.groups = UnquotedName(options.String("groups"));
  settings.permutations = static_cast<int>(options.Int("permutations"));
  settings.zones = texts("zones");
  settings.average_tasks = options.Bool("average_tasks");
  settings.controls = texts("controls");
  settings.groupings = texts("groupings");
  // What cannot be read is refused before anything is run.
  for (const std::string& one : settings.controls) ParseControl(one);
  for (const std::string& one : settings.groupings) ParseGrouping(one);
  settings.threads = static_cast<int>(options.Int("threads"));
  return settings;
}

std::vector<double> MethodFit::theta() const {
  std::vector<double> theta;
  for (const ParameterEstimate& parameter : parameters) theta.push_back(parameter.value);
  return theta;
}

std::string MethodTitle(const std::string& method, const std::string& space) {
  const std::string of_log = space == "log response" ? ", log" : "";
  if (method == "ols") return "OLS" + of_log;
  if (method == "least_squares") return "least squares" + of_log;
  if (method == "huber") return "Huber" + of_log;
  if (method == "huber_likelihood") return "Huber likelihood" + of_log;
  return method;
}

bool TakesLog(const Law& law) {
  const auto form = law.linear_form();
  const FitProcedure own = law.procedure();
  return (form && form->of_log) ||
         (own.loss != FitProcedure::Loss::kBinomial && own.space == FitProcedure::Space::kLog);
}

std::vector<const MethodFit*> LawFit::Methods() const {
  std::vector<const MethodFit*> methods;
  for (const auto* method : {&own, &binomial, &ols, &least_squares}) {
    if (*method) methods.push_back(&**method);
  }
  return methods;
}

const NonlinearResult* LawFit::DetailOf(const MethodFit& method) const {
  const auto found = [](const std::optional<NonlinearResult>& detail) { return detail ? &*detail : nullptr; };
  if (own && method.method == own->method && method.space == own->space) return found(own_detail);
  if (method.method == "binomial") return found(binomial_detail);
  return method.method == "least_squares" ? found(least_squares_detail) : nullptr;
}

namespace {

struct Context {
  const Law& law;
  const Table& table;
  const LawRows& rows;
  const ResponseInverse& inverse;
  const std::string& unit;  // FitSettings::bootstrap_unit
  // Units of rows.fit and of rows.counted, found once for all methods.
  mutable std::optional<RowUnits> units_of_fit = std::nullopt, units_of_counted = std::nullopt;
};

PredictionErrors ErrorsOf(const Context& context, const std::vector<double>& theta, const FitRows& rows,
                          bool held_out) {
  PredictionErrors errors;
  const size_t c = context.law.covariates().size();
  double absolute = 0, squared = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double error = context.law.Predict(theta, rows.row(i, c), {}) - rows.y[i];
    absolute += std::fabs(error);
    squared += error * error;
    ++errors.rows;
  }
  if (errors.rows > 0) {
    errors.mae = absolute / static_cast<double>(errors.rows);
    errors.rmse = std::sqrt(squared / static_cast<double>(errors.rows));
  }
  const TableColumn* accuracy = context.table.Find("acc_adj");
  if (!context.inverse.exists() || accuracy == nullptr || accuracy->is_text) return errors;
  // In accuracy units a row at or below chance is as good as any: only the logarithm could not take it.
  std::vector<const std::vector<double>*> columns;
  for (const std::string& name : context.law.covariates()) columns.push_back(&context.table.Numbers(name));
  const TableColumn* hold_out = context.table.Find("hold_out");
  absolute = squared = 0;
  std::vector<double> x(c);
  for (const size_t row : context.rows.complete_index) {
    if (IsHeldOut(hold_out, context.table, row) != held_out || std::isnan(accuracy->numbers[row])) continue;
    for (size_t j = 0; j < c; ++j) x[j] = (*columns[j])[row];
    const double predicted = context.inverse(context.law.Predict(theta, x, {}));
    if (std::isnan(predicted)) continue;
    const double error = predicted - accuracy->numbers[row];
    absolute += std::fabs(error);
    squared += error * error;
    ++errors.accuracy_rows;
  }
  if (errors.accuracy_rows > 0) {
    errors.accuracy_mae = absolute / static_cast<double>(errors.accuracy_rows);
    errors.accuracy_rmse = std::sqrt(squared / static_cast<double>(errors.accuracy_rows));
  }
  return errors;
}

double ResponseR2(const Context& context, const std::vector<double>& theta) {
  const FitRows& rows = context.rows.fit;
  double mean = 0, ssr = 0, tss = 0;
  for (const double y : rows.y) mean += y / static_cast<double>(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const double fitted = context.law.Predict(theta, rows.row(i, context.law.covariates().size()), {});
    ssr += (rows.y[i] - fitted) * (rows.y[i] - fitted);
    tss += (rows.y[i] - mean) * (rows.y[i] - mean);
  }
  return tss > 0 ? 1 - ssr / tss : kUnset;
}

// Errors over the units of the rows, where a unit has several.
void AddRobustErrors(const Context& context, MethodFit& fit) {
  const bool is_binomial = fit.method == "binomial";
  std::optional<RowUnits>& found = is_binomial ? context.units_of_counted : context.units_of_fit;
  if (!found)
    found = UnitsOf(context.table, context.unit, is_binomial ? context.rows.counted_index : context.rows.fit_index);
  const RowUnits& units = *found;
  fit.unit = units.name;
  fit.unit_note = units.note;
  if (!units.is_clustered()) return;
  const FitRows& rows = is_binomial ? context.rows.counted : context.rows.fit;
  fit.robust = RobustOf(context.law, rows, units, context.inverse, fit, fit.why_no_robust);
  if (fit.robust == nullptr) return;
  for (size_t j = 0; j < fit.parameters.size(); ++j) {
    ParameterEstimate& estimate = fit.parameters[j];
    const RobustError robust = fit.robust->Error(j);
    estimate.robust_error = robust.error;
    estimate.robust_df = robust.degrees_of_freedom;
    if (estimate.note != "from its logarithm")
      estimate.robust_p = StudentP(estimate.value / robust.error, robust.degrees_of_freedom);
  }
}

void Finish(const Context& context, MethodFit& fit) {
  const std::vector<double> theta = fit.theta();
  fit.response_r2 = ResponseR2(context, theta);
  fit.on_fit = ErrorsOf(context, theta, context.rows.fit, false);
  fit.on_held_out = ErrorsOf(context, theta, context.rows.held_out, true);
  AddRobustErrors(context, fit);
}

// "A and C cannot be told apart ..." where two parameters have the same column, "" if none have.
std::string ExplainSameColumns(const Law& law, const LinearForm& form) {
  for (size_t i = 0; i < form.columns.size(); ++i) {
    for (size_t j = i + 1; j < form.columns.size(); ++j) {
      const auto &one = form.columns[i], &other = form.columns[j];
      if (one.name != other.name || one.is_log != other.is_log) continue;
      return fmt::format("parameters {} and {} cannot be told apart: only their {} is determined. Leave one out",
                         law.parameters()[one.parameter].name, law.parameters()[other.parameter].name,
                         one.is_log ? "product" : "sum");
    }
  }
  return "";
}

// ln y (or y) on the features of the linear form.
void FitLinearized(const Context& context, const LinearForm& form, LawFit& out) {
  const FitRows& rows = context.rows.fit;
  const size_t k = form.columns.size(), c = context.law.covariates().size();
  std::vector<long double> design(rows.size() * k), target(rows.size());
  std::vector<double> weights;
  for (size_t i = 0; i < rows.size(); ++i) {
    const long double offset = context.law.LinearFeaturesExtended(rows.row(i, c), {design.data() + i * k, k});
    const long double y = rows.y[i];
    target[i] = (form.of_log ? std::log(y) : y) - offset;
    if (!rows.weights.empty()) weights.push_back(form.of_log ? rows.log_weight(i) : rows.weight(i));
  }
  std::vector<std::string> names;
  for (const auto& column : form.columns) names.push_back(column.name);
  out.why_no_ols = ExplainSameColumns(context.law, form);
  if (out.why_no_ols.empty()) out.why_no_ols = ExplainDegenerate(std::span<const long double>(design), names);
  if (!out.why_no_ols.empty()) return;
  out.ols_detail = FitOls(std::span<const long double>(design), target, names, weights);

  MethodFit fit;
  fit.method = "ols";
  fit.space = form.of_log ? "log response" : "response";
  fit.rows = rows.size();
  fit.quality = out.ols_detail->quality;
  fit.objective = fit.quality.ssr;
  fit.parameters.resize(k);
  fit.covariance.resize(k * k);
  for (size_t j = 0; j < k; ++j) {
    const OlsCoefficient& coefficient = out.ols_detail->coefficients[j];
    const LawParameter& parameter = context.law.parameters()[form.columns[j].parameter];
    ParameterEstimate& estimate = fit.parameters[form.columns[j].parameter];
    estimate.name = parameter.name;
    estimate.unit = parameter.unit;
    if (form.columns[j].is_log) {
      // The delta method: sd(exp c) = exp(c) sd(c).
      estimate.value = std::exp(coefficient.value);
      estimate.standard_error = estimate.value * coefficient.standard_error;
      estimate.note = kFromLogarithm;
    } else {
      estimate.value = coefficient.value;
      estimate.standard_error = coefficient.standard_error;
      estimate.t = coefficient.t;
      estimate.p = coefficient.p;
    }
    if (estimate.value < parameter.min || estimate.value > parameter.max) {
      estimate.note = fmt::format("outside its bounds [{}, {}], which OLS cannot keep", parameter.min, parameter.max);
    }
  }
  for (size_t i = 0; i < k; ++i) {
    for (size_t j = 0; j < k; ++j) {
      const size_t a = form.columns[i].parameter, b = form.columns[j].parameter;
      const double scale = (form.columns[i].is_log ? fit.parameters[a].value : 1) *
                           (form.columns[j].is_log ? fit.parameters[b].value : 1);
      fit.covariance[a * k + b] = out.ols_detail->covariance[i * k + j] * scale;
    }
  }
  Finish(context, fit);
  out.ols = std::move(fit);
}

// One iterative method. Empty, with `why`, if it has no solution.
std::optional<MethodFit> Iterate(const Context& context, const FitRows& rows, const FitProcedure& procedure,
                                 const NonlinearOptions& options, std::optional<NonlinearResult>& detail,
                                 std::string& why) {
  if (options.random_starts == 0 && options.given_starts.empty()) {
    why = "there is no start: give start values for every parameter, or allow random starts";
    return std::nullopt;
  }
  try {
    NonlinearOptions chosen = options;
    chosen.procedure = procedure;
    chosen.inverse = &context.inverse;
    detail = FitNonlinear(context.law, rows, chosen);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNumerical) throw;
    why = error.what();
    return std::nullopt;
  }
  const StartStatus& best = detail->starts[detail->best];
  if (!best.converged) {
    why = "the best of " + std::to_string(detail->starts.size()) + " starts has " + best.status;
    return std::nullopt;
  }
  const bool is_binomial = procedure.loss == FitProcedure::Loss::kBinomial;
  MethodFit fit;
  fit.method = procedure.loss == FitProcedure::Loss::kSquares ? "least_squares" : Name(procedure.loss);
  fit.space = is_binomial ? "counts" : procedure.space == FitProcedure::Space::kLog ? "log response" : "response";
  fit.rows = rows.size();
  fit.quality = detail->quality;
  fit.objective = detail->objective;
  fit.covariance = detail->covariance;
  if (procedure.loss == FitProcedure::Loss::kHuberLikelihood) fit.scale = detail->scale;
  for (size_t j = 0; j < detail->parameters.size(); ++j) {
    const LawParameter& parameter = context.law.parameters()[j];
    ParameterEstimate estimate;
    estimate.name = parameter.name;
    estimate.unit = parameter.unit;
    estimate.value = detail->parameters[j].value;
    estimate.standard_error = detail->parameters[j].standard_error;
    estimate.t = estimate.value / estimate.standard_error;
    estimate.p = StudentP(estimate.t, static_cast<double>(fit.quality.rows - fit.quality.parameters));
    if (!detail->parameters[j].is_identified) estimate.note = "not identified by these rows";
    if (detail->parameters[j].at_bound) estimate.note = "at its bound";
    fit.parameters.push_back(std::move(estimate));
  }
  Finish(context, fit);
  return fit;
}

void FitIteratively(const Context& context, const FitSettings& settings, LawFit& out) {
  NonlinearOptions options;
  options.random_starts = settings.random_starts;
  options.seed = settings.seed;
  if (out.ols) {
    options.given_starts.emplace_back("OLS", out.ols->theta());
    options.enough_agreeing = 2;  // It starts them well: random ones only confirm.
  }
  std::vector<double> start, published;
  for (const LawParameter& parameter : context.law.parameters()) {
    start.push_back(parameter.start);
    published.push_back(parameter.published);
  }
  const auto is_missing = [](double value) { return std::isnan(value); };
  if (std::none_of(start.begin(), start.end(), is_missing)) options.given_starts.emplace_back("law file", start);
  if (std::none_of(published.begin(), published.end(), is_missing))
    options.given_starts.emplace_back("published", published);
  const FitRows& rows = context.rows.fit;
  out.least_squares =
      Iterate(context, rows, FitProcedure(), options, out.least_squares_detail, out.why_no_least_squares);
  if (!out.least_squares) out.least_squares_detail.reset();

  const FitProcedure own = context.law.procedure();
  const bool is_ols = own.loss == FitProcedure::Loss::kSquares && own.space == FitProcedure::Space::kLog && out.ols &&
                      out.ols->space == "log response";
  if (own.loss != FitProcedure::Loss::kBinomial && own != FitProcedure() && !is_ols) {
    if (out.least_squares) options.given_starts.emplace_back("least squares", out.least_squares->theta());
    out.own = Iterate(context, rows, own, options, out.own_detail, out.why_no_own);
    if (!out.own) out.own_detail.reset();
  }
}

// Maximum likelihood of the counts, rows at or below chance included.
void FitCounts(const Context& context, const FitSettings& settings, LawFit& out) {
  const FitRows& rows = context.rows.counted;
  const size_t k = context.law.parameters().size();
  out.why_no_binomial = context.rows.why_no_counts;
  if (!out.why_no_binomial.empty()) return;
  if (rows.size() <= k) {
    out.why_no_binomial = fmt::format("{} rows have counts, for {} parameters", rows.size(), k);
    return;
  }
  out.why_no_binomial = ExplainConstantCovariate(context.law, rows);
  if (!out.why_no_binomial.empty()) return;
  NonlinearOptions options;
  options.seed = settings.seed;
  if (out.ols) options.given_starts.emplace_back("OLS", out.ols->theta());
  if (out.least_squares) options.given_starts.emplace_back("least squares", out.least_squares->theta());
  // The fits to the response start it well; only without them it searches on its own.
  options.random_starts = options.given_starts.empty() ? settings.random_starts : std::min(settings.random_starts, 2);
  FitProcedure procedure;
  procedure.loss = FitProcedure::Loss::kBinomial;
  out.binomial = Iterate(context, rows, procedure, options, out.binomial_detail, out.why_no_binomial);
  if (!out.binomial) out.binomial_detail.reset();
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
  const LawRows rows = SelectRows(law, chosen, {settings.chance_rule, TakesLog(law), settings.weights});
  Describe(law, chosen, rows, fit);
  const ResponseInverse inverse(law.response());
  const Context context{law, chosen, rows, inverse, settings.bootstrap_unit};

  const size_t k = law.parameters().size();
  std::string why;
  if (rows.fit.size() <= k) {
    why = fmt::format("{} row{} left for {} parameter{}: at least {} are needed", rows.fit.size(),
                      rows.fit.size() == 1 ? " is" : "s are", k, k == 1 ? "" : "s", k + 1);
  } else {
    why = ExplainConstantCovariate(law, rows.fit);
  }
  if (!why.empty()) {
    fit.why_no_ols = fit.why_no_least_squares = why;
  } else {
    if (form) {
      FitLinearized(context, *form, fit);
    } else {
      fit.why_no_ols = "the formula is not linear in its parameters, nor is its logarithm";
    }
    // Where the linear form does not tell parameters apart, no iteration will.
    if (form && !fit.ols) {
      fit.why_no_least_squares = fit.why_no_ols;
    } else {
      FitIteratively(context, settings, fit);
    }
  }
  FitCounts(context, settings, fit);
  CountQuantizers(chosen, fit.binomial ? rows.counted_index : rows.fit_index, fit);
  return fit;
}

std::optional<MethodFit> FitMethod(const Law& law, const Table& table, const FitSettings& settings,
                                   const FitProcedure& procedure, std::string& why) {
  using Loss = FitProcedure::Loss;
  const bool of_log = procedure.space == FitProcedure::Space::kLog;
  const auto form = law.linear_form();
  const LawRows rows = SelectRows(law, table, {settings.chance_rule, of_log, settings.weights});
  const ResponseInverse inverse(law.response());
  const Context context{law, table, rows, inverse, settings.bootstrap_unit};
  const FitRows& used = procedure.loss == Loss::kBinomial ? rows.counted : rows.fit;
  if (procedure.loss == Loss::kBinomial && used.size() == 0) {
    why = rows.why_no_counts;
    return std::nullopt;
  }
  if (used.size() <= law.parameters().size()) {
    why = fmt::format("{} rows for {} parameters", used.size(), law.parameters().size());
    return std::nullopt;
  }
  why = ExplainConstantCovariate(law, used);
  if (!why.empty()) return std::nullopt;
  NonlinearOptions options;
  options.random_starts = settings.random_starts;
  options.seed = settings.seed;
  if (form && form->of_log && std::any_of(rows.fit.y.begin(), rows.fit.y.end(), [](double y) { return !(y > 0); })) {
    // Its logarithm cannot be taken here.
  } else if (form) {
    LawFit linear;
    FitLinearized(context, *form, linear);
    if (linear.ols && procedure.loss == Loss::kSquares && form->of_log == of_log) return linear.ols;
    if (linear.ols) {
      options.given_starts.emplace_back("OLS", linear.ols->theta());
      options.random_starts = std::min(options.random_starts, 2);
    }
  }
  std::vector<double> start;
  for (const LawParameter& parameter : law.parameters()) start.push_back(parameter.start);
  if (std::none_of(start.begin(), start.end(), [](double value) { return std::isnan(value); }))
    options.given_starts.emplace_back("law file", start);
  std::optional<NonlinearResult> detail;
  return Iterate(context, used, procedure, options, detail, why);
}

namespace {

bool UsesAccuracy(const Law& law) {
  const std::vector<std::string> names = Expression::Parse(law.response()).names();
  return std::find(names.begin(), names.end(), "acc_adj") != names.end();
}

// Which trials are of the unquantized model itself: by their quantizer, or by 16 bits or more with the baseline's own
// accuracy.
bool IsBaseline(const Table& table, const std::vector<double>& accuracy, const std::vector<double>& baseline,
                size_t row) {
  const TableColumn *quantizer = table.Find("quantizer"), *bits = table.Find("B");
  if (quantizer != nullptr && quantizer->is_text && quantizer->texts[row] == "none") return true;
  return bits != nullptr && !bits->is_text && bits->numbers[row] >= 16 && accuracy[row] == baseline[row];
}

// The formula of the law for the loss against the unquantized model. A loss of exactly 0 of a quantized one is a row
// like others.
std::optional<LawFit> FitAnchored(const Law& law, const Table& table, const FitSettings& settings) {
  const TableColumn* baseline = table.Find("baseline_acc_adj");
  if (baseline == nullptr || baseline->is_text || !AnchoredLaw::Fits(law)) return std::nullopt;
  const std::vector<double>& accuracy = table.Numbers("acc_adj");
  const TableColumn* hold_out = table.Find("hold_out");
  std::vector<size_t> kept;
  std::vector<Exclusion> excluded, held_out_excluded;
  for (size_t row = 0; row < table.rows(); ++row) {
    auto& to = IsHeldOut(hold_out, table, row) ? held_out_excluded : excluded;
    if (!(baseline->numbers[row] > 0)) {
      CountExclusion(to, "no baseline_acc_adj above 0",
                     RowLabel(table, row) + ": baseline_acc_adj = " + ShortestText(baseline->numbers[row]));
    } else if (IsBaseline(table, accuracy, baseline->numbers, row)) {
      CountExclusion(to, "the unquantized model itself, whose loss is 0 by definition", RowLabel(table, row));
    } else {
      kept.push_back(row);
    }
  }
  if (kept.empty()) return std::nullopt;
  LawFit fit = FitLaw(AnchoredLaw(law), table, settings, kept);
  for (const Exclusion& one : excluded) fit.incoming += one.rows;
  for (const Exclusion& one : held_out_excluded) fit.held_out_incoming += one.rows;
  fit.excluded.insert(fit.excluded.begin(), excluded.begin(), excluded.end());
  fit.held_out_excluded.insert(fit.held_out_excluded.begin(), held_out_excluded.begin(), held_out_excluded.end());
  fit.warnings.clear();  // The law itself says them.
  return fit;
}

// The law's nulls, on exactly its rows.
std::vector<LawFit> FitNulls(const Law& law, const StratumData& stratum, const FitSettings& settings,
                             const ControlledStudy& study) {
  std::vector<LawFit> nulls;
  const LawRows rows = SelectRows(law, stratum.table, {settings.chance_rule, TakesLog(law), settings.weights});
  const std::vector<size_t>& used = rows.complete_index;
  if (used.empty()) return nulls;
  FitSettings null_settings = settings;
  null_settings.bootstrap_unit = "trials";  // Nothing is said of the errors of a null.
  // A null has a logarithm to start from, unless the law takes responses that have none: then neither takes it.
  const bool positive = std::all_of(rows.fit.y.begin(), rows.fit.y.end(), [](double y) { return y > 0; });
  if (positive) null_settings.random_starts = 0;
  for (const auto& null : NullsOf(law)) {
    null->TakeLog(positive);
    nulls.push_back(study.is_controlled()
                        ? FitLaw(ControlledLaw(*null, study.controls()), stratum.table, null_settings, used)
                        : FitLaw(*null, stratum.table, null_settings, used));
    nulls.back().warnings.clear();
  }
  return nulls;
}

LawFit FitWithNulls(const Law& law, const StratumData& stratum, const FitSettings& settings,
                    const ControlledStudy& study) {
  LawFit fit = FitLaw(law, stratum.table, settings);
  if (settings.nulls) {
    fit.nulls = FitNulls(law, stratum, settings, study);
    if (auto anchored = FitAnchored(law, stratum.table, settings)) fit.nulls.push_back(std::move(*anchored));
  }
  for (LawFit& null : fit.nulls) {
    null.stratum = stratum.name;
    null.is_null = true;
  }
  return fit;
}

}  // namespace

FitReport FitLaws(std::span<const std::unique_ptr<Law>> laws, const Table& table, const FitSettings& settings) {
  FitReport report;
  report.settings = settings;
  const ControlledStudy study(laws, table, settings.controls);
  report.controls = study.controls();
  const auto usual = std::any_of(study.laws().begin(), study.laws().end(), [](const Law* law) { return UsesAccuracy(*law); });
  if (usual) CheckAccuracies(study.table());
  StrataData data = SplitStrata(study.table(), settings.average_tasks);
  report.notes = data.notes;
  for (const StratumData& stratum : data.strata) {
    report.strata.push_back({stratum.name, stratum.tasks, stratum.incoming, stratum.incomplete});
  }
  for (const Law* law : study.laws()) {
    for (const StratumData& stratum : data.strata) {
      LawFit fit;
      try {
        fit = FitWithNulls(*law, stratum, settings, study);
      } catch (const Error& error) {
        // A law that does not suit the table costs its own fit and nothing else.
        if (error.kind() != ErrorKind::kSpec) throw;
        fit = LawFit();
        fit.law = law->name(), fit.formula = law->formula_text();
        fit.response = law->response(), fit.citation = law->citation();
        fit.incoming = stratum.table.rows();
        fit.unusable = error.what();
        if (fit.unusable.ends_with('.')) fit.unusable.pop_back();
        fit.why_no_ols = fit.why_no_least_squares = fit.why_no_binomial = fit.unusable;
      }
      fit.stratum = stratum.name;
      report.fits.push_back(std::move(fit));
    }
  }
  return report;
}

}  // namespace bitlaw
