#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// A key that a map of a study file may have.
struct SpecKey {
  std::string name;
  /// What its value must be; null where there are several forms, which `value` tells.
  Value::Type type = Value::Type::kNull;
  std::string value;     ///< In words: "text", "list or map".
  std::string fallback;  ///< What holds without it; begins with "required" where it may not be left out.
  std::string doc;
};

/// A kind of map, with its own keys. Of maps that take a component's options too, only those that are not options.
struct SpecMap {
  std::string kind;   ///< As MapReader is given it: "study", "model".
  std::string where;  ///< Where it stands: "An entry of `models:`"; "" where SpecParts() has it.
  std::string doc;    ///< A sentence or two before its keys; Markdown.
  std::vector<SpecKey> keys;
  std::vector<std::string> names;  ///< Of `keys`.
};

/// Every kind of map, in the order of the reference: what MapReader accepts, and what docs/reference/study.md shows.
BITLAW_EXPORT const std::vector<SpecMap>& SpecMaps();

/// One kind. InternalError where there is none of that name.
BITLAW_EXPORT const SpecMap& SpecMapOf(std::string_view kind);

/// A key whose value is a map of options, or a list of such maps, with their schema.
struct SpecPart {
  std::string where;  ///< "`activations:` of a `quantize:` entry"
  std::string doc;    ///< As in SpecMap.
  OptionSchema schema;
};

/// The parts of a recipe, calibration and own figures, in the order of the reference.
BITLAW_EXPORT std::vector<SpecPart> SpecParts();

/// The names of the keys of one kind.
BITLAW_EXPORT const std::vector<std::string>& SpecKeysOf(std::string_view kind);

}  // namespace bitlaw
