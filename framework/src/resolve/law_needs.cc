#include "resolve/law_needs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "fit/data/controls.h"
#include "fit/data/row_selection.h"
#include "fit/options/quoted_text.h"
#include "fit/table/regroup.h"
#include "fit/table/strata_data.h"

namespace bitlaw {
namespace {

bool HasValue(const TableColumn& column) {
  return std::any_of(column.numbers.begin(), column.numbers.end(), [](double value) { return !std::isnan(value); });
}

std::vector<std::string> NumberColumns(const Table& table) {
  std::vector<std::string> names;
  for (const TableColumn& column : table.columns())
    if (!column.is_text) names.push_back(column.name);
  return names;
}

/// Collects what is wrong with one study's fits.
class NeedsChecker {
 public:
  NeedsChecker(const ResolvedStudy& study, const Table& planned, Faults& faults)
      : study_(study), settings_(study.fit), planned_(planned), faults_(faults) {}

  void Check() {
    std::optional<ControlledStudy> controlled;
    if (!Try("controls", [&] { controlled.emplace(study_.laws, planned_, settings_.controls); })) return;
    Try("groupings", [&] {
      for (const Grouping& one : settings_.groupings) Regroup(planned_, one);
    });
    strata_ = SplitStrata(controlled->table(), settings_.average_tasks);
    const auto is_empty = [](const StratumData& stratum) { return stratum.table.rows() == 0; };
    if (std::all_of(strata_.strata.begin(), strata_.strata.end(), is_empty)) return SayThatNothingIsFitted();
    CheckSettings();
    for (size_t i = 0; i < controlled->laws().size(); ++i) CheckLaw(i, *controlled->laws()[i]);
  }

 private:
  const Table& table() const { return strata_.strata.front().table; }  // All strata have the same columns.

  // Where a key of `fit:` stands; its entry `index` if it is a list.
  SourceMark MarkOf(const char* key, size_t index = 0) const {
    const Value& fit = study_.plan.study.fit;
    const Value* value = fit.is_map() ? fit.Find(key) : nullptr;
    if (value == nullptr) return fit.mark();
    return value->is_list() && index < value->AsList().size() ? value->AsList()[index].mark() : value->mark();
  }

  template <class Step>
  bool Try(const char* key, Step&& step, size_t index = 0) {
    try {
      step();
      return true;
    } catch (const Error& error) {
      faults_.Add(MarkOf(key, index), fmt::format("fit: {}: {}", key, error.what()));
      return false;
    }
  }

  void SayThatNothingIsFitted() {
    if (study_.laws.empty()) return;
    const auto& laws = study_.plan.study.laws;
    faults_.Add(laws.front().mark,
                "laws are fitted to accuracies, and no task of the study has an accuracy as its first metric. Add such "
                "a task, or take the laws out.");
  }

  void CheckSettings() {
    const auto conditions = [&](const char* key, const std::vector<std::string>& texts) {
      for (size_t i = 0; i < texts.size(); ++i) Try(key, [&] { table().Where(Expression::Parse(texts[i])); }, i);
    };
    const auto column = [&](const char* key, const std::string& name, size_t index) {
      Try(key, [&] { table().At(name); }, index);
    };
    conditions("zones", settings_.zones);
    conditions("hold_outs", settings_.hold_outs);
    for (size_t i = 0; i < settings_.leave_out.size(); ++i) column("leave_out", settings_.leave_out[i], i);
    if (!settings_.groups.empty()) column("groups", settings_.groups, 0);
    const std::string& unit = settings_.bootstrap_unit;
    if (unit != "auto" && unit != "trials" && unit != "items") column("bootstrap_unit", unit, 0);
    for (size_t i = 0; i < settings_.derived.size(); ++i) {
      Try("derived", [&] { CheckDerived(settings_.derived[i]); }, i);
    }
  }

