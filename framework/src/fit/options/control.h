#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// What a law is cleared of: a column that is not one of its factors.
struct BITLAW_EXPORT Control {
  std::string name;        ///< Of the column; its coefficient is the parameter c_<name>.
  std::string expression;  ///< Over columns of numbers; the column itself if it is the name alone.
  std::vector<std::pair<std::string, double>> of_task;  ///< Given by task instead.
  double mean = 0;  ///< Over the rows of the table; where it is there, the law is as if there were no control.
};

/// Reads "items", "log_length = log(answer_length)" or "answer_length: arc = 3.2, gsm8k = 140". Error(kSpec).
BITLAW_EXPORT Control ParseControl(const std::string& text);

/// A text that ParseControl() reads as this.
BITLAW_EXPORT std::string Text(const Control& control);

}  // namespace bitlaw
