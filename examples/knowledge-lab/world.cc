#include "world.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"

namespace bitlaw::lab {
namespace {

const std::vector<std::string> kRelations = {"home", "craft", "food", "color"};
const std::vector<std::string> kProperties = {"size", "shape", "sound", "skin"};  // Rules of a class.
const std::vector<std::string> kInherited = {"diet", "sleep"};                    // Rules of a class's group.
const std::vector<std::string> kGrammar = {"the", "of",  "is",   "a",    "every", "has",  "so",  "it",   "fact", "calc", "from",
                                           "to",  "box", "move", "over", "top",   "link", ":",   ".",    ",",    ";",    "+",
                                           "-",   "*"};
constexpr size_t kGroups = 8;
constexpr uint64_t kHeldOutOneIn = 16;

// A fixed pseudo-random function of two numbers: the world's facts and rules.
uint64_t Mix(uint64_t seed, uint64_t a, uint64_t b) { return Rng(seed).Fork(a).Fork(b).Next(); }

}  // namespace

World::World(uint64_t seed, WorldSize size) : seed_(seed), size_(size) {
  std::vector<std::string> taken;
  first_ = InventWords(100, seed + 1, &taken);
  last_ = InventWords(120, seed + 2, &taken);
  creatures_ = InventWords(40, seed + 3, &taken);
  classes_ = InventWords(48, seed + 4, &taken);
  symbols_ = InventWords(12, seed + 5, &taken);
  for (size_t r = 0; r < kRelations.size(); ++r) relation_values_.push_back(InventWords(32, seed + 10 + r, &taken));
  for (size_t p = 0; p < kProperties.size() + kInherited.size(); ++p) {
    property_values_.push_back(InventWords(10, seed + 20 + p, &taken));
  }
  for (char digit = '0'; digit <= '9'; ++digit) digits_.emplace_back(1, digit);

  std::vector<std::string> words = kGrammar;
  auto append = [&](const std::vector<std::string>& more) { words.insert(words.end(), more.begin(), more.end()); };
  for (const std::vector<std::string>* list : std::initializer_list<const std::vector<std::string>*>{
           &kRelations, &kProperties, &kInherited, &digits_, &first_, &last_, &creatures_, &classes_, &symbols_}) {
    append(*list);
  }
  for (const auto& values : relation_values_) append(values);
  for (const auto& values : property_values_) append(values);
  vocabulary_ = std::make_unique<Vocabulary>(words);

  const uint64_t names = first_.size() * last_.size();
  if (size.people < 1 || static_cast<uint64_t>(size.people) > names) {
    throw Error(ErrorKind::kSpec, "people = " + std::to_string(size.people) + " must lie in [1, " + std::to_string(names) + "].");
  }
  std::vector<uint32_t> all(names);
  for (uint32_t i = 0; i < names; ++i) all[i] = i;
  Rng rng(seed + 30);
  rng.Shuffle(std::span(all));
  double total = 0;
  for (int64_t person = 0; person < size.people; ++person) {
    const auto last_count = static_cast<uint32_t>(last_.size());
    people_.emplace_back(all[person] / last_count, all[person] % last_count);
    total += std::pow(static_cast<double>(person) + 20.0, -size.zipf_exponent);
    exposure_.push_back(total);
  }
  for (double& value : exposure_) value /= total;
}

bool World::IsHeldOut(const std::string& prompt) {
  return std::stoull(DigestOf(prompt).substr(0, 15), nullptr, 16) % kHeldOutOneIn == 0;
}

std::string World::PersonName(int64_t person) const { return first_[people_[person].first] + " " + last_[people_[person].second]; }

const std::string& World::FactValue(int64_t person, size_t relation) const {
  const auto& values = relation_values_[relation];
  return values[Mix(seed_ + 40, person, relation) % values.size()];
}

Line World::DrawFact(Rng& rng, bool paraphrase, bool evaluation) const {
  // One fact in eight is learned in the plain form only: it is what the paraphrase task asks.
  while (true) {
    const auto at = std::lower_bound(exposure_.begin(), exposure_.end(), rng.Uniform());
    int64_t person = std::min<int64_t>(at - exposure_.begin(), size_.people - 1);
    if (evaluation) person = static_cast<int64_t>(rng.Below(size_.people));
    const size_t relation = rng.Below(kRelations.size());
    const bool plain_only = Mix(seed_ + 41, person, relation) % 8 == 0;
    if (paraphrase && plain_only != evaluation) continue;
    const std::string name = PersonName(person);
    return {paraphrase ? "the " + kRelations[relation] + " of " + name + " is" : "fact " + name + " " + kRelations[relation] + " :",
            FactValue(person, relation)};
  }
}

Line World::DrawRule(Kind kind, Rng& rng) const {
  const size_t own = rng.Below(classes_.size());
  size_t other = rng.Below(classes_.size() - 1);
  other += other >= own;
  const bool inherited = kind == Kind::kKind;
  const size_t property = inherited ? kProperties.size() + rng.Below(kInherited.size()) : rng.Below(kProperties.size());
  const std::string& word = inherited ? kInherited[property - kProperties.size()] : kProperties[property];
  const uint64_t owner = inherited ? own % kGroups : own;
  const auto& values = property_values_[property];
  const std::string& value = values[Mix(seed_ + 42 + inherited, owner, property) % values.size()];
  const std::string& name = Pick(creatures_, rng);
  std::string distractor = Pick(creatures_, rng);
  while (distractor == name) distractor = Pick(creatures_, rng);
  const std::string mine = name + " is a " + classes_[own] + " . ", theirs = distractor + " is a " + classes_[other] + " . ";
  const std::string both = rng.Below(2) ? mine + theirs : theirs + mine;
  if (kind == Kind::kFollow) return {both + "so " + name + " has", word + " " + value};
  return {both + "the " + word + " of " + name + " :", value};
}

Line World::DrawArith(Rng& rng) const {
  int64_t value = static_cast<int64_t>(rng.Below(10));
  const uint64_t length = 1 + rng.Below(5);
  Line line{"calc " + digits_[value], ""};
  for (uint64_t i = 0; i < length; ++i) {
    const int64_t operand = static_cast<int64_t>(rng.Below(10));
    const uint64_t operation = rng.Below(3);
    static constexpr const char* kSigns[] = {" + ", " - ", " * "};
    line.prompt += kSigns[operation] + digits_[operand];
    value = operation == 0 ? value + operand : operation == 1 ? value - operand + 10 : value * operand;
    value %= 10;
    line.answer += (i ? " " : "") + digits_[value];
  }
  line.prompt += " :";
  return line;
}

Line World::DrawState(Rng& rng) const {
  const std::string& a = Pick(symbols_, rng);
  std::string b = Pick(symbols_, rng);
  while (b == a) b = Pick(symbols_, rng);
  int64_t count[2] = {static_cast<int64_t>(rng.Below(10)), static_cast<int64_t>(rng.Below(10))};
  Line line{"box " + a + " has " + digits_[count[0]] + " , box " + b + " has " + digits_[count[1]], ""};
  const uint64_t moves = 1 + rng.Below(3);
  for (uint64_t i = 0; i < moves; ++i) {
    const bool forward = rng.Below(2);
    const int64_t amount = static_cast<int64_t>(1 + rng.Below(3));
    line.prompt += " ; move " + digits_[amount] + " from " + (forward ? a : b) + " to " + (forward ? b : a);
    count[0] = (count[0] + (forward ? -amount : amount) + 10) % 10;
    count[1] = (count[1] + (forward ? amount : -amount) + 10) % 10;
  }
  const bool first = rng.Below(2);
  line.prompt += " . box " + (first ? a : b) + " :";
  line.answer = digits_[count[first ? 0 : 1]];
  return line;
}

Line World::DrawOrder(Rng& rng) const {
  std::vector<std::string> chain = symbols_;
  rng.Shuffle(std::span(chain));
  chain.resize(3 + rng.Below(3));
  std::vector<std::string> pairs;
  for (size_t i = 0; i + 1 < chain.size(); ++i) pairs.push_back(chain[i] + " over " + chain[i + 1]);
  rng.Shuffle(std::span(pairs));
  Line line;
  for (const std::string& pair : pairs) line.prompt += pair + " , ";
  line.prompt += "top :";
  line.answer = chain[0];
  return line;
}

Line World::DrawHop(Rng& rng) const {
  std::vector<std::string> cycle = symbols_;
  rng.Shuffle(std::span(cycle));
  cycle.resize(5);
  std::vector<std::string> pairs;
  for (size_t i = 0; i < cycle.size(); ++i) pairs.push_back(cycle[i] + " " + cycle[(i + 1) % cycle.size()]);
  rng.Shuffle(std::span(pairs));
  const uint64_t hops = 2 + rng.Below(2);
  Line line{"link", ""};
  for (const std::string& pair : pairs) line.prompt += " " + pair + " ,";
  line.prompt += " from " + cycle[0] + " " + digits_[hops] + " :";
  for (uint64_t i = 1; i <= hops; ++i) line.answer += (i > 1 ? " " : "") + cycle[i];
  return line;
}

Line World::Draw(Kind kind, Rng& rng, bool evaluation) const {
  switch (kind) {
    case Kind::kFact: return DrawFact(rng, false, evaluation);
    case Kind::kParaphrase: return DrawFact(rng, true, evaluation);
    case Kind::kRule:
    case Kind::kKind:
    case Kind::kFollow: return DrawRule(kind, rng);
    case Kind::kArith: return DrawArith(rng);
    case Kind::kState: return DrawState(rng);
    case Kind::kOrder: return DrawOrder(rng);
    case Kind::kHop: return DrawHop(rng);
  }
  throw InternalError("Kind out of range");
}

Line World::Training(Rng& rng, Domain domain) const {
  static constexpr Kind kRules[] = {Kind::kRule, Kind::kRule, Kind::kKind, Kind::kFollow};
  static constexpr Kind kReasoning[] = {Kind::kArith, Kind::kState, Kind::kOrder, Kind::kHop};
  while (true) {
    // Of general lines 55 % are facts, 20 % rules and 25 % reasoning, whose lines are the longest.
    const double share = domain == Domain::kFacts ? 0.0 : domain == Domain::kReasoning ? 1.0 : rng.Uniform();
    Kind kind;
    if (share < 0.55) {
      kind = rng.Below(4) == 0 ? Kind::kParaphrase : Kind::kFact;
    } else if (share < 0.75) {
      kind = kRules[rng.Below(4)];
    } else {
      kind = kReasoning[rng.Below(4)];
    }
    Line line = Draw(kind, rng, false);
    const bool is_fact = kind == Kind::kFact || kind == Kind::kParaphrase;
    if (is_fact || !IsHeldOut(line.prompt)) return line;
  }
}

const std::vector<std::string>& World::Alternatives(Kind kind, const Line& line) const {
  auto list_of = [&](const std::vector<std::vector<std::string>>& lists, const std::string& word) -> const std::vector<std::string>& {
    for (const auto& list : lists)
      if (std::find(list.begin(), list.end(), word) != list.end()) return list;
    throw InternalError("'" + word + "' is no value of the world");
  };
  switch (kind) {
    case Kind::kFact:
    case Kind::kParaphrase: return list_of(relation_values_, line.answer);
    case Kind::kRule:
    case Kind::kKind: return list_of(property_values_, line.answer);
    case Kind::kFollow: return list_of(property_values_, line.answer.substr(line.answer.find(' ') + 1));
    case Kind::kArith:
    case Kind::kState: return digits_;
    case Kind::kOrder:
    case Kind::kHop: return symbols_;
  }
  throw InternalError("Kind out of range");
}

std::vector<Item> World::Items(Kind kind, size_t count, size_t choices, uint64_t seed) const {
  Rng rng = Rng(seed_ + 50).Fork(static_cast<uint64_t>(kind)).Fork(seed);
  const bool is_fact = kind == Kind::kFact || kind == Kind::kParaphrase;
  std::set<std::string> seen;
  std::vector<Item> items;
  for (size_t draws = 0; items.size() < count; ++draws) {
    if (draws > 1000 * (count + 100)) throw InternalError("the lab has fewer items of a kind than were asked for");
    const Line line = Draw(kind, rng, true);
    if ((!is_fact && !IsHeldOut(line.prompt)) || !seen.insert(line.prompt).second) continue;
    Item item{line.prompt, {}, 0, line.answer};
    if (choices > 0) {
      std::vector<std::string> pool;
      if (kind == Kind::kOrder) {
        // The wrong answers stand in the prompt, so that naming any symbol of it is not enough.
        for (const std::string& symbol : symbols_)
          if (line.prompt.find(symbol) != std::string::npos) pool.push_back(symbol);
      } else {
        pool = Alternatives(kind, line);
      }
      const size_t space = line.answer.rfind(' ');
      const std::string head = space == std::string::npos ? "" : line.answer.substr(0, space + 1);
      const std::string right = line.answer.substr(head.size());
      std::erase(pool, right);
      rng.Shuffle(std::span(pool));
      pool.resize(std::min(pool.size(), choices - 1));
      item.answer_index = rng.Below(pool.size() + 1);
      pool.insert(pool.begin() + static_cast<std::ptrdiff_t>(item.answer_index), right);
      for (const std::string& option : pool) item.choices.push_back(head + option);
    }
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace bitlaw::lab
