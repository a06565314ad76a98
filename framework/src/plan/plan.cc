#include "plan/plan.h"

#include <algorithm>
#include <memory>
#include <set>
#include <unordered_set>

#include "base/text/counted.h"
#include "bitlaw/api/corpus.h"
#include "bitlaw/api/task.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "plan/grid.h"
#include "plan/layer_survey.h"
#include "plan/model_headers.h"
#include "plugin/host.h"
#include "plugin/open_corpus.h"
#include "spec/decoder.h"
#include "spec/quantize/cell_filter.h"
#include "spec/quantize/recipe.h"
#include "spec/quantize/table_part.h"
#include "spec/shapes.h"

namespace bitlaw {
namespace {

// A trial takes about 9 kB of a plan.
constexpr size_t kMaxTrials = 100'000;

/// Builds one Plan.
class Planner {
 public:
  Planner(const StudySpec& study, const PluginHost& host) : study_(study), host_(host) {
    plan_.study = study;
    // Every plan has the framework's own columns, those that no trial fills in too.
    columns_.Add(FactorSource::kModel, OwnFactors(ModelSummary()), std::string(kOwnOrigin));
    columns_.Add(FactorSource::kQuantizer, OwnFactors(ModelSummary(), 0, 0), std::string(kOwnOrigin));
    columns_.Add(FactorSource::kCalibration, {StandardFactor("Cb", {}), StandardFactor("T", {})},
                 std::string(kOwnOrigin));
  }

  Plan Make() {
    InspectModels();
    for (const QuantizeSpec& entry : study_.quantize) {
      if (entry.component != "none") PrepareEntry(entry);
    }
    for (const TaskSpec& task : study_.tasks) AddTaskFactors(task);
    CheckAxes();
    faults_.ThrowIfAny();
    SortFactors();
    FindVaryingOptions();
    for (size_t model = 0; model < plan_.models.size(); ++model) AddBaseline(model);
    const bool asks_for_baseline = std::any_of(study_.quantize.begin(), study_.quantize.end(),
                                               [](const QuantizeSpec& entry) { return entry.component == "none"; });
    if (!asks_for_baseline && !study_.quantize.empty()) {
      plan_.notes.push_back(
          "The study does not list 'none'. The unquantized model is added: losses are measured against it.");
    }
    for (size_t model = 0; model < plan_.models.size(); ++model) {
      for (const Entry& entry : entries_) AddTrials(model, entry);
    }
    return std::move(plan_);
  }

 private:
  // One entry of `quantize:`, ready to become trials.
  struct Entry {
    const QuantizeSpec* spec = nullptr;
    std::string version;                              // Of the quantizer's plugin.
    std::unique_ptr<Grid> grid;
    std::unique_ptr<CellFilter> filter;               // For what it says of models; the grid has the rest.
    std::vector<SplitOptions> split;                  // By combination.
    std::vector<Grid::Cell> cells;
    std::vector<bool> needs_calibration;              // By combination.
    std::vector<CalibrationNeeds> needs;              // By combination, of the quantizer.
    bool any_needs_calibration = false;
    std::vector<std::string> refusals;                // By combination: why the quantizer cannot be made at all.
    std::vector<std::vector<LayerVerdict>> verdicts;  // [model][combination]
    std::vector<std::vector<FactorColumns::Values>> factors;  // [model][combination]
    size_t left_out = 0;
  };

  void InspectModels() {
    for (const ModelSpec& spec : study_.models) {
      try {
        const Component& component = host_.Find(ComponentKind::kModel, spec.backend, spec.mark.Text());
        const auto backend = host_.MakeModelBackend(component.info.name, spec.backend_options);
        if (!IsShapesOnly(spec)) RequireSupported(*backend, spec.path);
        PlannedModel model{spec, backend->Inspect(spec.path), ""};
        model.headers_digest = HeadersDigest(model.summary, backend->Files(spec.path));
        if (model.spec.family.empty()) model.spec.family = model.summary.architecture;
        surveys_.emplace_back(model.summary);
        model_factors_.push_back(ModelFactors(model));
        plan_.models.push_back(std::move(model));
        backends_.push_back(Value::Map{{"name", component.info.name},
                                       {"options", spec.backend_options.map()},
                                       {"version", component.plugin_version}});
      } catch (const Error& error) {
        faults_.AddError(error);
      } catch (const std::filesystem::filesystem_error& error) {
        faults_.AddError(Error(ErrorKind::kIo, spec.path.string() + ": " + error.code().message() + "."));
      }
    }
    CheckOriginals(plan_.models, faults_);
    faults_.ThrowIfAny();
    shapes_only_ = static_cast<size_t>(std::count_if(study_.models.begin(), study_.models.end(), IsShapesOnly));
    if (shapes_only_ > 0) {
      plan_.notes.push_back(Counted(shapes_only_, "model") +
                            " of shapes alone: the ids of their trials are not those that a run will give.");
    }
    FindIdentities();
  }

