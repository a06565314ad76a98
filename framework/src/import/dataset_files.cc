#include "import/dataset_files.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "base/json_text.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/data_rows.h"
#include "bitlaw/sdk/text/unicode_text.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

constexpr int kMaxDepth = 8;
constexpr size_t kMaxFiles = 100'000;

const std::vector<std::string> kEndings = {".parquet", ".jsonl", ".json", ".csv", ".tsv"};

// What `datasets` writes beside data, about them.
const std::vector<std::string> kDescriptions = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json",
                                                "state.json"};

// ".json" of "a.json.gz"; "" if it is no data file.
std::string EndingOf(const fs::path& file) {
  if (std::find(kDescriptions.begin(), kDescriptions.end(), file.filename().string()) != kDescriptions.end()) return "";
  const std::string ending = file.extension() == ".gz" ? file.stem().extension().string() : file.extension().string();
  return std::find(kEndings.begin(), kEndings.end(), ending) == kEndings.end() ? "" : ending;
}

std::vector<std::string> NamesOf(const std::string& split) {
  if (split == "validation") return {"validation", "valid", "dev", "val"};
  if (split == "train") return {"train", "training"};
  return {split};
}

// `name` alone, or with something that is no letter behind it: "test-00000", "test.jsonl", "test_2"; not "testing".
bool Begins(const std::string& text, const std::string& name) {
  return text.starts_with(name) &&
         (text.size() == name.size() || !ClassifyCharacter(text, name.size()).is_word || text[name.size()] == '_');
}

// In any place of a file's name between characters that are no letters: "c4-validation.00000-of-00008.json.gz".
bool Holds(const std::string& text, const std::string& name) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    const bool begins = at == 0 || !ClassifyCharacter(text, at - 1).is_word || text[at - 1] == '_';
    if (begins && Begins(text.substr(at), name)) return true;
  }
  return false;
}

bool IsOfSplit(const fs::path& file, const std::string& split) {
  const std::string name = ToLower(file.filename().string()), folder = ToLower(file.parent_path().filename().string());
  for (const std::string& known : NamesOf(ToLower(split))) {
    if (Holds(name, known) || folder == known) return true;
  }
  return false;
}

bool IsOfConfig(const fs::path& file, const std::string& config) {
  const std::string wanted = ToLower(config);
  for (const fs::path& part : file.parent_path()) {
    if (ToLower(part.string()) == wanted) return true;
  }
  return Holds(ToLower(file.filename().string()), wanted);
}

std::vector<fs::path> DataFilesUnder(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code status;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied, status), end;
  for (; !status && entry != end; entry.increment(status)) {
    if (entry.depth() >= kMaxDepth || entry->path().filename().string().starts_with("."))
      entry.disable_recursion_pending();
    if (!EndingOf(entry->path()).empty() && entry->is_regular_file())
      files.push_back(fs::relative(entry->path(), folder));
    if (files.size() > kMaxFiles) {
      throw Error(ErrorKind::kBudget, folder.string() + ": has more than " + std::to_string(kMaxFiles) +
                                          " data files. Name the dataset's own folder.");
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string Some(const std::vector<fs::path>& files) {
  std::vector<std::string> names;
  for (size_t i = 0; i < std::min<size_t>(files.size(), 8); ++i) names.push_back(files[i].string());
  return JoinNames(names) + (files.size() > 8 ? " and " + std::to_string(files.size() - 8) + " more" : "");
}

// The folder of the dataset within `place`: under the dataset's name, with or without its owner, as several programs
// write it.
fs::path FolderOf(const std::string& dataset, const fs::path& place) {
  const std::string name = dataset.substr(dataset.rfind('/') + 1);
  for (const std::string& known :
       {dataset, "datasets--" + ReplaceAll(dataset, "/", "--"), ReplaceAll(dataset, "/", "___"),
        ReplaceAll(dataset, "/", "--"), ReplaceAll(dataset, "/", "_"), name}) {
    if (!known.empty() && fs::is_directory(place / known)) return place / known;
  }
  return place;
}

// What to do with a folder of save_to_disk(), or of the cache of `datasets`: "" where there is no Arrow file.
std::string SavedToDisk(const fs::path& folder, const std::string& split) {
  std::error_code status;
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator entry(folder, status), end; !status && entry != end; entry.increment(status)) {
    if (entry->path().extension() == ".arrow") files.push_back(entry->path());
  }
  if (files.empty()) return "";
  std::sort(files.begin(), files.end());
  const std::string name = split.empty() ? "test" : split;
  const std::string load = fs::exists(folder / "dataset_dict.json")
                               ? "load_from_disk('" + folder.string() + "')['" + name + "']"
                           : fs::exists(folder / "state.json") ? "load_from_disk('" + folder.string() + "')"
                                                               : "Dataset.from_file('" + files.front().string() + "')";
  return "There are Arrow files (" + fs::relative(files.front(), folder).string() +
         "), which are not read. Write Parquet of them: python3 -c \"from datasets import *; " + load +
         ".to_parquet('" + name + ".parquet')\"";
}

void AppendJson(const Value& value, std::string& out) {
  if (value.is_list()) {
    out += '[';
    for (const Value& entry : value.AsList()) {
      if (out.back() != '[') out += ", ";
      AppendJson(entry, out);
    }
    out += ']';
  } else if (value.is_map()) {
    out += '{';
    bool is_first = true;
    for (const auto& [key, entry] : value.AsMap()) {
      if (!is_first) out += ", ";
      is_first = false;
      AppendJsonString(key, out);
      out += ": ";
      AppendJson(entry, out);
    }
    out += '}';
  } else {
    AppendJsonScalar(value, out);
  }
}

}  // namespace

