#include "plan/plan.h"

#include <algorithm>
#include <memory>
#include <set>
#include <unordered_set>

#include "bitlaw/api/corpus.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "plan/grid.h"
#include "plan/layer_survey.h"
#include "plan/supported_model.h"
#include "plugin/host.h"
#include "spec/decoder.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {
namespace {

// A trial takes about 7 kB of a plan.
constexpr size_t kMaxTrials = 100'000;
constexpr std::string_view kCalibrationPrefix = "calibration.";

std::string HeadersDigest(const ModelSummary& summary, const std::vector<std::filesystem::path>& files) {
  Value headers;
  headers.Set("architecture", summary.architecture);
  headers.Set("baseline_note", summary.baseline_note);
  headers.Set("hidden_size", summary.hidden_size);
  headers.Set("max_positions", summary.max_positions);
  headers.Set("num_blocks", summary.num_blocks);
  headers.Set("parameters_active", summary.parameters_active);
  headers.Set("parameters_embedding", summary.parameters_embedding);
  headers.Set("parameters_quantizable", summary.parameters_quantizable);
  headers.Set("parameters_total", summary.parameters_total);
  headers.Set("stored_dtype", summary.stored_dtype);
  headers.Set("vocab_size", summary.vocab_size);
  Value::List linears, sizes;
  for (const LinearShape& layer : summary.linears) {
    linears.push_back(Value::List{layer.name, static_cast<int64_t>(layer.block), layer.in_features, layer.out_features,
                                  layer.is_expert});
  }
  for (const auto& file : files) sizes.push_back(static_cast<int64_t>(std::filesystem::file_size(file)));
  headers.Set("linears", std::move(linears));
  headers.Set("file_sizes", std::move(sizes));
  return DigestOf(headers.CanonicalJson());
}

// A value as labels show it: words for numbers, texts without quotes.
std::string LabelText(const Value& value, const OptionField* field) {
  if (field != nullptr) {
    for (const auto& [word, number] : field->named_ints)
      if (value == Value(number)) return word;
  }
  return value.is_string() ? value.AsString() : value.Text();
}

Value WithoutMark(Value value) {
  value.set_mark({});
  return value;
}

Value CalibrationValue(const CalibrationSpec& calibration, std::string_view name) {
  if (name == "corpus") return calibration.corpus;
  if (name == "sequences") return calibration.sequences;
  if (name == "tokens") return calibration.tokens;
  if (name == "seed") return static_cast<int64_t>(calibration.seed);
  throw InternalError("a calibration has no '" + std::string(name) + "'");
}

/// Builds one Plan.
class Planner {
 public:
  Planner(const StudySpec& study, const PluginHost& host) : study_(study), host_(host) { plan_.study = study; }

