#include "spec/keys/spec_keys.h"

#include "bitlaw/base/error.h"
#include "spec/figures/figure_options.h"
#include "spec/quantize/activation_part.h"
#include "spec/quantize/expert_part.h"
#include "spec/quantize/kv_part.h"
#include "spec/quantize/override_part.h"
#include "spec/quantize/table_part.h"
#include "spec/study_reader.h"

namespace bitlaw {
namespace {

using Type = Value::Type;

SpecKey Text(std::string name, std::string fallback, std::string doc) {
  return {std::move(name), Type::kString, "text", std::move(fallback), std::move(doc)};
}
SpecKey Bool(std::string name, std::string doc) {
  return {std::move(name), Type::kBool, "`true` or `false`", "`false`", std::move(doc)};
}
SpecKey List(std::string name, std::string fallback, std::string doc) {
  return {std::move(name), Type::kList, "list", std::move(fallback), std::move(doc)};
}
SpecKey Map(std::string name, std::string fallback, std::string doc) {
  return {std::move(name), Type::kMap, "map", std::move(fallback), std::move(doc)};
}
SpecKey Any(std::string name, std::string value, std::string fallback, std::string doc) {
  return {std::move(name), Type::kNull, std::move(value), std::move(fallback), std::move(doc)};
}

std::vector<SpecKey> StudyKeys() {
  return {
      Any("bitlaw", "1", "required", "Version of this format."),
      Text("study", "required", "Name: letters, digits, `.`, `_`, `-`."),
      Text("output", "`results/<study>`", "Folder of records, tables and report, from the working directory."),
      Map("compute", "float32 on the CPU", "How the models compute."),
      List("data_paths", "none",
           "Folders in which data of tasks and corpora are looked for; those in `$BITLAW_DATA_PATH` (separated by `:`) "
           "follow."),
      Any("models", "list", "required", "Checkpoints: paths, patterns of paths, or maps."),
      Map("corpora", "none", "Calibration texts by name."),
      List("quantize", "the unquantized models alone", "What is done to each model: the grid of trials."),
      List("tasks", "none", "Benchmarks: names or paths of task files, or maps."),
      Map("strata", "those that the task files name",
          "Own grouping: from a stratum to a list of task names, each task in one of them."),
      List("laws", "none", "Laws to fit: names or paths of law files, names of loaded components, or maps."),
      Map("map", "none",
          "Columns that fits see beside those of the observations, or in their place: from names to columns or "
          "expressions, read from top to bottom."),
      List("figures", "none", "Own figures of the report."),
      Map("fit", "defaults", "Options of the fits."),
      Map("evaluate", "defaults", "Options of the evaluation."),
      Bool("allow_fallback", "Keep trials in which a quantizer did other than asked for, such as raised damping."),
      Text("keep", "`records`",
           "What stays in the output folder: `records`, or `artifacts`, the codes of each trial's quantized weights, too, "
           "for `bitlaw export` and further tasks."),
  };
}

std::vector<SpecKey> QuantizeKeys() {
  return {
      Text("quantizer", "required",
           "The component; `none`: the unquantized model; `keep`: the weights stay as they are, and activations or the "
           "KV cache are rounded."),
      Any("transforms", "list of names or maps", "none",
          "Changes of the unquantized model before it is rounded, in this order; a map has the key `transform` and "
          "options. An axis is a list of such lists."),
      Any("grid", "text", "`uniform`, the quantizer's own integers",
          "The points that weights may take: the name of a grid component."),
      Any("weights", "map", "none",
          "Options of the quantizer and of its grid, written together: `weights: {bits: 4}` is `bits: 4`."),
      Any("overrides", "list of maps", "none",
          "Rules for layers with options of their own: `match`, a pattern of names, and options, or `skip: true`. An "
          "axis is a list of such lists."),
      Any("sequential", "`stage`, `block` or `none`", "`stage`",
          "Which layers before a layer are quantized when its inputs are observed."),
      Any("experts", "map", "the quantizer's own rule", "What a mixture's experts are calibrated on."),
      Any("activations", "map", "not rounded", "What the inputs of linear layers are rounded to."),
      Any("kv_cache", "map", "not rounded", "What keys and values are rounded to."),
      Any("embeddings", "map", "not rounded", "How the input embedding (with a tied head) is rounded."),
      Any("head", "map", "not rounded", "How an untied output head is rounded."),
      Any("calibration", "map", "none", "Which calibration text the quantizer and the transforms see."),
      Any("zip", "map or list of maps", "none", "Axes that advance together: from options to lists of equal length."),
      Text("where", "all cells", "A condition; cells for which it is false are left out."),
      List("skip", "none",
           "Maps; a cell that agrees with all entries of one map is left out. A list in such a map means any of its "
           "values. The key `model`, the name of one or a list of them, leaves the cell out of these models alone."),
  };
}

// Its schema says the rest; the keys are the same.
std::vector<SpecKey> CalibrationKeys() {
  std::vector<SpecKey> keys;
  for (const OptionField& field : CalibrationSchema().fields()) keys.push_back(Any(field.name, "", "", field.doc));
  return keys;
}

std::vector<SpecMap> MakeMaps() {
  std::vector<SpecMap> maps = {
      {"study", "The study file", "", StudyKeys(), {}},
      {"compute",
       "`compute:`",
       "",
       {Text("dtype", "`float32`", "`float32` or `bfloat16`."),
        Text("device", "`cpu`", "`cpu`, `cuda` or `cuda:1`; never changed silently."),
        List("devices", "none",
             "In place of `device` several of one kind, `[\"cuda:0\", \"cuda:1\"]`: one worker each, unless "
             "`--workers` says otherwise, and then in turn.")},
       {}},
      {"model",
       "An entry of `models:`",
       "A path alone is `{path: ...}`. `*`, `?` and `[...]` stand for files and folders.",
       {Text("path", "required", "File or folder, or a pattern."),
        Text("name", "name of the file or folder", "How tables call it; only for a path that matches one model."),
        Text("family", "the architecture", "For tests across families."),
        Text("backend", "the one that knows the format", "A model component."),
        Map("backend_options", "its defaults", "Options of that component; needs `backend`."),
        Bool("hold_out", "Keep the model out of fits and use it for validation."),
        Text("original", "none",
             "Of a checkpoint that another program quantized: the name of the model of this study that it was made "
             "from, whose scores are then its `baseline_value`."),
        Map("columns", "none",
            "Columns of its own in the observations, numbers or texts: `{D: 36e12, vendor: acme}`. A model without a "
            "column that another has lacks its value.")},
       {}},
      {"corpus",
       "An entry of `corpora:`",
       "All other keys are options of the component (`bitlaw plugins describe corpus/text`).",
       {Text("type", "required", "The corpus component."),
        Map("columns", "none", "Columns of its own in the observations, as those of a model.")},
       {}},
      {"quantize",
       "An entry of `quantize:`",
       "`none` is the unquantized model; the name of a quantizer alone is `{quantizer: NAME}`. All other keys are "
       "options of the "
       "quantizer (`bitlaw plugins describe quantizer/gptq`). A list in place of a value is an axis of the grid.",
       QuantizeKeys(),
       {}},
      {"calibration", "", "", CalibrationKeys(), {}},  // Shown by SpecParts().
      {"task",
       "An entry of `tasks:`",
       "A name or path alone is `{task: ...}`. All other keys are options of the task; each replaces that of the file, "
       "as a whole.",
       {Text("task", "required", "Name or path of the task file."),
        Text("as", "its name", "Another name for it, needed to list a task twice.")},
       {}},
      {"law",
       "An entry of `laws:`",
       "A name or path alone is `{law: ...}`. All other keys are options of the law (`bitlaw plugins describe "
       "law/formula`).",
       {Text("law", "none: the law is written here",
             "Name or path of a law file, whose keys the other keys replace, or where there is none the name of a loaded "
             "component."),
        Text("name", "name of the file or component; required without `law`", "How tables call it."),
        Text("type", "`formula`", "The law component.")},
       {}},
      {"task file",
       "A task file",
       "All other keys are options of the component (`bitlaw plugins describe task/multiple_choice`).",
       {Text("type", "required", "The task component."),
        Text("include", "none",
             "Another task file to start from; keys of this one replace its keys, each as a whole.")},
       {}},
      {"law file",
       "A law file",
       "All other keys are options of the component.",
       {Text("name", "name of the file", "How tables call it."), Text("type", "`formula`", "The law component."),
        Text("include", "none", "Another law file to start from, as in task files.")},
       {}},
  };
  for (SpecMap& map : maps) {
    for (const SpecKey& key : map.keys) map.names.push_back(key.name);
  }
  return maps;
}

}  // namespace

const std::vector<SpecMap>& SpecMaps() {
  static const std::vector<SpecMap> kMaps = MakeMaps();
  return kMaps;
}

const SpecMap& SpecMapOf(std::string_view kind) {
  for (const SpecMap& map : SpecMaps())
    if (map.kind == kind) return map;
  throw InternalError("there are no spec keys of '" + std::string(kind) + "'");
}

std::vector<SpecPart> SpecParts() {
  return {
      {"`calibration:` of a `quantize:` entry", "A list in place of a value is an axis.", CalibrationSchema()},
      {"`overrides:` of a `quantize:` entry, a rule", "All other keys are options of the quantizer.",
       RuleSchema(OptionSchema())},
      {"`experts:` of a `quantize:` entry", "", ExpertSchema()},
      {"`activations:` of a `quantize:` entry", "", ActivationSchema()},
      {"`kv_cache:` of a `quantize:` entry", "", KvCacheSchema()},
      {"`embeddings:` and `head:` of a `quantize:` entry", "", TableSchema()},
      {"An entry of `figures:`", "", FigureSchema()},
  };
}

const std::vector<std::string>& SpecKeysOf(std::string_view kind) { return SpecMapOf(kind).names; }

}  // namespace bitlaw
