#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "recommend/recommend.h"

namespace bitlaw {

/// What Recommend() does, step by step: standing.cc looks at one configuration, recommend.cc at all of them.
class Recommender {
 public:
  Recommender(const RecommendInput& input, const Constraints& constraints);

  Recommendation Run();

 private:
  void FindWeights();
  void CheckFloors() const;
  void CheckModels() const;
  void FindCovariates();
  Standing Stand(size_t row);
  StratumStanding InStratum(size_t stratum, size_t row, const Standing& standing);
  std::string Beside(const StratumPredictor& predictor, size_t row, const Standing& standing) const;
  std::string BaselineOf(const std::string& model) const;
  std::string ReferenceOf(const Floor& floor, size_t stratum, const Standing& standing) const;
  void AddKept(size_t stratum, const std::string& reference, const Standing& standing, StratumStanding& one) const;
  void Score(Standing& standing) const;
  std::string WhyOut(Standing& standing, bool with_caps, bool with_floors) const;
  FloorStanding Judge(const Floor& floor, const Standing& standing) const;
  bool IsBefore(const Standing& a, const Standing& b, Constraints::Order order) const;
  void MarkFront();
  void Compare();
  std::vector<std::string> StratumNames() const {
    std::vector<std::string> names;
    for (const StratumData& stratum : strata_) names.push_back(stratum.name);
    return names;
  }

  const RecommendInput& input_;
  const Constraints& constraints_;
  std::vector<StratumData> strata_;
  std::vector<std::map<std::string, size_t>> row_of_trial_;  // By stratum.
  std::map<std::string, std::string> baseline_of_;           // Model -> trial.
  std::vector<std::vector<double>> covariates_;              // Of the law, by candidate; NaN for anchors.
  std::set<std::pair<std::string, std::string>> unanchored_;  // Models and strata of which nothing is predicted.
  std::vector<bool> meets_need_;
  bool has_items_ = false;
  double z_ = kUnset;
  Recommendation out_;
};

}  // namespace bitlaw
