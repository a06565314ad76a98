#include "conformance/include_rules.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <regex>
#include <set>
#include <string_view>

namespace bitlaw {
namespace {

const std::string kPublic = "framework/include/bitlaw/";
const std::string kInternal = "framework/src/";

/// The rooms of the SDK, public or internal: whoever may use the SDK may use all of them.
std::vector<std::string> Rooms(const std::string& half) {
  std::vector<std::string> rooms;
  for (const char* room :
       {"text", "tokenizer", "data", "task", "expression", "checkpoint", "decoder", "grids", "machine"}) {
    rooms.push_back(half + "sdk/" + room);
  }
  return rooms;
}

/// What a folder may include beside itself; what those may include, it may too.
const std::map<std::string, std::vector<std::string>> kUses = {
    {kPublic + "base", {}},
    {kPublic + "math", {kPublic + "base"}},
    {kPublic + "api", {kPublic + "base", kPublic + "math"}},
    {kPublic + "sdk", Rooms(kPublic)},
    {kPublic + "sdk/text", {kPublic + "api"}},
    {kPublic + "sdk/tokenizer", {kPublic + "sdk/text"}},
    {kPublic + "sdk/data", {kPublic + "sdk/text"}},
    {kPublic + "sdk/task", {kPublic + "sdk/data"}},
    {kPublic + "sdk/expression", {kPublic + "api"}},
    {kPublic + "sdk/checkpoint", {kPublic + "api"}},
    {kPublic + "sdk/decoder", {kPublic + "api"}},
    {kPublic + "sdk/grids", {kPublic + "api"}},
    {kPublic + "sdk/machine", {kPublic + "api"}},
    {kPublic + "testing", {kPublic + "sdk"}},
    {kInternal + "base", {kPublic + "base"}},
    {kInternal + "math", {kPublic + "math"}},
    {kInternal + "api", {kPublic + "api", kInternal + "base", kInternal + "math"}},
    {kInternal + "sdk", Rooms(kInternal)},
    {kInternal + "sdk/text", {kPublic + "sdk/text", kInternal + "base"}},
    {kInternal + "sdk/tokenizer", {kPublic + "sdk/tokenizer", kInternal + "sdk/text"}},
    {kInternal + "sdk/data", {kPublic + "sdk/data", kInternal + "sdk/text"}},
    {kInternal + "sdk/task", {kPublic + "sdk/task", kInternal + "sdk/data"}},
    {kInternal + "sdk/expression", {kPublic + "sdk/expression", kInternal + "base"}},
    {kInternal + "sdk/checkpoint", {kPublic + "sdk/checkpoint", kInternal + "base"}},
    {kInternal + "sdk/decoder",
     {kPublic + "sdk/decoder", kPublic + "sdk/checkpoint", kPublic + "sdk/machine", kInternal + "math"}},
    {kInternal + "sdk/grids", {kPublic + "sdk/grids", kPublic + "sdk/machine", kInternal + "math"}},
    {kInternal + "sdk/machine", {kPublic + "sdk/machine", kInternal + "base", kInternal + "math"}},
    {kInternal + "testing", {kPublic + "testing"}},
    {kInternal + "plugin", {kPublic + "sdk", kInternal + "base"}},
    {kInternal + "spec", {kInternal + "plugin", kInternal + "api", kInternal + "fit/options"}},
    {kInternal + "plan", {kInternal + "spec"}},
    {kInternal + "records", {kInternal + "plan"}},
    {kInternal + "cost", {kInternal + "records"}},
    {kInternal + "quantize", {kInternal + "records", kInternal + "math"}},
    {kInternal + "evaluate", {kInternal + "cost"}},
    {kInternal + "run", {kInternal + "quantize", kInternal + "evaluate"}},
    {kInternal + "fit/options", {kPublic + "sdk"}},
    {kInternal + "fit/table", {kInternal + "records", kInternal + "fit/options"}},
    {kInternal + "fit/law", {kInternal + "fit/table"}},
    {kInternal + "fit/data", {kInternal + "fit/law"}},
    {kInternal + "fit/box", {kPublic + "base"}},
    {kInternal + "fit/solve", {kInternal + "fit/data", kInternal + "fit/box"}},
    {kInternal + "fit/estimate", {kInternal + "fit/solve"}},
    {kInternal + "fit/refit", {kInternal + "fit/estimate"}},
    {kInternal + "fit/examine", {kInternal + "fit/refit"}},
    {kInternal + "fit/predict", {kInternal + "fit/examine"}},
    {kInternal + "fit/output", {kInternal + "fit/predict"}},
    {kInternal + "fit/study", {kInternal + "fit/output"}},
    {kInternal + "recommend", {kInternal + "fit/output"}},
    {kInternal + "report", {kInternal + "fit/study", kInternal + "recommend"}},
    {kInternal + "resolve", {kInternal + "fit/study", kInternal + "cost"}},
    {kInternal + "import", {kInternal + "spec"}},
    {kInternal + "cli",
     {kInternal + "run", kInternal + "report", kInternal + "resolve", kInternal + "import", kPublic + "testing"}},
    // Every folder below these is a unit of its own and may include its own files and the public headers.
    {"plugins", {kPublic + "testing"}},
    {"examples", {kPublic + "testing"}},
};

/// What a folder may not include itself, though it may include what does.
const std::map<std::string, std::vector<std::string>> kLeaves = {
    // A report renders what was found; whoever wants more of a fit asks for it before.
    {kInternal + "report", {kInternal + "fit/solve", kInternal + "fit/refit"}},
};

/// Where a third-party library may be included from. A path may end in a file's suffix after '*'.
struct Home {
  std::string library;              ///< How its includes begin.
  std::vector<std::string> places;  ///< How the path of the including file begins; "*.cc" behind it: such files only.
};
const std::vector<std::string> kTorchPlaces = {kPublic + "math/",
                                               kPublic + "api/",
                                               kPublic + "sdk/",
                                               kPublic + "testing/",
                                               kInternal + "math/",
                                               kInternal + "api/tensor/",
                                               kInternal + "sdk/checkpoint/tensor/",
                                               kInternal + "sdk/decoder/tensor/",
                                               kInternal + "sdk/grids/tensor/",
                                               kInternal + "sdk/machine/tensor/",
                                               kInternal + "testing/tensor/",
                                               kInternal + "quantize/",
                                               kInternal + "evaluate/",
                                               kInternal + "run/",
                                               kInternal + "cli/tensor/",
                                               "plugins/models/",
                                               "plugins/quantizers/",
                                               "plugins/grids/",
                                               "plugins/transforms/",
                                               "plugins/exporters/",
                                               "examples/"};
const std::vector<Home> kHomes = {
    {"torch/torch.h", {"examples/"}},  // Twelve seconds a file: only what trains needs all of it.
    {"torch/version.h", {kPublic + "base/fingerprint.h", kPublic + "sdk/machine/torch_version.h", kInternal + "run/",
                           kInternal + "cli/tensor/"}},
    {"torch/", {"examples/"}},
    {"ATen/", kTorchPlaces},
    {"c10/", kTorchPlaces},
    {"yaml-cpp/", {kInternal + "spec/"}},
    {"boost/dll/", {kInternal + "plugin/"}},
    {"boost/math/", {kInternal + "fit/", kInternal + "sdk/expression"}},
    {"boost/random/", {kInternal + "fit/"}},
    {"ceres/", {kPublic + "sdk/expression/autodiff_law.h"}},
    {"Eigen/", {kInternal + "fit/"}},
    {"nlohmann/", {kInternal + "*.cc", kInternal + "sdk/tokenizer/tokenizer_json_reader.h", "examples/*.cc"}},
    {"fmt/", {kInternal + "*.cc", "plugins/*.cc", "examples/*.cc"}},
    {"CLI/", {kInternal + "cli/", "examples/"}},
    {"openssl/", {kInternal + "base/"}},
    {"pcre2.h", {kInternal + "sdk/"}},
    {"utf8proc.h", {kInternal + "sdk/"}},
    {"snappy.h", {kInternal + "sdk/data/parquet/"}},
    {"zlib.h", {kInternal + "sdk/data/parquet/"}},
    {"zstd.h", {kInternal + "sdk/data/parquet/"}},
    {"gtest/", {kPublic + "testing/", "examples/*.cc"}},
    {"gmock/", {kPublic + "testing/", "examples/*.cc"}},
    {"sys/", {kInternal, "plugins/", "examples/"}},
};

/// What builds without libtorch, and so may not reach it through a header either.
bool BuildsWithoutTorch(const std::string& path) {
  static const std::regex kCore(kInternal + "(base/.*|cli/(common|plugins|records|results|study|tasks|usage)/.*|" +
                                "(api|plugin|import|spec|spec/[^/]*|plan|cost|records|records/[^/]*|report|resolve|run/(claims|schedule))/[^/]*|" +
                                "(testing|cli)/[^/]*|" +
                                "sdk/[^/]*/[^/]*|sdk/data/parquet/[^/]*|fit/.*)|" +
                                "plugins/(corpora|tasks|laws)/.*");
  return std::regex_match(path, kCore);
}

struct Include {
  int line;
  std::string name;
  bool quoted;
};

std::vector<Include> IncludesOf(const std::string& text) {
  static const std::regex kInclude(R"(^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">])");
  std::vector<Include> includes;
  int line = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string row = text.substr(begin, end - begin);
    std::smatch match;
    ++line;
    if (row.find("include") != std::string::npos && std::regex_search(row, match, kInclude)) {
      includes.push_back({line, match[2], match[1] == "\""});
    }
    begin = end + 1;
  }
  return includes;
}