  // Headers and file sizes tell models apart without a weight read. They say the same of a base model and what was
  // trained on from it, or of two snapshots of one training: then names tell them apart. Records go by the weights
  // themselves.
  void FindIdentities() {
    std::map<std::string, int> count;
    for (const PlannedModel& model : plan_.models) ++count[model.headers_digest];
    for (const PlannedModel& model : plan_.models) {
      const std::string& digest = model.headers_digest;
      const bool is_alone = count[digest] == 1;
      model_identities_.push_back(is_alone ? Value(digest)
                                           : Value::Map{{"headers", digest}, {"name", model.spec.name}});
    }
  }

  FactorColumns::Values ModelFactors(const PlannedModel& model) {
    const ModelSpec& spec = model.spec;
    FactorColumns::Values values =
        columns_.Add(FactorSource::kModel, OwnFactors(model.summary), std::string(kOwnOrigin));
    const auto append = [&](FactorColumns::Values more) { values.insert(values.end(), more.begin(), more.end()); };
    append(
        columns_.Add(FactorSource::kModel, model.summary.factors, "model backend '" + spec.backend + "'", spec.mark));
    for (const auto& [column, value] : spec.columns) {
      append(columns_.Add(FactorSource::kStudy, {StudyFactor(column, value)}, "'columns' of model '" + spec.name + "'",
                          value.key_mark()));
    }
    if (const auto& stored = model.summary.stored_quantization) {
      append(columns_.Add(FactorSource::kQuantizer, OwnFactors(model.summary, stored->bits, stored->bits_per_weight),
                          std::string(kOwnOrigin)));
      append(columns_.Add(FactorSource::kQuantizer, stored->factors, "the weights of model '" + spec.name + "'",
                          spec.mark));
    }
    return values;
  }

  void AddTaskFactors(const TaskSpec& spec) {
    try {
      const auto task = host_.MakeTask(spec.component, spec.options, spec.context);
      const TaskCard& card = task->card();
      std::vector<Factor> factors = card.factors;
      factors.insert(factors.end(), card.item_factors.begin(), card.item_factors.end());
      columns_.Add(FactorSource::kTask, {StandardFactor("few_shot", card.few_shot)}, std::string(kOwnOrigin));
      columns_.Add(FactorSource::kTask, factors, "task '" + spec.name + "'", spec.mark);
    } catch (const Error& error) {
      faults_.AddError(error);
    }
  }

  // An axis is a column too. Of a quantizer's option that its own factor of that name repeats, the factor is the
  // column.
  void CheckAxes() {
    for (const Entry& entry : entries_) {
      for (const std::string& name : entry.grid->axis_names()) {
        const std::string origin = "an axis of quantizer '" + entry.spec->component + "'";
        const auto& reserved = ReservedColumns();
        if (std::find(reserved.begin(), reserved.end(), name) != reserved.end()) {
          faults_.Add(entry.spec->mark, "column '" + name + "' of " + origin +
                                            " has the name of a column that observations and " +
                                            "fits fill in themselves. Give the option one value a study.");
          continue;
        }
        const FactorColumn* column = columns_.Find(name);
        if (column == nullptr || (column->source == FactorSource::kQuantizer && RepeatsOption(entry, *column)))
          continue;
        faults_.Add(entry.spec->mark, "column '" + name + "' comes from " + column->origin + " and from " + origin +
                                    ", with other values. Call one of them otherwise.");
      }
    }
  }

  bool RepeatsOption(const Entry& entry, const FactorColumn& column) const {
    const auto index = static_cast<size_t>(&column - columns_.columns().data());
    for (const auto& of_model : entry.factors) {
      for (size_t i = 0; i < of_model.size(); ++i) {
        if (of_model[i].empty()) continue;  // Not a trial.
        const Value* option = entry.split[i].shown.Find(column.factor.column);
        const auto found = std::find_if(of_model[i].begin(), of_model[i].end(),
                                        [&](const auto& value) { return value.first == index; });
        if (option == nullptr || found == of_model[i].end() || !(found->second == *option)) return false;
      }
    }
    return true;
  }

