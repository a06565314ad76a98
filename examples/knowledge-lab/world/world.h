#pragma once

#include <cstdint>
#include <memory>
#include <optional>
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
  /// Length of the chain that leads to the answer; 0 for lines without one.
  size_t steps = 0;
  /// Steps of the chain for each that the answer writes.
  size_t stride = 1;
  /// How often a million lines of training text give the rarest fact or rule that the answer needs, in the mean of draws;
  /// 0 for lines that need none.
  double frequency = 0;
};

/// The kinds of line. Each kind belongs to one stratum:
///   KM  fact: one of four relations of a named person; paraphrase: such a fact in another form, of which one fact in
///       eight is kept for evaluation; born: a number of two words.
///   KA  rule: a property of a new creature, by the rule of the class that it is told to be of; inherit: such a property
///       that the class has from its group; speak: a dictionary of roots applied in a mode; decline: the ending of a
///       noun in a case in which training text never shows it.
///   KR  arith: operations modulo 23 or 113, step by step; walk: doors between the rooms of one of two houses, step by
///       step; hop: following links; order: the first things of a row told in pairs, or one of them alone; swap: what cups
///       hold after exchanges. Of links and exchanges an answer writes each, each second or each fourth step.
enum class Kind { kFact, kParaphrase, kBorn, kRule, kInherit, kSpeak, kDecline, kArith, kWalk, kHop, kOrder, kSwap };

/// Every kind with its name, in the order above.
std::span<const std::pair<Kind, const char*>> AllKinds();

/// One evaluation item. `choices` is empty for exact-match generation.
struct Item {
  std::string prompt;
  std::vector<std::string> choices;
  size_t answer_index = 0;
  std::string answer;
  size_t steps = 0;      ///< As of its line.
  size_t stride = 1;     ///< As of its line.
  double frequency = 0;  ///< As of its line.
};

/// What a line is drawn for: training text; the trainer's own check of progress, with held-out prompts like those of
/// training; or a task, whose held-out prompts are harder: rare facts and steps as often as common ones, longer chains.
enum class Purpose { kTraining, kProgress, kTask };

/// What calibration and training text is made of.
enum class Domain { kGeneral, kFacts, kReasoning };

/// A small closed world in which what is memorized, applied and reasoned is known exactly.
///
/// Everything follows from the seed. No line that Training() returns has the prompt of an evaluation item of a kind
/// that asks for generalization: a prompt is held out if its digest says so, and the generator draws again. Facts are
/// asked as they were learned, save that a paraphrase asks a fact that training text never gives in that form; a noun
/// is declined in a case in which training text never shows it.
///
/// People, classes, words and nouns are named by two words each, so that what is known of them is known of a pair and
/// cannot stand in the embedding of one word. How often text names them falls with their rank (Zipf); tasks draw them
/// evenly in the logarithm of their frequency, so that difficulty is graded within each task.
class World {
 public:
  explicit World(uint64_t seed);

  const Vocabulary& vocabulary() const { return *vocabulary_; }

  /// A line of training (or calibration) text.
  Line Training(Rng& rng, Domain domain) const;

  /// `count` different evaluation items of one kind, as multiple choice over `choices` options or, with 0, as
  /// exact-match generation.
  std::vector<Item> Items(Kind kind, size_t count, size_t choices, uint64_t seed,
                          Purpose purpose = Purpose::kTask) const;

  /// True for a prompt that is kept for evaluation.
  static bool IsHeldOut(const std::string& prompt);

  static constexpr size_t kPeople = 12000;  ///< With five facts each.

 private:
  /// Indices 0, 1, ... whose probability falls as (index + shift)^-exponent.
  struct Zipf {
    Zipf(size_t count, double shift, double exponent);
    size_t Draw(Rng& rng) const;
    size_t DrawEvenly(Rng& rng) const;  ///< Evenly in the logarithm of index + 5 shift.
    double ProbabilityOf(size_t index) const;
    double shift;
    std::vector<double> cumulative;
  };
  using Words = std::vector<std::string>;

  Line Draw(Kind kind, Rng& rng, Purpose purpose) const;
  Line DrawFact(Kind kind, Rng& rng, Purpose purpose) const;
  Line DrawRule(Kind kind, Rng& rng, Purpose purpose) const;
  Line DrawSpeak(Rng& rng, Purpose purpose) const;
  Line DrawDecline(Rng& rng, Purpose purpose) const;
  Line DrawSteps(Kind kind, Rng& rng, Purpose purpose) const;
  Line DrawHop(Rng& rng, Purpose purpose) const;
  Line DrawOrder(Rng& rng, Purpose purpose) const;
  Line DrawSwap(Rng& rng, Purpose purpose) const;
  const std::string& Pick(const Words& words, Rng& rng) const { return words[rng.Below(words.size())]; }
  Words PickDifferent(const Words& words, size_t count, Rng& rng) const;
  void AddWrong(const Words& pool, Rng& rng, Line* line) const;

  uint64_t seed_;
  Words first_, last_, creatures_, symbols_, numbers_, labels_, operations_, rooms_, doors_, modes_, forms_, swaps_,
      cases_, endings_;
  std::vector<Words> relation_values_, property_values_;
  Words people_, classes_, lexicon_, nouns_;              // Names of two words each, the most frequent first.
  std::vector<std::vector<size_t>> leads_, large_leads_;  // [door][room] -> room
  Zipf people_often_, classes_often_, lexicon_often_, nouns_often_, operations_often_, large_operations_often_,
      doors_often_, large_doors_often_;
  std::unique_ptr<Vocabulary> vocabulary_;
};

}  // namespace bitlaw::lab
