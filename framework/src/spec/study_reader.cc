#include "spec/study_reader.h"

#include <algorithm>
#include <cstdlib>
#include <map>

#include "api/option_checker.h"
#include "bitlaw/api/model_backend.h"
#include "fit/options/grouping.h"
#include "spec/figures/figure_options.h"
#include "spec/find_files.h"
#include "spec/shapes.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFormat = 1;

// A name made of a file or folder name: what no name may hold becomes '-'.
std::string NameFromPath(const fs::path& path) {
  std::error_code status;
  std::string name = fs::is_directory(path, status) ? path.filename().string() : path.stem().string();
  for (char& c : name)
    if (!IsName(std::string("x") + c)) c = '-';
  return IsName(name) ? name : "model" + name;
}

}  // namespace

constexpr char kShapesSuffix[] = "_shapes";

std::string DeviceKind(const std::string& device) { return device.substr(0, device.find(':')); }

StudySpec ReadStudy(const fs::path& file, const PluginHost& host, const std::vector<fs::path>& search) {
  return StudyReader(file, host, search).Read();
}

StudySpec ReadStudyFromShapes(const fs::path& file, const PluginHost& host, const std::vector<fs::path>& search,
                              const fs::path& shapes) {
  return StudyReader(file, host, search, shapes).Read();
}

std::string ShapesBackend(std::string_view backend) { return std::string(backend) + kShapesSuffix; }

bool IsShapesOnly(const ModelSpec& model) { return model.backend.ends_with(kShapesSuffix); }

StudyReader::StudyReader(const fs::path& file, const PluginHost& host, const std::vector<fs::path>& search,
                         const fs::path& shapes)
    : file_(file),
      home_(fs::absolute(file).lexically_normal().parent_path()),
      shapes_(shapes.empty() ? fs::path() : fs::absolute(shapes).lexically_normal()),
      host_(host) {
  folders_ = StudyFolders(home_);
  for (const fs::path& folder : search) {
    if (std::find(folders_.begin(), folders_.end(), folder) == folders_.end()) folders_.push_back(folder);
  }
}

StudySpec StudyReader::Read() {
  const Value root = ReadYamlFile(file_);
  if (!root.is_map()) {
    faults_.Add(root.mark(), root.is_null() ? "the study file is empty. It begins with 'bitlaw: 1'."
                                            : "the study file is " + std::string(Article(root.type())) +
                                                  ". It must be a map that begins with 'bitlaw: 1'.");
    faults_.ThrowIfAny();
  }
  const Value* format = root.Find("bitlaw");
  if (format == nullptr) {
    faults_.Add(root.mark(), "'bitlaw' is missing. A study file begins with 'bitlaw: 1', the version of its format.");
  } else if (!(*format == Value(kFormat))) {
    faults_.Add(format->mark(),
                "the study has format " + format->Text() + ". This bitlaw reads format 1: 'bitlaw: 1'.");
    faults_.ThrowIfAny();
  }
  MapReader study(root, "study", "a study", faults_);
  ReadHead(study);
  ReadDataPaths(study);
  ReadModels(study.Require("models", "List folders or files of models."));
  ReadCorpora(study.Map("corpora"));
  ReadQuantize(study.List("quantize"));
  ReadTasks(study.List("tasks"));
  ReadStrata(study.Map("strata"));
  ReadLaws(study.List("laws"));
  ReadMap(study.Map("map"));
  if (const Value* figures = study.List("figures")) {
    spec_.figures = *figures;
    try {
      ReadFigureOptions(spec_.figures);
    } catch (const Error& error) {
      faults_.AddError(error);
    }
  }
  if (const Value* fit = study.Map("fit")) spec_.fit = *fit;
  if (const Value* evaluate = study.Map("evaluate")) spec_.evaluate = *evaluate;
  spec_.allow_fallback = study.Bool("allow_fallback").value_or(false);
  ReadKeep(study);
  faults_.ThrowIfAny();
  return std::move(spec_);
}

void StudyReader::ReadKeep(MapReader& study) {
  const auto keep = study.String("keep");
  if (!keep || *keep == "records") return;
  spec_.keep_artifacts = *keep == "artifacts";
  if (spec_.keep_artifacts) return;
  faults_.Add(study.Find("keep")->mark(),
              "keep = '" + *keep + "' must be records or artifacts, the codes of quantized weights beside the records." +
                  DidYouMean(*keep, {"records", "artifacts"}));
}

