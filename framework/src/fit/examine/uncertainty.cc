#include "fit/examine/uncertainty.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "fit/law/restricted_law.h"
#include "fit/refit/parallel.h"
#include "fit/refit/resample.h"
#include "fit/solve/objective.h"

namespace bitlaw {

namespace {

// Parameters followed by functions of them.
class Quantities {
 public:
  Quantities(const Law& law, std::span<const DerivedQuantity> derived) : parameters_(law.parameters().size()) {
    std::vector<std::string> scope;
    for (const LawParameter& parameter : law.parameters()) scope.push_back(parameter.name);
    names_ = scope;
    for (const DerivedQuantity& one : derived) {
      names_.push_back(one.name);
      compiled_.push_back(Expression::Parse(one.expression).Compile(scope, "parameter"));
    }
  }
  size_t size() const { return names_.size(); }
  const std::string& name(size_t i) const { return names_[i]; }
  double Value(size_t i, std::span<const double> theta, std::span<double> gradient) const {
    if (i >= parameters_) return compiled_[i - parameters_].Number(theta, {}, gradient);
    if (!gradient.empty()) {
      std::fill(gradient.begin(), gradient.end(), 0.0);
      gradient[i] = 1;
    }
    return theta[i];
  }

 private:
  size_t parameters_;
  std::vector<std::string> names_;
  std::vector<CompiledExpression> compiled_;
};

// Of several samples, the items of each task (Efron 1987, section 8): blocks of n_t items each, U = (n_t - 1) (mean -
// value).
std::vector<double> ItemAccelerations(const Refitter& refitter, const Quantities& quantities, const ItemSampler& items,
                                      int threads) {
  const size_t k = refitter.parameters(), m = quantities.size();
  const auto& blocks = items.blocks();
  std::vector<double> left_out(blocks.size() * m, kUnset);
  ParallelFor(blocks.size(), threads, [&](size_t b) {
    std::vector<double> accuracy(refitter.table_rows()), theta(k);
    items.Without(blocks[b], accuracy);
    if (!refitter.RefitAccuracies(accuracy, theta)) return;
    for (size_t i = 0; i < m; ++i) left_out[b * m + i] = quantities.Value(i, theta, {});
  });
  std::vector<double> accelerations(m, 0);
  for (size_t i = 0; i < m; ++i) {
    double squares = 0, cubes = 0;
    for (size_t first = 0; first < blocks.size();) {
      const size_t n = items.blocks_of_task(blocks[first].task);
      double mean = 0, count = 0;
      for (size_t b = first; b < first + n; ++b) {
        if (std::isnan(left_out[b * m + i])) continue;
        mean += left_out[b * m + i];
        ++count;
      }
      mean /= count;
      for (size_t b = first; b < first + n; ++b) {
        if (std::isnan(left_out[b * m + i])) continue;
        const double influence = (count - 1) * (mean - left_out[b * m + i]);
        squares += std::pow(influence / count, 2);
        cubes += std::pow(influence / count, 3);
      }
      first += n;
    }
    if (squares > 0) accelerations[i] = cubes / (6 * std::pow(squares, 1.5));
  }
  return accelerations;
}

// Quantities of `count` resamples: fill(first, lanes, times) says how often each of refitter.rows() counts in resamples
// first, first + 1, ... in as many lanes of `times`, and 0 in the others. Where a resample does not determine them they
// are NaN.
//   values [count, quantities]
template <typename Fill>
void RefitResamples(const Refitter& refitter, const Quantities& quantities, size_t count, Fill&& fill, double* values) {
  const size_t k = refitter.parameters(), m = quantities.size();
  std::vector<Lanes> times(refitter.rows().size());
  std::vector<double> theta(kLanes * k);
  for (size_t first = 0; first < count; first += kLanes) {
    const size_t lanes = std::min(kLanes, count - first);
    fill(first, lanes, times);
    const auto good = refitter.RefitLanes(times, theta);
    for (size_t lane = 0; lane < lanes; ++lane) {
      for (size_t i = 0; i < m; ++i) {
        values[(first + lane) * m + i] = good[lane] ? quantities.Value(i, {theta.data() + lane * k, k}, {}) : kUnset;
      }
    }
  }
}

// Bootstrap replicates first, first + 1, ... of rows drawn one by one, as DrawUnits() draws them.
class RowDrawer {
 public:
  RowDrawer(const Rng& seed, size_t rows) : seed_(seed), scratch_(rows * kLanes) {}
  void Draw(size_t first, size_t lanes, std::vector<Lanes>& times) {
    const auto count = static_cast<uint32_t>(times.size());
    unsigned refused = ~0u;
    if (count < 65536) {
      LaneWords state[4] = {};
      for (size_t lane = 0; lane < lanes; ++lane) {
        const Rng rng = seed_.Fork(first + lane);
        for (size_t i = 0; i < 4; ++i) state[i].at[lane] = rng.state()[i];
      }
      refused = BestLaneKernels().draw(state, count, scratch_.data(), times.data());
    }
    for (size_t lane = 0; lane < kLanes; ++lane) {
      if (lane < lanes && (refused >> lane & 1) == 0) continue;
      for (Lanes& row : times) row.at[lane] = 0;
      if (lane >= lanes) continue;
      Rng rng = seed_.Fork(first + lane);
      DrawUnits(rng, count, [&](uint32_t row) { ++times[row].at[lane]; });
    }
  }

