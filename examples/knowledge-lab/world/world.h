#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/rng.h"
#include "words.h"

namespace bitlaw::lab {

/// One line of text: what is asked and what follows. `prompt` + " " + `answer` + " ." is the text.
struct Line {
  std::string prompt, answer;
  /// Plausible wrong answers, each different from the right one and from each other.
  std::vector<std::string> wrong{};
};

/// The kinds of line. Each kind belongs to one stratum:
///   KM  fact: a relation of a named person, seen in training, by how often; paraphrase: such a fact asked in another
///       form than the one in which it was learned.
///   KA  rule: a property of a new creature by the rule of its class, beside others; inherit: a property that the class
///       has from its group; speak: a dictionary applied to three words; decline: endings of nouns in a case in which
///       training text never shows them.
///   KR  arith: operations modulo 23 or 113, step by step; walk: doors between the rooms of one of two houses; order:
///   the first, second or
///       last of a chain of comparisons; hop: following links, step by step; swap: what is where after exchanges, step
///       by step.
enum class Kind { kFact, kParaphrase, kRule, kInherit, kSpeak, kDecline, kArith, kWalk, kOrder, kHop, kSwap };

/// Every kind with its name, in the order above.
std::span<const std::pair<Kind, const char*>> AllKinds();

/// One evaluation item. `choices` is empty for exact-match generation.
struct Item {
  std::string prompt;
  std::vector<std::string> choices;
  size_t answer_index = 0;
  std::string answer;
};

/// What a line is drawn for: training text; the trainer's own check of progress, with held-out prompts like those of
/// training; or a task, whose held-out prompts are harder: rare steps as often as common ones, and longer ways.
enum class Purpose { kTraining, kProgress, kTask };

/// What calibration and training text is made of.
enum class Domain { kGeneral, kFacts, kReasoning };

/// A small closed world in which what is memorized, applied and reasoned is known exactly.
///
/// Everything follows from the seed. No line that Training() returns has the prompt of an evaluation item of a kind
/// that asks for generalization: a prompt is held out if its digest says so, and the generator draws again. Facts are
/// asked as they were learned, save that a paraphrase asks a fact that training text never gives in that form; a noun
/// is declined in a case in which training text never shows it.
class World {
 public:
  explicit World(uint64_t seed);

  const Vocabulary& vocabulary() const { return *vocabulary_; }

  /// A line of training (or calibration) text.
  Line Training(Rng& rng, Domain domain) const;

  /// `count` different evaluation items of one kind, as multiple choice over `choices` options or, with 0, as
  /// exact-match generation. Facts are asked of the `people` that training text names most often.
  std::vector<Item> Items(Kind kind, size_t count, size_t choices, uint64_t seed, Purpose purpose = Purpose::kTask,
                          size_t people = kPeople) const;

  /// True for a prompt that is kept for evaluation.
  static bool IsHeldOut(const std::string& prompt);

  static constexpr size_t kPeople = 9000;  ///< With four relations each.

 private:
  /// Indices 0, 1, ... whose probability falls as (index + shift)^-exponent.
  struct Zipf {
    Zipf(size_t count, double shift, double exponent);
    size_t Draw(Rng& rng) const;
    std::vector<double> cumulative;
  };
  using Words = std::vector<std::string>;

  Line Draw(Kind kind, Rng& rng, Purpose purpose, size_t people) const;  ///< people = 0: as often as in training text.
  Line DrawFact(Rng& rng, bool paraphrase, size_t people) const;
  Line DrawRule(Kind kind, Rng& rng, bool evaluation) const;
  Line DrawSpeak(Rng& rng, bool evaluation) const;
  Line DrawDecline(Rng& rng, bool evaluation) const;
  Line DrawSteps(Kind kind, Rng& rng, Purpose purpose) const;
  Line DrawOrder(Rng& rng, Purpose purpose) const;
  Line DrawHop(Rng& rng, Purpose purpose) const;
  Line DrawSwap(Rng& rng, bool evaluation) const;
  const std::string& Pick(const Words& words, Rng& rng) const { return words[rng.Below(words.size())]; }
  Words PickDifferent(const Words& words, size_t count, Rng& rng) const;
  void AddWrong(const Words& pool, Rng& rng, Line* line) const;
  std::string PersonName(size_t person) const;

  uint64_t seed_;
  Words first_, last_, creatures_, classes_, symbols_, numbers_, labels_, operations_, rooms_, doors_, lexicon_, modes_,
      forms_, swaps_, nouns_, cases_, endings_;
  std::vector<Words> relation_values_, property_values_;
  std::vector<size_t> people_;                            // Index into first x last.
  std::vector<std::vector<size_t>> leads_, large_leads_;  // [door][room] -> room
  Zipf people_often_, classes_often_, lexicon_often_, nouns_often_, operations_often_, doors_often_, large_doors_often_;
  std::unique_ptr<Vocabulary> vocabulary_;
};

}  // namespace bitlaw::lab