void StudyReader::ReadHead(MapReader& study) {
  spec_.file = fs::absolute(file_).lexically_normal();
  study.Require("study", "Name the study.");
  spec_.name = study.Name("study").value_or("");
  const std::string output = study.String("output").value_or("results/" + spec_.name);
  std::string unset;
  const std::string expanded = ExpandVariables(output, &unset);
  if (!unset.empty()) {
    faults_.Add(study.Find("output")->mark(), "output = '" + output + "' needs the environment variable " + unset +
                                                  ", which is not set. Set it, or write the path out.");
  }
  if (!expanded.empty()) {
    spec_.output = fs::absolute(expanded).lexically_normal();
  } else if (unset.empty()) {
    faults_.Add(study.Find("output")->mark(), "output is empty. Name a folder, or remove the key for results/<study>.");
  }
  const Value* compute = study.Map("compute");
  if (compute == nullptr) return;
  MapReader setting(*compute, "compute", "'compute'", faults_);
  try {
    if (const auto dtype = setting.String("dtype")) spec_.compute.dtype = ParseDtype(*dtype);
  } catch (const Error& error) {
    faults_.Add(setting.Find("dtype")->mark(), error.what());
  }
  ReadDevices(setting);
}

void StudyReader::ReadDevices(MapReader& setting) {
  const Value* one = setting.String("device") ? setting.Find("device") : nullptr;
  const Value* several = setting.List("devices");
  if (one != nullptr && several != nullptr) {
    faults_.Add(several->key_mark(), "'devices' stands beside 'device'. Give one of them.");
  }
  if (several != nullptr && several->AsList().empty()) {
    faults_.Add(several->mark(), "'devices' is an empty list. Name one or more, or leave it out for the CPU.");
  }
  if (one == nullptr && several == nullptr) return;
  spec_.devices.clear();
  for (const Value& given : one != nullptr ? Value::List{*one} : several->AsList()) ReadDevice(given);
  if (!spec_.devices.empty()) spec_.compute.device = DeviceKind(spec_.devices.front().name);
}

void StudyReader::ReadDevice(const Value& given) {
  const std::string name = given.is_string() ? given.AsString() : given.Text();
  const std::string_view index = std::string_view(name).substr(std::min<size_t>(name.size(), 5));
  const bool is_number = !index.empty() && index.size() <= 3 && (index == "0" || index.front() != '0') &&
                         index.find_first_not_of("0123456789") == std::string_view::npos;
  const bool is_cuda = name == "cuda" || (name.starts_with("cuda:") && is_number);
  if (name != "cpu" && !is_cuda) {
    faults_.Add(given.mark(), "'" + name + "' is not a device. Use cpu, cuda, or cuda:<number> for one of several.");
    return;
  }
  for (const DeviceSpec& other : spec_.devices) {
    if (other.name == name) {
      faults_.Add(given.mark(), "the device '" + name +
                                    "' is listed twice. `bitlaw run --workers` lets several workers "
                                    "share the devices.");
    } else if (DeviceKind(other.name) != DeviceKind(name)) {
      faults_.Add(given.mark(), "the devices '" + other.name + "' and '" + name +
                                    "' are of two kinds, which give other "
                                    "numbers. Make a study of each.");
    } else if (other.name == "cuda" || name == "cuda") {
      faults_.Add(given.mark(), "the device 'cuda' stands beside '" + (name == "cuda" ? other.name : name) +
                                    "': it may be the same card. Name each by its number, cuda:0.");
    }
  }
  spec_.devices.push_back({name, given.mark()});
}

void StudyReader::ReadDataPaths(MapReader& study) {
  if (const Value* paths = study.List("data_paths"); paths != nullptr && !IsTooLong(*paths, "data_paths")) {
    for (const Value& path : paths->AsList()) {
      if (!path.is_string() || path.AsString().empty()) {
        faults_.Add(path.mark(), "an entry of 'data_paths' is " + std::string(Article(path.type())) +
                                     ". It must be a folder's path.");
        continue;
      }
      // A variable that is not set matters only if a file is looked for and not found: then the text shows.
      std::string unset;
      const std::string expanded = ExpandVariables(path.AsString(), &unset);
      spec_.data_paths.push_back(unset.empty() ? (home_ / expanded).lexically_normal().string() : path.AsString());
    }
  }
  AddDataPathsOfEnvironment();
}

