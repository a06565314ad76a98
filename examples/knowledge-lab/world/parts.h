#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bitlaw/base/rng.h"
#include "world.h"

namespace bitlaw::lab {

// Sizes of the world and what its generators share. Two systems of numbers and two houses: the small one is within
// reach of every rung, the large one of few.
inline constexpr size_t kClasses = 3600, kGroups = 60, kLexicon = 4000, kNouns = 1600, kDeclensions = 16;
inline constexpr size_t kModulus = 23, kLargeModulus = 113, kOperands = 9, kLargeOperands = 20;
inline constexpr size_t kRooms = 24, kDoors = 24, kLargeRooms = 113, kLargeDoors = 80;
inline constexpr size_t kLongest = 16;  // Steps of a chain, in text and tasks.
inline constexpr size_t kCups = 4;
inline constexpr size_t kBornNumbers = 50;
inline constexpr size_t kModeFactors[] = {1, 7, 11, 13, 17, 19};  // Of a form in each mode: no common factor with 60.
inline constexpr size_t kWrong = 4;  // Wrong answers a line, where there are so many.

inline const std::vector<std::string> kRelations = {"home", "craft", "food", "color"};
inline const std::vector<std::string> kProperties = {"size", "shape", "sound", "skin"};  // Rules of a class.
inline const std::vector<std::string> kInherited = {"diet", "sleep"};                    // Rules of a class's group.
inline const std::vector<std::string> kCounts = {"one",     "two",     "three",    "four",     "five",
                                                 "six",     "seven",   "eight",    "nine",     "ten",
                                                 "eleven",  "twelve",  "thirteen", "fourteen", "fifteen",
                                                 "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};

// What training text is made of: the share of each kind among lines of its domain, and of each domain among all
// lines.
inline constexpr double kFactLines = 0.36, kRuleLines = 0.34;
inline constexpr Kind kFactMix[] = {Kind::kFact, Kind::kFact, Kind::kParaphrase, Kind::kBorn};
inline constexpr Kind kRuleMix[] = {Kind::kRule,  Kind::kRule,  Kind::kInherit, Kind::kSpeak,
                                    Kind::kSpeak, Kind::kDecline, Kind::kDecline};

// A fixed pseudo-random function of numbers: the world's facts and rules.
inline uint64_t Mix(uint64_t seed, uint64_t a, uint64_t b) { return Rng(seed).Fork(a).Fork(b).Next(); }

std::string Joined(std::span<const std::string> words);

// A length of 1 to `longest`, short ones more often: evenly in the logarithm.
size_t DrawLength(Rng& rng, size_t longest);

}  // namespace bitlaw::lab
