#pragma once

#include <string>
#include <string_view>

namespace bitlaw {

/// One of the normalizations of short_answer.h, by name.
std::string NormalizeAnswer(std::string_view text, std::string_view normalization);

/// Words that both have, as the harmonic mean of precision and recall: 2 n / (words of a + words of b), n counted with
/// repetition. Two texts without words agree; a text without words agrees with no other.
/// Source: Rajpurkar et al. 2016, arXiv:1606.05250, evaluation script.
double TokenF1(std::string_view a, std::string_view b);

/// True if both are numbers of the same value, to a relative 1e-9: white space, "$", "%", thousands commas and a final
/// full stop are no part of a number, and "3/4" is one. If `accepted` is no number, true if the texts are equal.
bool SameNumber(std::string_view given, std::string_view accepted);

}  // namespace bitlaw