/// "framework/src/fit/solve" of "framework/src/fit/solve/starts.cc" (rooms of sdk and fit are units of their own),
/// "framework/src/plan" of what lies below it, and "plugins/laws/formula"; "" for a file of no folder that the rules
/// know.
std::string UnitOf(const std::string& path) {
  static const std::regex kUnit("(" + kPublic + "sdk/[^/]+|" + kInternal + "(?:sdk|fit)/[^/]+|" + kPublic + "[^/]+|" +
                                kInternal + "[^/]+|plugins/[^/]+/[^/]+|examples/[^/]+)/.*");
  std::smatch match;
  return std::regex_match(path, match, kUnit) ? match[1].str() : "";
}

bool MayUse(const std::string& unit, const std::string& other) {
  if (unit == other) return true;
  const std::string row = unit.starts_with("plugins/") ? "plugins" : unit.starts_with("examples/") ? "examples" : unit;
  const auto uses = kUses.find(row);
  return uses != kUses.end() && std::any_of(uses->second.begin(), uses->second.end(),
                                            [&](const std::string& used) { return MayUse(used, other); });
}

bool Leaves(const std::string& unit, const std::string& other) {
  const auto found = kLeaves.find(unit);
  return found != kLeaves.end() && std::find(found->second.begin(), found->second.end(), other) != found->second.end();
}

