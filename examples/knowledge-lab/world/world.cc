#include "world.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw::lab {
namespace {

const std::vector<std::string> kRelations = {"home", "craft", "food", "color"};
const std::vector<std::string> kProperties = {"size", "shape", "sound", "skin"};  // Rules of a class.
const std::vector<std::string> kInherited = {"diet", "sleep"};                    // Rules of a class's group.
const std::vector<std::string> kGrammar = {"the",  "of",   "is",    "class", "fact",   "calc", "count",
                                           "walk", "roam", "order", "top",   "second", "low",  "link",
                                           "cups", "from", ":",     ".",     ","};
const std::vector<std::string> kCounts = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
constexpr size_t kClasses = 400, kGroups = 40, kLexicon = 200, kNouns = 300, kDeclensions = 16;
// Two systems of numbers and two houses: the small one is within reach of every rung, the large one of few.
constexpr size_t kModulus = 23, kLargeModulus = 113, kRooms = 24, kDoors = 24, kLargeRooms = 64, kLargeDoors = 48;
constexpr uint64_t kHeldOutOneIn = 16;
constexpr size_t kWrong = 4;  // Wrong answers a line, where there are so many.

constexpr std::pair<Kind, const char*> kKinds[] = {{Kind::kFact, "fact"},   {Kind::kParaphrase, "paraphrase"},
                                                   {Kind::kRule, "rule"},   {Kind::kInherit, "inherit"},
                                                   {Kind::kSpeak, "speak"}, {Kind::kDecline, "decline"},
                                                   {Kind::kArith, "arith"}, {Kind::kWalk, "walk"},
                                                   {Kind::kOrder, "order"}, {Kind::kHop, "hop"},
                                                   {Kind::kSwap, "swap"}};

// A fixed pseudo-random function of numbers: the world's facts and rules.
uint64_t Mix(uint64_t seed, uint64_t a, uint64_t b) { return Rng(seed).Fork(a).Fork(b).Next(); }

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

// Kinds whose items are kept out of training text by their prompt. Facts are asked as they were learned; a paraphrase
// and a declined noun are kept out as such, in whatever prompt they would stand.
bool IsHeldOutByPrompt(Kind kind) { return kind != Kind::kFact && kind != Kind::kParaphrase && kind != Kind::kDecline; }

}  // namespace

std::span<const std::pair<Kind, const char*>> AllKinds() { return kKinds; }

World::Zipf::Zipf(size_t count, double shift, double exponent) {
  double total = 0;
  for (size_t i = 0; i < count; ++i) cumulative.push_back(total += std::pow(static_cast<double>(i) + shift, -exponent));
  for (double& value : cumulative) value /= total;
}

size_t World::Zipf::Draw(Rng& rng) const {
  const auto at = std::lower_bound(cumulative.begin(), cumulative.end(), rng.Uniform());
  return std::min<size_t>(at - cumulative.begin(), cumulative.size() - 1);
}

