#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/text/counted.h"
#include "bitlaw/api/exporter.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "cli/common/record_argument.h"
#include "cli/common/select_trials.h"
#include "cli/tensor/model_argument.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "quantize/calibration/draw.h"
#include "quantize/quantized_file.h"
#include "quantize/recipe/recipe_settings.h"
#include "records/plan_records.h"
#include "resolve/resolved_study.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct ExportArguments {
  std::string what, format, output, model, backend, trial, results, device = "cpu";
  std::vector<std::string> options;
  int threads = 0;
};

// What is exported, and the checkpoint that it was quantized from.
struct Source {
  fs::path checkpoint;
  ModelSummary summary;
  QuantizedModel quantized;
  std::string title;
};

// The layers are the model's, in its order and of its shapes: some of its tables, then all linear layers that were not
// skipped.
void CheckLayers(const Source& source, const std::string& origin) {
  std::vector<LinearShape> expected;
  const auto& layers = source.quantized.layers;
  for (const LinearShape& table : source.summary.tables) {
    const auto has_name = [&](const QuantizedLayer& layer) { return layer.shape.name == table.name; };
    if (std::any_of(layers.begin(), layers.end(), has_name)) expected.push_back(table);
  }
  for (const LinearShape& layer : source.summary.linears) {
    const auto& skipped = source.quantized.skipped;
    const auto has_name = [&](const LinearShape& one) { return one.name == layer.name; };
    if (std::none_of(skipped.begin(), skipped.end(), has_name)) expected.push_back(layer);
  }
  bool are_same = layers.size() == expected.size();
  for (size_t i = 0; are_same && i < layers.size(); ++i) {
    const LinearShape& shape = layers[i].shape;
    are_same = shape.name == expected[i].name && shape.in_features == expected[i].in_features &&
               shape.out_features == expected[i].out_features;
  }
  if (are_same) return;
  throw Error(ErrorKind::kSpec,
              fmt::format("{}: its layers are not those of --model {}. Name the checkpoint that was quantized.", origin,
                          source.checkpoint.string()));
}

std::unique_ptr<ModelBackend> BackendOf(const PluginHost& host, const fs::path& checkpoint, const std::string& wanted) {
  const std::string backend = BackendFor(host, checkpoint, wanted);
  const Options defaults = host.Find(ComponentKind::kModel, backend).schema.Resolve(Value(), "model '" + backend + "'");
  return host.MakeModelBackend(backend, defaults);
}

void RefuseTrial(const ExportArguments& arguments, const std::string& what_it_is) {
  if (arguments.trial.empty()) return;
  throw Error(ErrorKind::kSpec,
              "--trial " + arguments.trial + ": " + arguments.what + " is " + what_it_is + ". Leave --trial out.");
}

// A checkpoint of which nothing is quantized.
Source FromModel(const PluginHost& host, const ExportArguments& arguments) {
  if (fs::exists(fs::path(arguments.what) / "study.json")) {
    throw Error(ErrorKind::kSpec, arguments.what +
                                      ": is the output folder of a study. Name the study's file (.yaml), and one of its "
                                      "trials with --trial.");
  }
  RefuseTrial(arguments, "a model");
  if (!arguments.model.empty()) {
    throw Error(ErrorKind::kSpec,
                "--model " + arguments.model + ": " + arguments.what + " is a model itself. Name one.");
  }
  Source source;
  source.checkpoint = arguments.what;
  source.summary = BackendOf(host, source.checkpoint, arguments.backend)->Inspect(source.checkpoint);
  source.title = source.summary.name;
  return source;
}

// Codes that `bitlaw quantize --output` wrote.
Source FromFile(const PluginHost& host, const ExportArguments& arguments) {
  if (arguments.model.empty()) {
    throw Error(ErrorKind::kSpec, arguments.what +
                                      ": a file of codes holds no embeddings and no tokenizer. Name the checkpoint "
                                      "that was quantized with --model.");
  }
  RefuseTrial(arguments, "a file of codes, of one model");
  Source source;
  QuantizedFile file = LoadQuantized(arguments.what);
  source.checkpoint = arguments.model;
  source.summary = BackendOf(host, source.checkpoint, arguments.backend)->Inspect(source.checkpoint);
  source.quantized = std::move(file.model);
  source.title = source.summary.name;
  CheckLayers(source, arguments.what);
  return source;
}

