#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/api/corpus.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "cli/common/output.h"
#include "cli/tensor/model_argument.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "quantize/calibration/draw.h"
#include "quantize/expert_tokens.h"
#include "quantize/quantized_file.h"
#include "quantize/recipe/recipe_settings.h"
#include "quantize/recipe/transform_model.h"
#include "records/csv_text.h"
#include "records/table.h"
#include "run/machine/machine.h"
#include "run/progress.h"
#include "spec/quantize/recipe.h"

namespace bitlaw {
namespace {

struct QuantizeArguments {
  std::string model, backend, quantizer, recipe, corpus, corpus_component = "text", dtype = "float32", device = "cpu";
  std::vector<std::string> options, corpus_options;
  int64_t sequences = 128, tokens = 512, batch_tokens = 0;
  uint64_t seed = 0;
  int threads = 0;
  std::string sequential, output, csv;
  bool json = false, allow_fallback = false, no_overlap = false;
};

// One line that is rewritten on a terminal; elsewhere a plain line at most every ten seconds.
class LayerProgress {
 public:
  LayerProgress(std::FILE* file, bool quiet) : file_(file), quiet_(quiet), is_terminal_(::isatty(::fileno(file)) == 1) {}
  ~LayerProgress() {
    if (is_terminal_ && is_shown_) std::fputs("\r\x1b[K", file_);
  }

  void Show(const QuantizeProgress& progress) {
    if (quiet_) return;
    const bool is_last = progress.layers_done == progress.layers_total;
    if (!is_terminal_ && !is_last && progress.elapsed_s - last_s_ < 10) return;
    last_s_ = progress.elapsed_s;
    const std::string line = fmt::format("[{}/{}] {:.0f} %, {} left | {}", progress.layers_done, progress.layers_total,
                                         100.0 * static_cast<double>(progress.layers_done) /
                                             static_cast<double>(progress.layers_total),
                                         DurationText(progress.remaining_s), progress.layer);
    fmt::print(file_, "{}{}{}", is_terminal_ ? "\r\x1b[K" : "", line, is_terminal_ ? "" : "\n");
    std::fflush(file_);
    is_shown_ = true;
  }

