#pragma once

#include <string>
#include <vector>

#include "base/text/counted.h"
#include "fit/study/study_results.h"
#include "report/document.h"
#include "report/pictures/best_laws.h"

namespace bitlaw {

/// "KM (knowledge memorization)"; the name alone where nothing spells it.
std::string Named(const std::string& stratum);

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
std::vector<HeldOutError> ErrorsOf(const StudyResults& results, const StratumLaw& best);

/// The factors of a law, of scale and precision first; none without a picture.
std::vector<std::string> ColumnsOf(const StratumLaw& best);

/// The R^2 in accuracies where there is one.
double R2Of(const ValidationResult& held_out);

/// " by QAICc", or " by QAICc among laws of its response and by RMSE of acc_adj, leave one model out, against the best
/// of others": what the best law of a stratum was chosen by. "" where nothing was compared.
BITLAW_EXPORT std::string ChoiceText(const StratumLaw& best);

/// Why a law has no fit by any method; "" if it has one or nothing says.
BITLAW_EXPORT std::string WhyNotFitted(const LawFit& fit);

/// The tasks on which an unquantized model is at chance, or below, within one standard error; "" if there are none.
BITLAW_EXPORT std::string BaselinesAtChance(const StudyResults& results);

/// Which trials have got worse, a sentence or two; none without verdicts.
std::vector<std::string> VerdictSentences(const StudyResults& results);

}  // namespace bitlaw
