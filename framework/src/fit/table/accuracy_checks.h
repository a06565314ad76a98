#pragma once

#include <string>

#include "bitlaw/base/export.h"
#include "records/table.h"

namespace bitlaw {

/// Refuses counts and accuracies that no evaluation can give, with file:line:column (Error(kIo)): correct above total,
/// a negative number of items or of correct answers, an accuracy outside [0, 1] (a percentage, say), a chance outside
/// [0, 1). Only the columns that acc_adj or the counts are made of are looked at (without a column chance: correct and
/// total), and only rows that are primary and of
/// an accuracy. Missing cells are left to whoever needs them.
BITLAW_EXPORT void CheckAccuracies(const Table& table);

/// Why no row can have this acc_adj, whatever was evaluated ("acc_adj is not finite"); "" where one can, and for NaN,
/// which is a missing value. `chance`: NaN where it is unknown.
BITLAW_EXPORT std::string ExplainImpossibleAccuracy(double acc_adj, double chance);

/// P(X <= correct) for X ~ Binomial(total, chance): how likely blind guessing does no better. 1 where that is unknown.
/// Not whole counts (means over tasks) are interpolated.
BITLAW_EXPORT double GuessTail(double correct, double total, double chance);

/// A row is below chance beyond doubt if its GuessTail() times the number of rows is below this.
inline constexpr double kBelowChanceLevel = 0.01;
/// If such a row also has an acc_adj below this, no fit has it: answers were not extracted, or choices mixed up, and the
/// number says nothing about what the model knows.
inline constexpr double kFarBelowChance = -0.1;

}  // namespace bitlaw
