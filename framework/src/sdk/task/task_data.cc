#include "bitlaw/sdk/task/task_data.h"

#include <algorithm>
#include <utility>

#include "base/variables.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/data/data_rows.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

std::string Lead(const Value& name, const TaskContext& context) {
  const std::string where = name.mark().Text();
  return where.empty() ? "task '" + context.name + "': " : where + ": ";
}

}  // namespace

std::vector<fs::path> DataPlaces(const Value& name, const TaskContext& context) {
  std::string unset;
  const fs::path wanted = ExpandVariables(name.AsString(), &unset);
  if (!unset.empty()) {
    throw Error(ErrorKind::kSpec, Lead(name, context) + "'" + name.AsString() + "' needs the environment variable " + unset +
                                      ", which is not set. Set it, or write the path out.");
  }
  if (wanted.is_absolute()) return {wanted};
  std::vector<fs::path> places;
  for (const std::string& folder : context.data_paths) places.push_back(fs::path(folder) / wanted);
  if (!name.mark().file.empty()) places.push_back(fs::path(name.mark().file).parent_path() / wanted);
  return places;
}

namespace {

[[noreturn]] void FailMissing(const Value& name, const TaskContext& context, const std::string& what,
                              const std::string& get) {
  const std::vector<fs::path> places = DataPlaces(name, context);
  std::string text = Lead(name, context) + what;
  for (const fs::path& place : places) text += "\n  looked for: " + place.string();
  if (places.empty()) text += " There is no data folder to look in.";
  if (!get.empty()) text += "\n  to get it: " + get;
  text += "\n  Name the folder that holds it with --data, with data_paths in the study, or in BITLAW_DATA_PATH.";
  throw Error(ErrorKind::kIo, text);
}

void CheckDigest(const Value& name, const TaskContext& context, const fs::path& path, const std::string& sha256) {
  if (sha256.empty()) return;
  const std::string found = DigestOfFile(path);
  if (found == sha256) return;
  throw Error(ErrorKind::kIo, Lead(name, context) + "'" + path.string() + "' has SHA-256 " + found +
                                  ", and the task is defined on " + sha256 +
                                  ". Bring the file that the task names, or change 'sha256'.");
}

bool IsPattern(const Value& name) { return name.AsString().find('*') != std::string::npos; }

// The files of the first place that holds any, by name.
std::vector<DataFile> FilesOfPattern(const Value& name, const TaskContext& context, const std::string& get) {
  const fs::path wanted = name.AsString();
  const std::string pattern = wanted.filename().string();
  const size_t star = pattern.find('*');
  if (star == std::string::npos || wanted.string().find('*') != wanted.string().rfind('*')) {
    throw Error(ErrorKind::kSpec, Lead(name, context) + "the pattern '" + wanted.string() +
                                      "' must have one '*', in the file's name. List the files or patterns one by one.");
  }
  const std::string before = pattern.substr(0, star), after = pattern.substr(star + 1);
  for (const fs::path& place : DataPlaces(name, context)) {
    std::vector<DataFile> files;
    std::error_code status;
    for (fs::directory_iterator entry(place.parent_path(), status), end; !status && entry != end;
         entry.increment(status)) {
      const std::string found = entry->path().filename().string();
      std::error_code ignored;
      if (found.size() < before.size() + after.size() || !found.starts_with(before) || !found.ends_with(after) ||
          !entry->is_regular_file(ignored)) {
        continue;
      }
      files.push_back({(wanted.parent_path() / found).string(),
                       found.substr(star, found.size() - before.size() - after.size()), entry->path()});
    }
    std::sort(files.begin(), files.end(), [](const DataFile& a, const DataFile& b) { return a.name < b.name; });
    if (!files.empty()) return files;
  }
  FailMissing(name, context, "no data file matches '" + wanted.string() + "'.", get);
}

}  // namespace

void AddDataFields(OptionSchema& schema, bool required, const std::string& doc) {
  OptionField text;
  text.type = OptionType::kString;
  OptionField& data = schema.List("data", text).OrSingle().Doc(doc);
  if (required) {
    data.MinItems(1);
  } else {
    data.Default(Value::List{});
  }
  schema.List("sha256", text).OrSingle().Optional().Doc("Digest that the file must have; of several, one a file.");
}

fs::path FindDataFile(const Value& name, const TaskContext& context, const std::string& get,
                      const std::string& sha256) {
  for (const fs::path& place : DataPlaces(name, context)) {
    std::error_code ignored;
    if (!fs::is_regular_file(place, ignored)) continue;
    CheckDigest(name, context, place, sha256);
    return place;
  }
  FailMissing(name, context, "data file '" + name.AsString() + "' was not found.", get);
}

std::vector<DataFile> FindDataFiles(const Options& holder, const TaskContext& context, const std::string& get) {
  std::vector<std::pair<Value, DataFile>> found;  // With the name in the task that each comes from.
  for (const Value& name : holder.Raw("data").AsList()) {
    if (IsPattern(name)) {
      for (DataFile& file : FilesOfPattern(name, context, get)) found.emplace_back(name, std::move(file));
    } else {
      const fs::path path = FindDataFile(name, context, get, "");
      found.emplace_back(name, DataFile{name.AsString(), fs::path(name.AsString()).stem().string(), path});
    }
  }
  const std::vector<std::string> digests = holder.Has("sha256") ? holder.Strings("sha256") : std::vector<std::string>();
  if (holder.Has("sha256") && digests.size() != found.size()) {
    throw Error(ErrorKind::kSpec, Lead(holder.Raw("sha256"), context) + "'sha256' has " +
                                      std::to_string(digests.size()) + " digests, and 'data' has " +
                                      std::to_string(found.size()) + " files. Give one digest a file, in their order.");
  }
  std::vector<DataFile> files;
  for (auto& [name, file] : found) {
    // By what the names lead to: a link and its target are one file, whose items would count twice.
    const auto same = std::find_if(files.begin(), files.end(), [&path = file.path](const DataFile& before) {
      std::error_code ignored;
      return fs::equivalent(before.path, path, ignored);
    });
    if (same != files.end()) {
      throw Error(ErrorKind::kSpec, Lead(name, context) + "data file '" + file.name + "' is named twice" +
                                        (same->name == file.name ? "." : ", first as '" + same->name + "'."));
    }
    if (!digests.empty()) CheckDigest(name, context, file.path, digests[files.size()]);
    files.push_back(std::move(file));
  }
  return files;
}

std::vector<Value> ReadDataRows(const std::vector<DataFile>& files) {
  std::vector<Value> rows;
  for (const DataFile& file : files) {
    for (Value& row : ReadRows(file.path)) {
      if (row.Find("_file") == nullptr) row.Set("_file", file.label);
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::string DataNames(const Options& holder) { return JoinNames(holder.Strings("data")); }

}  // namespace bitlaw