World::World(uint64_t seed)
    : seed_(seed),
      people_often_(kPeople, 20, 0.9),
      classes_often_(kClasses, 5, 1.3),
      lexicon_often_(kLexicon, 5, 1.0),
      nouns_often_(kNouns, 5, 1.0),
      operations_often_(kCounts.size() * 3, 2, 1.0),
      doors_often_(kDoors, 2, 1.0),
      large_doors_often_(kLargeDoors, 2, 1.0) {
  Words taken, words = kGrammar;
  auto invent = [&](size_t count, uint64_t stream) {
    Words list = InventWords(count, seed + stream, &taken);
    words.insert(words.end(), list.begin(), list.end());
    return list;
  };
  first_ = invent(100, 1), last_ = invent(100, 2), creatures_ = invent(32, 3), classes_ = invent(kClasses, 4),
  symbols_ = invent(12, 5);
  labels_ = invent(6, 6), rooms_ = invent(kLargeRooms, 7), doors_ = invent(kLargeDoors, 8),
  lexicon_ = invent(kLexicon, 9);
  modes_ = invent(6, 30), forms_ = invent(60, 31), swaps_ = invent(6, 32), numbers_ = invent(kLargeModulus, 33);
  nouns_ = invent(kNouns, 34), cases_ = invent(6, 35), endings_ = invent(24, 36);
  for (size_t r = 0; r < kRelations.size(); ++r) relation_values_.push_back(invent(32, 10 + r));
  for (size_t p = 0; p < kProperties.size() + kInherited.size(); ++p) property_values_.push_back(invent(10, 20 + p));
  for (const std::string& count : kCounts)
    for (const char* sign : {"add", "take", "times"}) operations_.push_back(sign + count);
  for (const Words& list : {kRelations, kProperties, kInherited, operations_, kCounts})
    words.insert(words.end(), list.begin(), list.end());
  vocabulary_ = std::make_unique<Vocabulary>(words);

  Rng rng(seed + 40);
  people_.resize(first_.size() * last_.size());
  for (size_t i = 0; i < people_.size(); ++i) people_[i] = i;
  rng.Shuffle(std::span(people_));
  people_.resize(kPeople);
  const auto build = [&](size_t doors, size_t rooms) {
    std::vector<std::vector<size_t>> leads;
    for (size_t door = 0; door < doors; ++door) {
      std::vector<size_t> order(rooms);
      for (size_t i = 0; i < rooms; ++i) order[i] = i;
      rng.Shuffle(std::span(order));
      leads.push_back(std::move(order));
    }
    return leads;
  };
  leads_ = build(kDoors, kRooms);
  large_leads_ = build(kLargeDoors, kLargeRooms);
}

bool World::IsHeldOut(const std::string& prompt) {
  return std::stoull(DigestOf(prompt).substr(0, 15), nullptr, 16) % kHeldOutOneIn == 0;
}

World::Words World::PickDifferent(const Words& words, size_t count, Rng& rng) const {
  Words picked = words;
  for (size_t i = 0; i < count; ++i) std::swap(picked[i], picked[i + rng.Below(picked.size() - i)]);
  picked.resize(count);
  return picked;
}

void World::AddWrong(const Words& pool, Rng& rng, Line* line) const {
  Words rest = pool;
  rng.Shuffle(std::span(rest));
  for (const std::string& word : rest) {
    const bool known =
        word == line->answer || std::find(line->wrong.begin(), line->wrong.end(), word) != line->wrong.end();
    if (!known && line->wrong.size() < kWrong) line->wrong.push_back(word);
  }
}

std::string World::PersonName(size_t person) const {
  return first_[people_[person] / last_.size()] + " " + last_[people_[person] % last_.size()];
}

Line World::DrawFact(Rng& rng, bool paraphrase, size_t people) const {
  while (true) {
    const size_t person = people > 0 ? rng.Below(people) : people_often_.Draw(rng),
                 relation = rng.Below(kRelations.size());
    // One fact in eight is learned in the plain form only: it is what the paraphrase task asks.
    const bool plain_only = Mix(seed_ + 41, person, relation) % 8 == 0;
    if (paraphrase && plain_only != (people > 0)) continue;
    const std::string name = PersonName(person);
    const Words& values = relation_values_[relation];
    Line line{paraphrase ? "the " + kRelations[relation] + " of " + name + " is"
                         : "fact " + name + " " + kRelations[relation] + " :",
              values[Mix(seed_ + 42, person, relation) % values.size()],
              {}};
    if (people > 0) AddWrong(values, rng, &line);
    return line;
  }
}