void StudyReader::AddDataPathsOfEnvironment() {
  const char* variable = std::getenv("BITLAW_DATA_PATH");
  std::string_view rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    if (!folder.empty()) spec_.data_paths.push_back(fs::absolute(folder).lexically_normal().string());
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
  }
}

void StudyReader::ReadModels(const Value* models) {
  if (models == nullptr) return;
  if (!models->is_list() || models->AsList().empty()) {
    faults_.Add(models->mark(), "'models' is " +
                                    (models->is_list() ? "an empty list" : std::string(Article(models->type()))) +
                                    ". It must be a list of paths, or of maps with the key 'path'.");
    return;
  }
  if (IsTooLong(*models, "models")) return;
  for (const std::string& name : host_.Names(ComponentKind::kModel)) {
    try {
      const Options options = host_.Find(ComponentKind::kModel, name).schema.Resolve(Value(), "model '" + name + "'");
      backends_.push_back({name, options, host_.MakeModelBackend(name, options)});
    } catch (const Error&) {
      // A backend that cannot do without options is used only where the study names it.
    }
  }
  for (size_t i = 0; i < models->AsList().size(); ++i) {
    ReadModel(models->AsList()[i], "models[" + std::to_string(i) + "]");
  }
  std::map<fs::path, const ModelSpec*> by_path;
  std::map<std::string, const ModelSpec*> by_name;
  for (const ModelSpec& model : spec_.models) {
    const auto [same, is_new] = by_path.emplace(model.path, &model);
    if (!is_new) {
      faults_.Add(model.mark, "the model " + model.path.string() + " is listed twice, first at line " +
                                  std::to_string(same->second->mark.line) + ".");
      continue;
    }
    const auto [namesake, is_new_name] = by_name.emplace(model.name, &model);
    if (is_new_name) continue;
    faults_.Add(model.mark, "two models are named '" + model.name + "': " + namesake->second->path.string() + " and " +
                                model.path.string() + ". Give one a 'name'.");
  }
}

bool StudyReader::IsTooLong(const Value& list, std::string_view key) {
  if (list.AsList().size() <= kMaxEntries) return false;
  faults_.Add(list.mark(), "'" + std::string(key) + "' has " + std::to_string(list.AsList().size()) +
                               " entries. At most " + std::to_string(kMaxEntries) + " are read. Make several studies.");
  return true;
}

void StudyReader::ReadModel(const Value& entry, const std::string& place) {
  if (!entry.is_string() && !entry.is_map()) {
    faults_.Add(entry.mark(), place + " is " + std::string(Article(entry.type())) +
                                  ". It must be a path, or a map with the key 'path'.");
    return;
  }
  ModelSpec model;
  Value as_map = entry;
  if (entry.is_string()) {
    as_map = Value();
    as_map.Set("path", entry);
    as_map.set_mark(entry.mark());
  }
  MapReader reader(as_map, "model", place, faults_);
  reader.Require("path", "Name a folder or file; * stands for any letters.");
  const auto pattern = reader.String("path");
  const auto name = reader.Name("name");
  model.family = reader.Name("family").value_or("");
  model.hold_out = reader.Bool("hold_out").value_or(false);
  model.original = reader.Name("original").value_or("");
  if (const Value* columns = reader.Map("columns")) model.columns = ReadColumns(*columns, place);
  model.backend = reader.String("backend").value_or("");
  const Value* options = reader.Map("backend_options");
  if (options != nullptr && model.backend.empty()) {
    faults_.Add(options->key_mark(), "'backend_options' of " + place + " needs 'backend' beside it.");
  }
  if (!model.backend.empty()) {
    try {
      const Component& backend =
          host_.Find(ComponentKind::kModel, model.backend, reader.Find("backend")->mark().Text());
      model.backend_options =
          backend.schema.Resolve(options == nullptr ? Value() : *options, "model '" + backend.info.name + "'");
      model.backend = backend.info.name;
    } catch (const Error& error) {
      faults_.AddError(error);
    }
  }
  if (!pattern) return;
  const SourceMark mark = reader.Find("path")->mark();
  PathMatches matches = MatchPaths(*pattern, home_);
  bool has_shapes = false;
  if (matches.paths.empty() && !shapes_.empty()) {
    fs::path last = fs::path(*pattern).lexically_normal();
    if (!last.has_filename()) last = last.parent_path();
    PathMatches elsewhere = MatchPaths((shapes_ / last.filename()).string(), home_);
    has_shapes = !elsewhere.paths.empty();
    elsewhere.problem = matches.problem + " Among shapes: " + elsewhere.problem;
    matches = std::move(elsewhere);
  }
  if (matches.paths.empty()) faults_.Add(mark, place + ".path = '" + *pattern + "' " + matches.problem);
  if (matches.paths.size() > 1 && name) {
    faults_.Add(reader.Find("name")->mark(), "the name '" + *name + "' is given to " +
                                                 std::to_string(matches.paths.size()) + " models that '" + *pattern +
                                                 "' matches. Leave it out, or list the models.");
    return;
  }
  if (spec_.models.size() + matches.paths.size() > kMaxEntries) {
    faults_.Add(mark, place + ".path = '" + *pattern + "' matches " + std::to_string(matches.paths.size()) +
                          " files and folders. A study has at most " + std::to_string(kMaxEntries) +
                          " models. Write more of the path.");
    return;
  }
  for (const fs::path& path : matches.paths) {
    ModelSpec one = model;
    one.path = path;
    one.name = name.value_or(NameFromPath(path));
    one.mark = mark;
    if (has_shapes) {
      SetShapesBackendOf(path, mark, one);
    } else if (one.backend.empty()) {
      SetBackendOf(path, mark, one);
    }
    spec_.models.push_back(std::move(one));
  }
}