// The quantization that a record is of: its own, or its task's trial's.
QuantizationRecord FindQuantizationOf(const RecordStore& store, const fs::path& file) {
  const std::string digest = file.stem().string();
  std::vector<std::string> task_faults, faults;
  std::string quantization = digest;
  if (const auto task = store.FindTask(digest, task_faults)) {
    if (!task->quantization) {
      throw Error(ErrorKind::kSpec, file.string() + ": is of the unquantized model '" + task->trial.label +
                                        "'. Export the model itself.");
    }
    quantization = task->quantization->record;
  }
  auto record = store.FindQuantization(quantization, faults);
  if (record) return std::move(*record);
  throw Error(ErrorKind::kIo, faults.empty() ? file.string() + ": no quantization has its record in " +
                                                   store.output().string() + "."
                                             : faults.front());
}

// A record of a study, whose codes are still there.
Source FromRecord(const PluginHost& host, const ExportArguments& arguments) {
  RefuseTrial(arguments, "a record, of one trial");
  const fs::path file = RecordFile(arguments.what, arguments.results);
  const RecordStore store(file.parent_path().parent_path().parent_path());
  const QuantizationRecord record = FindQuantizationOf(store, file);
  const fs::path codes = store.output() / "artifacts" / (RecordDigest(record.key) + ".safetensors");
  if (!fs::exists(codes)) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: the codes of '{}' are no longer in {}: a run drops them once all tasks of the trial are "
                            "scored. Make them again with bitlaw export STUDY.yaml --trial {} --results {}, or run such a "
                            "study with `keep: artifacts` or --keep-codes.",
                            file.string(), record.trial.label, codes.parent_path().string(), record.trial.id,
                            store.output().string()));
  }
  ExportArguments of_file = arguments;
  of_file.what = codes.string();
  Source source = FromFile(host, of_file);
  if (source.quantized.codes_digest != record.quantization.codes_digest) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: its codes have SHA-256 {}, and the record says {}. They belong to another run.",
                            codes.string(), ShortDigest(source.quantized.codes_digest),
                            ShortDigest(record.quantization.codes_digest)));
  }
  DigestCache cache = CacheOf(store.output());
  const std::string weights =
      cache.Files(BackendOf(host, source.checkpoint, arguments.backend)->Files(source.checkpoint));
  const Value* recorded = record.key.Find("weights_digest");
  if (recorded == nullptr || !(*recorded == Value(weights))) {
    throw Error(ErrorKind::kSpec,
                fmt::format("--model {}: its files have SHA-256 {}, and those that were quantized have {}. Name the "
                            "checkpoint that was quantized.",
                            arguments.model, ShortDigest(weights),
                            recorded == nullptr ? "another" : ShortDigest(recorded->AsString())));
  }
  source.title = record.trial.label;
  return source;
}

// Whether all that a recipe does is to round keys and values.
bool IsOfCacheAlone(const Value& recipe) {
  return recipe.is_map() && recipe.AsMap().size() == 1 && recipe.Find("kv_cache") != nullptr;
}

