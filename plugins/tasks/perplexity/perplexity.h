#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "bitlaw/api/option_schema.h"
#include "bitlaw/api/plugin.h"
#include "bitlaw/api/task.h"

namespace bitlaw {

/// Perplexity of a text. It means nothing without its convention, so that option has no default.
///
/// gptq     The whole text is tokenized once and cut into disjoint windows of T = window_tokens; what is left over
///          is dropped. Each window predicts its last T - 1 tokens. One score a window:
///            perplexity = exp( sum loss / sum predictions )
///          (The original multiplies each window's mean by T and divides by n T at the end: the same number.)
/// rolling  Every token of each document is predicted once, in windows of T tokens with one token of context
///          between them. One score a document:
///            word_perplexity = exp( sum loss / sum words ),  words = pieces between white space
///            byte_perplexity = exp( sum loss / sum UTF-8 bytes )
///            perplexity      = exp( sum loss / sum tokens )
///            bits_per_byte   = sum loss / sum UTF-8 bytes / ln 2
///          Words and bytes are those of the document as it stands in the file, also where option `detokenize` has
///          the model read another form of it.
///
/// `join` says how the file becomes text: see the plugin's README.
///
/// Source: Frantar et al. 2022, arXiv:2210.17323, code; lm-evaluation-harness 0.4.13, loglikelihood_rolling.
class Perplexity : public Task {
 public:
  static OptionSchema Schema();
  Perplexity(Options options, TaskContext context);

  const TaskCard& card() const override { return card_; }
  std::vector<TaskItem> Items() const override;
  std::vector<ItemScore> Score(const TaskItem& item, std::span<const Response> responses) const override;
  std::string digest() const override;

 private:
  struct Size {
    int64_t words = 0, bytes = 0;
  };
  std::vector<std::string> Documents() const;
  Size SizeOf(const TaskItem& item) const;

  Options options_;
  TaskContext context_;
  TaskCard card_;
  mutable std::mutex sizes_mutex_;
  mutable std::vector<Size> sizes_;  // Of the documents, as Items() last read them.
};

}  // namespace bitlaw
