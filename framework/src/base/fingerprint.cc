#include "bitlaw/base/fingerprint.h"

#include <algorithm>

namespace bitlaw {

std::vector<std::pair<std::string, std::string>> ParseFingerprint(std::string_view symbol) {
  if (!symbol.starts_with(kFingerprintPrefix)) return {};
  symbol.remove_prefix(kFingerprintPrefix.size());
  std::vector<std::pair<std::string, std::string>> fields;
  while (!symbol.empty()) {
    const size_t end = symbol.find("__");
    const std::string_view field = symbol.substr(0, end);
    const size_t split = field.find('_');
    if (split == std::string_view::npos) return {};
    std::string value(field.substr(split + 1));
    std::replace(value.begin(), value.end(), '_', '.');
    fields.emplace_back(field.substr(0, split), std::move(value));
    symbol = end == std::string_view::npos ? "" : symbol.substr(end + 2);
  }
  return fields;
}

std::string ExplainMismatch(std::string_view host, std::string_view plugin) {
  const auto host_fields = ParseFingerprint(host);
  const auto plugin_fields = ParseFingerprint(plugin);
  auto value_of = [](const auto& fields, const std::string& name) -> std::string {
    for (const auto& [key, value] : fields)
      if (key == name) return value;
    return "(not stated)";
  };
  static constexpr std::pair<const char*, const char*> kFields[] = {
      {"api", "plugin API epoch"}, {"torch", "libtorch version"},  {"abi", "C++11 string ABI"},
      {"cc", "compiler"},          {"std", "C++ standard"},     {"stl", "standard library"}, {"san", "sanitizer"}};
  std::string text;
  for (const auto& [key, meaning] : kFields) {
    const std::string ours = value_of(host_fields, key), theirs = value_of(plugin_fields, key);
    if (ours == theirs) continue;
    // A plugin that uses no torch fits a host of any torch version.
    if (std::string_view(key) == "torch" && theirs == "none") continue;
    text += std::string("  ") + meaning + ": plugin " + theirs + ", bitlaw " + ours + "\n";
  }
  if (!text.empty()) text.pop_back();
  return text;
}

}  // namespace bitlaw