 private:
  std::FILE* file_;
  bool quiet_, is_terminal_, is_shown_ = false;
  double last_s_ = -10;
};

std::vector<std::string> DiagnosticNames(const QuantizedModel& quantized) {
  std::vector<std::string> names;
  for (const QuantizedLayer& layer : quantized.layers) {
    for (const auto& [name, value] : layer.linear.diagnostics) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::string LayerTable(const QuantizedModel& quantized) {
  const std::vector<std::string> diagnostics = DiagnosticNames(quantized);
  std::string table = "layer,block,in_features,out_features,bits,group_size,bits_per_weight,fallback,elapsed_s";
  for (const std::string& name : diagnostics) table += "," + CsvField(name);
  table += "\n";
  for (const QuantizedLayer& layer : quantized.layers) {
    table += fmt::format("{},{},{},{},{},{},{},{},{:.4f}", CsvField(layer.shape.name), layer.shape.block, layer.shape.in_features,
                         layer.shape.out_features, layer.linear.bits, layer.linear.group_size, layer.bits_per_weight,
                         Name(layer.linear.fallback), layer.elapsed_s);
    for (const std::string& name : diagnostics) {
      const double value = layer.diagnostic(name);
      table += std::isnan(value) ? "," : fmt::format(",{}", value);
    }
    table += "\n";
  }
  return table;
}

// Mean of a diagnostic over the layers that have it; NaN if none has.
double MeanOf(const QuantizedModel& quantized, std::string_view name) {
  double sum = 0;
  int64_t count = 0;
  for (const QuantizedLayer& layer : quantized.layers) {
    const double value = layer.diagnostic(name);
    if (std::isnan(value)) continue;
    sum += value;
    ++count;
  }
  return count > 0 ? sum / static_cast<double>(count) : std::nan("");
}

int64_t LayersBelowRtn(const QuantizedModel& quantized) {
  return std::count_if(quantized.layers.begin(), quantized.layers.end(), [](const QuantizedLayer& layer) {
    return layer.diagnostic("hessian_error") < layer.diagnostic("hessian_error_rtn");
  });
}

Value LayerJson(const QuantizedLayer& layer) {
  Value diagnostics(Value::Map{});
  for (const auto& [name, value] : layer.linear.diagnostics) diagnostics.Set(name, NumberOrNull(value));
  return Value::Map{{"layer", layer.shape.name},
                    {"bits", layer.linear.bits},
                    {"group_size", layer.linear.group_size},
                    {"bits_per_weight", layer.bits_per_weight},
                    {"fallback", std::string(Name(layer.linear.fallback))},
                    {"elapsed_s", layer.elapsed_s},
                    {"diagnostics", diagnostics}};
}

Value ExpertsJson(const ExpertTokens& tokens, int64_t minimum) {
  return Value::Map{{"experts", tokens.experts},
                    {"routed_tokens_least", tokens.least},
                    {"routed_tokens_median", tokens.median},
                    {"routed_tokens_greatest", tokens.greatest},
                    {"minimum_tokens", minimum},
                    {"below_minimum", tokens.below_minimum}};
}

Value RotationsJson(const QuantizedModel& quantized) {
  Value::List list;
  for (const RotationCount& one : CountRotations(quantized.rotations)) {
    list.push_back(Value::Map{{"place", one.place},
                              {"rotation", one.rotation},
                              {"width", one.width},
                              {"places", one.places},
                              {"operations", one.operations}});
  }
  return list;
}

int64_t GroupsAtSmallestScale(const QuantizedModel& quantized) {
  int64_t groups = 0;
  for (const QuantizedLayer& layer : quantized.layers) {
    const double here = layer.diagnostic("smallest_scales");
    if (here > 0) groups += static_cast<int64_t>(here);
  }
  return groups;
}

Value Summary(const QuantizedModel& quantized, const Value& about, int threads, const std::string& device) {
  Value summary = about;
  const Value* parts = about.Find("recipe");
  const int64_t minimum = MinimumTokens(parts == nullptr ? Value() : *parts);
  if (const auto tokens = RoutedTokens(quantized, minimum)) summary.Set("experts", ExpertsJson(*tokens, minimum));
  if (!quantized.rotations.empty()) summary.Set("online_rotations", RotationsJson(quantized));
  summary.Set("layers", static_cast<int64_t>(quantized.layers.size()));
  if (!quantized.skipped.empty()) {
    Value::List names;
    for (const LinearShape& layer : quantized.skipped) names.push_back(layer.name);
    summary.Set("skipped", std::move(names));
  }
  summary.Set("bits_requested", quantized.bits_requested);
  summary.Set("bits_effective", quantized.bits_effective);
  summary.Set("hessian_error_mean", NumberOrNull(MeanOf(quantized, "hessian_error")));
  summary.Set("hessian_error_rtn_mean", NumberOrNull(MeanOf(quantized, "hessian_error_rtn")));
  if (const int64_t groups = GroupsAtSmallestScale(quantized); groups > 0) summary.Set("smallest_scales", groups);
  summary.Set("codes_digest", quantized.codes_digest);
  const QuantizeTimes& times = quantized.times;
  summary.Set("time", Value::Map{{"total_s", times.total_s},
                                 {"forward_s", times.forward_s},
                                 {"statistics_s", times.statistics_s},
                                 {"quantize_s", times.quantize_s},
                                 {"install_s", times.install_s},
                                 {"matrix_product_share", times.matrix_product_share()},
                                 {"threads", threads}});
  summary.Set("peak_memory_bytes", PeakMemoryBytes());
  const Value use = DeviceUse(device);
  for (const auto& [key, value] : use.AsMap()) summary.Set(key, value);
  return summary;
}

void PrintExperts(const QuantizedModel& quantized, const Value& parts) {
  const int64_t minimum = MinimumTokens(parts);
  const auto tokens = RoutedTokens(quantized, minimum);
  if (!tokens) return;
  fmt::print("experts           {}, routed tokens least {}, median {}, greatest {}; fewer than {}: {}; routers as they "
             "are\n",
             tokens->experts, tokens->least, tokens->median, tokens->greatest, minimum, tokens->below_minimum);
}

void PrintSummary(const QuantizedModel& quantized, const std::string& title, const Value& parts,
                  const std::string& output, const std::string& device) {
  const QuantizeTimes& times = quantized.times;
  fmt::print("{}\n", title);
  fmt::print("layers            {}{}\n", quantized.layers.size(),
             quantized.skipped.empty() ? "" : fmt::format(", {} more as they are", quantized.skipped.size()));
  fmt::print("bits a weight     {:.4g} requested, {:.4f} effective\n", quantized.bits_requested, quantized.bits_effective);
  PrintExperts(quantized, parts);
  for (const RotationCount& one : CountRotations(quantized.rotations)) {
    fmt::print("turned each pass  {}: {}, {} places\n", one.place, one.rotation, one.places);
  }
  if (const double error = MeanOf(quantized, "hessian_error"); !std::isnan(error)) {
    fmt::print("Hessian error     {:.5f} relative, mean over layers; round to nearest {:.5f}; below it on {} of {}\n", error,
               MeanOf(quantized, "hessian_error_rtn"), LayersBelowRtn(quantized), quantized.layers.size());
  }
  if (const int64_t groups = GroupsAtSmallestScale(quantized); groups > 0) {
    fmt::print("smallest scales   {} weights too small for any other scale of this type\n",
               Counted(groups, "group of", "groups of"));
  }
  fmt::print("time              {:.1f} s: forward {:.1f}, statistics {:.1f}, quantize {:.1f}, install {:.1f}\n",
             times.total_s, times.forward_s, times.statistics_s, times.quantize_s, times.install_s);
  if (times.matrix_product_s > 0) {
    fmt::print("matrix products   {:.0f} % of the time\n", 100 * times.matrix_product_share());
  }
  fmt::print("peak memory       {:.2f} GiB\n", static_cast<double>(PeakMemoryBytes()) / (1 << 30));
  if (const Value use = DeviceUse(device); use.Find("peak_device_memory_bytes") != nullptr) {
    fmt::print("device            {}, peak {:.2f} GiB\n", use.Find("device_name") ? use.Find("device_name")->AsString() : device,
               use.Find("peak_device_memory_bytes")->AsReal() / (1 << 30));
  }
  fmt::print("codes             {}\n", ShortDigest(quantized.codes_digest));
  if (!output.empty()) fmt::print("written           {}\n", output);
}

// "quantizer/gptq, transform/smooth_scale, grid/nf4, overrides, experts, activations, kv_cache, embeddings, head"
std::string Title(const SingleRecipe& recipe) {
  const bool keeps = recipe.quantizer == kKeepWeights;
  std::string title = keeps ? "weights as they are" : "quantizer/" + recipe.quantizer;
  const Value& parts = recipe.options.recipe;
  if (parts.is_null()) return title;
  if (const Value* transforms = parts.Find("transforms")) {
    for (const Value& one : transforms->AsList()) title += ", transform/" + one.Find("name")->AsString();
  }
  if (const Value* grid = parts.Find("grid")) title += ", grid/" + grid->Find("name")->AsString();
  for (const char* section : {"overrides", "experts", "activations", "kv_cache", "embeddings", "head"}) {
    if (parts.Find(section) != nullptr) title += std::string(", ") + section;
  }
  return title;
}

std::unique_ptr<Corpus> OpenCorpus(const PluginHost& host, const QuantizeArguments& arguments) {
  Value given = OptionsFromArguments(arguments.corpus_options, "--corpus-option");
  const Component& component = host.Find(ComponentKind::kCorpus, arguments.corpus_component, "--corpus-type");
  if (!arguments.corpus.empty()) {
    if (component.schema.Find("path") == nullptr) {
      throw Error(ErrorKind::kSpec, "--corpus " + arguments.corpus + ": the corpus '" + component.info.name +
                                        "' reads no file. Leave --corpus out; its options are given with --corpus-option.");
    }
    given.Set("path", std::filesystem::absolute(arguments.corpus).string());
  }
  // A study must say how a text is cut; here, where one file is named, joining it is what people mean.
  if (component.info.name == "text" && given.Find("mode") == nullptr) given.Set("mode", "concatenate");
  return host.MakeCorpus(component.info.name, component.schema.Resolve(given, "corpus '" + component.info.name + "'"));
}

// The entry of `quantize:` that file and flags come to: a flag counts more than the file.
Value RecipeEntry(const QuantizeArguments& arguments) {
  Value entry = Value::Map{};
  if (!arguments.recipe.empty()) {
    entry = ReadYamlFile(arguments.recipe);
    if (!entry.is_map()) {
      throw Error(ErrorKind::kSpec, arguments.recipe + ": a recipe is a map, an entry of 'quantize' of a study: "
                                                       "{quantizer: gptq, activations: {bits: 8}}.");
    }
  }
  if (!arguments.quantizer.empty()) {
    entry.Set("quantizer", arguments.quantizer);
  } else if (entry.Find("quantizer") == nullptr) {
    entry.Set("quantizer", "gptq");
  }
  if (!arguments.sequential.empty()) entry.Set("sequential", arguments.sequential);
  const Value options = OptionsFromArguments(arguments.options, "--option");
  for (const auto& [key, value] : options.AsMap()) {
    const size_t dot = key.find('.');
    if (dot == std::string::npos) {
      entry.Set(key, value);
      continue;
    }
    const Value* section = entry.Find(key.substr(0, dot));
    Value map = section != nullptr && section->is_map() ? *section : Value(Value::Map{});
    map.Set(key.substr(dot + 1), value);
    entry.Set(key.substr(0, dot), std::move(map));
  }
  return entry;
}

int Quantize(Session& session, const QuantizeArguments& arguments) {
  const int threads = SetTorchThreads(arguments.threads);
  const PluginHost& host = session.plugins();
  const SingleRecipe recipe = ReadRecipe(RecipeEntry(arguments), "the recipe", host);
  const Value& parts = recipe.options.recipe;
  const MadeRecipe made = MakeRecipe(host, recipe.quantizer, recipe.options.quantizer, parts);
  if (made.quantizer == nullptr && !arguments.output.empty()) {
    throw Error(ErrorKind::kSpec, "--output " + arguments.output + ": the recipe keeps the weights as they are, so "
                                                                   "there are no codes to write. Leave it out.");
  }
  const bool needs_calibration = made.needs_calibration();
  // A corpus component that reads no file needs none.
  if (needs_calibration && arguments.corpus.empty() &&
      host.Find(ComponentKind::kCorpus, arguments.corpus_component, "--corpus-type").schema.Find("path") != nullptr) {
    throw Error(ErrorKind::kSpec, fmt::format("{} needs calibration text. Give a .txt or .jsonl file with --corpus.",
                                              made.quantizer != nullptr && made.quantizer->needs().any()
                                                  ? "quantizer '" + recipe.quantizer + "'"
                                              : made.calibrates_inputs || made.calibrates_cache ? "a static scale"
                                                                                                : "a transform"));
  }
  std::unique_ptr<Corpus> corpus;
  if (needs_calibration) corpus = OpenCorpus(host, arguments);
  const ComputeSetting compute{.dtype = ParseDtype(arguments.dtype), .device = arguments.device};
  const OpenedModel opened = OpenModelArgument(host, arguments.model, arguments.backend, compute);
  const ModelSummary& summary = opened.model->summary();
  if (const std::string reason = ExplainUnsupportedParts(made, parts, summary); !reason.empty()) {
    throw Error(ErrorKind::kUnsupported, arguments.model + ": " + reason + ".");
  }

  std::optional<TokenSequences> sequences;
  if (corpus) {
    sequences = DrawCalibration(*corpus, *opened.model, arguments.sequences, arguments.tokens, arguments.seed);
  }
  std::optional<QuantizedFileWriter> file;
  if (!arguments.output.empty()) file.emplace(arguments.output);
  const QuantizeSettings settings{
      .batch_tokens = arguments.batch_tokens,
      .allow_fallback = arguments.allow_fallback,
      .keep_blocks = false,
      .overlaps = !arguments.no_overlap,
      .take_codes = [&file](QuantizedLayer& layer) { file ? file->Take(layer) : DropTensors(layer.linear); }};
  QuantizedModel quantized;
  {
    LayerProgress line(stderr, session.quiet);
    quantized = QuantizeModel(*opened.model, QuantizeRecipeOf(made, parts), sequences ? &*sequences : nullptr,
                              settings, [&line](const QuantizeProgress& progress) { line.Show(progress); });
  }

  Value about(Value::Map{{"model", summary.name},
                         {"backend", opened.backend},
                         {"baseline_note", summary.baseline_note},
                         {"quantizer", recipe.quantizer},
                         {"quantizer_version", recipe.version},
                         {"options", recipe.options.quantizer.map()},
                         {"sequential", parts.is_null() || parts.Find("sequential") == nullptr
                                            ? "stage"
                                            : parts.Find("sequential")->AsString()},
                         {"dtype", arguments.dtype}});
  if (!parts.is_null()) about.Set("recipe", parts);
  if (sequences) {
    about.Set("calibration", Value::Map{{"corpus", arguments.corpus.empty() ? arguments.corpus_component
                                                                       : std::filesystem::path(arguments.corpus).filename().string()},
                                        {"sequences", sequences->count},
                                        {"tokens", sequences->length_tokens},
                                        {"seed", static_cast<int64_t>(arguments.seed)},
                                        {"digest", sequences->digest()}});
  }
  opened.CheckUnchanged();
  if (file) file->Finish(quantized, about);
  if (!arguments.csv.empty()) WriteDurably(arguments.csv, LayerTable(quantized));
  if (arguments.json) {
    Value report = Summary(quantized, about, threads, arguments.device);
    Value::List layers;
    for (const QuantizedLayer& layer : quantized.layers) layers.push_back(LayerJson(layer));
    report.Set("per_layer", std::move(layers));
    std::fputs(PrettyJson(report).c_str(), stdout);
  } else {
    PrintSummary(quantized, fmt::format("{}, {}", summary.name, Title(recipe)), parts, arguments.output,
                 arguments.device);
  }
  return 0;
}

}  // namespace

void AddQuantizeVerb(CLI::App& app, Session& session) {
  auto arguments = std::make_shared<QuantizeArguments>();
  CLI::App* verb = app.add_subcommand("quantize", "Quantize one checkpoint; write its codes and a table of its layers");
  verb->add_option("model", arguments->model, "Checkpoint: a file or a folder")->required();
  verb->add_option("--backend", arguments->backend, "Model backend, if several know the format");
  verb->add_option("--quantizer", arguments->quantizer,
                   "Quantizer, gptq unless the recipe names one, or 'keep' for the weights as they are; 'bitlaw "
                   "plugins describe' lists its options");
  verb->add_option("--recipe", arguments->recipe,
                   "YAML file of what is done: an entry of a study's 'quantize' (docs/study.md) with quantizer, "
                   "options, transforms, weights, activations, kv_cache");
  verb->add_option("--option", arguments->options,
                   "KEY=VALUE of the quantizer or another part of the recipe, e.g. bits=3, grid=nf4, "
                   "activations.bits=8, kv_cache.key_bits=8, 'transforms=[smooth_scale]'; counts more than the file; "
                   "repeatable")
      ->allow_extra_args(false);
  verb->add_option("--corpus", arguments->corpus, "Calibration text, .txt or .jsonl");
  verb->add_option("--corpus-type", arguments->corpus_component, "Corpus component")->capture_default_str();
  verb->add_option("--corpus-option", arguments->corpus_options, "KEY=VALUE of the corpus; repeatable")
      ->allow_extra_args(false);
  verb->add_option("--sequences", arguments->sequences, "Calibration sequences Cb")
      ->check(WholeNumber(1))
      ->capture_default_str();
  verb->add_option("--tokens", arguments->tokens, "Tokens a sequence T")->check(WholeNumber(1))->capture_default_str();
  verb->add_option("--seed", arguments->seed, "Seed of the draw")->capture_default_str();
  verb->add_option("--dtype", arguments->dtype, "Compute dtype: float32 or bfloat16")->capture_default_str();
  verb->add_option("--device", arguments->device, "cpu, cuda, cuda:1")->capture_default_str();
  verb->add_option("--threads", arguments->threads, "0: every core this process may use")->check(WholeNumber(0, 1024));
  verb->add_option("--sequential", arguments->sequential,
                   "Which layers before a layer are quantized when its inputs are observed: stage: those of its block "
                   "too, as without this and a recipe; block: those of earlier blocks; none: none")
      ->check(OneOf({"stage", "block", "none"}));
  verb->add_option("--batch-tokens", arguments->batch_tokens,
                   "Calibration tokens that go through a block at once; at most, and with 0, 4096 on the CPU and 16384 "
                   "elsewhere. Codes do not depend on it")
      ->check(WholeNumber(0))
      ->capture_default_str();
  verb->add_flag("--allow-fallback", arguments->allow_fallback, "Keep layers for which the quantizer did other than asked");
  verb->add_flag("--no-overlap", arguments->no_overlap,
                 "Read each block when it is due and quantize a mixture's experts one by one: the same codes, slower, in "
                 "less memory");
  verb->add_option("--output", arguments->output, "Write codes, scales and zero points here (safetensors)");
  verb->add_option("--csv", arguments->csv, "Write the table of layers here");
  verb->add_flag("--json", arguments->json, "Print summary and layers as JSON");
  verb->callback([&session, arguments] { session.action = [&session, arguments] { return Quantize(session, *arguments); }; });
}

}  // namespace bitlaw