// A trial of a study, quantized again: codes are not kept once its tasks are scored. They must be the recorded ones.
Source FromStudy(Session& session, const ExportArguments& arguments) {
  if (arguments.trial.empty()) {
    throw Error(ErrorKind::kSpec, arguments.what +
                                      ": a study has many models. Name one with --trial: the start of an id or a "
                                      "part of a label; `bitlaw plan` lists them.");
  }
  const PluginHost& host = session.plugins();
  StudySpec study = ReadStudy(arguments.what, host, session.SearchFolders());
  if (!arguments.results.empty()) study.output = fs::absolute(arguments.results).lexically_normal();
  const ResolvedStudy resolved = Resolve(study, host, nullptr);
  const Plan& plan = resolved.plan;
  const std::vector<size_t> selected = SelectTrials(plan, arguments.trial, "--trial");
  if (selected.size() > 1) {
    std::vector<std::string> labels;
    for (const size_t i : selected) labels.push_back(plan.trials[i].id + " " + plan.trials[i].label);
    throw Error(ErrorKind::kSpec, fmt::format("--trial '{}' matches {} trials: {}. Name one.", arguments.trial,
                                              selected.size(), JoinNames(labels)));
  }
  const Trial& trial = plan.trials[selected.front()];
  const ModelSpec& spec = plan.models[trial.model].spec;
  const bool keeps = trial.quantizer == kKeepWeights;
  if (trial.quantizer == "none" || (keeps && !IsOfCacheAlone(trial.recipe))) {
    throw Error(ErrorKind::kSpec, trial.label + ": its weights are as they were. Export a trial that quantizes them" +
                                      (keeps ? ", or one of quantizer 'keep' that rounds keys and values and nothing else."
                                             : "; for the model itself name its folder or file."));
  }
  const MadeRecipe made = MakeRecipe(host, trial.quantizer, trial.quantizer_options, trial.recipe);
  DigestCache cache = CacheOf(plan.study.output);
  PlanContents contents(plan, host, cache);
  TrialContent content = contents.WithoutCalibration(trial);
  const auto backend = host.MakeModelBackend(spec.backend, spec.backend_options);
  const auto model = backend->Open(spec.path, {trial.compute.dtype, arguments.device});
  std::optional<TokenSequences> sequences;
  if (trial.calibration) {
    const CalibrationSpec& draw = *trial.calibration;
    sequences = DrawCalibration(contents.corpus(draw.corpus), *model, draw.sequences, draw.tokens, draw.seed);
    content.calibration_digest = sequences->digest();
  }
  QuantizeSettings settings;
  settings.allow_fallback = plan.study.allow_fallback;
  settings.keep_blocks = false;
  Source source;
  source.checkpoint = spec.path;
  source.summary = model->summary();
  source.title = trial.label;
  source.quantized =
      QuantizeModel(*model, QuantizeRecipeOf(made, trial.recipe), sequences ? &*sequences : nullptr, settings);
  std::vector<std::string> faults;
  const auto record = RecordStore(plan.study.output).FindQuantization(RecordDigest(QuantizationKey(content)), faults);
  if (!record) {
    fmt::print(stderr, "note: {} has no record in {}: whether these are the codes that were scored cannot be told.\n",
               trial.label, plan.study.output.string());
  } else if (record->quantization.codes_digest != source.quantized.codes_digest) {
    throw Error(
        ErrorKind::kNumerical,
        fmt::format(
            "{}: quantized again, its codes have SHA-256 {}, and those that were scored have {}. Another machine, "
            "device or number of threads made them. Export where the study ran.",
            trial.label, ShortDigest(source.quantized.codes_digest), ShortDigest(record->quantization.codes_digest)));
  }
  return source;
}