 private:
  const Rng& seed_;
  std::vector<uint16_t> scratch_;
};

// Rises with the skew that leaving out one unit shows (Efron 1987, eq. 6.6).   left_out [units, quantities]
std::vector<double> Accelerations(std::span<const double> left_out, size_t quantities) {
  std::vector<double> accelerations(quantities, 0);
  for (size_t i = 0; i < quantities; ++i) {
    double mean = 0, count = 0, squares = 0, cubes = 0;
    for (size_t at = i; at < left_out.size(); at += quantities) {
      if (std::isnan(left_out[at])) continue;
      mean += left_out[at];
      ++count;
    }
    mean /= count;
    for (size_t at = i; at < left_out.size(); at += quantities) {
      if (std::isnan(left_out[at])) continue;
      const double step = mean - left_out[at];
      squares += step * step;
      cubes += step * step * step;
    }
    if (squares > 0) accelerations[i] = cubes / (6 * std::pow(squares, 1.5));
  }
  return accelerations;
}

// Which quantiles of the replicates are the ends of the BCa interval; NaN if all replicates are on one side of `value`.
Interval BcaLevels(std::span<const double> replicates, double value, double acceleration, const Interval& levels) {
  double below = 0;
  for (const double one : replicates) below += one < value ? 1 : one == value ? 0.5 : 0;
  const double z0 = NormalQuantile(below / static_cast<double>(replicates.size()));
  if (!std::isfinite(z0)) return {};
  const auto end = [&](double p) {
    const double z = z0 + NormalQuantile(p);
    return NormalCdf(z0 + z / (1 - acceleration * z));
  };
  return {end(levels.low), end(levels.high)};
}

// Puts in place what Quantile() looks at for p up to `low` and from `high`: a third of the time of sorting all.
void SortTails(std::vector<double>& values, double low, double high) {
  const auto last = static_cast<double>(values.size() - 1);
  const auto low_end = values.begin() + static_cast<std::ptrdiff_t>(std::min(last, std::floor(low * last) + 1));
  const auto high_begin = values.begin() + static_cast<std::ptrdiff_t>(std::floor(high * last));
  if (low_end >= high_begin) {
    std::sort(values.begin(), values.end());
    return;
  }
  std::nth_element(values.begin(), low_end, values.end());
  std::sort(values.begin(), low_end);
  std::nth_element(low_end + 1, high_begin, values.end());
  std::sort(high_begin, values.end());
}

}  // namespace

Interval ExpandedLevels(double level, size_t units) {
  if (units < 2) return {(1 - level) / 2, (1 + level) / 2};
  const auto n = static_cast<double>(units);
  const double low = NormalCdf(-StudentQuantile(level, n - 1) * std::sqrt(n / (n - 1)));
  return {low, 1 - low};
}

double Quantile(std::span<const double> sorted, double p) {
  if (sorted.empty() || std::isnan(p)) return kUnset;
  const double at = p * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(at));
  if (below + 1 >= sorted.size()) return sorted.back();
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[below + 1] - sorted[below]);
}

