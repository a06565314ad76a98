#include "plan/evaluate_options.h"

namespace bitlaw {

OptionSchema EvaluateOptions::Schema() {
  const EvaluateOptions defaults;
  OptionSchema schema;
  schema.Int("batch_tokens").Min(1).Word("auto", 0).Default(defaults.batch_tokens).Unit("tokens").Doc(
      "Tokens of one forward pass, unless one text alone has more. auto: 2048 on the CPU; from free memory elsewhere.");
  schema.Int("kv_budget_bytes").Min(1).Word("auto", 0).Default(defaults.kv_budget_bytes).Unit("bytes").Doc(
      "Memory for keys and values, unless one text alone needs more. auto: 1 GiB on the CPU, a quarter of what is free "
      "elsewhere.");
  schema.Int("logits_budget_bytes").Min(1).Word("auto", 0).Default(defaults.logits_budget_bytes).Unit("bytes").Doc(
      "Memory for the logits of one step. auto: 128 MiB on the CPU, a sixteenth of what is free elsewhere.");
  schema.Bool("stream_blocks")
      .Default(defaults.stream_blocks)
      .Doc(
          "Read one block of the model at a time and use it for all texts, for a model larger than memory. Not for "
          "tasks that "
          "generate.");
  schema.Bool("share_prefixes").Default(defaults.share_prefixes).Doc(
      "Compute common prefixes once; false reads every request whole, for comparison.");
  schema.Int("overlap_words")
      .Range(0, 100)
      .Word("none", 0)
      .Default(defaults.overlap_words)
      .Unit("words")
      .Doc(
          "Items that share so many words in a row with the trial's calibration text are counted in the record, and "
          "warned of. "
          "none: not looked for.");
  return schema;
}

EvaluateOptions EvaluateOptions::From(const Options& options) {
  EvaluateOptions result;
  result.batch_tokens = options.Int("batch_tokens");
  result.kv_budget_bytes = options.Int("kv_budget_bytes");
  result.logits_budget_bytes = options.Int("logits_budget_bytes");
  result.stream_blocks = options.Bool("stream_blocks");
  result.share_prefixes = options.Bool("share_prefixes");
  result.overlap_words = options.Int("overlap_words");
  return result;
}

Value EvaluateOptions::map() const {
  return Value::Map{{"batch_tokens", batch_tokens},
                    {"kv_budget_bytes", kv_budget_bytes},
                    {"logits_budget_bytes", logits_budget_bytes},
                    {"stream_blocks", stream_blocks},
                    {"share_prefixes", share_prefixes},
                    {"overlap_words", overlap_words}};
}

}  // namespace bitlaw