std::vector<std::pair<std::string, Value>> StudyReader::ReadColumns(const Value& columns, const std::string& place) {
  std::vector<std::pair<std::string, Value>> read;
  for (const auto& [name, value] : columns.AsMap()) {
    Factor factor;
    factor.column = name;
    factor.value = value;
    if (const std::string why = ExplainFactor(factor); !why.empty() || value.is_null()) {
      faults_.Add(value.key_mark(), place + ".columns: " + (why.empty() ? "'" + name + "' has no value" : why) + ".");
      continue;
    }
    read.emplace_back(name, value);
  }
  return read;
}

// Expressions are read where they are applied: only there columns are known.
void StudyReader::ReadMap(const Value* map) {
  if (map == nullptr) return;
  for (const auto& [name, value] : map->AsMap()) {
    if (value.is_string() || value.is_number()) {
      spec_.map.emplace_back(name, value);
      continue;
    }
    faults_.Add(value.mark(), "'map." + name + "' is " + std::string(Article(value.type())) +
                                  ". It must be a column or an expression over columns, such as 'G_min' or '20 * N'.");
  }
}

void StudyReader::SetShapesBackendOf(const fs::path& path, const SourceMark& mark, ModelSpec& model) {
  if (model.backend.empty()) {
    SetBackendOf(path, mark, model);
    if (model.backend.empty()) return;  // A fault is told.
  }
  const std::string shapes = ShapesBackend(model.backend);
  const std::vector<std::string> names = host_.Names(ComponentKind::kModel);
  if (std::find(names.begin(), names.end(), shapes) == names.end()) {
    faults_.Add(mark, "backend '" + model.backend + "' of " + path.string() +
                          " plans with weights alone: there is no backend '" + shapes + "'. Give the model itself.");
    return;
  }
  model.backend = shapes;
  model.backend_options = host_.Find(ComponentKind::kModel, shapes).schema.Resolve(Value(), "model '" + shapes + "'");
}

void StudyReader::SetBackendOf(const fs::path& path, const SourceMark& mark, ModelSpec& model) {
  std::vector<std::string> claims;
  for (const KnownBackend& known : backends_) {
    if (!known.backend->Claims(path)) continue;
    claims.push_back(known.name);
    model.backend = known.name;
    model.backend_options = known.options;
  }
  if (claims.size() == 1) return;
  if (claims.empty()) {
    faults_.Add(mark, "no model backend knows the format of " + path.string() +
                          ". Backends: " + JoinNames(host_.Names(ComponentKind::kModel)) +
                          ". Narrow the pattern, or name the 'backend'.");
  } else {
    faults_.Add(mark,
                "several model backends claim " + path.string() + ": " + JoinNames(claims) + ". Name the 'backend'.");
  }
}

