#pragma once

#include <string>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

/// How json.dumps() of Python 3 writes a value: programs hash such texts.
struct BITLAW_EXPORT PythonJsonStyle {
  int indent = 0;             ///< indent=N; 0: on one line, with ", " and ": " between.
  bool ensure_ascii = false;  ///< Characters beyond ASCII as \uXXXX.
};

/// Keys in the order of the map. Reals as repr() has them: 1.0, 1e-05, NaN, Infinity.
/// Source   Lib/json/encoder.py of Python 3.11.
BITLAW_EXPORT std::string PythonJson(const Value& value, const PythonJsonStyle& style = {});

}  // namespace bitlaw
