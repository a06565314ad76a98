#include "run/trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>

#include "bitlaw/api/corpus.h"
#include "bitlaw/api/model.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/device_code.h"
#include "evaluate/evaluate.h"
#include "quantize/calibration/draw.h"
#include "quantize/calibration/overlap.h"
#include "quantize/calibration/sequences_file.h"
#include "quantize/expert_tokens.h"
#include "quantize/quantize_model.h"
#include "quantize/quantized_file.h"
#include "quantize/recipe/recipe_settings.h"
#include "quantize/recipe/transform_model.h"
#include "run/machine/code_watch.h"
#include "run/machine/machine.h"
#include "spec/quantize/table_part.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double Seconds(Clock::time_point since) { return std::chrono::duration<double>(Clock::now() - since).count(); }

Value Rounded(double seconds) { return std::stod(fmt::format("{:.3f}", seconds)); }

// Thrown where the model's files were written to and are what they were: what was read meanwhile is unknown.
struct InputsTouched {};

// One trial from its first missing task to its last.
class TrialRun {
 public:
  TrialRun(PlanContents& contents, const Trial& trial, const TrialSetting& setting, const RecordStore& store,
           DigestCache& cache, FileWatch& code, const ProcessState& state, const Tell& tell)
      : contents_(contents),
        trial_(trial),
        store_(store),
        cache_(cache),
        code_(code),
        state_(state),
        setting_(setting),
        compute_{trial.compute.dtype, setting.device},
        tell_(tell),
        spec_(contents.plan().models[trial.model].spec),
        study_(contents.plan().study) {
    backend_ = contents_.host().MakeModelBackend(spec_.backend, spec_.backend_options);
  }

  void Run() {
    content_ = contents_.WithoutCalibration(trial_);
    if (trial_.calibration) FindCalibrationDigest();
    const fs::path artifact = ArtifactPath(store_, content_);
    const std::vector<size_t> missing = MissingTasks();
    if (!missing.empty() || LacksQuantizationRecord()) {
      Stage("open the model");
      WithTorchErrors("device " + setting_.device, [&] { ResetPeakDeviceMemory(at::Device(setting_.device)); });
      const auto began = Clock::now();
      model_ = backend_->Open(spec_.path, compute_);
      open_s_ = Seconds(began);
      CheckInputs();
      if (trial_.quantizer != "none") Quantize(artifact);
      for (const size_t task : missing) Score(task);
    }
    std::error_code ignored;
    Fence();
    if (!setting_.keep_codes) fs::remove(artifact, ignored);
  }

 private:
  void Stage(const std::string& text) {
    WorkerMessage message;
    message.kind = WorkerMessage::Kind::kStage;
    message.text = text;
    tell_(message);
    last_stage_ = Clock::now();
  }
  // For stages that change faster than anyone reads.
  template <class Text>
  void StageAtTimes(Text&& text) {
    if (Seconds(last_stage_) >= 0.2) Stage(text());
  }

  void Warn(const std::string& text) {
    WorkerMessage message;
    message.kind = WorkerMessage::Kind::kWarning;
    message.text = text;
    tell_(message);
  }

  void Fence() const {
    if (setting_.fence) setting_.fence();
  }

  // Before anything is kept that was computed of the model: the key was taken of what its files held then.
  void CheckInputs() {
    if (const std::string change = state_.Change(); !change.empty()) {
      throw Error(ErrorKind::kPlugin, fmt::format("a plugin changed its process, which now {}: other numbers or files "
                                                  "would follow. What was computed since is not recorded. Mend the "
                                                  "plugin.",
                                                  change));
    }
    std::string why;
    const FileWatch::State model = contents_.model_watch(trial_.model).Check(why);
    if (model == FileWatch::State::kOther) {
      throw Error(ErrorKind::kIo, fmt::format("model '{}' was replaced while the trial ran: {} What was computed since is "
                                              "not recorded. Run again for the model that is there now.",
                                              spec_.name, why));
    }
    if (code_.Check(why) == FileWatch::State::kOther) {
      throw Error(ErrorKind::kPlugin, fmt::format("a program or plugin was replaced while the trial ran: {} What was "
                                                  "computed since is not recorded. Run again.",
                                                  why));
    }
    if (model == FileWatch::State::kTouched) throw InputsTouched();
  }