Line World::DrawRule(Kind kind, Rng& rng, bool evaluation) const {
  const size_t count = 2 + rng.Below(2), asked = rng.Below(count);
  const Words names = PickDifferent(creatures_, count, rng);
  std::vector<size_t> classes;
  while (classes.size() < count) {
    const size_t one = evaluation ? rng.Below(kClasses) : classes_often_.Draw(rng);
    if (std::find(classes.begin(), classes.end(), one) == classes.end()) classes.push_back(one);
  }
  const bool inherited = kind == Kind::kInherit;
  const size_t property = inherited ? kProperties.size() + rng.Below(kInherited.size()) : rng.Below(kProperties.size());
  const std::string& word = inherited ? kInherited[property - kProperties.size()] : kProperties[property];
  const Words& values = property_values_[property];
  auto value_of = [&](size_t one) -> const std::string& {
    return values[inherited ? Mix(seed_ + 44, Mix(seed_ + 45, one, 0) % kGroups, property) % values.size()
                            : Mix(seed_ + 43, one, property) % values.size()];
  };
  Line line;
  for (size_t i = 0; i < count; ++i) line.prompt += names[i] + " " + classes_[classes[i]] + " , ";
  if (!evaluation && rng.Below(4) == 0) {
    // Of what class each creature is, in any order: not a task, but the first step of every rule.
    Words pairs;
    for (size_t i = 0; i < count; ++i) pairs.push_back(names[i] + " " + classes_[classes[i]]);
    rng.Shuffle(std::span(pairs));
    line.prompt += "class :";
    line.answer = Joined(pairs);
    return line;
  }
  line.prompt += word + " " + names[asked];
  line.answer = value_of(classes[asked]);
  if (evaluation) {
    Words others;
    for (const size_t one : classes) others.push_back(value_of(one));
    AddWrong(others, rng, &line);
    AddWrong(values, rng, &line);
  }
  return line;
}

Line World::DrawSpeak(Rng& rng, bool evaluation) const {
  const size_t mode = rng.Below(modes_.size());
  Words words, spoken;
  std::vector<size_t> drawn;
  auto form = [&](size_t word) { return forms_[Mix(seed_ + 46, word, mode) % forms_.size()]; };
  for (size_t i = 0; i < 3; ++i) {
    drawn.push_back(evaluation ? rng.Below(kLexicon) : lexicon_often_.Draw(rng));
    words.push_back(lexicon_[drawn.back()]);
    spoken.push_back(form(drawn.back()));
  }
  Line line{modes_[mode] + " " + Joined(words) + " :", Joined(spoken), {}};
  while (evaluation && line.wrong.size() < kWrong) {
    Words wrong = spoken;
    wrong[rng.Below(3)] = Pick(forms_, rng);
    AddWrong({Joined(wrong)}, rng, &line);
  }
  return line;
}

// A noun's ending follows from its declension and the case. One pair of noun and case in eight is kept for evaluation:
// its ending follows from what training text says of the noun in other cases.
Line World::DrawDecline(Rng& rng, bool evaluation) const {
  const size_t given = rng.Below(cases_.size());
  Words nouns, endings;
  while (nouns.size() < 2) {
    const size_t noun = evaluation ? rng.Below(kNouns) : nouns_often_.Draw(rng);
    if ((Mix(seed_ + 47, noun, given) % 8 == 0) != evaluation) continue;
    nouns.push_back(nouns_[noun]);
    endings.push_back(endings_[Mix(seed_ + 48, Mix(seed_ + 49, noun, 0) % kDeclensions, given) % endings_.size()]);
  }
  Line line{cases_[given] + " " + Joined(nouns) + " :", Joined(endings), {}};
  while (evaluation && line.wrong.size() < kWrong) {
    Words wrong = endings;
    wrong[rng.Below(2)] = Pick(endings_, rng);
    AddWrong({Joined(wrong)}, rng, &line);
  }
  return line;
}

