#include "recommend/recommend_output.h"

#include "fit/output/json_values.h"

namespace bitlaw {

namespace {

Value StratumJson(const StratumStanding& one) {
  return JsonObject({{"stratum", one.stratum},
                     {"source", Name(one.source)},
                     {"value", one.value},
                     {"low", one.interval.low},
                     {"high", one.interval.high},
                     {"kept", one.kept},
                     {"kept_low", one.kept_interval.low},
                     {"kept_high", one.kept_interval.high},
                     {"is_paired", one.is_paired},
                     {"warning", one.warning},
                     {"beside", one.beside}});
}

Value StandingJson(const Standing& one) {
  Value json = JsonObject({{"label", one.label},
                           {"model", one.model},
                           {"quantizer", one.quantizer},
                           {"trial", one.trial},
                           {"is_measured", one.is_measured},
                           {"bits_effective", one.bits_effective},
                           {"weight_bytes", one.weight_bytes},
                           {"is_size_estimated", one.is_size_estimated},
                           {"cache_bytes", one.cache_bytes},
                           {"memory_bytes", one.memory_bytes()},
                           {"score", one.score},
                           {"score_low", one.score_interval.low},
                           {"score_high", one.score_interval.high},
                           {"difference_to_first", one.against_first.value},
                           {"difference_error", one.against_first.error},
                           {"is_on_front", one.is_on_front},
                           {"why_out", one.why_out}});
  Value::List strata, floors;
  for (const StratumStanding& stratum : one.strata) strata.push_back(StratumJson(stratum));
  for (const FloorStanding& floor : one.floors) {
    floors.push_back(JsonObject({{"verdict", Name(floor.verdict)},
                                 {"value", floor.value},
                                 {"low", floor.interval.low},
                                 {"high", floor.interval.high}}));
  }
  json.Set("strata", Value(std::move(strata)));
  json.Set("floors", Value(std::move(floors)));
  return json;
}

Value ListJson(const std::vector<Standing>& standings) {
  Value::List list;
  for (const Standing& one : standings) list.push_back(StandingJson(one));
  return Value(std::move(list));
}

}  // namespace

Value RecommendationJson(const Recommendation& recommendation) {
  const Constraints& c = recommendation.constraints;
  Value::List floors, notes, check;
  for (const Floor& floor : c.floors) floors.push_back(floor.Text());
  for (const std::string& note : recommendation.notes) notes.push_back(note);
  for (const CheckedStratum& one : recommendation.check) {
    check.push_back(JsonObject({{"stratum", one.stratum},
                                {"measured", one.measured},
                                {"predicted", one.predicted},
                                {"low", one.interval.low},
                                {"high", one.interval.high},
                                {"is_inside", one.is_inside}}));
  }
  Value weights = Value::Map{}, left_out = Value::Map{};
  for (const auto& [name, weight] : recommendation.weights) weights.Set(name, weight);
  for (const auto& [reason, count] : recommendation.left_out) left_out.Set(reason, Json(count));
  return Value::Map{{"format", 1},
                    {"constraints", c.Text()},
                    {"floors", Value(std::move(floors))},
                    {"stratum_weights", std::move(weights)},
                    {"context_tokens", c.context_tokens},
                    {"batch", c.batch},
                    {"confidence", recommendation.level},
                    {"law", recommendation.law},
                    {"measured", ListJson(recommendation.measured)},
                    {"predicted", ListJson(recommendation.predicted)},
                    {"others", ListJson(recommendation.others)},
                    {"left_out", std::move(left_out)},
                    {"check", Value(std::move(check))},
                    {"notes", Value(std::move(notes))}};
}

}  // namespace bitlaw