  const TokenSequences& Calibration() {
    if (calibration_) return *calibration_;
    const std::string key = contents_.CalibrationEntry(trial_, content_.weights_digest);
    if (setting_.text != nullptr && setting_.text->key == key) {
      calibration_ = setting_.text->tokens;
      return *calibration_;
    }
    Stage("draw calibration tokens");
    const auto began = Clock::now();
    const CalibrationSpec& draw = *trial_.calibration;
    const Corpus& corpus = contents_.corpus(draw.corpus);
    if (corpus.asks_model()) {
      calibration_ = std::make_shared<const TokenSequences>(GeneratedCalibration(corpus, draw));
    } else {
      const auto tokenizer = backend_->OpenTokenizer(spec_.path);
      calibration_ =
          std::make_shared<const TokenSequences>(corpus.Draw(*tokenizer, draw.sequences, draw.tokens, draw.seed));
    }
    draw_s_ = Seconds(began);
    if (setting_.text != nullptr) *setting_.text = {key, calibration_};
    return *calibration_;
  }

  // Made once for all trials that calibrate on it, since it costs a forward pass a token.
  TokenSequences GeneratedCalibration(const Corpus& corpus, const CalibrationSpec& draw) {
    const std::string entry = contents_.CalibrationEntry(trial_, content_.weights_digest);
    const fs::path kept = store_.output() / "artifacts" / ("calibration-" + DigestOf(entry) + ".json");
    if (fs::exists(kept)) {
      try {
        return ReadSequences(kept, draw.sequences, draw.tokens);
      } catch (const Error& error) {
        Warn(fmt::format("{} The calibration text is generated anew.", error.what()));
      }
    }
    // The model that is to be quantized must not have read anything else than its weights.
    const auto model = backend_->Open(spec_.path, compute_);
    TokenSequences made = DrawCalibration(corpus, *model, draw.sequences, draw.tokens, draw.seed);
    WriteSequences(kept, made);
    return made;
  }

  void FindCalibrationDigest() {
    const std::string entry = contents_.CalibrationEntry(trial_, content_.weights_digest);
    if (const auto cached = cache_.CachedEntry(entry)) {
      content_.calibration_digest = *cached;
      return;
    }
    content_.calibration_digest = Calibration().digest();
    CheckInputs();
    contents_.CheckCorpus(trial_.calibration->corpus);
    cache_.SetEntry(entry, content_.calibration_digest);
    WorkerMessage message;
    message.kind = WorkerMessage::Kind::kCalibration;
    message.entry = entry;
    message.digest = content_.calibration_digest;
    tell_(message);
  }

  // Tasks without a usable record. Tells of the others, and puts files that are no records out of the way.
  std::vector<size_t> MissingTasks() {
    std::vector<size_t> missing;
    for (size_t t = 0; t < study_.tasks.size(); ++t) {
      std::vector<std::string> faults;
      const auto record = FindUsable(store_, contents_.plan(), content_, contents_.task_content(t), faults);
      if (!faults.empty()) store_.Quarantine(RecordDigest(TaskKey(content_, contents_.task_content(t))));
      if (!record) {
        missing.push_back(t);
        continue;
      }
      if (record->quantization) recorded_codes_digest_ = record->quantization->codes_digest;
      WorkerMessage message;
      message.kind = WorkerMessage::Kind::kTask;
      message.task = study_.tasks[t].name;
      message.found = true;
      tell_(message);
    }
    return missing;
  }

  // Task records name the record of their quantization: where it is lost or damaged, it is made again.
  bool LacksQuantizationRecord() const {
    std::vector<std::string> faults;
    return trial_.quantizer != "none" && !store_.FindQuantization(RecordDigest(QuantizationKey(content_)), faults);
  }

