#include "cli/tensor/evaluate_options.h"

#include "evaluate/evaluate.h"

namespace bitlaw {

void CheckEvaluateOptions(const Value& evaluate) { EvaluateOptions::Schema().Resolve(evaluate, "'evaluate'"); }

}  // namespace bitlaw