  void SortFactors() {
    place_ = columns_.Sort();
    for (const FactorColumn& column : columns_.columns()) {
      (column.source == FactorSource::kTask ? plan_.task_factors : plan_.factors).push_back(column);
    }
  }

  void Fill(const FactorColumns::Values& values, Trial& trial) const {
    trial.factors.resize(plan_.factors.size());
    for (const auto& [index, value] : values) trial.factors[place_[index]] = value;
  }

  // What the framework, the recipe's parts and its quantizer say of one cell.
  FactorColumns::Values RecipeFactors(const QuantizeSpec& spec, const MadeRecipe& made, const Value& recipe,
                                      const LayerVerdict& verdict, const ModelSummary& summary) {
    FactorColumns::Values values = columns_.Add(
        FactorSource::kQuantizer,
        OwnFactors(summary, verdict.bits_requested, verdict.bits_per_weight, WeightsBesideOf(made, recipe, summary)),
        std::string(kOwnOrigin));
    const auto append = [&](const std::vector<Factor>& factors, const std::string& origin) {
      for (auto& [index, value] : columns_.Add(FactorSource::kQuantizer, factors, origin, spec.mark)) {
        const auto same = [&, at = index](const auto& other) { return other.first == at; };
        if (std::any_of(values.begin(), values.end(), same)) {
          faults_.Add(spec.mark, "column '" + columns_.columns()[index].factor.column +
                                     "' comes from the parts of a recipe " + "and from " + origin +
                                     ". Call one of them otherwise.");
        }
        values.emplace_back(index, std::move(value));
      }
    };
    append(FactorsOf(made, recipe, summary), "the parts of a recipe");
    if (made.quantizer != nullptr) append(made.quantizer->factors(summary), "quantizer '" + spec.component + "'");
    return values;
  }

  void PrepareEntry(const QuantizeSpec& spec) {
    Entry entry;
    static const OptionSchema kNoOptions;
    const Component* component = spec.component == kKeepWeights
                                     ? nullptr
                                     : &host_.Find(ComponentKind::kQuantizer, spec.component, spec.mark.Text());
    entry.spec = &spec;
    if (component != nullptr) entry.version = component->plugin_version;
    entry.grid = std::make_unique<Grid>(spec, spec.schema);
    entry.grid->ForEach([&](const Grid::Cell& cell) { entry.cells.push_back(cell); });
    entry.left_out = entry.grid->left_out();
    entry.filter = std::make_unique<CellFilter>(spec, spec.schema);
    CheckModelNames(entry.filter->models());
    planned_cells_ += entry.cells.size() * plan_.models.size();
    if (planned_cells_ > kMaxTrials) {
      const std::string where = spec.mark.Text();
      throw Error(ErrorKind::kBudget, (where.empty() ? "" : where + ": ") + "up to this entry the study stands for " +
                                          std::to_string(planned_cells_) + " trials (cells x models). At most " +
                                          std::to_string(kMaxTrials) +
                                          " are planned. Shorten lists, add a 'where', or make several studies.");
    }
    const size_t combinations = entry.grid->num_combinations();
    entry.split.resize(combinations);
    entry.refusals.resize(combinations);
    entry.needs_calibration.resize(combinations);
    entry.needs.resize(combinations);
    entry.verdicts.assign(plan_.models.size(), std::vector<LayerVerdict>(combinations));
    entry.factors.assign(plan_.models.size(), std::vector<FactorColumns::Values>(combinations));
    std::vector<bool> is_used(combinations, false);
    for (const Grid::Cell& cell : entry.cells) is_used[cell.combination] = true;
    for (size_t i = 0; i < combinations; ++i) {
      if (!is_used[i]) continue;
      entry.split[i] = Split(entry.grid->options(i), component == nullptr ? kNoOptions : component->schema, host_);
      const Options& options = entry.split[i].quantizer;
      const Value& recipe = entry.split[i].recipe;
      MadeRecipe made;
      try {
        made = MakeRecipe(host_, spec.component, options, recipe);
      } catch (const Error& error) {
        // Options that are right one by one but not together.
        if (error.kind() != ErrorKind::kSpec && error.kind() != ErrorKind::kUnsupported) throw;
        entry.refusals[i] = error.what();
        continue;
      }
      entry.needs_calibration[i] = made.needs_calibration();
      if (made.quantizer != nullptr) entry.needs[i] = made.quantizer->needs();
      entry.any_needs_calibration |= entry.needs_calibration[i];
      for (size_t model = 0; model < plan_.models.size(); ++model) {
        LayerVerdict& verdict = entry.verdicts[model][i];
        const ModelSummary& summary = plan_.models[model].summary;
        if (const auto& stored = summary.stored_quantization) {
          verdict.reason = "its weights are quantized already (" + stored->method + "): it is evaluated as it is";
          continue;
        }
        if (made.quantizer != nullptr) verdict = surveys_[model].Ask(made, recipe, summary);
        if (verdict.reason.empty()) verdict.reason = ExplainUnsupportedParts(made, recipe, summary);
        if (verdict.reason.empty()) entry.factors[model][i] = RecipeFactors(spec, made, recipe, verdict, summary);
      }
    }
    if (entry.any_needs_calibration && spec.calibration_fixed.is_null()) {
      faults_.Add(spec.mark, (component == nullptr ? "a transform"
                                                           : "quantizer '" + spec.component + "'") +
                                 " needs calibration text. Add 'calibration: {corpus: ...}', with one of: " +
                                 JoinNames(CorpusNames()) + ".");
      return;
    }
    for (const Grid::Cell& cell : entry.cells) {
      if (entry.needs_calibration[cell.combination]) OpenCorpus(cell.calibration->corpus);
    }
    for (const std::string& name : entry.grid->axis_names()) {
      if (name.starts_with(kCalibrationPrefix) && !entry.any_needs_calibration) {
        plan_.notes.push_back("quantizer '" + spec.component + "' uses no calibration text: its axis '" + name +
                              "' is not swept.");
        continue;
      }
      if (std::find(axis_names_.begin(), axis_names_.end(), name) == axis_names_.end()) axis_names_.push_back(name);
    }
    entries_.push_back(std::move(entry));
  }

