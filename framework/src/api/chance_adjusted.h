#pragma once

#include <cmath>

namespace bitlaw {

/// What an accuracy says beyond guessing: (accuracy - chance) / (1 - chance). 0 is guessing, 1 is perfect.
inline double ChanceAdjusted(double accuracy, double chance) { return (accuracy - chance) / (1 - chance); }
/// The standard error of that, from the one of the accuracy.
inline double ChanceAdjustedError(double standard_error, double chance) { return standard_error / (1 - chance); }
/// The accuracy whose chance-adjusted value this is: chance + (1 - chance) acc_adj.
inline double AccuracyOf(double acc_adj, double chance) { return chance + (1 - chance) * acc_adj; }

/// A stratum's score: the mean over its tasks of their chance-adjusted accuracies, each task counted alike, and the
/// standard error of that mean, sqrt(sum of their squares) / tasks: different tasks have different items.
class StratumMean {
 public:
  void Add(double acc_adj, double standard_error) {
    sum_ += acc_adj;
    squares_ += standard_error * standard_error;
    ++tasks_;
  }
  double acc_adj() const { return sum_ / tasks_; }  ///< NaN of no task.
  double standard_error() const { return std::sqrt(squares_) / tasks_; }

 private:
  double sum_ = 0, squares_ = 0, tasks_ = 0;
};

}  // namespace bitlaw
