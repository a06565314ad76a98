#include "world.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "parts.h"

namespace bitlaw::lab {
namespace {

const std::vector<std::string> kGrammar = {"the",  "of",    "is",    "class", "fact", "born", "calc",
                                           "count", "walk", "roam",  "order", "first", "only", "by",
                                           "link", "cups",  "from",  ":",     ".",    ","};
constexpr uint64_t kHeldOutOneIn = 16;
constexpr double kEvenFrom = 5;  // Shifts of the frequency: below it tasks do not favour the frequent.

constexpr std::pair<Kind, const char*> kKinds[] = {
    {Kind::kFact, "fact"},   {Kind::kParaphrase, "paraphrase"}, {Kind::kBorn, "born"},       {Kind::kRule, "rule"},
    {Kind::kInherit, "inherit"}, {Kind::kSpeak, "speak"},       {Kind::kDecline, "decline"}, {Kind::kArith, "arith"},
    {Kind::kWalk, "walk"},   {Kind::kHop, "hop"},               {Kind::kOrder, "order"},     {Kind::kSwap, "swap"}};

// Kinds whose items are kept out of training text by their prompt. Facts are asked as they were learned; a paraphrase
// and a declined noun are kept out as such, in whatever prompt they would stand.
bool IsHeldOutByPrompt(Kind kind) {
  return kind != Kind::kFact && kind != Kind::kParaphrase && kind != Kind::kBorn && kind != Kind::kDecline;
}

}  // namespace

std::string Joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

size_t DrawLength(Rng& rng, size_t longest) {
  const double drawn = std::pow(static_cast<double>(longest + 1), rng.Uniform());
  return std::clamp<size_t>(static_cast<size_t>(drawn), 1, longest);
}

std::span<const std::pair<Kind, const char*>> AllKinds() { return kKinds; }

World::Zipf::Zipf(size_t count, double shift, double exponent) : shift(shift) {
  double total = 0;
  for (size_t i = 0; i < count; ++i) cumulative.push_back(total += std::pow(static_cast<double>(i) + shift, -exponent));
  for (double& value : cumulative) value /= total;
}

size_t World::Zipf::Draw(Rng& rng) const {
  const auto at = std::lower_bound(cumulative.begin(), cumulative.end(), rng.Uniform());
  return std::min<size_t>(at - cumulative.begin(), cumulative.size() - 1);
}

size_t World::Zipf::DrawEvenly(Rng& rng) const {
  const auto count = static_cast<double>(cumulative.size());
  const double even = kEvenFrom * shift;
  const double at = even * (std::pow((count + even) / even, rng.Uniform()) - 1);
  return std::min(static_cast<size_t>(at), cumulative.size() - 1);
}

double World::Zipf::ProbabilityOf(size_t index) const {
  return cumulative[index] - (index == 0 ? 0 : cumulative[index - 1]);
}

World::World(uint64_t seed)
    : seed_(seed),
      people_often_(kPeople, 20, 0.9),
      classes_often_(kClasses, 5, 1.0),
      lexicon_often_(kLexicon, 5, 1.0),
      nouns_often_(kNouns, 5, 1.0),
      operations_often_(kOperands * 3, 2, 1.0),
      large_operations_often_(kLargeOperands * 3, 2, 1.0),
      doors_often_(kDoors, 2, 1.0),
      large_doors_often_(kLargeDoors, 2, 1.0) {
  Words taken, words = kGrammar;
  auto invent = [&](size_t count, uint64_t stream) {
    Words list = InventWords(count, seed + stream, &taken);
    words.insert(words.end(), list.begin(), list.end());
    return list;
  };
  // Names of two words, in the order of their frequency.
  auto name = [&](size_t count, uint64_t stream) {
    const auto side = static_cast<size_t>(std::ceil(std::sqrt(static_cast<double>(count))));
    const Words front = invent(side, stream), back = invent(side, stream + 1);
    Words names;
    for (const std::string& one : front)
      for (const std::string& other : back) names.push_back(one + " " + other);
    Rng rng(seed + stream + 2);
    rng.Shuffle(std::span(names));
    names.resize(count);
    return names;
  };
  people_ = name(kPeople, 100), classes_ = name(kClasses, 110), lexicon_ = name(kLexicon, 120);
  nouns_ = name(kNouns, 130);
  creatures_ = invent(32, 3), symbols_ = invent(24, 5), labels_ = invent(kLongest, 6), rooms_ = invent(kLargeRooms, 7);
  doors_ = invent(kLargeDoors, 8), modes_ = invent(6, 30), forms_ = invent(60, 31);
  swaps_ = invent(kCups * (kCups - 1) / 2, 32), numbers_ = invent(kLargeModulus, 33), cases_ = invent(6, 35);
  endings_ = invent(24, 36);
  for (size_t r = 0; r < kRelations.size(); ++r) relation_values_.push_back(invent(32, 10 + r));
  for (size_t p = 0; p < kProperties.size() + kInherited.size(); ++p) property_values_.push_back(invent(10, 20 + p));
  for (const std::string& count : kCounts)
    for (const char* sign : {"add", "take", "times"}) operations_.push_back(sign + count);
  for (const Words& list : {kRelations, kProperties, kInherited, operations_, kCounts})
    words.insert(words.end(), list.begin(), list.end());
  vocabulary_ = std::make_unique<Vocabulary>(words);

  Rng rng(seed + 40);
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

Line World::Draw(Kind kind, Rng& rng, Purpose purpose) const {
  switch (kind) {
    case Kind::kFact:
    case Kind::kParaphrase:
    case Kind::kBorn: return DrawFact(kind, rng, purpose);
    case Kind::kRule:
    case Kind::kInherit: return DrawRule(kind, rng, purpose);
    case Kind::kSpeak: return DrawSpeak(rng, purpose);
    case Kind::kDecline: return DrawDecline(rng, purpose);
    case Kind::kArith:
    case Kind::kWalk: return DrawSteps(kind, rng, purpose);
    case Kind::kHop: return DrawHop(rng, purpose);
    case Kind::kOrder: return DrawOrder(rng, purpose);
    case Kind::kSwap: return DrawSwap(rng, purpose);
  }
  throw InternalError("Kind out of range");
}

Line World::Training(Rng& rng, Domain domain) const {
  static constexpr Kind kReasoning[] = {Kind::kArith, Kind::kWalk,  Kind::kHop,
                                        Kind::kHop,   Kind::kOrder, Kind::kSwap};
  const double share = domain == Domain::kFacts ? 0.0 : domain == Domain::kReasoning ? 1.0 : rng.Uniform();
  Kind kind = kReasoning[rng.Below(std::size(kReasoning))];
  if (share < kFactLines) {
    kind = kFactMix[rng.Below(std::size(kFactMix))];
  } else if (share < kFactLines + kRuleLines) {
    kind = kRuleMix[rng.Below(std::size(kRuleMix))];
  }
  while (true) {
    Line line = Draw(kind, rng, Purpose::kTraining);
    if (!IsHeldOutByPrompt(kind) || !IsHeldOut(line.prompt)) return line;
  }
}

std::vector<Item> World::Items(Kind kind, size_t count, size_t choices, uint64_t seed, Purpose purpose) const {
  Rng rng = Rng(seed_ + 50).Fork(static_cast<uint64_t>(kind)).Fork(seed);
  std::set<std::string> seen;
  std::vector<Item> items;
  for (size_t draws = 0; items.size() < count; ++draws) {
    if (draws > 1000 * (count + 100)) throw InternalError("the lab has fewer items of a kind than were asked for");
    const Line line = Draw(kind, rng, purpose);
    if ((IsHeldOutByPrompt(kind) && !IsHeldOut(line.prompt)) || seen.contains(line.prompt)) continue;
    Item item{line.prompt, {}, 0, line.answer, line.steps, line.stride, line.frequency};
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