DerivedQuantity ParseDerived(const std::string& text) {
  const size_t equals = text.find('=');
  const auto trimmed = [](const std::string& part) {
    const size_t begin = part.find_first_not_of(" \t");
    return begin == std::string::npos ? "" : part.substr(begin, part.find_last_not_of(" \t") - begin + 1);
  };
  DerivedQuantity derived;
  if (equals != std::string::npos) {
    derived.name = trimmed(text.substr(0, equals));
    derived.expression = trimmed(text.substr(equals + 1));
  }
  if (derived.name.empty() || derived.expression.empty()) {
    throw Error(ErrorKind::kSpec, "derived quantity '" + text + "' is not of the form name = expression.");
  }
  Expression::Parse(derived.expression);
  return derived;
}

namespace {

// value -+ t error, where the value may be; what cannot be negative has its interval on the logarithm.
Interval Around(double value, double error, double t, const LawParameter* parameter) {
  if (!std::isfinite(error)) return {};
  if (parameter == nullptr || value < parameter->min || value > parameter->max)
    return {value - t * error, value + t * error};
  if (parameter->min >= 0 && value > 0) {
    const double factor = std::exp(t * error / value);
    return {std::max(parameter->min, value / factor), std::min(parameter->max, value * factor)};
  }
  return {std::max(parameter->min, value - t * error), std::min(parameter->max, value + t * error)};
}

// What a reader must know before reading errors that are over few units, or that are not there.
void AddWarnings(const MethodFit& method, UncertaintyReport& report) {
  if (!method.unit_note.empty()) report.warnings.push_back(method.unit_note);
  if (!method.why_no_robust.empty()) {
    report.warnings.push_back(fmt::format("no errors over {}, because {}: read the bootstrap over {}", method.unit,
                                          method.why_no_robust, method.unit));
  }
  if (!method.robust) return;
  std::string none;
  for (const Uncertainty& one : report.quantities) {
    if (std::isnan(one.delta_error) && !std::isnan(one.independent_error))
      none += (none.empty() ? "" : ", ") + one.name;
  }
  const size_t units = method.robust->units().size();
  if (!none.empty()) {
    report.warnings.push_back(fmt::format(
        "no error of {}: {} units of '{}' are no more than what varies only between them", none, units, method.unit));
  }
  if (units < kFewUnits) {
    report.warnings.push_back(fmt::format(
        "only {} units of '{}': errors are corrected for it (CR2, degrees of freedom of each quantity), but what "
        "varies "
        "only between units rests on {} points; --groups {} gives each its own amplitude with shared exponents",
        units, method.unit, units, method.unit));
  }
}

}  // namespace

UncertaintyReport DeltaIntervals(const Law& law, const MethodFit& method, double level,
                                 std::span<const DerivedQuantity> derived) {
  UncertaintyReport report;
  report.method = method.method;
  report.space = method.space;
  report.level = level;
  report.independent = method.unit;
  report.is_clustered = method.robust != nullptr || !method.why_no_robust.empty();
  report.independent_units = method.robust ? method.robust->units().size() : method.rows;
  const Quantities quantities(law, derived);
  const size_t k = law.parameters().size();
  const std::vector<double> theta = method.theta();
  const double left = static_cast<double>(method.quality.rows) - static_cast<double>(k);
  const double t = StudentQuantile(level, left);
  std::vector<double> gradient(k);
  for (size_t i = 0; i < quantities.size(); ++i) {
    Uncertainty one;
    one.name = quantities.name(i);
    one.value = quantities.Value(i, theta, gradient);
    double variance = method.covariance.size() == k * k ? 0 : kUnset;
    for (size_t a = 0; a < k && !std::isnan(variance); ++a) {
      for (size_t b = 0; b < k; ++b) {
        if (gradient[a] != 0 && gradient[b] != 0) variance += gradient[a] * gradient[b] * method.covariance[a * k + b];
      }
    }
    one.independent_error = std::sqrt(variance);
    const LawParameter* parameter = i < k ? &law.parameters()[i] : nullptr;
    one.independent = Around(one.value, one.independent_error, t, parameter);
    if (method.robust) {
      const RobustError robust = method.robust->Error(gradient);
      one.delta_error = robust.error;
      one.degrees_of_freedom = robust.degrees_of_freedom;
    } else if (!report.is_clustered) {
      one.delta_error = one.independent_error;
      one.degrees_of_freedom = left;
    }
    one.delta = Around(one.value, one.delta_error, StudentQuantile(level, one.degrees_of_freedom), parameter);
    report.quantities.push_back(std::move(one));
  }
  AddWarnings(method, report);
  return report;
}

