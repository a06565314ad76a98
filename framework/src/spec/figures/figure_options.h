#pragma once

#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// One entry of a study's `figures:`. x and y are columns of the observations or expressions of them, with those of `map`;
/// colour and facet columns of texts or numbers, or expressions.
struct BITLAW_EXPORT FigureOptions {
  std::string name, title, x, y, colour, facet, where;
  bool of_tasks = false;          ///< A point is a trial on a task; false: a trial in a stratum, the mean over its tasks.
  std::string x_scale, y_scale;   ///< "linear", "log2" or "log10".
  SourceMark mark;
};

/// The keys of an entry, with types, choices and defaults.
BITLAW_EXPORT const OptionSchema& FigureSchema();

/// `given`: a list of maps, null for none. One Error(kSpec) with every fault: keys and values by the schema, expressions that
/// cannot be read, names that are no file's or stand twice.
BITLAW_EXPORT std::vector<FigureOptions> ReadFigureOptions(const Value& given);

}  // namespace bitlaw