  void CheckModelNames(const std::vector<Value>& named) {
    std::vector<std::string> known;
    for (const PlannedModel& model : plan_.models) known.push_back(model.spec.name);
    for (const Value& name : named) {
      if (std::find(known.begin(), known.end(), name.AsString()) != known.end()) continue;
      faults_.Add(name.mark(), "'skip' names the model '" + name.AsString() + "', which is no model of the study." +
                                   DidYouMean(name.AsString(), known) + " Its models: " + JoinNames(known) + ".");
    }
  }

  std::vector<std::string> CorpusNames() const {
    std::vector<std::string> names;
    for (const CorpusSpec& corpus : study_.corpora) names.push_back(corpus.name);
    return names;
  }

  // A label names those options of a quantizer that differ between its trials, in one entry or from entry to entry.
  // They are columns too, unless a factor's column has the name.
  void FindVaryingOptions() {
    std::map<std::string, std::map<std::string, std::set<std::string>>> seen;
    std::map<std::string, std::map<std::string, int>> entries_with;
    std::map<std::string, int> entries;
    for (const Entry& entry : entries_) {
      ++entries[entry.spec->component];
      for (const auto& [name, values] : entry.grid->values()) {
        if (name.starts_with(kCalibrationPrefix) && !entry.any_needs_calibration) continue;
        for (const Value& value : values) seen[entry.spec->component][name].insert(value.CanonicalJson());
        ++entries_with[entry.spec->component][name];
      }
    }
    for (const Entry& entry : entries_) {
      std::vector<std::string>& names = varying_[entry.spec->component];
      for (const auto& [name, values] : entry.grid->values()) {
        const bool is_listed = std::find(names.begin(), names.end(), name) != names.end();
        // A part of a recipe that another entry lacks has its default there.
        const OptionField* field = entry.spec->schema.Find(name);
        if (field != nullptr && entries_with[entry.spec->component][name] < entries[entry.spec->component]) {
          seen[entry.spec->component][name].insert(field->default_value.CanonicalJson());
        }
        if (is_listed || seen[entry.spec->component][name].size() < 2) continue;
        names.push_back(name);
        const bool is_taken =
            columns_.Find(name) != nullptr ||
            std::find(ReservedColumns().begin(), ReservedColumns().end(), name) != ReservedColumns().end();
        const bool is_axis = std::find(axis_names_.begin(), axis_names_.end(), name) != axis_names_.end();
        if (!is_taken && !is_axis) axis_names_.push_back(name);
      }
    }
  }