// A start and labelled operations; every step of the answer names the label and the new value.
Line World::DrawSteps(Kind kind, Rng& rng, Purpose purpose) const {
  const bool evaluation = purpose != Purpose::kTraining, is_task = purpose == Purpose::kTask;
  const bool is_arith = kind == Kind::kArith, is_large = rng.Below(2) == 0;
  const Words& values = is_arith ? numbers_ : rooms_;
  const Words& operations = is_arith ? operations_ : doors_;
  const size_t modulus = is_large ? kLargeModulus : kModulus;
  const size_t count = is_arith ? modulus : is_large ? kLargeRooms : kRooms;
  const Zipf& often = is_arith ? operations_often_ : is_large ? large_doors_often_ : doors_often_;
  const size_t kinds = is_arith ? operations.size() : is_large ? kLargeDoors : kDoors;
  const size_t shortest = !evaluation ? 1 : is_task && !is_arith ? 4 : 2;
  const size_t length = shortest + rng.Below(7 - shortest), start = rng.Below(count);
  auto after = [&](size_t value, size_t operation) -> size_t {
    if (!is_arith) return (is_large ? large_leads_ : leads_)[operation][value];
    const size_t operand = operation / 3 + 1, sign = operation % 3;
    return (sign == 0 ? value + operand : sign == 1 ? value + modulus - operand : value * operand) % modulus;
  };
  Line line{is_arith ? (is_large ? "count" : "calc") : (is_large ? "roam" : "walk"), "", {}};
  std::vector<size_t> steps;
  for (size_t i = 0; i < length; ++i) {
    steps.push_back(is_task ? rng.Below(kinds) : often.Draw(rng));
    line.prompt += " " + labels_[i] + " " + operations[steps.back()];
  }
  line.prompt += " from " + values[start] + " :";
  // The steps with a slip at one of them (or at none), after which they go on rightly.
  auto chain = [&](size_t slip) {
    Words said;
    size_t value = start;
    for (size_t i = 0; i < length; ++i) {
      value = i == slip ? rng.Below(count) : after(value, steps[i]);
      said.push_back(labels_[i] + " " + values[value]);
    }
    return Joined(said);
  };
  line.answer = chain(length);
  while (evaluation && line.wrong.size() < kWrong) AddWrong({chain(rng.Below(length))}, rng, &line);
  return line;
}

Line World::DrawOrder(Rng& rng, Purpose purpose) const {
  const bool evaluation = purpose != Purpose::kTraining, is_task = purpose == Purpose::kTask;
  const size_t shortest = is_task ? 5 : evaluation ? 4 : 3, longest = is_task ? 8 : 6;
  const Words chain = PickDifferent(symbols_, shortest + rng.Below(longest - shortest + 1), rng);
  Words pairs;
  for (size_t i = 0; i + 1 < chain.size(); ++i) pairs.push_back(chain[i] + " " + chain[i + 1] + " ,");
  rng.Shuffle(std::span(pairs));
  const size_t asked = rng.Below(3);
  static constexpr const char* kAsked[] = {"top", "second", "low"};
  Line line{"order " + Joined(pairs) + " " + kAsked[asked] + " :", asked == 2 ? chain.back() : chain[asked], {}};
  if (evaluation) AddWrong(chain, rng, &line);
  return line;
}

Line World::DrawHop(Rng& rng, Purpose purpose) const {
  const bool evaluation = purpose != Purpose::kTraining;
  const Words cycle = PickDifferent(symbols_, 6, rng);
  Words pairs;
  for (size_t i = 0; i < cycle.size(); ++i) pairs.push_back(cycle[i] + " " + cycle[(i + 1) % cycle.size()] + " ,");
  rng.Shuffle(std::span(pairs));
  const size_t hops = purpose == Purpose::kTask ? 4 + rng.Below(3) : evaluation ? 2 + rng.Below(3) : 1 + rng.Below(6);
  Line line{"link " + Joined(pairs) + " from " + cycle[0] + " " + kCounts[hops - 1] + " :", "", {}};
  line.answer = Joined(Words(cycle.begin() + 1, cycle.begin() + 1 + static_cast<std::ptrdiff_t>(hops)));
  while (evaluation && line.wrong.size() < kWrong) {
    Words wrong(cycle.begin() + 1, cycle.begin() + 1 + static_cast<std::ptrdiff_t>(hops));
    wrong[rng.Below(hops)] = Pick(cycle, rng);
    AddWrong({Joined(wrong)}, rng, &line);
  }
  return line;
}

