#include <fmt/format.h>

#include <optional>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "cli/common/select_trials.h"
#include "cli/tensor/model_argument.h"
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

// Every layer is one of the model's, of its shape.
void CheckLayers(const Source& source, const std::string& origin) {
  const auto& layers = source.quantized.layers;
  const auto& expected = source.summary.linears;
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

// Codes that `bitlaw quantize --output` wrote.
Source FromFile(const PluginHost& host, const ExportArguments& arguments) {
  if (arguments.model.empty()) {
    throw Error(ErrorKind::kSpec, arguments.what +
                                      ": a file of codes holds no embeddings and no tokenizer. Name the checkpoint "
                                      "that was quantized with --model.");
  }
  if (!arguments.trial.empty()) {
    throw Error(ErrorKind::kSpec, "--trial " + arguments.trial + ": " + arguments.what +
                                      " is a file of codes, of one model. Leave "
                                      "--trial out.");
  }
  Source source;
  QuantizedFile file = LoadQuantized(arguments.what);
  source.checkpoint = arguments.model;
  const std::string backend = BackendFor(host, source.checkpoint, arguments.backend);
  const Options defaults = host.Find(ComponentKind::kModel, backend).schema.Resolve(Value(), "model '" + backend + "'");
  source.summary = host.MakeModelBackend(backend, defaults)->Inspect(source.checkpoint);
  source.quantized = std::move(file.model);
  source.title = source.summary.name;
  CheckLayers(source, arguments.what);
  return source;
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
  if (trial.quantizer == "none" || trial.quantizer == kKeepWeights) {
    throw Error(ErrorKind::kSpec, trial.label + ": its weights are as they were. Export a trial that quantizes them.");
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

int Export(Session& session, const ExportArguments& arguments) {
  SetTorchThreads(arguments.threads);
  const PluginHost& host = session.plugins();
  const Component& component = host.Find(ComponentKind::kExporter, arguments.format, "--format");
  const auto exporter = host.MakeExporter(component.info.name,
                                          component.schema.Resolve(OptionsFromArguments(arguments.options, "--option"),
                                                                   "exporter '" + component.info.name + "'"));
  const bool is_study =
      fs::path(arguments.what).extension() == ".yaml" || fs::path(arguments.what).extension() == ".yml";
  const Source source = is_study ? FromStudy(session, arguments) : FromFile(host, arguments);
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
  fmt::print("{}: {} layers, codes {}, written as {} to {}\n", source.title, layers.size(),
             ShortDigest(source.quantized.codes_digest), component.info.name, arguments.output);
  return 0;
}

}  // namespace

void AddExportVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* verb = app.add_subcommand("export", "Write a quantized model as a checkpoint that other programs open");
  verb->add_option(
          "what", arguments->what,
          "A file of codes that `bitlaw quantize --output` wrote, or a study (.yaml), one of whose trials is meant")
      ->required();
  verb->add_option("--format", arguments->format, "Exporter: `bitlaw plugins list` names them")->required();
  verb->add_option("--output", arguments->output, "Folder that is made")->required();
  verb->add_option("--option", arguments->options, "KEY=VALUE of the exporter; repeatable")->allow_extra_args(false);
  verb->add_option("--model", arguments->model, "With a file of codes: the checkpoint that was quantized");
  verb->add_option("--backend", arguments->backend, "Model backend, if several know the format");
  verb->add_option("--trial", arguments->trial,
                   "With a study: the start of a trial's id or a part of its label, * and ? allowed");
  verb->add_option("--results", arguments->results, "With a study: its output folder, if another than it says");
  verb->add_option("--device", arguments->device, "With a study: cpu, cuda, cuda:1: where the trial is quantized again")
      ->capture_default_str();
  verb->add_option("--threads", arguments->threads, "0: every core this process may use")->check(CLI::Range(0, 1024));
  verb->callback(
      [&session, arguments] { session.action = [&session, arguments] { return Export(session, *arguments); }; });
}

}  // namespace bitlaw
