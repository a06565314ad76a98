#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

class Law;
class PluginHost;

/// Reads a YAML file into a Value tree with marks. Strict: duplicate keys, tabs in the wrong place, anchors that
/// do not resolve, several documents, and plain scalars that other readers take differently (010, 1_000, yes, ~)
/// are Error(kSpec) with file:line:col.
BITLAW_EXPORT Value ReadYamlFile(const std::filesystem::path& path);
BITLAW_EXPORT Value ParseYaml(const std::string& text, const std::string& origin);

/// One axis of a grid: a column name and the values it takes.
struct BITLAW_EXPORT GridAxis {
  std::string name;            ///< "bits", "group_size", "calibration.sequences", ...
  std::vector<Value> values;       ///< As written.
  SourceMark mark;
  std::vector<Value> resolved{};   ///< By their field, one for each of `values`.
};

/// A calibration draw before its axes are expanded.
struct BITLAW_EXPORT CalibrationSpec {
  std::string corpus;          ///< Name in StudySpec::corpora.
  int64_t sequences = 128;     ///< Cb
  int64_t tokens = 512;        ///< T
  uint64_t seed = 0;
};

/// Stands for a quantizer in a recipe whose weights stay as they are: only activations or the KV cache are rounded.
inline constexpr std::string_view kKeepWeights = "keep";

/// One entry of `quantize:`: a component, fixed options, axes, zipped axes and a filter.
struct BITLAW_EXPORT QuantizeSpec {
  std::string component;                       ///< "gptq"; "none": the unquantized model; "keep": kKeepWeights.
  /// What fixed and axes are resolved with: the quantizer's options, and after them those of the recipe's other parts that
  /// the entry has, under dotted names (spec/quantize/recipe.h).
  OptionSchema schema;
  Value fixed;                                 ///< Options given as single values, as written.
  Value calibration_fixed;                     ///< The same of the calibration. Null: there is none.
  Options first;                               ///< Of the first cell, resolved.
  Options first_calibration;                   ///< The same of its calibration; no options if there is none.
  std::vector<std::vector<GridAxis>> axes;     ///< Product over the outer list; the inner list advances together.
  std::string where;                           ///< Condition over options and calibration; empty: every cell.
  std::vector<Value> skip;                     ///< Maps: a cell that agrees with every entry of one is left out.
  SourceMark mark, where_mark;
};

/// How axes of the calibration are called among the options of a quantizer: "calibration.sequences".
inline constexpr std::string_view kCalibrationPrefix = "calibration.";

struct BITLAW_EXPORT ModelSpec {
  std::filesystem::path path;                  ///< Absolute, globs expanded.
  std::string name;                            ///< Unique in the study.
  std::string family;                          ///< For cross-family tests; defaults to the architecture.
  std::string backend;                         ///< "hf": given, or the one backend that claims the path.
  Options backend_options;                     ///< Resolved.
  bool hold_out = false;                       ///< Kept out of fits, used for validation.
  std::string original;                        ///< Of a quantized checkpoint: the model of the study that it was made from.
  std::vector<std::pair<std::string, Value>> columns;  ///< The study's own of this model: numbers and texts.
  SourceMark mark;
};

struct BITLAW_EXPORT CorpusSpec {
  std::string name, component;
  Options options;                             ///< Resolved.
  std::vector<std::pair<std::string, Value>> columns;  ///< The study's own of this corpus: its domain, its quality.
  SourceMark mark;
};

/// One benchmark of the study, read from its task file.
struct BITLAW_EXPORT TaskSpec {
  std::string name;                            ///< "arc_easy", or `as:` of the study.
  std::string component;                       ///< "multiple_choice"
  Options options;                             ///< Task file merged with the study's overrides, resolved.
  TaskContext context;
  std::filesystem::path file;
  SourceMark mark;
};

/// One law to fit, from a law file or inline.
struct BITLAW_EXPORT LawSpec {
  std::string name, component;                 ///< "stratified_power", "formula"
  Value given;                                 ///< Its options as they are written, for study.json.
  std::optional<Options> options;              ///< Resolved; empty for a law that was read from study.json.
  SourceMark mark;
};

/// A device that models compute on.
struct BITLAW_EXPORT DeviceSpec {
  std::string name;                            ///< "cpu", "cuda", "cuda:1"
  SourceMark mark;
};
/// "cuda" of "cuda:1": numbers do not depend on which of several equal devices computes them.
BITLAW_EXPORT std::string DeviceKind(const std::string& device);

/// What a study file says, decoded strictly, with paths made absolute and the options of its components resolved: nobody
/// resolves them again. Of models only names and magic bytes were looked at. docs/reference/study.md is the reference of the file format.
struct BITLAW_EXPORT StudySpec {
  std::string name;
  std::filesystem::path file;
  std::filesystem::path output;                ///< Folder of records, tables and report.
  ComputeSetting compute;                      ///< `device` is the kind of `devices`: no number of a card.
  std::vector<DeviceSpec> devices = {{"cpu", {}}};  ///< One worker each, unless told otherwise; all of one kind.
  std::vector<std::string> data_paths;         ///< Absolute; those of $BITLAW_DATA_PATH at the end.
  std::vector<ModelSpec> models;
  std::vector<CorpusSpec> corpora;
  std::vector<QuantizeSpec> quantize;
  std::vector<TaskSpec> tasks;
  std::map<std::string, std::vector<std::string>> strata;  ///< Stratum -> task names; empty: the tasks' own.
  std::vector<LawSpec> laws;
  /// Columns that fits see beside or in place of those of the observations: name -> column or expression, in this order.
  std::vector<std::pair<std::string, Value>> map;
  Value figures;                               ///< Own figures, as written: ReadFigureOptions() has read them. Null: none.
  Value fit;                                   ///< Options of the fit stage; null: defaults.
  Value evaluate;                              ///< Options of the evaluation stage; null: defaults.
  bool allow_fallback = false;                 ///< Keep trials in which a quantizer fell back.
  bool keep_artifacts = false;                 ///< Codes stay in <output>/artifacts once a trial's tasks are scored.
};

/// Reads one task outside any study, by name or by the path of its file, with `overrides` (a map) over its options.
/// Names are looked up in the `search` folders; `data_paths` are folders of data files, before $BITLAW_DATA_PATH.
/// One Error(kSpec) with every fault of the file.
BITLAW_EXPORT TaskSpec ReadTask(const std::string& task, const Value& overrides, const PluginHost& host,
                                const std::vector<std::filesystem::path>& search,
                                const std::vector<std::string>& data_paths);

/// Decodes and checks a study: every fault of the file in one Error(kSpec). Task and law names are looked up in
/// `search` folders after the study's own (each with tasks/ and laws/ inside).
BITLAW_EXPORT StudySpec ReadStudy(const std::filesystem::path& file, const PluginHost& host,
                                  const std::vector<std::filesystem::path>& search);

/// One law outside of a study, by the name or path of its file (found as from a study in the working directory); where
/// there is no such file, by the name of a loaded component ("gaussian_capacity", "law/gaussian_capacity"); or by its
/// formula, "A * N^-alpha" or "acc_adj = A * N^alpha", whose parameters are inferred; checked. Text with one of * ^ ( ) + =
/// that is no file is a formula.
BITLAW_EXPORT LawSpec ReadLaw(const std::string& name, const PluginHost& host,
                              const std::vector<std::filesystem::path>& search);

/// A law opened as its file says. Error(kSpec) of its own.
BITLAW_EXPORT std::unique_ptr<Law> OpenLaw(const LawSpec& law, const PluginHost& host);

}  // namespace bitlaw