UncertaintyReport Bootstrap(const Refitter& refitter, const Table& table, const MethodFit& method,
                            const BootstrapOptions& options, std::span<const DerivedQuantity> derived) {
  UncertaintyReport report = DeltaIntervals(refitter.law(), method, options.level, derived);
  if (options.replicates <= 0) return report;
  report.unit = options.unit;
  report.replicates = options.replicates;
  const bool by_items = options.unit == "items";
  std::vector<std::vector<size_t>> units;
  const ItemSampler* items =
      by_items && options.items != nullptr && options.items->why_none().empty() && refitter.ExplainNoItems().empty()
          ? options.items
          : nullptr;
  if (by_items) {
    report.note = refitter.ExplainNoItems();
    if (!report.note.empty()) return report;
    report.units = items != nullptr ? items->items() : refitter.rows().size();
  } else {
    const RowUnits drawn = UnitsOf(table, options.unit, refitter.rows());
    units = drawn.Members();
    report.unit = drawn.name;
    report.units = units.size();
    if (units.size() < 2) {
      report.note =
          fmt::format("'{}' has {} value in the fitted rows: there is nothing to draw from", report.unit, units.size());
      return report;
    }
  }
  const bool one_by_one = std::all_of(units.begin(), units.end(), [](const auto& unit) { return unit.size() == 1; });
  const Quantities quantities(refitter.law(), derived);
  const size_t k = refitter.parameters(), m = quantities.size();
  const auto replicates = static_cast<size_t>(options.replicates);
  std::vector<double> values(replicates * m, kUnset), left_out;
  const Rng seed(options.seed);
  // One item draw each; several refits side by side; and behind them those without one unit.
  const auto draw_items = [&](size_t b) {
    std::vector<double> accuracy(refitter.table_rows()), theta(k);
    Rng rng = seed.Fork(b);
    bool good = false;
    if (items != nullptr) {
      items->Draw(rng, accuracy);
      good = refitter.RefitAccuracies(accuracy, theta);
    } else {
      good = refitter.RefitNewItems(rng, theta);
    }
    for (size_t i = 0; good && i < m; ++i) values[b * m + i] = quantities.Value(i, theta, {});
  };
  const auto draw_units = [&](size_t first, size_t lanes, std::vector<Lanes>& times) {
    std::fill(times.begin(), times.end(), Lanes{});
    for (size_t lane = 0; lane < lanes; ++lane) {
      Rng rng = seed.Fork(first + lane);
      DrawUnits(rng, static_cast<uint32_t>(units.size()), [&](uint32_t unit) {
        for (const size_t place : units[unit]) ++times[place].at[lane];
      });
    }
  };
  // Beyond some thousands, blocks of units tell the skew as well: what they miss of an acceleration is below 1 / blocks.
  const size_t blocks = units.size() > 2000 ? 200 : units.size();
  left_out.assign(blocks * m, kUnset);
  const auto leave_out = [&](size_t first, size_t lanes, std::vector<Lanes>& times) {
    Lanes once = {};
    std::fill_n(once.at, lanes, 1.0);
    std::fill(times.begin(), times.end(), once);
    for (size_t lane = 0; lane < lanes; ++lane) {
      for (size_t unit = first + lane; unit < units.size(); unit += blocks) {
        for (const size_t place : units[unit]) times[place].at[lane] = 0;
      }
    }
  };
  constexpr size_t kChunk = 8 * kLanes;
  const auto chunks_of = [](size_t count) { return (count + kChunk - 1) / kChunk; };
  if (by_items) {
    ParallelFor(replicates, options.threads, draw_items);
  } else {
    const size_t drawn = chunks_of(replicates);
    ParallelFor(drawn + chunks_of(blocks), options.threads, [&](size_t chunk) {
      const bool is_draw = chunk < drawn;
      const size_t first = (is_draw ? chunk : chunk - drawn) * kChunk;
      const size_t count = std::min(kChunk, (is_draw ? replicates : blocks) - first);
      double* to = (is_draw ? values : left_out).data() + first * m;
      RowDrawer rows(seed, one_by_one ? units.size() : 0);
      const auto fill = [&](size_t at, size_t lanes, std::vector<Lanes>& times) {
        if (!is_draw) {
          leave_out(first + at, lanes, times);
        } else if (one_by_one) {
          rows.Draw(first + at, lanes, times);
        } else {
          draw_units(first + at, lanes, times);
        }
      };
      RefitResamples(refitter, quantities, count, fill, to);
    });
  }
  // A parameter of a fit is never NaN, a derived quantity may be.
  const auto is_fit = [&](size_t b) { return !std::isnan(values[b * m]); };
  report.replicate_values.reserve(values.size());
  for (size_t b = 0; b < replicates; ++b) {
    if (is_fit(b)) {
      report.replicate_values.insert(report.replicate_values.end(), values.begin() + static_cast<std::ptrdiff_t>(b * m),
                                     values.begin() + static_cast<std::ptrdiff_t>((b + 1) * m));
    } else {
      ++report.failed;
    }
  }
  const size_t kept = replicates - static_cast<size_t>(report.failed);
  if (replicates < 20) {
    report.note = fmt::format("no bootstrap interval from {} replicate{}: at least 20 are needed", replicates,
                              replicates == 1 ? "" : "s");
    return report;
  }
  if (kept < 20 || static_cast<double>(report.failed) > 0.1 * static_cast<double>(replicates)) {
    report.note = fmt::format("{} of {} resamples by {} do not determine the parameters: no interval is given",
                              report.failed, replicates, report.unit);
    return report;
  }
  std::vector<double> accelerations(m, 0);
  if (items != nullptr) {
    accelerations = ItemAccelerations(refitter, quantities, *items, options.threads);
  } else if (by_items) {
    report.note = "items drawn for each row by itself, BCa without acceleration: " +
                  (options.items == nullptr ? "single items are not in the table" : options.items->why_none());
  } else {
    accelerations = Accelerations(left_out, m);
  }
  for (size_t i = 0; i < m; ++i) {
    Uncertainty& one = report.quantities[i];
    std::vector<double> drawn;
    drawn.reserve(kept);
    double mean = 0, squares = 0;
    for (size_t b = 0; b < kept; ++b) drawn.push_back(report.replicate_values[b * m + i]);
    // A derived quantity that some replicates do not have, say the root of an exponent, has no distribution.
    if (std::any_of(drawn.begin(), drawn.end(), [](double value) { return std::isnan(value); })) continue;
    for (const double value : drawn) mean += value;
    mean /= static_cast<double>(kept);
    for (const double value : drawn) squares += (value - mean) * (value - mean);
    one.bootstrap_error = std::sqrt(squares / static_cast<double>(kept - 1));
    one.bias = mean - one.value;
    const Interval plain = ExpandedLevels(options.level, by_items ? 0 : units.size());
    const Interval bca = BcaLevels(drawn, one.value, accelerations[i], plain);
    const bool has_bca = std::isfinite(bca.low) && std::isfinite(bca.high);
    SortTails(drawn, has_bca ? std::max(plain.low, bca.low) : plain.low,
              has_bca ? std::min(plain.high, bca.high) : plain.high);
    one.percentile = {Quantile(drawn, plain.low), Quantile(drawn, plain.high)};
    if (has_bca) one.bca = {Quantile(drawn, bca.low), Quantile(drawn, bca.high)};
  }
  return report;
}

