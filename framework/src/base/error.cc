#include "bitlaw/base/error.h"

#include <algorithm>
#include <cctype>

namespace bitlaw {

std::string_view Name(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kSpec: return "spec";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kPlugin: return "plugin";
    case ErrorKind::kIo: return "io";
    case ErrorKind::kNumerical: return "numerical";
    case ErrorKind::kBudget: return "budget";
  }
  throw InternalError("ErrorKind out of range");
}

namespace {

std::string Folded(std::string_view text) {
  std::string folded(text);
  std::transform(folded.begin(), folded.end(), folded.begin(), [](unsigned char c) { return std::tolower(c); });
  return folded;
}

// Damerau-Levenshtein distance, optimal string alignment: insert, delete, replace, swap of neighbours.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        now[j] = std::min(now[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, now);
  }
  return last[b.size()];
}

}  // namespace

std::string ClosestName(std::string_view given, const std::vector<std::string>& known) {
  const std::string wanted = Folded(given);
  size_t best_distance = std::max<size_t>(1, wanted.size() / 3) + 1;
  std::string best;
  for (const std::string& candidate : known) {
    const std::string folded = Folded(candidate);
    const size_t distance = EditDistance(wanted, folded);
    // One edit makes any letter of any other: a letter is told by itself alone, or by a name that begins with it.
    const bool is_guess = wanted.size() < 2 || (folded.size() == 1 && wanted[0] != folded[0]);
    if (distance < best_distance && (distance == 0 || !is_guess)) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string DidYouMean(std::string_view given, const std::vector<std::string>& known) {
  const std::string closest = ClosestName(given, known);
  return closest.empty() ? "" : " Did you mean '" + closest + "'?";
}

std::string JoinNames(const std::vector<std::string>& names) {
  if (names.empty()) return "(none)";
  std::string joined;
  for (const std::string& name : names) {
    if (!joined.empty()) joined += ", ";
    joined += name;
  }
  return joined;
}

}  // namespace bitlaw
