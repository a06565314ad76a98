#pragma once

#include <string>
#include <vector>

#include "fit/study/study_results.h"
#include "report/document.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

/// "KM (knowledge memorization)"; the name alone where nothing spells it.
std::string Named(const std::string& stratum);

/// "1 trial", "2 trials"
std::string Counted(size_t count, const std::string& what);

/// "N = 984k weights" of "N == 984448" or "hold out N == 984448"; another condition as it stands.
std::string ConditionText(const StudyResults& results, const std::string& condition);

/// An error on rows that were not fitted, in points of adjusted accuracy where it can be; NaN if there is none.
struct HeldOutError {
  double value = kUnset;
  bool of_accuracy = false;
  std::string on;     ///< "the largest size", "the fewest bits", "what is kept out of all fits"
  std::string which;  ///< "N = 984k weights"; the models kept out.
};
/// Those that there are, in that order.
std::vector<HeldOutError> ErrorsOf(const StudyResults& results, const BestLaw& best);

/// The factors of a law, of scale and precision first; none without a picture.
std::vector<std::string> ColumnsOf(const BestLaw& best);

/// The R^2 in accuracies where there is one.
double R2Of(const ValidationResult& held_out);

/// Which trials have got worse, a sentence or two; none without verdicts.
std::vector<std::string> VerdictSentences(const StudyResults& results);

}  // namespace bitlaw
