#include "fit/examine/uncertainty.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text/counted.h"
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
  report.method = method.method();
  report.title = method.title();
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

namespace {

// What a bootstrap draws.
struct Draws {
  bool by_items = false;
  const ItemSampler* items = nullptr;      // Of all rows at once; null: of each row by itself.
  std::vector<std::vector<size_t>> units;  // Places in refitter.rows(); none by items.
};

// Values of the quantities in each replicate, and without each unit or block of units.
struct Replicates {
  std::vector<double> values, left_out;  // [replicates, quantities], [blocks, quantities]; NaN without a fit.
};

// Fills in what `report` says of the draws; report.note, where nothing can be drawn.
Draws DrawsOf(const Refitter& refitter, const Table& table, const BootstrapOptions& options,
              UncertaintyReport& report) {
  Draws draws;
  draws.by_items = options.unit == "items";
  if (draws.by_items) {
    report.note = refitter.ExplainNoItems();
    if (!report.note.empty()) return draws;
    if (options.items != nullptr && options.items->why_none().empty()) draws.items = options.items;
    report.units = draws.items != nullptr ? draws.items->items() : refitter.rows().size();
    return draws;
  }
  const RowUnits drawn = UnitsOf(table, options.unit, refitter.rows());
  draws.units = drawn.Members();
  report.unit = drawn.name;
  report.units = draws.units.size();
  if (draws.units.size() < 2) {
    report.note = fmt::format("'{}' has {} value in the fitted rows: there is nothing to draw from", report.unit,
                              draws.units.size());
  }
  return draws;
}

// One item draw each.
void DrawItems(const Refitter& refitter, const Quantities& quantities, const Draws& draws,
               const BootstrapOptions& options, Replicates& replicates) {
  const Rng seed(options.seed);
  const size_t m = quantities.size();
  ParallelFor(static_cast<size_t>(options.replicates), options.threads, [&](size_t b) {
    std::vector<double> accuracy(refitter.table_rows()), theta(refitter.parameters());
    Rng rng = seed.Fork(b);
    bool good = false;
    if (draws.items != nullptr) {
      draws.items->Draw(rng, accuracy);
      good = refitter.RefitAccuracies(accuracy, theta);
    } else {
      good = refitter.RefitNewItems(rng, theta);
    }
    for (size_t i = 0; good && i < m; ++i) replicates.values[b * m + i] = quantities.Value(i, theta, {});
  });
}

// Several refits side by side; and behind them those without one unit.
void DrawUnitsOfRows(const Refitter& refitter, const Quantities& quantities, const Draws& draws,
                     const BootstrapOptions& options, Replicates& replicates) {
  const Rng seed(options.seed);
  const auto& units = draws.units;
  const size_t m = quantities.size(), count = static_cast<size_t>(options.replicates);
  const bool one_by_one = std::all_of(units.begin(), units.end(), [](const auto& unit) { return unit.size() == 1; });
  const auto draw = [&](size_t first, size_t lanes, std::vector<Lanes>& times) {
    std::fill(times.begin(), times.end(), Lanes{});
    for (size_t lane = 0; lane < lanes; ++lane) {
      Rng rng = seed.Fork(first + lane);
      DrawUnits(rng, static_cast<uint32_t>(units.size()), [&](uint32_t unit) {
        for (const size_t place : units[unit]) ++times[place].at[lane];
      });
    }
  };
  // Beyond some thousands, blocks of units tell the skew as well: what they miss of an acceleration is below
  // 1 / blocks.
  const size_t blocks = units.size() > 2000 ? 200 : units.size();
  replicates.left_out.assign(blocks * m, kUnset);
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
  const auto chunks_of = [](size_t all) { return (all + kChunk - 1) / kChunk; };
  const size_t drawn = chunks_of(count);
  ParallelFor(drawn + chunks_of(blocks), options.threads, [&](size_t chunk) {
    const bool is_draw = chunk < drawn;
    const size_t first = (is_draw ? chunk : chunk - drawn) * kChunk;
    const size_t here = std::min(kChunk, (is_draw ? count : blocks) - first);
    double* to = (is_draw ? replicates.values : replicates.left_out).data() + first * m;
    RowDrawer rows(seed, one_by_one ? units.size() : 0);
    const auto fill = [&](size_t at, size_t lanes, std::vector<Lanes>& times) {
      if (!is_draw) {
        leave_out(first + at, lanes, times);
      } else if (one_by_one) {
        rows.Draw(first + at, lanes, times);
      } else {
        draw(first + at, lanes, times);
      }
    };
    RefitResamples(refitter, quantities, here, fill, to);
  });
}

// The replicates that have a fit.
void KeepFits(const Replicates& replicates, size_t count, UncertaintyReport& report) {
  const size_t m = report.quantities.size();
  report.replicate_values.reserve(replicates.values.size());
  for (size_t b = 0; b < count; ++b) {
    const auto begin = replicates.values.begin() + static_cast<std::ptrdiff_t>(b * m);
    // A parameter of a fit is never NaN, a derived quantity may be.
    if (std::isnan(*begin)) {
      ++report.failed;
    } else {
      report.replicate_values.insert(report.replicate_values.end(), begin, begin + static_cast<std::ptrdiff_t>(m));
    }
  }
}

// Why so few or so many failed replicates give no interval; empty if they do.
std::string ExplainNoInterval(size_t count, size_t kept, const UncertaintyReport& report) {
  if (count < 20) {
    return fmt::format("no bootstrap interval from {}: at least 20 are needed", Counted(count, "replicate"));
  }
  if (kept < 20 || static_cast<double>(report.failed) > 0.1 * static_cast<double>(count)) {
    return fmt::format("{} of {} resamples by {} do not determine the parameters: no interval is given", report.failed,
                       count, report.unit);
  }
  return "";
}

// `levels`: of the percentile interval.
void FillIntervals(const std::vector<double>& replicate_values, size_t place, size_t quantities, const Interval& levels,
                   double acceleration, Uncertainty& one) {
  std::vector<double> drawn;
  drawn.reserve(replicate_values.size() / quantities);
  for (size_t at = place; at < replicate_values.size(); at += quantities) drawn.push_back(replicate_values[at]);
  // A derived quantity that some replicates do not have, say the root of an exponent, has no distribution.
  if (std::any_of(drawn.begin(), drawn.end(), [](double value) { return std::isnan(value); })) return;
  double mean = 0, squares = 0;
  for (const double value : drawn) mean += value;
  mean /= static_cast<double>(drawn.size());
  for (const double value : drawn) squares += (value - mean) * (value - mean);
  one.bootstrap_error = std::sqrt(squares / static_cast<double>(drawn.size() - 1));
  one.bias = mean - one.value;
  const Interval bca = BcaLevels(drawn, one.value, acceleration, levels);
  const bool has_bca = std::isfinite(bca.low) && std::isfinite(bca.high);
  SortTails(drawn, has_bca ? std::max(levels.low, bca.low) : levels.low,
            has_bca ? std::min(levels.high, bca.high) : levels.high);
  one.percentile = {Quantile(drawn, levels.low), Quantile(drawn, levels.high)};
  if (has_bca) one.bca = {Quantile(drawn, bca.low), Quantile(drawn, bca.high)};
}

}  // namespace

