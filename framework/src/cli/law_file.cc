#include "cli/law_file.h"

#include <algorithm>

#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

namespace fs = std::filesystem;

fs::path FindLawFile(const std::string& name, const std::vector<fs::path>& folders) {
  std::error_code status;
  if (name.find('/') != std::string::npos || name.ends_with(".yaml")) {
    if (fs::is_regular_file(name, status)) return name;
    throw Error(ErrorKind::kSpec, "--law: there is no file " + name + ".");
  }
  std::vector<std::string> known, looked_in;
  for (const fs::path& folder : folders) {
    const fs::path root = folder / "laws";
    looked_in.push_back(root.string());
    for (fs::recursive_directory_iterator entry(root, status), end; !status && entry != end; entry.increment(status)) {
      if (entry->path().extension() != ".yaml") continue;
      known.push_back(entry->path().stem().string());
      if (known.back() == name) return entry->path();
    }
  }
  std::sort(known.begin(), known.end());
  throw Error(ErrorKind::kSpec, "--law: there is no law '" + name + "'." + DidYouMean(name, known) +
                                    " Known: " + JoinNames(known) + ". Looked in: " + JoinNames(looked_in) + ".");
}

}  // namespace

LawSpec ReadLawFile(const std::string& name, const std::vector<fs::path>& folders) {
  const fs::path path = FindLawFile(name, folders);
  const Value file = ReadYamlFile(path);
  if (!file.is_map()) {
    throw Error(ErrorKind::kSpec, path.string() + ": a law file is a map of options, this one holds " +
                                      std::string(Article(file.type())) + ".");
  }
  LawSpec law;
  law.name = path.stem().string();
  law.component = "formula";
  law.mark = file.mark();
  Value options = Value::Map{};
  options.set_mark(file.mark());
  for (const auto& [key, value] : file.AsMap()) {
    if (key != "type" && key != "name") {
      options.Set(key, value);
      continue;
    }
    if (!value.is_string()) {
      throw Error(ErrorKind::kSpec, value.mark().Text() + ": '" + key + "' is " + std::string(Article(value.type())) +
                                        ". It must be a string.");
    }
    (key == "type" ? law.component : law.name) = value.AsString();
  }
  law.options = std::move(options);
  return law;
}

}  // namespace bitlaw