  void AddBaseline(size_t model) {
    Trial trial;
    trial.model = model;
    trial.quantizer = "none";
    trial.label = plan_.models[model].spec.name + " none";
    for (const std::string& name : axis_names_) trial.axes.emplace_back(name, Value());
    trial.factors.resize(plan_.factors.size());
    for (size_t i = 0; i < plan_.factors.size(); ++i) {
      const FactorSource source = plan_.factors[i].source;
      const bool is_of_quantization = source == FactorSource::kQuantizer || source == FactorSource::kCalibration;
      if (is_of_quantization) trial.factors[i] = plan_.factors[i].factor.anchor;
    }
    if (const auto& stored = plan_.models[model].summary.stored_quantization) {
      trial.bits_requested = stored->bits;
      trial.bits_per_weight = stored->bits_per_weight;
    }
    Fill(model_factors_[model], trial);
    trial.factors[OwnPlace("size_bytes")] = WeightBytes(plan_.models[model].summary, trial.bits_per_weight);
    Add(std::move(trial));
  }

  void AddTrials(size_t model, const Entry& entry) {
    const PlannedModel& planned = plan_.models[model];
    plan_.left_out += entry.left_out;
    for (const Grid::Cell& cell : entry.cells) {
      if (!entry.filter->KeepsOf(planned.spec.name, entry.grid->options(cell.combination).map(),
                                 cell.calibration ? &*cell.calibration : nullptr)) {
        ++plan_.left_out;
        continue;
      }
      const SplitOptions& split = entry.split[cell.combination];
      const CalibrationSpec* calibration = entry.needs_calibration[cell.combination] ? &*cell.calibration : nullptr;
      std::string label =
          TrialLabel(planned.spec.name, *entry.spec, varying_[entry.spec->component], split.shown, calibration);
      const LayerVerdict& verdict = entry.verdicts[model][cell.combination];
      std::string reason = entry.refusals[cell.combination];
      if (reason.empty()) reason = verdict.reason;
      const int64_t positions = planned.summary.max_positions;
      if (reason.empty() && calibration != nullptr && positions > 0 && calibration->tokens > positions) {
        reason = "calibration.tokens = " + std::to_string(calibration->tokens) + " is more than the " +
                 std::to_string(positions) + " positions of the model";
      }
      if (!reason.empty()) {
        if (skipped_labels_.insert(label).second) plan_.skipped.push_back({std::move(label), std::move(reason)});
        continue;
      }
      Trial trial;
      trial.model = model;
      trial.label = std::move(label);
      trial.quantizer = entry.spec->component;
      trial.quantizer_version = entry.version;
      trial.quantizer_options = split.quantizer;
      trial.recipe = split.recipe;
      if (calibration != nullptr) trial.calibration = *calibration;
      trial.needs = entry.needs[cell.combination];
      for (const std::string& name : axis_names_) {
        trial.axes.emplace_back(name, AxisValue(name, split.shown, calibration));
      }
      trial.bits_requested = verdict.bits_requested;
      trial.bits_per_weight = verdict.bits_per_weight;
      Fill(model_factors_[model], trial);
      Fill(entry.factors[model][cell.combination], trial);
      if (calibration != nullptr) {
        Fill(corpora_.at(calibration->corpus).factors, trial);
        Fill(corpora_.at(calibration->corpus).own_columns, trial);
        trial.factors[OwnPlace("Cb")] = calibration->sequences;
        trial.factors[OwnPlace("T")] = calibration->tokens;
      }
      Add(std::move(trial));
    }
  }