UncertaintyReport Bootstrap(const Refitter& refitter, const Table& table, const MethodFit& method,
                            const BootstrapOptions& options, std::span<const DerivedQuantity> derived) {
  UncertaintyReport report = DeltaIntervals(refitter.law(), method, options.level, derived);
  if (options.replicates <= 0) return report;
  report.unit = options.unit;
  report.replicates = options.replicates;
  const Draws draws = DrawsOf(refitter, table, options, report);
  if (!report.note.empty()) return report;
  const Quantities quantities(refitter.law(), derived);
  const size_t m = quantities.size(), count = static_cast<size_t>(options.replicates);
  Replicates replicates;
  replicates.values.assign(count * m, kUnset);
  (draws.by_items ? DrawItems : DrawUnitsOfRows)(refitter, quantities, draws, options, replicates);
  KeepFits(replicates, count, report);
  report.note = ExplainNoInterval(count, count - static_cast<size_t>(report.failed), report);
  if (!report.note.empty()) return report;
  std::vector<double> accelerations(m, 0);
  if (draws.items != nullptr) {
    accelerations = ItemAccelerations(refitter, quantities, *draws.items, options.threads);
  } else if (draws.by_items) {
    report.note = "items drawn for each row by itself, BCa without acceleration: " +
                  (options.items == nullptr ? "single items are not in the table" : options.items->why_none());
  } else {
    accelerations = Accelerations(replicates.left_out, m);
  }
  if (draws.by_items) {
    const std::string fixed = refitter.ExplainFixedAnchor();
    if (!fixed.empty()) report.note += (report.note.empty() ? "" : "; ") + fixed;
  }
  const Interval levels = ExpandedLevels(options.level, draws.by_items ? 0 : draws.units.size());
  for (size_t i = 0; i < m; ++i)
    FillIntervals(report.replicate_values, i, m, levels, accelerations[i], report.quantities[i]);
  return report;
}

std::vector<Interval> ProfileIntervals(const FitProblem& problem, const MethodFit& method, double level, int threads) {
  const Law& law = problem.law();
  const FitRows& rows = problem.rows();
  const size_t k = law.parameters().size();
  std::vector<Interval> intervals(k);
  if (!method.of_counts() && !method.of_squares()) return intervals;
  if (rows.size() <= k || !method.why_no_robust.empty()) return intervals;
  const std::vector<double> theta = method.theta();
  const Objective whole = problem.objective();
  const double minimum = whole.Value(theta);
  const double variance =
      method.of_counts() ? std::max(1.0, method.quality.residual_variance) : method.quality.residual_variance;

  ParallelFor(k, threads, [&](size_t j) {
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
        const double at = whole.Value(std::vector<double>{value});
        return std::copysign(std::sqrt(std::max(0.0, at - minimum) / unit), value - theta[j]);
      }
      const Objective objective(restricted, rows, problem.procedure(), &problem.inverse());
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