std::string DatasetSplit::Text() const {
  std::vector<std::string> parts;
  for (const std::string& part : {dataset, config, split}) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts.empty() ? "one dataset" : JoinNames(parts);
}

std::string DatasetSplit::Download() const {
  return "hf download " + dataset + " --repo-type dataset --local-dir " + dataset.substr(dataset.rfind('/') + 1);
}

std::vector<fs::path> FindSplit(const DatasetSplit& split, const fs::path& place) {
  std::error_code status;
  if (fs::is_regular_file(place, status)) return {place};
  if (!fs::is_directory(place, status)) {
    throw Error(ErrorKind::kIo,
                place.string() + ": there is no such file or folder. " +
                    (split.dataset.empty() ? "Name the dataset's folder or file."
                                           : "Get the dataset where there is a network: " + split.Download()));
  }
  const fs::path folder = FolderOf(split.dataset, place);
  const std::vector<fs::path> all = DataFilesUnder(folder);
  const std::string looked = folder.string() + ": no data file of " + split.Text() + ". ";
  if (all.empty()) {
    const std::string saved = SavedToDisk(folder, split.split);
    throw Error(ErrorKind::kIo,
                looked + (saved.empty() ? "There is none at all (" + JoinNames(kEndings) + ")." : saved));
  }
  std::vector<fs::path> files;
  for (const fs::path& file : all) {
    if (split.split.empty() || IsOfSplit(file, split.split)) files.push_back(file);
  }
  if (files.empty()) throw Error(ErrorKind::kIo, looked + "There are " + Some(all) + ".");
  if (!split.config.empty()) {
    std::vector<fs::path> of_config;
    std::copy_if(files.begin(), files.end(), std::back_inserter(of_config),
                 [&](const fs::path& file) { return IsOfConfig(file, split.config); });
    // One configuration downloaded alone may lie without its name, but not under that of another.
    const auto is_unnamed = [&](const fs::path& file) {
      const std::string parent = ToLower(file.parent_path().string());
      return parent.empty() || parent == "data" || IsOfSplit(file.parent_path(), split.split);
    };
    if (of_config.empty() && !std::all_of(files.begin(), files.end(), is_unnamed)) {
      throw Error(ErrorKind::kIo, looked + "Of other configurations there are " + Some(files) + ".");
    }
    if (!of_config.empty()) files = std::move(of_config);
  }
  std::map<std::pair<std::string, std::string>, std::vector<fs::path>> groups;
  for (const fs::path& file : files) groups[{file.parent_path().string(), EndingOf(file)}].push_back(file);
  // Of one folder in several forms the first of kEndings; several folders are several datasets.
  const std::string first = groups.begin()->first.first;
  if (std::any_of(groups.begin(), groups.end(), [&](const auto& group) { return group.first.first != first; })) {
    throw Error(ErrorKind::kIo, folder.string() + ": files of several folders could be " + split.Text() + ": " +
                                    Some(files) + ". Name the folder or file that is meant.");
  }
  for (const std::string& ending : kEndings) {
    const auto group = groups.find({first, ending});
    if (group == groups.end()) continue;
    std::vector<fs::path> paths;
    for (const fs::path& file : group->second) paths.push_back(folder / file);
    return paths;
  }
  throw InternalError("FindSplit: a file without an ending that is known");
}

std::vector<Value> ReadSplit(const std::vector<fs::path>& files) {
  std::vector<Value> rows;
  for (const fs::path& file : files) {
    for (Value& row : ReadRows(file)) rows.push_back(std::move(row));
  }
  return rows;
}

std::string JsonLine(const Value& row) {
  std::string line;
  AppendJson(row, line);
  return line + "\n";
}

}  // namespace bitlaw
