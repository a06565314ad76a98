#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/rng.h"
#include "words.h"

namespace bitlaw::lab {

/// One line of training text: what is asked and what follows. `prompt` + " " + `answer` + " ." is the text.
struct Line {
  std::string prompt, answer;
};

/// The kinds of line. Each kind belongs to one stratum:
///   KM  fact: a relation of a named person, seen in training, by how often; paraphrase: the same facts asked in
///       another form than the one in which they were learned.
///   KA  rule: a property of a new creature by the rule of its class, beside a distractor; kind: a property that
///       the class inherits from its group; follow: what can be said of a new creature.
///   KR  arith: a chain of operations modulo 10, step by step; state: boxes and moves; order: the top of a chain
///       of comparisons; hop: following links, step by step.
enum class Kind { kFact, kParaphrase, kRule, kKind, kFollow, kArith, kState, kOrder, kHop };

/// One evaluation item. `choices` is empty for exact-match generation.
struct Item {
  std::string prompt;
  std::vector<std::string> choices;
  size_t answer_index = 0;
  std::string answer;
};

/// What calibration and training text is made of.
enum class Domain { kGeneral, kFacts, kReasoning };

struct WorldSize {
  int64_t people = 8000;       ///< With four relations each.
  double zipf_exponent = 0.9;  ///< Exposure of the person of rank r is proportional to (r + 20)^-exponent.
};

/// A small closed world in which what is memorized, applied and reasoned is known exactly.
///
/// Everything follows from the seed. No line that Training() returns has the prompt of an evaluation item of a kind
/// that asks for generalization: a prompt is held out if its digest says so, and the generator draws again.
class World {
 public:
  World(uint64_t seed, WorldSize size);

  const Vocabulary& vocabulary() const { return *vocabulary_; }

  /// A line of training (or calibration) text.
  Line Training(Rng& rng, Domain domain) const;

  /// `count` different evaluation items of one kind, as multiple choice over `choices` options or, with 0, as
  /// exact-match generation.
  std::vector<Item> Items(Kind kind, size_t count, size_t choices, uint64_t seed) const;

  /// True for a prompt that is kept for evaluation.
  static bool IsHeldOut(const std::string& prompt);

 private:
  Line Draw(Kind kind, Rng& rng, bool evaluation) const;
  Line DrawFact(Rng& rng, bool paraphrase, bool evaluation) const;
  Line DrawRule(Kind kind, Rng& rng) const;
  Line DrawArith(Rng& rng) const;
  Line DrawState(Rng& rng) const;
  Line DrawOrder(Rng& rng) const;
  Line DrawHop(Rng& rng) const;
  /// Answers of the same type as the right one, for wrong choices.
  const std::vector<std::string>& Alternatives(Kind kind, const Line& line) const;
  const std::string& Pick(const std::vector<std::string>& words, Rng& rng) const { return words[rng.Below(words.size())]; }
  std::string PersonName(int64_t person) const;
  const std::string& FactValue(int64_t person, size_t relation) const;

  uint64_t seed_;
  WorldSize size_;
  std::vector<std::string> first_, last_, creatures_, classes_, symbols_, digits_;
  std::vector<std::vector<std::string>> relation_values_, property_values_;
  std::vector<std::pair<uint32_t, uint32_t>> people_;  // Indices into first_ and last_.
  std::vector<double> exposure_;                       // Cumulative, ends at 1.
  std::unique_ptr<Vocabulary> vocabulary_;
};

}  // namespace bitlaw::lab