// A folder that appears whole or not at all.
void ExportInto(const Exporter& exporter, const Source& source, const ExportModel& model, const fs::path& output) {
  std::error_code error;
  if (fs::exists(output, error) && !(fs::is_directory(output, error) && fs::is_empty(output, error))) {
    throw Error(ErrorKind::kIo, output.string() + ": is there already. Name a new or empty folder with --output.");
  }
  const fs::path whole = fs::absolute(output).lexically_normal();
  fs::path partial = whole;
  if (!partial.has_filename()) partial = partial.parent_path();
  partial += ".partial";
  fs::remove_all(partial, error);
  if (!fs::create_directories(partial, error)) {
    throw Error(ErrorKind::kIo, partial.string() + ": cannot be made: " + error.message() + ".");
  }
  try {
    exporter.Export(source.checkpoint, model, partial);
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
  fs::remove(whole, error);
  fs::rename(partial, whole, error);
  if (error) throw Error(ErrorKind::kIo, output.string() + ": cannot be made: " + error.message() + ".");
}

Source Read(Session& session, const ExportArguments& arguments) {
  const PluginHost& host = session.plugins();
  const fs::path what = arguments.what;
  if (what.extension() == ".yaml" || what.extension() == ".yml") return FromStudy(session, arguments);
  const bool is_digest = !fs::exists(what) && IsDigestStart(arguments.what);
  if (what.extension() == ".json" || is_digest) return FromRecord(host, arguments);
  const bool may_be_codes = !arguments.model.empty() || what.extension() == ".safetensors";
  if (fs::is_directory(what) || !may_be_codes) return FromModel(host, arguments);
  return FromFile(host, arguments);
}

int Export(Session& session, const ExportArguments& arguments) {
  SetTorchThreads(arguments.threads);
  const PluginHost& host = session.plugins();
  const Component& component = host.Find(ComponentKind::kExporter, arguments.format, "--format");
  const auto exporter = host.MakeExporter(component.info.name,
                                          component.schema.Resolve(OptionsFromArguments(arguments.options, "--option"),
                                                                   "exporter '" + component.info.name + "'"));
  const Source source = Read(session, arguments);
  std::vector<ExportLayer> layers;
  for (const QuantizedLayer& layer : source.quantized.layers) layers.push_back({layer.shape, layer.linear});
  std::vector<ExportWeight> others;
  for (const auto* weights : {&source.quantized.other_weights, &source.quantized.model_weights}) {
    for (const auto& [name, value] : *weights) others.push_back({name, value});
  }
  std::vector<ExportRotation> rotations;
  for (const auto& [place, rotation] : source.quantized.rotations) rotations.push_back({place, rotation});
  const KvCacheGrid& cache = source.quantized.kv_cache;
  const ExportModel model{source.summary, layers, others, cache.keys || cache.values ? &cache : nullptr, rotations};
  if (const std::string why = ExplainExport(*exporter, model); !why.empty()) {
    throw Error(ErrorKind::kUnsupported, fmt::format("exporter '{}': {}", component.info.name, why));
  }
  ExportInto(*exporter, source, model, arguments.output);
  const std::string codes = layers.empty() ? "" : ", codes " + ShortDigest(source.quantized.codes_digest);
  fmt::print("{}: {}{}, written as {} to {}\n", source.title, Counted(layers.size(), "layer"), codes,
             component.info.name, arguments.output);
  return 0;
}

}  // namespace

void AddExportVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* verb =
      app.add_subcommand("export", "Write a model, as a rule a quantized one, as a checkpoint that other programs open");
  verb->add_option(
          "what", arguments->what,
          "A study (.yaml), one of whose trials is meant; a file of codes that `bitlaw quantize --output` wrote; a record "
          "(.json, or the beginning of its name with --results) whose codes were kept; or a model, which is written as it "
          "is")
      ->required();
  verb->add_option("--format", arguments->format, "Exporter: `bitlaw plugins list` names them")->required();
  verb->add_option("--output", arguments->output, "Folder that is made")->required();
  verb->add_option("--option", arguments->options, "KEY=VALUE of the exporter; repeatable")->allow_extra_args(false);
  verb->add_option("--model", arguments->model, "With a file of codes or a record: the checkpoint that was quantized");
  verb->add_option("--backend", arguments->backend, "Model backend, if several know the format");
  verb->add_option("--trial", arguments->trial,
                   "With a study: the start of a trial's id or a part of its label, * and ? allowed");
  verb->add_option("--results", arguments->results,
                   "With a study: its output folder, if another than it says; with the beginning of a record's name: the "
                   "folder that it is in");
  verb->add_option("--device", arguments->device, "With a study: cpu, cuda, cuda:1: where the trial is quantized again")
      ->capture_default_str();
  verb->add_option("--threads", arguments->threads, "0: every core this process may use")->check(WholeNumber(0, 1024));
  verb->callback(
      [&session, arguments] { session.action = [&session, arguments] { return Export(session, *arguments); }; });
}

}  // namespace bitlaw