  Plan Make() {
    InspectModels();
    for (const QuantizeSpec& entry : study_.quantize) {
      if (entry.component != "none") PrepareEntry(entry);
    }
    faults_.ThrowIfAny();
    FindVaryingOptions();
    for (size_t model = 0; model < plan_.models.size(); ++model) AddBaseline(model);
    const bool asks_for_baseline = std::any_of(study_.quantize.begin(), study_.quantize.end(),
                                               [](const QuantizeSpec& entry) { return entry.component == "none"; });
    if (!asks_for_baseline && !study_.quantize.empty()) {
      plan_.notes.push_back("The study does not list 'none'. The unquantized model is added: losses are measured against it.");
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
    std::vector<SplitOptions> split;                  // By combination.
    std::vector<Grid::Cell> cells;
    std::vector<bool> needs_calibration;              // By combination.
    bool any_needs_calibration = false;
    std::vector<std::string> refusals;                // By combination: why the quantizer cannot be made at all.
    std::vector<std::vector<LayerVerdict>> verdicts;  // [model][combination]
    size_t left_out = 0;
  };

  void InspectModels() {
    for (const ModelSpec& spec : study_.models) {
      try {
        const Component& component = host_.Find(ComponentKind::kModel, spec.backend, spec.mark.Text());
        const Options options = component.schema.Resolve(spec.backend_options, "model '" + component.info.name + "'");
        const auto backend = host_.MakeModelBackend(component.info.name, options);
        RequireSupported(*backend, spec.path);
        PlannedModel model{spec, backend->Inspect(spec.path), ""};
        model.headers_digest = HeadersDigest(model.summary, backend->Files(spec.path));
        if (model.spec.family.empty()) model.spec.family = model.summary.architecture;
        surveys_.emplace_back(model.summary);
        plan_.models.push_back(std::move(model));
        backends_.push_back(Value::Map{{"name", component.info.name},
                                       {"options", options.map()},
                                       {"version", component.plugin_version}});
      } catch (const Error& error) {
        faults_.AddError(error);
      } catch (const std::filesystem::filesystem_error& error) {
        faults_.AddError(Error(ErrorKind::kIo, spec.path.string() + ": " + error.code().message() + "."));
      }
    }
    faults_.ThrowIfAny();
  }

  void PrepareEntry(const QuantizeSpec& spec) {
    Entry entry;
    static const OptionSchema kNoOptions;
    const Component* component =
        spec.component == kKeepWeights ? nullptr : &host_.Find(ComponentKind::kQuantizer, spec.component, spec.mark.Text());
    entry.spec = &spec;
    if (component != nullptr) entry.version = component->plugin_version;
    entry.grid = std::make_unique<Grid>(spec, spec.schema);
    entry.grid->ForEach([&](const Grid::Cell& cell) { entry.cells.push_back(cell); });
    entry.left_out = entry.grid->left_out();
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
    entry.verdicts.assign(plan_.models.size(), std::vector<LayerVerdict>(combinations));
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
      entry.any_needs_calibration |= entry.needs_calibration[i];
      for (size_t model = 0; model < plan_.models.size(); ++model) {
        LayerVerdict& verdict = entry.verdicts[model][i];
        if (made.quantizer != nullptr) verdict = surveys_[model].Ask(*made.quantizer, options);
        if (verdict.reason.empty()) {
          verdict.reason = ExplainUnsupportedParts(made, recipe, plan_.models[model].summary);
        }
      }
    }
    if (entry.any_needs_calibration && spec.calibration_fixed.is_null()) {
      faults_.Add(spec.mark, (component == nullptr ? "a transform"
                                                           : "quantizer '" + spec.component + "'") +
                                 " needs calibration text. Add 'calibration: {corpus: ...}', with one of: " +
                                 JoinNames(CorpusNames()) + ".");
      return;
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

  std::vector<std::string> CorpusNames() const {
    std::vector<std::string> names;
    for (const CorpusSpec& corpus : study_.corpora) names.push_back(corpus.name);
    return names;
  }

  // A label names those options of a quantizer that differ between its trials.
  void FindVaryingOptions() {
    std::map<std::string, std::map<std::string, std::set<std::string>>> seen;
    for (const Entry& entry : entries_) {
      for (const auto& [name, values] : entry.grid->values()) {
        if (name.starts_with(kCalibrationPrefix) && !entry.any_needs_calibration) continue;
        for (const Value& value : values) seen[entry.spec->component][name].insert(value.CanonicalJson());
      }
    }
    for (const Entry& entry : entries_) {
      std::vector<std::string>& names = varying_[entry.spec->component];
      for (const auto& [name, values] : entry.grid->values()) {
        const bool is_listed = std::find(names.begin(), names.end(), name) != names.end();
        if (!is_listed && seen[entry.spec->component][name].size() > 1) names.push_back(name);
      }
    }
  }

  void AddBaseline(size_t model) {
    Trial trial;
    trial.model = model;
    trial.quantizer = "none";
    trial.label = plan_.models[model].spec.name + " none";
    for (const std::string& name : axis_names_) trial.axes.emplace_back(name, Value());
    Add(std::move(trial));
  }

  void AddTrials(size_t model, const Entry& entry) {
    const PlannedModel& planned = plan_.models[model];
    plan_.left_out += entry.left_out;
    for (const Grid::Cell& cell : entry.cells) {
      const SplitOptions& split = entry.split[cell.combination];
      const CalibrationSpec* calibration = entry.needs_calibration[cell.combination] ? &*cell.calibration : nullptr;
      std::string label = Label(planned, *entry.spec, split.shown, calibration);
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
      for (const std::string& name : axis_names_) trial.axes.emplace_back(name, AxisValue(name, split.shown, calibration));
      trial.bits_requested = verdict.bits_requested;
      trial.bits_per_weight = verdict.bits_per_weight;
      trial.group_size_effective = verdict.group_size;
      Add(std::move(trial));
    }
  }

  static Value AxisValue(const std::string& name, const Value& options, const CalibrationSpec* calibration) {
    if (name.starts_with(kCalibrationPrefix)) {
      return calibration == nullptr ? Value() : CalibrationValue(*calibration, name.substr(kCalibrationPrefix.size()));
    }
    const Value* value = options.is_null() ? nullptr : options.Find(name);
    return value == nullptr ? Value() : WithoutMark(*value);
  }

  std::string Label(const PlannedModel& model, const QuantizeSpec& spec, const Value& options,
                    const CalibrationSpec* calibration) {
    std::string label = model.spec.name + " " + spec.component;
    for (const std::string& name : varying_[spec.component]) {
      if (name.starts_with(kCalibrationPrefix)) {
        if (calibration == nullptr) continue;
        const std::string short_name = name.substr(kCalibrationPrefix.size());
        label += " " + short_name + "=" + LabelText(CalibrationValue(*calibration, short_name), nullptr);
      } else {
        const Value* value = options.Find(name);
        const OptionField* field = spec.schema.Find(name);
        if (value == nullptr) continue;  // Of another entry's recipe, or it does not count in this cell.
        label += " " + name + "=" + LabelText(*value, field);
      }
    }
    return label;
  }

  const std::string& CorpusDigest(const std::string& name) {
    const auto found = corpus_digests_.find(name);
    if (found != corpus_digests_.end()) return found->second;
    for (const CorpusSpec& corpus : study_.corpora) {
      if (corpus.name != name) continue;
      const Component& component = host_.Find(ComponentKind::kCorpus, corpus.component, corpus.mark.Text());
      const Options options = component.schema.Resolve(corpus.options, "corpus '" + component.info.name + "'");
      try {
        return corpus_digests_[name] = host_.MakeCorpus(component.info.name, options)->digest();
      } catch (const Error& error) {
        throw Error(error.kind(), corpus.mark.Text() + ": corpus '" + name + "': " + error.what());
      }
    }
    throw InternalError("a trial calibrates on the corpus '" + name + "', which its study lacks");
  }

  // Numbers do not depend on which of several equal devices computes them.
  static std::string DeviceKind(const std::string& device) { return device.substr(0, device.find(':')); }

  // Headers and file sizes tell models apart without a weight read. They say the same of a base model and what was trained
  // on from it, or of two snapshots of one training: then names tell them apart. Records go by the weights themselves.
  Value ModelIdentity(size_t model) const {
    const std::string& digest = plan_.models[model].headers_digest;
    const auto has_digest = [&](const PlannedModel& one) { return one.headers_digest == digest; };
    if (std::count_if(plan_.models.begin(), plan_.models.end(), has_digest) == 1) return digest;
    return Value::Map{{"headers", digest}, {"name", plan_.models[model].spec.name}};
  }

  // Completes the trial with its identity and keeps it unless an earlier one has the same.
  void Add(Trial trial) {
    trial.compute = study_.compute;
    Value calibration;
    if (trial.calibration) {
      calibration = Value::Map{{"corpus", CorpusDigest(trial.calibration->corpus)},
                               {"seed", static_cast<int64_t>(trial.calibration->seed)},
                               {"sequences", trial.calibration->sequences},
                               {"tokens", trial.calibration->tokens}};
    }
    trial.identity = Value::Map{{"backend", backends_[trial.model]},
                                {"calibration", std::move(calibration)},
                                {"compute", Value::Map{{"device", DeviceKind(trial.compute.device)},
                                                       {"dtype", std::string(Name(trial.compute.dtype))}}},
                                {"model", ModelIdentity(trial.model)},
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
  std::vector<LayerSurvey> surveys_;  // By model, as are backends_.
  std::vector<Value> backends_;
  std::vector<Entry> entries_;
  std::vector<std::string> axis_names_;
  std::map<std::string, std::vector<std::string>> varying_;  // Quantizer -> options in its labels.
  std::map<std::string, std::string> corpus_digests_;
  std::unordered_set<std::string> ids_, skipped_labels_;
  size_t planned_cells_ = 0;
};

}  // namespace

std::vector<std::string> Plan::axis_names() const {
  std::vector<std::string> names;
  if (!trials.empty()) {
    for (const auto& [name, value] : trials.front().axes) names.push_back(name);
  }
  return names;
}

Plan MakePlan(const StudySpec& study, const PluginHost& host) { return Planner(study, host).Make(); }

}  // namespace bitlaw
