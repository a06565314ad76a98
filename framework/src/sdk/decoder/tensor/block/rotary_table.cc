#include "sdk/decoder/tensor/block/rotary_table.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>
#include <variant>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/decoder/decoder.h"

namespace bitlaw {
namespace {

// Slow rotations are slowed by `factor`, fast ones kept, those between interpolated by wavelength.
at::Tensor Scaled(const at::Tensor& frequencies, const Llama3RopeScaling& scaling) {
  const at::Tensor wavelengths = frequencies.reciprocal() * (2.0 * M_PI);  // positions a turn
  const double longest = scaling.original_max_positions / scaling.low_freq_factor;
  const double shortest = scaling.original_max_positions / scaling.high_freq_factor;
  const at::Tensor share = (scaling.original_max_positions / wavelengths - scaling.low_freq_factor) /
                           (scaling.high_freq_factor - scaling.low_freq_factor);
  const at::Tensor slowed = frequencies / scaling.factor;
  const at::Tensor between = (1.0 - share) * slowed + share * frequencies;
  return at::where(wavelengths > longest, slowed, at::where(wavelengths < shortest, frequencies, between));
}

// The pair that turns `turns` times in the original context, as a real number.
double PairOf(double turns, const YarnRopeScaling& scaling, double theta, int64_t dims) {
  const double circumference = scaling.original_max_positions / (turns * 2.0 * M_PI);
  return static_cast<double>(dims) * std::log(circumference) / (2.0 * std::log(theta));
}

at::Tensor Scaled(const at::Tensor& frequencies, const YarnRopeScaling& scaling, double theta) {
  const int64_t pairs = frequencies.size(0), dims = 2 * pairs;
  double low = PairOf(scaling.beta_fast, scaling, theta, dims), high = PairOf(scaling.beta_slow, scaling, theta, dims);
  if (scaling.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(dims - 1));
  if (low == high) high += 0.001;
  const at::Tensor slow = ((at::arange(pairs, at::kFloat) - low) / (high - low)).clamp(0, 1);
  const at::Tensor kept = 1 - slow;
  return frequencies / scaling.factor * (1 - kept) + frequencies * kept;
}

double BaseFor(const RotarySetting& rope, int64_t dims, int64_t tokens) {
  const auto* dynamic = std::get_if<DynamicRopeScaling>(&rope.scaling);
  if (dynamic == nullptr || static_cast<double>(tokens) <= dynamic->original_max_positions) return rope.theta;
  const double stretch = dynamic->factor * static_cast<double>(tokens) / dynamic->original_max_positions;
  const double power = static_cast<double>(dims) / static_cast<double>(dims - 2);
  return rope.theta * std::pow(stretch - (dynamic->factor - 1), power);
}

double AttentionFactor(const RotarySetting& rope) {
  if (const auto* yarn = std::get_if<YarnRopeScaling>(&rope.scaling)) return yarn->attention_factor;
  if (const auto* longrope = std::get_if<LongRopeScaling>(&rope.scaling)) return longrope->attention_factor;
  return 1;
}

}  // namespace

at::Tensor RotaryFrequencies(const RotarySetting& rope, int64_t head_dim, int64_t tokens) {
  const int64_t dims = rope.RotatedDims(head_dim);
  // theta^(-2j / d) in float32, step by step as the reference implementation rounds it.
  const at::Tensor exponents = at::arange(0, dims, 2, at::kLong).to(at::kFloat) / dims;
  const at::Tensor wavelengths = at::pow(BaseFor(rope, dims, tokens), exponents);  // [d / 2]
  at::Tensor frequencies = wavelengths.reciprocal();
  if (const auto* llama3 = std::get_if<Llama3RopeScaling>(&rope.scaling)) frequencies = Scaled(frequencies, *llama3);
  if (const auto* yarn = std::get_if<YarnRopeScaling>(&rope.scaling)) {
    frequencies = Scaled(frequencies, *yarn, rope.theta);
  }
  if (const auto* longrope = std::get_if<LongRopeScaling>(&rope.scaling)) {
    const bool is_long = static_cast<double>(tokens) > longrope->original_max_positions;
    const std::vector<float>& factors = is_long ? longrope->long_factors : longrope->short_factors;
    frequencies = (at::tensor(factors) * wavelengths).reciprocal();
  }
  if (!rope.divisors.empty()) frequencies = frequencies / at::tensor(rope.divisors);
  return frequencies;
}

RotaryTable::RotaryTable(RotarySetting rope, int64_t head_dim, const at::TensorOptions& options)
    : rope_(std::move(rope)), head_dim_(head_dim), options_(options) {}

bool RotaryTable::IsLong(int64_t tokens) const {
  const double original = rope_.OriginalPositions();
  return original > 0 && static_cast<double>(tokens) > original;
}

RotaryTable::Turned& RotaryTable::Grown(int64_t positions, int64_t text_tokens) {
  const bool is_long = IsLong(text_tokens);
  Turned& turned = is_long ? long_ : short_;
  const bool is_other =
      is_long && long_tokens_ != text_tokens && std::holds_alternative<DynamicRopeScaling>(rope_.scaling);
  if (is_other) turned = {};
  if (is_long) long_tokens_ = text_tokens;
  const int64_t filled = turned.cos.defined() ? turned.cos.size(0) : 0;
  if (positions <= filled) return turned;
  if (!turned.frequencies.defined()) {
    turned.frequencies = RotaryFrequencies(rope_, head_dim_, is_long ? text_tokens : 0).to(options_.device());
  }
  const int64_t wanted = std::max<int64_t>({positions, 2 * filled, 256});
  const at::Tensor angles =
      at::outer(at::arange(wanted, turned.frequencies.options()), turned.frequencies);  // [wanted, d / 2]
  const auto scaled = [&](const at::Tensor& x) {
    const double factor = AttentionFactor(rope_);
    return (factor == 1 ? x : x * factor).to(options_.dtype());
  };
  turned.cos = scaled(angles.cos());
  turned.sin = scaled(angles.sin());
  return turned;
}

RotaryAngles RotaryTable::First(int64_t tokens) {
  const Turned& turned = Grown(tokens, tokens);
  return {turned.cos.narrow(0, 0, tokens), turned.sin.narrow(0, 0, tokens)};
}

RotaryAngles RotaryTable::Of(const KvCache& cache, std::span<const TokenRun> runs,
                             const std::vector<int64_t>& positions) {
  const auto at = [&](Turned& turned, std::span<const int64_t> wanted) -> RotaryAngles {
    const at::ArrayRef<int64_t> listed(wanted.data(), wanted.size());
    const at::Tensor rows = at::tensor(listed, at::kLong).to(turned.cos.device());
    return {turned.cos.index_select(0, rows), turned.sin.index_select(0, rows)};
  };
  const int64_t longest = *std::max_element(positions.begin(), positions.end()) + 1;
  if (!IsLong(longest)) return at(Grown(longest, 0), positions);
  const bool by_length = std::holds_alternative<DynamicRopeScaling>(rope_.scaling);
  std::vector<at::Tensor> cos, sin;
  size_t first = 0;
  for (const TokenRun& run : runs) {
    const int64_t before = cache.past(run.segment) + cache.length(run.segment), end = before + run.tokens;
    if (IsLong(end) && before > 0 && (by_length || !IsLong(before))) {
      throw Error(ErrorKind::kUnsupported,
                  "a text of " + std::to_string(before) + " tokens is continued to " + std::to_string(end) +
                      ", and beyond " + std::to_string(static_cast<int64_t>(rope_.OriginalPositions())) +
                      " its rotary frequencies are others. Read it in one piece, or keep texts within the original "
                      "context.");
    }
    const auto own = std::span(positions).subspan(first, static_cast<size_t>(run.tokens));
    const RotaryAngles angles = at(Grown(end, end), own);
    cos.push_back(angles.cos);
    sin.push_back(angles.sin);
    first += static_cast<size_t>(run.tokens);
  }
  return {at::cat(cos), at::cat(sin)};
}

}  // namespace bitlaw