void StudyReader::ReadCorpora(const Value* corpora) {
  if (corpora == nullptr) return;
  for (const auto& [name, entry] : corpora->AsMap()) {
    const std::string place = "corpus '" + name + "'";
    if (!IsName(name)) {
      faults_.Add(entry.key_mark(), "'" + name + "' names a corpus. A name has letters, digits, '.', '_' and '-'.");
    }
    if (!entry.is_map()) {
      faults_.Add(entry.mark(), place + " is " + std::string(Article(entry.type())) +
                                    ". It must be a map with the key 'type' and that component's options.");
      continue;
    }
    MapReader reader(entry, "corpus", place, faults_, true);
    reader.Require("type", "Name the corpus component, such as 'text'.");
    CorpusSpec corpus;
    corpus.name = name;
    corpus.mark = entry.mark();
    if (const Value* columns = reader.Map("columns")) corpus.columns = ReadColumns(*columns, place);
    if (const auto type = reader.String("type")) {
      try {
        const Component& component = host_.Find(ComponentKind::kCorpus, *type, reader.Find("type")->mark().Text());
        corpus.component = component.info.name;
        corpus.options = component.schema.Resolve(FindCorpusFiles(component.schema, reader.Rest()),
                                                  "corpus '" + component.info.name + "'");
      } catch (const Error& error) {
        faults_.AddError(error);
      }
    }
    spec_.corpora.push_back(std::move(corpus));
  }
}

// A relative path that does not exist beside the study is looked for in the data folders.
Value StudyReader::FindCorpusFiles(const OptionSchema& schema, const Value& options) const {
  Value found = options;
  for (auto& [key, value] : found.AsMap()) {
    const OptionField* field = schema.Find(key);
    if (field == nullptr || field->type != OptionType::kPath || !value.is_string()) continue;
    std::error_code status;
    const fs::path path(value.AsString());
    if (path.is_absolute() || value.AsString().find("${") != std::string::npos || fs::exists(home_ / path, status))
      continue;
    for (const std::string& folder : spec_.data_paths) {
      if (!fs::exists(fs::path(folder) / path, status)) continue;
      const SourceMark mark = value.mark();
      value = Value((fs::path(folder) / path).string());
      value.set_mark(mark);
      break;
    }
  }
  return found;
}

void StudyReader::ReadQuantize(const Value* entries) {
  if (entries == nullptr || IsTooLong(*entries, "quantize")) return;
  for (size_t i = 0; i < entries->AsList().size(); ++i) {
    spec_.quantize.push_back(
        ReadQuantizeSpec(entries->AsList()[i], "quantize[" + std::to_string(i) + "]", spec_.corpora, host_, faults_));
  }
}

void StudyReader::ReadStrata(const Value* strata) {
  if (strata == nullptr) return;
  std::vector<std::string> known;
  for (const TaskSpec& task : spec_.tasks) known.push_back(task.name);
  std::map<std::string, std::string> stratum_of;
  for (const auto& [stratum, tasks] : strata->AsMap()) {
    if (const std::string why = ExplainReservedStratum(stratum); !why.empty()) {
      faults_.Add(tasks.mark(), "stratum '" + stratum + "' " + why + ". Call it otherwise.");
      continue;
    }
    if (!tasks.is_list() || tasks.AsList().empty()) {
      faults_.Add(tasks.mark(), "stratum '" + stratum + "' is " +
                                    (tasks.is_list() ? "an empty list" : std::string(Article(tasks.type()))) +
                                    ". It must be a list of task names.");
      continue;
    }
    std::vector<std::string>& members = spec_.strata[stratum];
    for (const Value& task : tasks.AsList()) {
      const std::string name = task.is_string() ? task.AsString() : task.Text();
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        faults_.Add(task.mark(), "stratum '" + stratum + "' names the task '" + name +
                                     "', which the study does not list." + DidYouMean(name, known) +
                                     " Tasks: " + JoinNames(known) + ".");
      } else if (std::find(members.begin(), members.end(), name) != members.end()) {
        faults_.Add(task.mark(), "stratum '" + stratum + "' names the task '" + name + "' twice.");
      } else if (const auto [first, is_new] = stratum_of.emplace(name, stratum); !is_new) {
        faults_.Add(task.mark(), "stratum '" + stratum + "' names the task '" + name + "', which is in stratum '" +
                                     first->second + "'. A task has one stratum; other groupings stand under "
                                     "'groupings' of 'fit'.");
      }
      members.push_back(name);
    }
  }
}

}  // namespace bitlaw