Line World::DrawSwap(Rng& rng, bool evaluation) const {
  constexpr size_t kPairs[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};  // What each word exchanges.
  const Words start = PickDifferent(symbols_, 4, rng);
  const size_t length = evaluation ? 3 + rng.Below(2) : 1 + rng.Below(4);
  Line line{"cups", "", {}};
  std::vector<size_t> steps;
  for (size_t i = 0; i < length; ++i) {
    steps.push_back(rng.Below(swaps_.size()));
    line.prompt += " " + labels_[i] + " " + swaps_[steps.back()];
  }
  line.prompt += " from " + Joined(start) + " :";
  auto chain = [&](size_t slip) {
    Words cups = start, said;
    for (size_t i = 0; i < length; ++i) {
      const size_t step = i == slip ? (steps[i] + 1 + rng.Below(5)) % 6 : steps[i];
      std::swap(cups[kPairs[step][0]], cups[kPairs[step][1]]);
      said.push_back(labels_[i] + " " + Joined(cups));
    }
    return Joined(said);
  };
  line.answer = chain(length);
  for (int tries = 0; evaluation && tries < 20; ++tries) AddWrong({chain(rng.Below(length))}, rng, &line);
  return line;
}

Line World::Draw(Kind kind, Rng& rng, Purpose purpose, size_t people) const {
  const bool evaluation = purpose != Purpose::kTraining;
  switch (kind) {
    case Kind::kFact:
    case Kind::kParaphrase: return DrawFact(rng, kind == Kind::kParaphrase, people);
    case Kind::kRule:
    case Kind::kInherit: return DrawRule(kind, rng, evaluation);
    case Kind::kSpeak: return DrawSpeak(rng, evaluation);
    case Kind::kDecline: return DrawDecline(rng, evaluation);
    case Kind::kArith:
    case Kind::kWalk: return DrawSteps(kind, rng, purpose);
    case Kind::kOrder: return DrawOrder(rng, purpose);
    case Kind::kHop: return DrawHop(rng, purpose);
    case Kind::kSwap: return DrawSwap(rng, evaluation);
  }
  throw InternalError("Kind out of range");
}

Line World::Training(Rng& rng, Domain domain) const {
  static constexpr Kind kFacts[] = {Kind::kFact, Kind::kFact, Kind::kFact, Kind::kParaphrase};
  static constexpr Kind kRules[] = {Kind::kRule,    Kind::kRule,  Kind::kRule,
                                    Kind::kInherit, Kind::kSpeak, Kind::kDecline};
  static constexpr Kind kReasoning[] = {Kind::kArith, Kind::kWalk, Kind::kOrder, Kind::kHop, Kind::kSwap};
  while (true) {
    // Of general lines 50 % are facts, 22 % rules and 28 % reasoning, whose lines are the longest: of the tokens each
    // stratum has about a third.
    const double share = domain == Domain::kFacts ? 0.0 : domain == Domain::kReasoning ? 1.0 : rng.Uniform();
    Kind kind;
    if (share < 0.50) {
      kind = kFacts[rng.Below(std::size(kFacts))];
    } else if (share < 0.72) {
      kind = kRules[rng.Below(std::size(kRules))];
    } else {
      kind = kReasoning[rng.Below(std::size(kReasoning))];
    }
    Line line = Draw(kind, rng, Purpose::kTraining, 0);
    if (kind == Kind::kFact || kind == Kind::kParaphrase || !IsHeldOut(line.prompt)) return line;
  }
}

std::vector<Item> World::Items(Kind kind, size_t count, size_t choices, uint64_t seed, Purpose purpose,
                               size_t people) const {
  Rng rng = Rng(seed_ + 50).Fork(static_cast<uint64_t>(kind)).Fork(seed);
  std::set<std::string> seen;
  std::vector<Item> items;
  for (size_t draws = 0; items.size() < count; ++draws) {
    if (draws > 1000 * (count + 100)) throw InternalError("the lab has fewer items of a kind than were asked for");
    const Line line = Draw(kind, rng, purpose, people);
    if ((IsHeldOutByPrompt(kind) && !IsHeldOut(line.prompt)) || seen.contains(line.prompt)) continue;
    Item item{line.prompt, {}, 0, line.answer};
    if (choices > 0) {
      if (line.wrong.size() + 1 < choices) continue;
      item.choices.assign(line.wrong.begin(), line.wrong.begin() + static_cast<std::ptrdiff_t>(choices) - 1);
      item.answer_index = rng.Below(choices);
      item.choices.insert(item.choices.begin() + static_cast<std::ptrdiff_t>(item.answer_index), line.answer);
    }
    seen.insert(line.prompt);
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace bitlaw::lab
