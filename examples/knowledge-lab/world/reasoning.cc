// Lines of chains of steps (KR).
#include <algorithm>
#include <numeric>

#include "parts.h"
#include "world.h"

namespace bitlaw::lab {
namespace {

// Lengths of chains in tasks.
constexpr size_t kTaskSteps[] = {1, 2, 4, 8, 16};
constexpr size_t kTaskThings[] = {3, 4, 6, 8, 12};
constexpr size_t kMostThings = 8;  // In training text; tasks go further.
constexpr size_t kMostWritten = 8;  // States of the cups that an answer writes.

template <size_t count>
size_t OneOf(const size_t (&lengths)[count], Rng& rng) {
  return lengths[rng.Below(count)];
}

// A chain of which the answer writes every `stride`-th value: the steps between are taken unwritten.
struct Chain {
  size_t stride, written;
  size_t steps() const { return stride * written; }
};

Chain DrawChain(Rng& rng, bool is_task, size_t most_written) {
  static constexpr size_t kStrides[] = {1, 1, 1, 1, 1, 2, 2, 4}, kTaskStrides[] = {1, 2, 4};
  while (true) {
    const size_t stride = is_task ? OneOf(kTaskStrides, rng) : OneOf(kStrides, rng);
    if (is_task) {
      const size_t steps = OneOf(kTaskSteps, rng);
      if (steps % stride == 0 && steps / stride <= most_written) return {stride, steps / stride};
    } else {
      return {stride, DrawLength(rng, std::min(most_written, kLongest / stride))};
    }
  }
}

}  // namespace

// A start and labelled operations; every step of the answer names the label, the operation and the new value.
Line World::DrawSteps(Kind kind, Rng& rng, Purpose purpose) const {
  const bool evaluation = purpose != Purpose::kTraining, is_task = purpose == Purpose::kTask;
  const bool is_arith = kind == Kind::kArith, is_large = rng.Below(2) == 0;
  const Words& values = is_arith ? numbers_ : rooms_;
  const Words& operations = is_arith ? operations_ : doors_;
  const size_t modulus = is_large ? kLargeModulus : kModulus;
  const size_t count = is_arith ? modulus : is_large ? kLargeRooms : kRooms;
  const Zipf& often = is_arith ? (is_large ? large_operations_often_ : operations_often_)
                               : (is_large ? large_doors_often_ : doors_often_);
  const size_t length = is_task ? OneOf(kTaskSteps, rng) : DrawLength(rng, kLongest), start = rng.Below(count);
  auto after = [&](size_t value, size_t operation) -> size_t {
    if (!is_arith) return (is_large ? large_leads_ : leads_)[operation][value];
    const size_t operand = operation / 3 + 1, sign = operation % 3;
    return (sign == 0 ? value + operand : sign == 1 ? value + modulus - operand : value * operand) % modulus;
  };
  Line line{is_arith ? (is_large ? "count" : "calc") : (is_large ? "roam" : "walk"), "", {}, length};
  std::vector<size_t> steps;
  for (size_t i = 0; i < length; ++i) {
    steps.push_back(is_task ? often.DrawEvenly(rng) : often.Draw(rng));
    line.prompt += " " + labels_[i] + " " + operations[steps.back()];
  }
  line.prompt += " from " + values[start] + " :";
  // The steps with a slip at one of them (or at none), after which they go on rightly.
  auto chain = [&](size_t slip) {
    Words said;
    size_t value = start;
    for (size_t i = 0; i < length; ++i) {
      value = i == slip ? rng.Below(count) : after(value, steps[i]);
      said.push_back(labels_[i] + " " + operations[steps[i]] + " " + values[value]);
    }
    return Joined(said);
  };
  line.answer = chain(length);
  while (evaluation && line.wrong.size() < kWrong) AddWrong({chain(rng.Below(length))}, rng, &line);
  return line;
}

// The first link asked stands behind the last word of the prompt, as a link does: to answer is to find it again.
Line World::DrawHop(Rng& rng, Purpose purpose) const {
  const Chain chain = DrawChain(rng, purpose == Purpose::kTask, kLongest);
  const Words cycle = PickDifferent(symbols_, std::max<size_t>(chain.steps() + 1, 3) + rng.Below(4), rng);
  Words pairs, way;
  for (size_t i = 0; i < cycle.size(); ++i) pairs.push_back(cycle[i] + " " + cycle[(i + 1) % cycle.size()] + " ,");
  rng.Shuffle(std::span(pairs));
  for (size_t i = 1; i <= chain.written; ++i) way.push_back(cycle[i * chain.stride]);
  Line line{"link " + Joined(pairs) + " " + kCounts[chain.written - 1] + " by " + kCounts[chain.stride - 1] + " from " +
                cycle[0],
            Joined(way),
            {},
            chain.steps()};
  line.stride = chain.stride;
  while (purpose != Purpose::kTraining && line.wrong.size() < kWrong) {
    Words wrong = way;
    wrong[rng.Below(way.size())] = Pick(cycle.size() > kWrong ? cycle : symbols_, rng);
    AddWrong({Joined(wrong)}, rng, &line);
  }
  return line;
}

// A row that is told pair by pair: its first things, or the last of these alone, with the way to it unwritten.
Line World::DrawOrder(Rng& rng, Purpose purpose) const {
  const size_t things = purpose == Purpose::kTask ? OneOf(kTaskThings, rng) : 3 + rng.Below(kMostThings - 2);
  const Words row = PickDifferent(symbols_, things, rng);
  Words pairs;
  for (size_t i = 0; i + 1 < row.size(); ++i) pairs.push_back(row[i] + " " + row[i + 1] + " ,");
  rng.Shuffle(std::span(pairs));
  const size_t asked = 1 + rng.Below(things);
  const bool is_written = rng.Below(2) == 0;
  const auto said = std::span(row).subspan(is_written ? 0 : asked - 1, is_written ? asked : 1);
  Line line{"order " + Joined(pairs) + (is_written ? " first " : " only ") + kCounts[asked - 1] + " :",
            Joined(said),
            {},
            asked};
  line.stride = is_written ? 1 : asked;
  while (purpose != Purpose::kTraining && line.wrong.size() < kWrong) {
    Words wrong(said.begin(), said.end());
    wrong[rng.Below(wrong.size())] = Pick(things > kWrong ? row : symbols_, rng);
    AddWrong({Joined(wrong)}, rng, &line);
  }
  return line;
}

// What the cups hold after exchanges; the answer writes it after every `stride` of them, behind the last one.
Line World::DrawSwap(Rng& rng, Purpose purpose) const {
  std::vector<std::pair<size_t, size_t>> exchanged;  // What each word exchanges.
  for (size_t i = 0; i < kCups; ++i)
    for (size_t j = i + 1; j < kCups; ++j) exchanged.emplace_back(i, j);
  const Chain chain = DrawChain(rng, purpose == Purpose::kTask, kMostWritten);
  const Words start = PickDifferent(symbols_, kCups, rng);
  Line line{"cups by " + kCounts[chain.stride - 1] + " " + Joined(start), "", {}, chain.steps()};
  line.stride = chain.stride;
  std::vector<size_t> steps;
  for (size_t i = 0; i < chain.steps(); ++i) {
    steps.push_back(rng.Below(swaps_.size()));
    line.prompt += " " + labels_[i] + " " + swaps_[steps.back()];
  }
  line.prompt += " :";
  const auto states = [&](size_t slip) {
    Words cups = start, said;
    for (size_t i = 0; i < chain.steps(); ++i) {
      const auto& [a, b] = exchanged[i == slip ? rng.Below(swaps_.size()) : steps[i]];
      std::swap(cups[a], cups[b]);
      if ((i + 1) % chain.stride == 0) said.push_back(labels_[i] + " " + swaps_[steps[i]] + " " + Joined(cups));
    }
    return Joined(said);
  };
  line.answer = states(chain.steps());
  while (purpose != Purpose::kTraining && line.wrong.size() < kWrong) {
    AddWrong({states(rng.Below(chain.steps()))}, rng, &line);
  }
  return line;
}

}  // namespace bitlaw::lab
