#include "spec/component_file.h"

#include <algorithm>

#include "api/option_checker.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

constexpr size_t kMaxIncludes = 8;

ComponentFile Read(const std::filesystem::path& file, const std::string& kind, const std::string& chain, Faults& faults,
                   std::vector<std::filesystem::path>& open) {
  ComponentFile result;
  result.chain = chain;
  result.is_read = false;
  Value map;
  try {
    map = ReadYamlFile(file);
  } catch (const Error& error) {
    faults.AddError(error, "", chain);
    return result;
  }
  if (!map.is_map()) {
    faults.Add(map.mark(),
               "the " + kind + " is " + std::string(Article(map.type())) + ". It must be a map. (" + chain + ")");
    return result;
  }
  const Value* include = map.Find("include");
  if (include == nullptr) {
    result.map = std::move(map);
    result.is_read = true;
    return result;
  }
  if (!include->is_string()) {
    faults.Add(include->mark(), "'include' is " + std::string(Article(include->type())) +
                                    ". It must be the path of a file. (" + chain + ")");
    return result;
  }
  std::string unset;
  const std::string expanded = ExpandVariables(include->AsString(), &unset);
  if (!unset.empty()) {
    faults.Add(include->mark(), "'include' = '" + include->AsString() + "' needs the environment variable " + unset +
                                    ", which is not set. Set it, or write the path out. (" + chain + ")");
    return result;
  }
  const auto next = (file.parent_path() / expanded).lexically_normal();
  open.push_back(file.lexically_normal());
  if (std::find(open.begin(), open.end(), next) != open.end() || open.size() > kMaxIncludes) {
    faults.Add(include->mark(), "'include' of " + next.string() +
                                    (open.size() > kMaxIncludes ? " makes a chain of more than eight files."
                                                                : " comes back to a file that is being read.") +
                                    " (" + chain + ")");
    return result;
  }
  const ComponentFile base = Read(next, kind, chain + ", included by " + include->mark().Text(), faults, open);
  if (!base.is_read) return result;
  Value own = map;
  std::erase_if(own.AsMap(), [](const auto& entry) { return entry.first == "include"; });
  result.map = Overlay(base.map, own);
  result.map.set_mark(map.mark());
  result.chain = base.chain;
  result.is_read = true;
  return result;
}

}  // namespace

Value Overlay(const Value& base, const Value& over) {
  Value result = base;
  for (const auto& [key, value] : over.AsMap()) {
    if (value.is_null() && result.Find(key) != nullptr) {
      std::erase_if(result.AsMap(), [&, &name = key](const auto& entry) { return entry.first == name; });
    } else {
      result.Set(key, value);
    }
  }
  return result;
}

ComponentFile ReadComponentFile(const std::filesystem::path& file, const std::string& kind, const std::string& chain,
                                Faults& faults) {
  std::vector<std::filesystem::path> open;
  return Read(file, kind, chain, faults, open);
}

}  // namespace bitlaw