  // A quantity of the parameters of one law at least.
  void CheckDerived(const DerivedQuantity& derived) const {
    const std::vector<std::string> names = Expression::Parse(derived.expression).names();
    std::vector<std::string> parameters;
    for (const auto& law : study_.laws) {
      std::vector<std::string> own;
      for (const LawParameter& parameter : law->parameters()) own.push_back(parameter.name);
      const auto is_own = [&](const std::string& name) { return std::find(own.begin(), own.end(), name) != own.end(); };
      if (std::all_of(names.begin(), names.end(), is_own)) return;
      for (const std::string& name : own) {
        if (std::find(parameters.begin(), parameters.end(), name) == parameters.end()) parameters.push_back(name);
      }
    }
    throw Error(ErrorKind::kSpec, fmt::format("'{}': no law of the study has all of its parameters. Parameters: {}.",
                                              Text(derived), JoinNames(parameters)));
  }

  void CheckLaw(size_t index, const Law& law) {
    const SourceMark& mark = study_.plan.study.laws[index].mark;
    bool has_all = true;
    std::vector<std::string> checked;
    const auto need = [&](const std::string& name, bool is_response = false) {
      if (std::find(checked.begin(), checked.end(), name) != checked.end()) return;
      checked.push_back(name);
      has_all = CheckColumn(law, mark, name, is_response) && has_all;
    };
    for (const std::string& name : law.covariates()) {
      if (table().Find(name) == nullptr && IsTextTest(name)) {
        for (const std::string& one : Expression::Parse(name).names()) {
          if (table().Find(one) == nullptr) need(one);
        }
      } else {
        need(name);
      }
    }
    for (const std::string& name : Expression::Parse(law.response()).names()) need(name, true);
    if (!has_all) return;
    // The rest as the fit itself looks at it: weights, and tests of texts.
    try {
      for (const StratumData& stratum : strata_.strata)
        SelectRows(law, stratum.table, {settings_.chance_rule, TakesLog(law), settings_.weights});
    } catch (const Error& error) {
      faults_.Add(mark, fmt::format("law '{}' cannot be fitted: {}", law.name(), error.what()));
    }
  }

  bool CheckColumn(const Law& law, const SourceMark& mark, const std::string& name, bool is_response) {
    const TableColumn* column = table().Find(name);
    if (column == nullptr) {
      const std::vector<std::string> known = NumberColumns(table());
      const std::string advice =
          is_response ? fmt::format(
                            "Make it under 'map' of the study, or fit the law to another response: {{law: {}, "
                            "response: -log(acc_adj)}}.",
                            law.name())
                      : fmt::format(
                            "If it is a number of each model, give it there: {{path: ..., columns: {{{}: 1e12}}}}. "
                            "If it is a parameter, name it under 'parameters' of the law.",
                            name);
      faults_.Add(mark, fmt::format("law '{}' needs the column '{}', which the observations of this study will not "
                                    "have.{} {} Columns: {}.",
                                    law.name(), name, DidYouMean(name, known), advice, JoinNames(known)));
      return false;
    }
    if (column->is_text) {
      std::string example;
      for (const std::string& text : column->texts) example = example.empty() ? text : example;
      faults_.Add(mark, fmt::format("law '{}' needs numbers in the column '{}', which holds texts such as '{}'. A "
                                    "comparison is a number: {} == '{}' is 1 or 0.",
                                    law.name(), name, example, QuotedName(name), example));
      return false;
    }
    const bool has_value = std::any_of(strata_.strata.begin(), strata_.strata.end(), [&](const StratumData& stratum) {
      const TableColumn* own = stratum.table.Find(name);
      return own != nullptr && !own->is_text && HasValue(*own);
    });
    if (has_value) return true;
    faults_.Add(mark,
                fmt::format("law '{}' needs the column '{}', of which no planned trial has a value: nothing could "
                            "be fitted. Plan trials that have one, or take the law out.",
                            law.name(), name));
    return false;
  }

  const ResolvedStudy& study_;
  const FitSettings& settings_;
  const Table& planned_;
  Faults& faults_;
  StrataData strata_;
};

}  // namespace

void CheckLawNeeds(const ResolvedStudy& study, const Table& planned, Faults& faults) {
  NeedsChecker(study, planned, faults).Check();
}

}  // namespace bitlaw
