// What claims over a shared folder ask of a file server, by size of the study: the figures of docs/scaling.md.
//     claims_simulation [TRIALS WORKERS [LAG_S [TRIAL_S [KILLED]]]]
#include <fmt/core.h>

#include <cstdlib>

#include "simulation/claims_model.h"

int main(int count, char** arguments) {
  using bitlaw::ClaimsModel;
  std::vector<ClaimsModel> models;
  if (count > 2) {
    ClaimsModel one;
    one.trials = std::strtoul(arguments[1], nullptr, 10);
    one.workers = std::strtoul(arguments[2], nullptr, 10);
    if (count > 3) one.lag_s = std::atof(arguments[3]);
    if (count > 4) one.trial_s = std::atof(arguments[4]);
    if (count > 5) one.killed = std::strtoul(arguments[5], nullptr, 10);
    models.push_back(one);
  } else {
    for (const auto& [trials, workers] : {std::pair<size_t, size_t>(1000, 10), {10000, 100}, {100000, 1000}}) {
      for (const double lag_s : {0.0, 30.0}) {
        ClaimsModel one;
        one.trials = trials;
        one.workers = workers;
        one.lag_s = lag_s;
        models.push_back(one);
      }
    }
  }
  fmt::print("trials workers lag_s killed | done twice | refused a claim | requests/s: create list read exists, names/s | "
             "peak/s | span/ideal idle_s | CPU ms: choice look | files largest folder\n");
  for (ClaimsModel& model : models) {
    model.models = std::max<size_t>(1, model.trials / 100);
    const bitlaw::ClaimsOutcome o = Simulate(model);
    fmt::print("{:6} {:7} {:5} {:6} | {:6} {:5} | {:6.2f} | {:7.1f} {:7.1f} {:7.1f} {:7.1f} {:9.0f} | {:7.0f} | {:.3f} {:5.0f} | {:6.2f} "
               "{:7.1f} | {} {}\n",
               model.trials, model.workers, model.lag_s, model.killed, o.done, o.done_twice,
               static_cast<double>(o.refused) / static_cast<double>(std::max<size_t>(o.claims, 1)), o.per_s(o.creates),
               o.per_s(o.lists), o.per_s(o.reads), o.per_s(o.looks_up), o.per_s(o.names), o.peak_per_s, o.span_s / o.ideal_s, o.idle_s,
               o.choose_ms, o.look_ms, o.files, o.largest_folder);
    std::fflush(stdout);
  }
}
