#pragma once

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "formula_law.h"
#include "spec/study_spec.h"

namespace bitlaw {

/// The law files of configs/laws, by name, sorted.
inline std::vector<std::string> ShippedLawNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(BITLAW_SOURCE_DIR) + "/configs/laws")) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline Value ShippedLawFile(const std::string& name) {
  return ReadYamlFile(std::string(BITLAW_SOURCE_DIR) + "/configs/laws/" + name + ".yaml");
}

/// A law file that is a formula; one of another plugin (`type:`) is an error of the schema.
inline std::unique_ptr<FormulaLaw> ShippedLaw(const std::string& name) {
  return std::make_unique<FormulaLaw>(name, FormulaLaw::Schema().Resolve(ShippedLawFile(name), "law 'formula'"));
}

}  // namespace bitlaw