std::vector<Interval> ProfileIntervals(const Law& law, const Table& table, const FitSettings& settings,
                                       const MethodFit& method, double level) {
  const size_t k = law.parameters().size();
  std::vector<Interval> intervals(k);
  const bool is_binomial = method.method == "binomial";
  if (!is_binomial && method.method != "ols" && method.method != "least_squares") return intervals;
  const bool of_log = method.space == "log response";
  const auto form = law.linear_form();
  const LawRows selected =
      SelectRows(law, table, {settings.chance_rule, of_log || (form && form->of_log), settings.weights});
  const FitRows& rows = is_binomial ? selected.counted : selected.fit;
  if (rows.size() <= k) return intervals;
  FitProcedure procedure;
  if (is_binomial) procedure.loss = FitProcedure::Loss::kBinomial;
  if (of_log) procedure.space = FitProcedure::Space::kLog;
  const ResponseInverse inverse(law.response());
  const std::vector<double> theta = method.theta();
  const double minimum = Objective(law, rows, procedure, &inverse).Value(theta);
  if (!method.why_no_robust.empty()) return intervals;
  const double variance =
      is_binomial ? std::max(1.0, method.quality.residual_variance) : method.quality.residual_variance;

  ParallelFor(k, settings.threads, [&](size_t j) {
    double error = std::sqrt(method.covariance[j * k + j]), unit = variance;
    double t = StudentQuantile(level, static_cast<double>(rows.size() - k));
    if (method.robust) {
      const RobustError robust = method.robust->Error(j);
      unit *= std::pow(robust.error / error, 2);
      error = robust.error;
      t = StudentQuantile(level, robust.degrees_of_freedom);
    }
    // At a bound there is no standard error; the search grows from a small step.
    const bool is_at_bound = theta[j] <= law.parameters()[j].min || theta[j] >= law.parameters()[j].max;
    if (is_at_bound) {
      error = 1e-5 * (std::fabs(theta[j]) + 1e-3);
      unit = variance;
      t = StudentQuantile(level, static_cast<double>(rows.size() - k));
    }
    if (!(error > 0)) return;
    std::vector<double> start = theta;
    // Signed root of the rise, in standard deviations: rises with the parameter.
    const auto signed_root = [&](double value) {
      std::vector<double> fixed(k, kUnset);
      fixed[j] = value;
      const RestrictedLaw restricted(law, fixed);
      if (k == 1) {
        const double at = Objective(law, rows, procedure, &inverse).Value(std::vector<double>{value});
        return std::copysign(std::sqrt(std::max(0.0, at - minimum) / unit), value - theta[j]);
      }
      const Objective objective(restricted, rows, procedure, &inverse);
      const Descent descent = Descend(objective, restricted.Free(start));
      start = restricted.Whole(descent.theta);
      return std::copysign(std::sqrt(std::max(0.0, descent.value - minimum) / unit), value - theta[j]);
    };
    const auto end = [&](double direction) {
      start = theta;
      const LawParameter& parameter = law.parameters()[j];
      double inside = theta[j], outside = theta[j];
      bool found = false;
      const double farthest = is_at_bound ? 1e18 : 30;
      for (double steps = t / 2; steps < farthest; steps *= is_at_bound ? 2 : 1.3) {
        outside = std::clamp(theta[j] + direction * steps * error, parameter.min, parameter.max);
        const double root = std::fabs(signed_root(outside));
        if (std::isnan(root)) return kUnset;
        if (root > t) {
          found = true;
          break;
        }
        inside = outside;
        if (outside == parameter.min || outside == parameter.max) break;
      }
      if (!found && (outside == parameter.min || outside == parameter.max)) return outside;
      if (!found) return direction * std::numeric_limits<double>::infinity();
      if (is_at_bound) error = std::fabs(outside - theta[j]);
      for (int step = 0; step < 50 && std::fabs(outside - inside) > 1e-7 * error; ++step) {
        const double middle = (inside + outside) / 2;
        (std::fabs(signed_root(middle)) > t ? outside : inside) = middle;
      }
      return (inside + outside) / 2;
    };
    intervals[j].low = end(-1);
    intervals[j].high = end(1);
  });
  return intervals;
}

}  // namespace bitlaw
