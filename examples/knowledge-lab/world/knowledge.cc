// Lines of what is memorized (KM) and of rules that are applied (KA).
#include <algorithm>

#include "parts.h"
#include "world.h"

namespace bitlaw::lab {
namespace {

constexpr double kLines = 1e6;  // Frequencies are per million lines of training text.

// The share of `kind` in `mix`.
template <size_t count>
constexpr double ShareOf(Kind kind, const Kind (&mix)[count]) {
  return static_cast<double>(std::count(std::begin(mix), std::end(mix), kind)) / static_cast<double>(count);
}

bool IsEven(Purpose purpose) { return purpose != Purpose::kTraining; }

}  // namespace

Line World::DrawFact(Kind kind, Rng& rng, Purpose purpose) const {
  const bool is_paraphrase = kind == Kind::kParaphrase;
  while (true) {
    const size_t person = IsEven(purpose) ? people_often_.DrawEvenly(rng) : people_often_.Draw(rng);
    const double often = kLines * kFactLines * people_often_.ProbabilityOf(person);
    if (kind == Kind::kBorn) {
      const uint64_t value = Mix(seed_ + 50, person, 0);
      const auto number = [&](uint64_t of) { return numbers_[of % kBornNumbers]; };
      Line line{"born " + people_[person] + " :", number(value) + " " + number(value / kBornNumbers), {}};
      line.frequency = often * ShareOf(kind, kFactMix);
      while (IsEven(purpose) && line.wrong.size() < kWrong) {
        AddWrong({number(rng.Next()) + " " + number(rng.Next())}, rng, &line);
      }
      return line;
    }
    const size_t relation = rng.Below(kRelations.size());
    // One fact in eight is learned in the plain form only: it is what the paraphrase task asks.
    const bool is_plain_only = Mix(seed_ + 41, person, relation) % 8 == 0;
    if (is_paraphrase && is_plain_only != IsEven(purpose)) continue;
    const Words& values = relation_values_[relation];
    Line line{is_paraphrase ? "the " + kRelations[relation] + " of " + people_[person] + " is"
                            : "fact " + people_[person] + " " + kRelations[relation] + " :",
              values[Mix(seed_ + 42, person, relation) % values.size()],
              {}};
    const double told = ShareOf(Kind::kFact, kFactMix) +
                        (is_plain_only ? 0 : ShareOf(Kind::kParaphrase, kFactMix) * 8 / 7);
    line.frequency = often * told / static_cast<double>(kRelations.size());
    if (IsEven(purpose)) AddWrong(values, rng, &line);
    return line;
  }
}

Line World::DrawRule(Kind kind, Rng& rng, Purpose purpose) const {
  const bool evaluation = IsEven(purpose), inherited = kind == Kind::kInherit;
  const std::string& creature = Pick(creatures_, rng);
  const size_t its = evaluation ? classes_often_.DrawEvenly(rng) : classes_often_.Draw(rng);
  const Words& asked_of = inherited ? kInherited : kProperties;
  const size_t property = rng.Below(asked_of.size());
  const Words& values = property_values_[inherited ? kProperties.size() + property : property];
  const uint64_t drawn = inherited ? Mix(seed_ + 44, Mix(seed_ + 45, its, 0) % kGroups, property)
                                   : Mix(seed_ + 43, its, property);
  const std::string& value = values[drawn % values.size()];
  Line line;
  line.prompt = creature + " " + classes_[its] + " , " + asked_of[property] + " " + creature;
  line.answer = classes_[its] + " " + value;
  // Of a group's property any line that asks for one of the class's inherited properties tells something.
  line.frequency = kLines * kRuleLines * ShareOf(kind, kRuleMix) * classes_often_.ProbabilityOf(its) /
                   (inherited ? 1 : static_cast<double>(kProperties.size()));
  if (evaluation) {
    Words others;
    for (const std::string& other : values) others.push_back(classes_[its] + " " + other);
    AddWrong(others, rng, &line);
  }
  return line;
}

// A word has a root among the forms; each mode exchanges forms in its own way.
Line World::DrawSpeak(Rng& rng, Purpose purpose) const {
  const size_t mode = rng.Below(modes_.size());
  Words words, spoken;
  double rarest = 1;
  for (size_t i = 0; i < 2; ++i) {
    const size_t word = IsEven(purpose) ? lexicon_often_.DrawEvenly(rng) : lexicon_often_.Draw(rng);
    words.push_back(lexicon_[word]);
    const size_t root = Mix(seed_ + 46, word, 0) % forms_.size();
    spoken.push_back(forms_[(root * kModeFactors[mode] + Mix(seed_ + 51, mode, 0)) % forms_.size()]);
    rarest = std::min(rarest, lexicon_often_.ProbabilityOf(word));
  }
  Line line{modes_[mode] + " " + Joined(words) + " :", Joined(spoken), {}};
  line.frequency = kLines * kRuleLines * ShareOf(Kind::kSpeak, kRuleMix) * 2 * rarest;
  while (IsEven(purpose) && line.wrong.size() < kWrong) {
    Words wrong = spoken;
    wrong[rng.Below(2)] = Pick(forms_, rng);
    AddWrong({Joined(wrong)}, rng, &line);
  }
  return line;
}

// A noun's ending follows from its declension and the case. One pair of noun and case in four is kept for evaluation:
// its ending follows from what training text says of the noun in other cases.
Line World::DrawDecline(Rng& rng, Purpose purpose) const {
  const auto is_kept = [&](size_t noun, size_t given) { return Mix(seed_ + 47, noun, given) % 4 == 0; };
  while (true) {
    const size_t noun = IsEven(purpose) ? nouns_often_.DrawEvenly(rng) : nouns_often_.Draw(rng);
    const size_t given = rng.Below(cases_.size());
    if (is_kept(noun, given) != IsEven(purpose)) continue;
    const auto ending = [&](size_t declension) {
      return endings_[Mix(seed_ + 48, declension, given) % endings_.size()];
    };
    Line line{cases_[given] + " " + nouns_[noun] + " :", ending(Mix(seed_ + 49, noun, 0) % kDeclensions), {}};
    // Any case tells of the declension; those that are kept are not told.
    double told = 0;
    for (size_t one = 0; one < cases_.size(); ++one) told += is_kept(noun, one) ? 0 : 1;
    line.frequency = kLines * kRuleLines * ShareOf(Kind::kDecline, kRuleMix) * nouns_often_.ProbabilityOf(noun) * told /
                     (static_cast<double>(cases_.size()) * 3 / 4);
    if (IsEven(purpose)) {
      Words others;
      for (size_t declension = 0; declension < kDeclensions; ++declension) others.push_back(ending(declension));
      AddWrong(others, rng, &line);
    }
    return line;
  }
}

}  // namespace bitlaw::lab
