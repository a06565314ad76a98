#include "report/pictures/best_laws.h"

#include <algorithm>
#include <map>

#include "fit/table/column_map.h"

namespace bitlaw {

namespace {

// "hold out B == 2": the column; "" for another scheme.
std::string HeldOutColumn(const std::string& scheme) {
  constexpr std::string_view kBegin = "hold out ", kEquals = " == ";
  const size_t at = scheme.find(kEquals);
  if (!scheme.starts_with(kBegin) || at == std::string::npos) return "";
  return scheme.substr(kBegin.size(), at - kBegin.size());
}

// The law that a comparison puts first; "" if none of it could be fitted.
std::string FirstOf(const LawComparison& comparison) {
  for (const ComparedLaw& one : comparison.laws) {
    if (one.why_none.empty()) return one.law;
  }
  return "";
}

}  // namespace

std::vector<BestLaw> BestLaws(const StudyResults& results) {
  std::vector<BestLaw> best;
  if (results.description.laws.empty() && results.fits.fits.empty()) return best;
  for (const FitReport::Stratum& stratum : results.fits.strata) {
    BestLaw one;
    one.stratum = stratum.name;
    std::string law;
    // Where there are several responses, their comparison in accuracies comes last.
    for (const LawComparison& comparison : results.analysis.comparisons) {
      if (comparison.stratum != stratum.name || FirstOf(comparison).empty()) continue;
      law = FirstOf(comparison);
      one.compared = static_cast<size_t>(std::count_if(comparison.laws.begin(), comparison.laws.end(),
                                                       [](const ComparedLaw& each) { return each.why_none.empty(); }));
    }
    for (const LawFit& fit : results.fits.fits) {
      if (fit.stratum != stratum.name || fit.Methods().empty() || (!law.empty() && fit.law != law)) continue;
      one.fit = &fit;
      break;
    }
    for (const LawAnalysis& analysis : results.analysis.laws) {
      if (one.fit != nullptr && analysis.law == one.fit->law && analysis.stratum == stratum.name) one.analysis = &analysis;
    }
    for (const LawPicture& picture : results.pictures) {
      if (one.fit != nullptr && picture.law == one.fit->law && picture.stratum == stratum.name) one.picture = &picture;
    }
    for (size_t i = 0; one.analysis != nullptr && i < one.analysis->validation.size(); ++i) {
      const ValidationResult& held_out = one.analysis->validation[i];
      const std::string column = HeldOutColumn(held_out.scheme);
      if (column.empty() || !held_out.why_none.empty()) continue;
      const FactorRole role = RoleOf(results, column);
      if (role == FactorRole::kScale && one.sizes == nullptr) one.sizes = &held_out;
      if (role == FactorRole::kPrecision && one.bits == nullptr) one.bits = &held_out;
    }
    best.push_back(one);
  }
  return best;
}

std::string HeadlineLaw(const std::vector<BestLaw>& best) {
  std::map<std::string, size_t> times;
  std::string headline;
  for (const BestLaw& one : best) {
    if (one.fit != nullptr) ++times[one.fit->law];
  }
  for (const BestLaw& one : best) {
    if (one.fit != nullptr && (headline.empty() || times[one.fit->law] > times[headline])) headline = one.fit->law;
  }
  return headline;
}

std::string SpelledStratum(const std::string& stratum) {
  static const std::map<std::string, std::string> kSpelled = {{"KM", "knowledge memorization"},
                                                              {"KA", "knowledge application"},
                                                              {"KR", "knowledge reasoning"},
                                                              {kGeneralStratum, "all tasks together"},
                                                              {kAllRows, "all rows together"}};
  const auto found = kSpelled.find(stratum);
  return found == kSpelled.end() ? "" : found->second;
}

std::string UnitOf(const StudyResults& results, const std::string& column) {
  for (const ObservationColumn& one : results.columns) {
    if (one.name == column && one.factor) return one.factor->unit;
  }
  const Factor* standard = FindStandardFactor(column);
  return standard == nullptr ? "" : standard->unit;
}

FactorRole RoleOf(const StudyResults& results, const std::string& column) {
  return results.fits.settings.roles.Of(column);
}

StrataData MappedStrata(const StudyResults& results) {
  return SplitStrata(MapColumns(results.observations, results.description.map));
}

}  // namespace bitlaw