bool LivesIn(const std::string& path, const std::string& place) {
  const size_t star = place.find('*');
  if (star == std::string::npos) return path.starts_with(place);
  return path.starts_with(place.substr(0, star)) && path.ends_with(place.substr(star + 1));
}

/// The file of the project that an include means, if it is one.
std::optional<std::string> FileOf(const SourceTree& sources, const std::string& from, const Include& include) {
  if (include.name.starts_with("bitlaw/")) return "framework/include/" + include.name;
  const std::filesystem::path beside = std::filesystem::path(from).parent_path() / include.name;
  if (include.quoted && sources.contains(beside.lexically_normal().generic_string())) {
    return beside.lexically_normal().generic_string();
  }
  // The build makes walk_kernel_source.h of walk_kernel.cu, which lies beside the file that includes it.
  constexpr std::string_view kMade = "_source.h";
  if (include.quoted && include.name.ends_with(kMade)) {
    const std::string kernels = include.name.substr(0, include.name.size() - kMade.size()) + ".cu";
    const std::string path = (std::filesystem::path(from).parent_path() / kernels).generic_string();
    if (sources.contains(path)) return path;
  }
  if (sources.contains(kInternal + include.name)) return kInternal + include.name;
  // An example may have folders of its own on its include path.
  const std::string own = UnitOf(from) + "/" + include.name;
  if (from.starts_with("examples/") && sources.contains(own)) return own;
  return std::nullopt;
}

bool IsTorch(const std::string& name) {
  return name.starts_with("ATen/") || name.starts_with("c10/") ||
         (name.starts_with("torch/") && name != "torch/version.h");
}

/// How `path` reaches libtorch: "a.h, which includes b.h, which includes ATen/ATen.h"; "" if it does not.
std::string WayToTorch(const SourceTree& sources, const std::string& path, std::set<std::string>& seen) {
  const auto found = sources.find(path);
  if (found == sources.end() || !seen.insert(path).second) return "";
  for (const Include& include : IncludesOf(found->second)) {
    if (IsTorch(include.name)) return include.name;
    const auto file = FileOf(sources, path, include);
    if (!file) continue;
    const std::string way = WayToTorch(sources, *file, seen);
    if (!way.empty()) return include.name + ", which includes " + way;
  }
  return "";
}

}  // namespace

SourceTree ReadSources(const std::filesystem::path& top) {
  SourceTree sources;
  for (const char* part : {"framework", "plugins", "examples"}) {
    if (!std::filesystem::is_directory(top / part)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(top / part)) {
      const auto extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".cu") continue;
      std::ifstream file(entry.path());
      sources[entry.path().lexically_relative(top).generic_string()] = {std::istreambuf_iterator<char>(file), {}};
    }
  }
  return sources;
}

std::vector<std::string> IncludeFaults(const SourceTree& sources) {
  std::vector<std::string> faults;
  for (const auto& [path, text] : sources) {
    const std::string unit = UnitOf(path);
    for (const Include& include : IncludesOf(text)) {
      const std::string where = path + ":" + std::to_string(include.line) + ": ";
      if (const auto file = FileOf(sources, path, include)) {
        if (!sources.contains(*file)) {
          faults.push_back(where + "<" + include.name + "> is no header of the project.");
        } else if (!unit.empty() && (!MayUse(unit, UnitOf(*file)) || Leaves(unit, UnitOf(*file)))) {
          faults.push_back(where + unit + " may not include " + *file + ".");
        }
        continue;
      }
      const auto home = std::find_if(kHomes.begin(), kHomes.end(),
                                     [&](const Home& one) { return include.name.starts_with(one.library); });
      if (home == kHomes.end()) {
        const bool is_system = !include.quoted && include.name.find('/') == std::string::npos;
        if (!is_system) faults.push_back(where + "'" + include.name + "' has no home in the table of include rules.");
      } else if (std::none_of(home->places.begin(), home->places.end(),
                              [&](const std::string& place) { return LivesIn(path, place); })) {
        faults.push_back(where + "'" + include.name + "' may not be included here.");
      }
    }
    std::set<std::string> seen;
    const std::string way = BuildsWithoutTorch(path) ? WayToTorch(sources, path, seen) : "";
    if (!way.empty()) faults.push_back(path + ": builds without libtorch but includes " + way + ".");
  }
  return faults;
}

}  // namespace bitlaw