  void OpenCorpus(const std::string& name) {
    if (corpora_.contains(name)) return;
    OpenedCorpus& opened = corpora_[name];
    const std::string origin = "corpus '" + name + "'";
    SourceMark mark;
    std::vector<NamedCorpus> all;
    for (const CorpusSpec& spec : study_.corpora) {
      all.push_back({spec.name, spec.component, &spec.options});
      if (spec.name != name) continue;
      mark = spec.mark;
      for (const auto& [column, value] : spec.columns) {
        Factor factor = StudyFactor(column, value);
        if (FindStandardFactor(column) == nullptr) factor.role = FactorRole::kCalibration;
        for (auto& one : columns_.Add(FactorSource::kStudy, {factor}, "'columns' of " + origin, value.key_mark()))
          opened.own_columns.push_back(std::move(one));
      }
    }
    try {
      const auto corpus = bitlaw::OpenCorpus(host_, all, name);
      opened.digest = corpus->digest();
      opened.factors = columns_.Add(FactorSource::kCalibration, corpus->factors(), origin, mark);
    } catch (const Error& error) {
      // A plan from shapes is made where texts need not be; sizes and counts do not depend on them.
      if (shapes_only_ > 0 && error.kind() == ErrorKind::kIo) {
        opened.digest = "not read: " + name;
        plan_.notes.push_back(origin + " is not read: " + error.what());
        return;
      }
      faults_.AddError(Error(error.kind(), mark.Text() + ": " + origin + ": " + error.what()));
    }
  }

  // The place of a column that the framework fills in.
  size_t OwnPlace(std::string_view column) const {
    return static_cast<size_t>(columns_.Find(column) - columns_.columns().data());
  }

  // Completes the trial with its identity and keeps it unless an earlier one has the same.
  void Add(Trial trial) {
    trial.compute = study_.compute;
    Value calibration;
    if (trial.calibration) {
      calibration = Value::Map{{"corpus", corpora_.at(trial.calibration->corpus).digest},
                               {"seed", static_cast<int64_t>(trial.calibration->seed)},
                               {"sequences", trial.calibration->sequences},
                               {"tokens", trial.calibration->tokens}};
    }
    trial.identity = Value::Map{{"backend", backends_[trial.model]},
                                {"calibration", std::move(calibration)},
                                {"compute", Value::Map{{"device", trial.compute.device},
                                                       {"dtype", std::string(Name(trial.compute.dtype))}}},
                                {"model", model_identities_[trial.model]},
                                {"quantizer", Value::Map{{"name", trial.quantizer},
                                                         {"options", trial.quantizer_options.map()},
                                                         {"version", trial.quantizer_version}}}};
    if (!trial.recipe.is_null()) trial.identity.Set("recipe", trial.recipe);
    trial.id = ShortDigest(DigestOf(trial.identity.CanonicalJson()));
    if (ids_.insert(trial.id).second) {
      plan_.trials.push_back(std::move(trial));
    } else {
      ++plan_.merged;
    }
  }

  const StudySpec& study_;
  const PluginHost& host_;
  Plan plan_;
  Faults faults_;
  std::vector<LayerSurvey> surveys_;  // By model, as are the next two.
  std::vector<Value> backends_, model_identities_;
  std::vector<Entry> entries_;
  std::vector<std::string> axis_names_;
  std::map<std::string, std::vector<std::string>> varying_;  // Quantizer -> options in its labels.
  struct OpenedCorpus {
    std::string digest;
    FactorColumns::Values factors, own_columns;
  };
  std::map<std::string, OpenedCorpus> corpora_;
  FactorColumns columns_{faults_};
  std::vector<FactorColumns::Values> model_factors_;
  std::vector<size_t> place_;  // Of a column in the plan, by what FactorColumns::Add() gave.
  std::unordered_set<std::string> ids_, skipped_labels_;
  size_t planned_cells_ = 0;
  size_t shapes_only_ = 0;  // Models without weights.
};

}  // namespace

std::vector<std::string> Plan::axis_names() const {
  std::vector<std::string> names;
  if (!trials.empty()) {
    for (const auto& [name, value] : trials.front().axes) names.push_back(name);
  }
  return names;
}

std::vector<Factor> Plan::FactorsOf(const Trial& trial) const {
  std::vector<Factor> all;
  for (size_t i = 0; i < factors.size(); ++i) {
    all.push_back(factors[i].factor);
    all.back().value = trial.factors[i];
  }
  return all;
}

const Value& Plan::FactorValue(const Trial& trial, std::string_view column) const {
  static const Value kNone;
  for (size_t i = 0; i < factors.size(); ++i) {
    if (factors[i].factor.column == column) return trial.factors[i];
  }
  return kNone;
}

Plan MakePlan(const StudySpec& study, const PluginHost& host) { return Planner(study, host).Make(); }

}  // namespace bitlaw