  void Quantize(const fs::path& artifact) {
    const MadeRecipe made = MakeRecipe(contents_.host(), trial_.quantizer, trial_.quantizer_options, trial_.recipe);
    const QuantizeRecipe recipe = QuantizeRecipeOf(made, trial_.recipe);
    weights_beside_ = WeightsBesideOf(made, trial_.recipe, model_->summary());
    if (setting_.evaluate.stream_blocks && recipe.quantizer == nullptr && !recipe.transforms.empty()) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("{}: its transforms change weights that nothing quantizes, and with stream_blocks they would be "
                              "read again as they were. Leave stream_blocks out.",
                              trial_.label));
    }
    std::optional<QuantizedFile> quantized = LoadArtifact(artifact);
    if (!quantized) quantized = QuantizeAnew(artifact, recipe);
    header_ = Header(quantized->model);
    if (!recorded_codes_digest_.empty() && recorded_codes_digest_ != header_.codes_digest) {
      Warn(fmt::format("{}: its codes have SHA-256 {}, and those of its recorded tasks have {}: another machine or "
                       "device made them.",
                       trial_.label, ShortDigest(header_.codes_digest), ShortDigest(recorded_codes_digest_)));
    }
    if (!setting_.evaluate.stream_blocks) return;
    model_ = WithInstalledBlocks(std::move(model_), std::move(quantized->model), recipe.activations, artifact.string(),
                                 std::move(quantized->read));
  }

  // Codes that an earlier try left behind; anything wrong with them costs their time, no more.
  std::optional<QuantizedFile> LoadArtifact(const fs::path& artifact) {
    if (!fs::exists(artifact)) return std::nullopt;
    std::vector<std::string> faults;
    if (!store_.FindQuantization(RecordDigest(QuantizationKey(content_)), faults)) {
      fs::remove(artifact);  // Codes whose record is gone: only quantizing can write it again.
      return std::nullopt;
    }
    Stage("load quantized weights");
    try {
      QuantizedFile quantized = OpenQuantized(artifact);
      if (!setting_.evaluate.stream_blocks) {
        InstallQuantized(*model_, quantized.model, artifact.string(), quantized.read);
      }
      return quantized;
    } catch (const Error& error) {
      Warn(fmt::format("{} The model is quantized anew.", error.what()));
      fs::remove(artifact);
      model_ = backend_->Open(spec_.path, compute_);  // It may be half quantized.
      return std::nullopt;
    }
  }

  // What statistics of the unquantized model depend on.
  std::string KeptKey() const {
    const Value* transforms = trial_.recipe.is_null() ? nullptr : trial_.recipe.Find("transforms");
    return Value(Value::Map{{"weights", content_.weights_digest},
                            {"backend", content_.backend},
                            {"backend_version", content_.backend_version},
                            {"backend_options", content_.backend_options},
                            {"calibration", content_.calibration_digest},
                            {"transforms", transforms == nullptr ? Value() : *transforms},
                            {"device", compute_.device},
                            {"dtype", std::string(Name(compute_.dtype))}})
        .CanonicalJson();
  }

  // Codes go to the artifact's file as they are found, and are read from it where blocks are read again.
  QuantizedFile QuantizeAnew(const fs::path& artifact, const QuantizeRecipe& recipe) {
    const TokenSequences* calibration = trial_.calibration ? &Calibration() : nullptr;
    if (calibration != nullptr && calibration->digest() != content_.calibration_digest) {
      throw Error(ErrorKind::kIo,
                  fmt::format("corpus '{}' gave other tokens than the digest cache says. Its text or the "
                              "tokenizer changed: remove {} and run again.",
                              trial_.calibration->corpus, (store_.output() / "digests.json").string()));
    }
    Stage("quantize");
    QuantizeSettings settings;
    settings.allow_fallback = study_.allow_fallback;
    settings.keep_blocks = !setting_.evaluate.stream_blocks;
    settings.kept = setting_.kept;
    settings.kept_key = KeptKey();
    std::optional<QuantizedFileWriter> file;
    if (recipe.quantizer != nullptr) {
      file.emplace(artifact);
      settings.take_codes = [&file](QuantizedLayer& layer) { file->Take(layer); };
    }
    QuantizedModel quantized =
        QuantizeModel(*model_, recipe, calibration, settings, [&](const QuantizeProgress& progress) {
          StageAtTimes([&] {
            return fmt::format("quantize {} ({}/{})", progress.layer, progress.layers_done, progress.layers_total);
          });
        });
    CheckInputs();
    // The record first: where there is an artifact there is a record.
    WriteQuantizationRecord(quantized);
    if (!file) return {.model = std::move(quantized)};  // No codes to keep.
    Stage("save quantized weights");
    Fence();
    file->Finish(quantized, Value::Map{{"trial", trial_.id}, {"label", trial_.label}});
    if (setting_.evaluate.stream_blocks) return OpenQuantized(artifact);
    return {.model = std::move(quantized)};
  }

  // Machine, time and builds: what stands in a timings file beside the times.
  Value Circumstances(std::vector<std::string> plugins) const {
    const PluginHost& host = contents_.host();
    plugins.push_back(host.Find(ComponentKind::kModel, spec_.backend).plugin_id);
    if (trial_.quantizer != "none" && trial_.quantizer != kKeepWeights) {
      plugins.push_back(host.Find(ComponentKind::kQuantizer, trial_.quantizer).plugin_id);
    }
    if (const Value* grid = trial_.recipe.is_null() ? nullptr : trial_.recipe.Find("grid")) {
      plugins.push_back(host.Find(ComponentKind::kGrid, grid->Find("name")->AsString()).plugin_id);
    }
    if (const Value* transforms = trial_.recipe.is_null() ? nullptr : trial_.recipe.Find("transforms")) {
      for (const Value& transform : transforms->AsList()) {
        plugins.push_back(host.Find(ComponentKind::kTransform, transform.Find("name")->AsString()).plugin_id);
      }
    }
    if (trial_.calibration) {
      for (const CorpusSpec& corpus : study_.corpora) {
        if (corpus.name != trial_.calibration->corpus) continue;
        plugins.push_back(host.Find(ComponentKind::kCorpus, corpus.component).plugin_id);
      }
    }
    Value facts = MachineFacts(setting_.threads);
    facts.Set("trial", trial_.id);
    facts.Set("device", setting_.device);
    facts.Set("dtype", std::string(Name(model_->compute().dtype)));
    if (setting_.provenance.is_map()) {
      for (const auto& [key, value] : setting_.provenance.AsMap()) facts.Set(key, value);
    }
    const Value use = DeviceUse(setting_.device);
    for (const auto& [key, value] : use.AsMap()) facts.Set(key, value);
    facts.Set("plugins", PluginBuilds(host, code_, plugins));
    return facts;
  }

  QuantizationHeader Header(const QuantizedModel& quantized) const {
    QuantizationHeader header;
    header.record = RecordDigest(QuantizationKey(content_));
    header.codes_digest = quantized.codes_digest;
    header.bits_requested = quantized.bits_requested;
    header.bits_effective = quantized.bits_effective;
    for (const QuantizedLayer& layer : quantized.layers) {
      if (layer.linear.fallback != QuantizeFallback::kNone) {
        header.fallbacks.push_back({layer.shape.name, std::string(Name(layer.linear.fallback))});
      }
    }
    return header;
  }

  std::optional<CalibrationHeader> CalibrationOf() const {
    if (!trial_.calibration) return std::nullopt;
    const CalibrationSpec& draw = *trial_.calibration;
    return CalibrationHeader{draw.corpus, draw.sequences, draw.tokens, draw.seed, content_.calibration_digest};
  }

  // As planned, with the bits that quantizing came to.
  std::vector<RecordedFactor> FactorsOf(const QuantizationHeader* quantization) const {
    std::vector<RecordedFactor> recorded;
    const Plan& plan = contents_.plan();
    for (size_t i = 0; i < plan.factors.size(); ++i) {
      if (plan.factors[i].source == FactorSource::kStudy) continue;
      const Factor& factor = plan.factors[i].factor;
      Value value = trial_.factors[i];
      if (quantization != nullptr && plan.factors[i].origin == kOwnOrigin) {
        if (factor.column == "B") value = quantization->bits_requested;
        if (factor.column == "bits_effective") value = quantization->bits_effective;
        if (factor.column == "size_bytes") {
          value = WeightBytes(model_->summary(), quantization->bits_effective, weights_beside_);
        }
      }
      recorded.push_back({factor.column, factor.unit, factor.role, std::move(value)});
    }
    return recorded;
  }

  void WriteQuantizationRecord(const QuantizedModel& quantized) {
    QuantizationRecord record;
    record.key = QuantizationKey(content_);
    const std::string digest = RecordDigest(record.key);
    std::vector<std::string> faults;
    if (store_.FindQuantization(digest, faults)) return;  // Immutable: the first one stays.
    if (!faults.empty()) store_.Quarantine(digest);
    record.trial = {trial_.id, trial_.label, trial_.axes};
    record.model = HeaderOf(model_->summary());
    record.quantization = Header(quantized);
    record.calibration = CalibrationOf();
    record.factors = FactorsOf(&record.quantization);
    if (trial_.calibration && trial_.quantizer != kKeepWeights) record.sequential = SequentialOf(trial_.recipe);
    const int64_t minimum = MinimumTokens(trial_.recipe);
    if (const auto tokens = RoutedTokens(quantized, minimum)) {
      record.experts = ExpertRecord{tokens->experts, tokens->least, tokens->median, tokens->greatest, minimum,
                                    tokens->below_minimum};
    }
    for (RotationCount& one : CountRotations(quantized.rotations)) {
      if (!record.online_rotations) record.online_rotations.emplace();
      record.online_rotations->push_back(
          {std::move(one.place), std::move(one.rotation), one.width, one.places, one.operations});
    }
    for (const QuantizedLayer& layer : quantized.layers) {
      const bool fell_back = layer.linear.fallback != QuantizeFallback::kNone;
      record.layers.push_back({layer.shape.name, layer.bits_per_weight,
                               fell_back ? std::string(Name(layer.linear.fallback)) : "", layer.linear.diagnostics});
    }
    if (!quantized.skipped.empty()) record.skipped.emplace();
    for (const LinearShape& layer : quantized.skipped) record.skipped->push_back(layer.name);
    Fence();
    bool is_new = false;
    store_.Write(record, &is_new);
    if (!is_new) return;  // Its timings are there, too.
    const QuantizeTimes& times = quantized.times;
    Value timings = Circumstances({});
    timings.Set("open_s", Rounded(open_s_));
    if (draw_s_) timings.Set("draw_s", Rounded(*draw_s_));
    timings.Set("total_s", Rounded(times.total_s));
    timings.Set("forward_s", Rounded(times.forward_s));
    timings.Set("statistics_s", Rounded(times.statistics_s));
    timings.Set("quantize_s", Rounded(times.quantize_s));
    timings.Set("install_s", Rounded(times.install_s));
    timings.Set("matrix_product_s", Rounded(times.matrix_product_s));
    timings.Set("peak_memory_bytes", PeakMemoryBytes());
    store_.WriteTimings(digest, timings);
  }

  void Score(size_t index) {
    const std::string& name = study_.tasks[index].name;
    Stage(fmt::format("evaluate {}", name));
    TaskResult result = Evaluate(*model_, contents_.task(index), setting_.evaluate, [&](const EvaluateProgress& progress) {
      StageAtTimes([&] { return fmt::format("evaluate {} ({}/{})", name, progress.done, progress.total); });
    });
    if (result.cost.budget_halvings > 0) {
      Warn(fmt::format("{}, task '{}': memory ran out {} time(s), and went on with passes of half the size each time. Set "
                       "evaluate: batch_tokens lower to begin with.",
                       trial_.label, name, result.cost.budget_halvings));
    }
    CheckInputs();
    contents_.CheckTask(index);
    TaskRecord record;
    record.key = TaskKey(content_, contents_.task_content(index));
    record.trial = {trial_.id, trial_.label, trial_.axes};
    record.model = HeaderOf(model_->summary());
    if (trial_.quantizer != "none") record.quantization = header_;
    record.calibration = CalibrationOf();
    record.factors = FactorsOf(record.quantization ? &*record.quantization : nullptr);
    for (RecordedFactor& factor : TaskFactors(result.card, result.scores)) record.factors.push_back(std::move(factor));
    record.card = result.card;
    record.metrics = result.summaries;
    // What was asked; how much of it prefix sharing saved depends on batching and stands with the timings.
    record.counts = {{"requests", result.cost.requests},
                     {"truncated_requests", result.cost.truncated_requests},
                     {"tokens_requested", result.cost.tokens_requested}};
    CountOverlap(index, record);
    Fence();
    bool is_new = false;
    const std::string digest = store_.Write(record, result.scores, &is_new);
    const Component& task = contents_.host().Find(ComponentKind::kTask, study_.tasks[index].component);
    Value timings = Circumstances({task.plugin_id});
    timings.Set("task", name);
    timings.Set("elapsed_s", Rounded(result.cost.elapsed_s));
    timings.Set("tokens_computed", result.cost.tokens_computed);
    if (result.cost.budget_halvings > 0) timings.Set("budget_halvings", result.cost.budget_halvings);
    timings.Set("peak_memory_bytes", PeakMemoryBytes());
    if (is_new) store_.WriteTimings(digest, timings);

    WorkerMessage message;
    message.kind = WorkerMessage::Kind::kTask;
    message.task = name;
    message.metric = result.summaries.front().name;
    message.value = result.summaries.front().value;
    message.standard_error = result.summaries.front().standard_error;
    message.elapsed_s = result.cost.elapsed_s;
    tell_(message);
  }

  // How many of the task's items have words in a row that the calibration text has too.
  void CountOverlap(size_t index, TaskRecord& record) {
    const int64_t words = setting_.evaluate.overlap_words;
    if (!trial_.calibration || words == 0) return;
    if (!overlap_) {
      const auto tokenizer = backend_->OpenTokenizer(spec_.path);
      overlap_.emplace(Calibration(), *tokenizer, words);
    }
    const Overlap found = overlap_->Of(contents_.task(index));
    record.counts.insert(record.counts.end(), {{"overlap_words", words},
                                               {"overlap_items_compared", found.compared},
                                               {"overlap_items", found.shared}});
    if (found.shared == 0) return;
    // The same words for each trial and draw: the launcher says them once.
    Warn(fmt::format("task '{}': some of its items have {} words in a row that the calibration text of corpus '{}' has too. "
                     "Scores of trials that calibrate on it may owe something to that; the report says how many there are.",
                     record.card.name, words, trial_.calibration->corpus));
  }

  PlanContents& contents_;
  const Trial& trial_;
  const RecordStore& store_;
  DigestCache& cache_;
  FileWatch& code_;
  const ProcessState& state_;
  const TrialSetting& setting_;
  const ComputeSetting compute_;  // On the device of this worker.
  const Tell& tell_;
  const ModelSpec& spec_;
  const StudySpec& study_;
  std::unique_ptr<ModelBackend> backend_;
  TrialContent content_;
  std::shared_ptr<const TokenSequences> calibration_;
  std::optional<CalibrationWords> overlap_;
  std::unique_ptr<Model> model_;
  QuantizationHeader header_;
  WeightsBeside weights_beside_;
  std::string recorded_codes_digest_;  ///< In the task records that are there; "" if none is.
  double open_s_ = 0;
  std::optional<double> draw_s_;  ///< Of the calibration text, where this trial drew it.
  Clock::time_point last_stage_;
};

}  // namespace

std::filesystem::path ArtifactPath(const RecordStore& store, const TrialContent& content) {
  return store.output() / "artifacts" / (RecordDigest(QuantizationKey(content)) + ".safetensors");
}

void RunTrial(PlanContents& contents, const Trial& trial, const TrialSetting& setting, const RecordStore& store,
              DigestCache& cache, FileWatch& code, const ProcessState& state, const Tell& tell) {
  for (int tries = 0; tries < 3; ++tries) {
    try {
      return TrialRun(contents, trial, setting, store, cache, code, state, tell).Run();
    } catch (const InputsTouched&) {
      WorkerMessage message;
      message.kind = WorkerMessage::Kind::kWarning;
      message.text = fmt::format("{}: the model's files were written to while it ran, and hold what they held. It begins "
                                 "again.",
                                 trial.label);
      tell(message);
    }
  }
  throw Error(ErrorKind::kIo, fmt::format("model '{}': its files were written to again and again. Let them stand still.",
                                          contents.plan().models[trial.model].spec.name));
}

}  // namespace bitlaw
