#include "bitlaw/api/quantized_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "bitlaw/base/error.h"

namespace bitlaw {

std::shared_ptr<const void> DerivedStatistics::Find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : found->second;
}

void DerivedStatistics::Keep(const std::string& key, std::shared_ptr<const void> value) {
  const std::lock_guard lock(mutex_);
  values_[key] = std::move(value);
}

std::string_view Name(QuantizeFallback fallback) {
  switch (fallback) {
    case QuantizeFallback::kNone: return "none";
    case QuantizeFallback::kDampingRaised: return "damping_raised";
    case QuantizeFallback::kRoundToNearest: return "round_to_nearest";
  }
  throw InternalError("QuantizeFallback out of range");
}

namespace {

// weight[c] = (level of codes[c] - zeros[group[c]]) * scales[group[c]], each operation rounded.
void DequantizeRow(const uint8_t* __restrict codes, const float* __restrict levels, const float* __restrict scales,
                   const float* __restrict zeros, const int32_t* __restrict group, int64_t columns,
                   float* __restrict weight) {
  for (int64_t c = 0; c < columns;) {
    const int32_t g = group[c];
    int64_t end = c + 1;
    while (end < columns && group[end] == g) ++end;
    const float scale = scales[g], zero = zeros[g];
    if (levels != nullptr) {
      for (; c < end; ++c) weight[c] = (levels[codes[c]] - zero) * scale;
    } else {
      for (; c < end; ++c) weight[c] = (static_cast<float>(codes[c]) - zero) * scale;
    }
  }
}

// use(r, weights of row r) for every row, rows shared out to threads; a row is written to RowAt(r).
template <typename RowAt, typename Use>
void DequantizeRows(const QuantizedLinear& q, const RowAt& row_at, const Use& use) {
  const int64_t rows = q.codes.size(0), columns = q.codes.size(1), groups = q.scales.size(1);
  const at::Tensor codes = q.codes.contiguous(), scales = q.scales.contiguous();
  const at::Tensor zeros = q.zeros.to(at::kFloat).contiguous(), group = q.group_index.to(at::kInt).contiguous();
  const at::Tensor row_index = q.row_index.defined() ? q.row_index.to(at::kLong).contiguous() : at::Tensor();
  const at::Tensor levels = q.levels.defined() ? q.levels.contiguous() : at::Tensor();
  const int64_t* const row_of = row_index.defined() ? row_index.data_ptr<int64_t>() : nullptr;
  const float* const level = levels.defined() ? levels.data_ptr<float>() : nullptr;
  at::parallel_for(0, rows, std::max<int64_t>((int64_t{1} << 15) / std::max<int64_t>(columns, 1), 1),
                   [&](int64_t begin, int64_t end) {
                     std::vector<float> scratch;
                     for (int64_t r = begin; r < end; ++r) {
                       const int64_t place = (row_of != nullptr ? row_of[r] : r) * groups;
                       float* const row = row_at(r, scratch);
                       DequantizeRow(codes.data_ptr<uint8_t>() + r * columns, level, scales.data_ptr<float>() + place,
                                     zeros.data_ptr<float>() + place, group.data_ptr<int32_t>(), columns, row);
                       use(r, row);
                     }
                   });
}

at::Tensor DequantizeOnHost(const QuantizedLinear& q) {
  const int64_t columns = q.codes.size(1);
  at::Tensor weight = at::empty({q.codes.size(0), columns}, q.scales.options());
  float* const to = weight.data_ptr<float>();
  DequantizeRows(q, [&](int64_t r, std::vector<float>&) { return to + r * columns; }, [](int64_t, const float*) {});
  return weight;
}

void SubtractFrom(const float* __restrict weight, int64_t columns, float* __restrict row) {
  for (int64_t c = 0; c < columns; ++c) row[c] = weight[c] - row[c];
}

double SquaredDistance(const float* __restrict weight, const float* __restrict row, int64_t columns) {
  constexpr int64_t kLanes = 16;
  double lanes[kLanes] = {};
  int64_t c = 0;
  for (; c + kLanes <= columns; c += kLanes) {
    for (int64_t l = 0; l < kLanes; ++l) {
      const double difference = weight[c + l] - row[c + l];
      lanes[l] += difference * difference;
    }
  }
  double sum = 0;
  for (; c < columns; ++c) {
    const double difference = weight[c] - row[c];
    sum += difference * difference;
  }
  for (const double lane : lanes) sum += lane;
  return sum;
}

}  // namespace

at::Tensor QuantizedLinear::Dequantize() const {
  if (codes.is_cpu()) return DequantizeOnHost(*this);
  const at::Tensor group = group_index.to(at::kLong);  // [C_in]
  const auto of_weights = [&](const at::Tensor& of_groups) {  // [R, groups] -> [C_out, C_in]
    const at::Tensor of_rows =
        row_index.defined() ? of_groups.index_select(0, row_index.to(at::kLong)) : of_groups;  // [C_out, groups]
    return of_rows.to(at::kFloat).index_select(1, group);
  };
  at::Tensor level = levels.defined() ? levels.index_select(0, codes.flatten().to(at::kLong)).view(codes.sizes())
                                      : codes.to(at::kFloat);  // [C_out, C_in]
  return level.sub_(of_weights(zeros)).mul_(of_weights(scales));
}

void QuantizedLinear::Difference(const at::Tensor& weight, at::Tensor& difference) const {
  if (!codes.is_cpu() || !weight.is_contiguous()) {
    at::sub_out(difference, weight, Dequantize());
    return;
  }
  const int64_t columns = codes.size(1);
  const float* const from = weight.data_ptr<float>();
  float* const to = difference.data_ptr<float>();
  DequantizeRows(
      *this, [&](int64_t r, std::vector<float>&) { return to + r * columns; },
      [&](int64_t r, float* row) { SubtractFrom(from + r * columns, columns, row); });
}

double QuantizedLinear::SquaredDifference(const at::Tensor& weight) const {
  if (!codes.is_cpu() || !weight.is_contiguous()) {
    return at::sub(weight, Dequantize()).to(at::kDouble).square().sum().item<double>();
  }
  const int64_t columns = codes.size(1);
  const float* const from = weight.data_ptr<float>();
  std::vector<double> sums(static_cast<size_t>(codes.size(0)));
  const auto own_row = [&](int64_t, std::vector<float>& scratch) {
    scratch.resize(static_cast<size_t>(columns));
    return scratch.data();
  };
  DequantizeRows(*this, own_row, [&](int64_t r, const float* row) {
    sums[static_cast<size_t>(r)] = SquaredDistance(from + r * columns, row, columns);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

at::Tensor QuantizedLinear::StoredScales() const {
  if (scale_divisor == 1.0F) return scales;
  // Within float32's rounding of a float8 value, of which float16 has each.
  return scales.mul(scale_divisor).to(at::kHalf).to(at::kFloat);
}

bool QuantizedLinear::GroupsAreRuns() const {
  const at::Tensor runs = at::arange(group_index.numel(), at::kInt).div(group_size, "floor").to(at::kInt);
  return group_index.cpu().equal(runs);
}

namespace {

std::string Sizes(at::IntArrayRef sizes) {
  std::string text = "[";
  for (const int64_t size : sizes) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

// "" if `tensor` has this dtype and these sizes; otherwise the rule it breaks.
std::string ExplainForm(const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                        const std::vector<int64_t>& sizes) {
  if (!tensor.defined()) return std::string(name) + " is undefined.";
  if (tensor.scalar_type() != dtype) {
    return std::string(name) + " is " + at::toString(tensor.scalar_type()) + ". It must be " + at::toString(dtype) +
           ".";
  }
  if (tensor.sizes() != at::IntArrayRef(sizes)) {
    return std::string(name) + " is " + Sizes(tensor.sizes()) + ". It must be " + Sizes(sizes) + ".";
  }
  return "";
}

// Whether each of `values` [...] float32, finite, is one of float16, float8_e8m0fnu or float8_e4m3fn.
bool AreExactIn(const std::string& dtype, const at::Tensor& values) {
  if (dtype == "float16") return values.to(at::kHalf).to(at::kFloat).equal(values);
  const at::Tensor word = values.contiguous().view(at::kInt);
  if (dtype == "float8_e8m0fnu") return (values > 0).all().item<bool>() && (word % (1 << 23) == 0).all().item<bool>();
  if (dtype == "float8_e4m3fn") {
    const at::Tensor size = values.abs();
    // Four digits, and below 2^-6 multiples of 2^-9.
    const at::Tensor fits = at::where(size < 0x1p-6, (size * 512).frac() == 0, word % (1 << 20) == 0);
    return (fits & (size <= 448)).all().item<bool>();
  }
  return true;
}

// "" if scales and zeros are what scale_dtype says; otherwise the rule that is broken.
std::string ExplainInexact(const QuantizedLinear& q) {
  const bool is_float8 = q.scale_dtype == "float8_e4m3fn" || q.scale_dtype == "float8_e8m0fnu";
  if (!is_float8 && q.scale_dtype != "float32" && q.scale_dtype != "float16") {
    return "scale_dtype is '" + q.scale_dtype + "'. It must be float32, float16, float8_e8m0fnu or float8_e4m3fn.";
  }
  if (q.scale_divisor != 1.0F &&
      (q.scale_dtype != "float8_e4m3fn" || !std::isfinite(q.scale_divisor) || !(q.scale_divisor > 0))) {
    return "scale_divisor is " + std::to_string(q.scale_divisor) +
           ". It must be 1, or positive and finite with scale_dtype 'float8_e4m3fn'.";
  }
  const at::Tensor stored = q.StoredScales();
  // A tensor: a GPU multiplies by the inverse of a number, which is not this division.
  const at::Tensor divisor = at::full({1}, q.scale_divisor, stored.options());
  if (!AreExactIn(q.scale_dtype, stored) || !stored.div(divisor).equal(q.scales)) {
    return "scale_dtype is '" + q.scale_dtype + "' but a scale is not exact in " + q.scale_dtype + ".";
  }
  if (!q.has_real_zeros()) return "";
  if (is_float8) return "zeros are real numbers and scale_dtype is '" + q.scale_dtype + "'. It must be float16 or float32.";
  if (!q.zeros.isfinite().all().item<bool>()) return "zeros hold a value that is not finite.";
  return AreExactIn(q.scale_dtype, q.zeros) ? "" : "scale_dtype is 'float16' but a zero is not exact in float16.";
}

std::string ExplainInvalid(const QuantizedLinear& q, const LinearShape& layer) {
  const int64_t c_out = layer.out_features, c_in = layer.in_features;
  if (q.bits < 1 || q.bits > 8) return "bits is " + std::to_string(q.bits) + ". It must lie in [1, 8].";
  if (q.group_size < 1 || q.group_size > c_in) {
    return "group_size is " + std::to_string(q.group_size) + ". It must lie in [1, C_in = " + std::to_string(c_in) +
           "].";
  }
  const int64_t groups = (c_in + q.group_size - 1) / q.group_size;
  if (q.row_index.defined() && (!q.scales.defined() || q.scales.dim() != 2 || q.scales.size(0) < 1)) {
    return "scales have no rows for row_index.";
  }
  const int64_t rows = q.row_index.defined() ? q.scales.size(0) : c_out;
  const bool has_real_zeros = q.zeros.defined() && q.has_real_zeros();
  for (const std::string& broken :
       {ExplainForm("codes", q.codes, at::kByte, {c_out, c_in}),
        ExplainForm("scales", q.scales, at::kFloat, {rows, groups}),
        ExplainForm("zeros", q.zeros, has_real_zeros ? at::kFloat : at::kByte, {rows, groups}),
        ExplainForm("group_index", q.group_index, at::kInt, {c_in}),
        q.row_index.defined() ? ExplainForm("row_index", q.row_index, at::kInt, {c_out}) : "",
        q.input_scale.defined() ? ExplainForm("input_scale", q.input_scale, at::kFloat, {c_in}) : ""}) {
    if (!broken.empty()) return broken;
  }
  const int code_max = (1 << q.bits) - 1;
  if (q.levels.defined()) {
    if (q.levels.dim() != 1 || q.levels.numel() < 2 || q.levels.numel() > code_max + 1) {
      return "levels is " + Sizes(q.levels.sizes()) + ". With bits = " + std::to_string(q.bits) +
             " it must be a list of 2 to " + std::to_string(code_max + 1) + ".";
    }
    if (const std::string broken = ExplainForm("levels", q.levels, at::kFloat, {q.levels.numel()}); !broken.empty()) {
      return broken;
    }
    if (!q.levels.isfinite().all().item<bool>() || !(q.levels.diff() > 0).all().item<bool>()) {
      return "levels are not finite and ascending.";
    }
    const int64_t last = q.levels.numel() - 1;
    if (const int highest = q.codes.max().item<int>(); highest > last) {
      return "codes reach " + std::to_string(highest) + ". There are " + std::to_string(last + 1) + " levels.";
    }
  }
  for (const auto& [name, tensor] : {std::pair<const char*, const at::Tensor&>("codes", q.codes), {"zeros", q.zeros}}) {
    if (tensor.scalar_type() != at::kByte) continue;
    const int highest = tensor.max().item<int>();
    if (highest > code_max) {
      return std::string(name) + " reach " + std::to_string(highest) + ". With bits = " + std::to_string(q.bits) +
             " they must lie in [0, " + std::to_string(code_max) + "].";
    }
  }
  const int lowest_group = q.group_index.min().item<int>(), highest_group = q.group_index.max().item<int>();
  if (lowest_group < 0 || highest_group >= groups) {
    return "group_index spans [" + std::to_string(lowest_group) + ", " + std::to_string(highest_group) +
           "]. There are " + std::to_string(groups) + " groups.";
  }
  if (q.row_index.defined()) {
    const int lowest = q.row_index.min().item<int>(), highest = q.row_index.max().item<int>();
    if (lowest < 0 || highest >= rows) {
      return "row_index spans [" + std::to_string(lowest) + ", " + std::to_string(highest) + "]. Scales have " +
             std::to_string(rows) + " rows.";
    }
  }
  if (!q.scales.isfinite().all().item<bool>()) return "scales hold a value that is not finite.";
  if (const std::string broken = ExplainInexact(q); !broken.empty()) return broken;
  if (q.input_scale.defined() && !(q.input_scale.isfinite() & (q.input_scale > 0)).all().item<bool>()) {
    return "input_scale holds a value that is not finite and positive.";
  }
  if (q.activation) {
    if (q.activation->bits < 2 || q.activation->bits > 16) {
      return "activation.bits is " + std::to_string(q.activation->bits) + ". It must lie in [2, 16].";
    }
    if (q.activation->static_zero < 0 || q.activation->static_zero >= (int64_t{1} << q.activation->bits)) {
      return "activation.static_zero is " + std::to_string(q.activation->static_zero) + ". With bits = " +
             std::to_string(q.activation->bits) + " it must lie in [0, " +
             std::to_string((int64_t{1} << q.activation->bits) - 1) + "].";
    }
    if (const int bits = BitsOf(q.activation->format); bits != 0 && bits != q.activation->bits) {
      return "activation.bits is " + std::to_string(q.activation->bits) + ", and " +
             std::string(Name(q.activation->format)) + " has " + std::to_string(bits) + ".";
    }
    if (q.activation->format == InputFormat::kNvfp4 &&
        !(std::isfinite(q.activation->scale_divisor) && q.activation->scale_divisor > 0)) {
      return "activation.scale_divisor is " + std::to_string(q.activation->scale_divisor) +
             ". It must be finite and positive.";
    }
    if (const std::string reason = q.activation->ExplainChannels(q.codes.size(1)); !reason.empty()) return reason;
    if (!q.activation->per_token && !(std::isfinite(q.activation->static_scale) && q.activation->static_scale > 0)) {
      return "activation.static_scale is " + std::to_string(q.activation->static_scale) +
             ". It must be finite and positive.";
    }
  }
  return "";
}

}  // namespace

void QuantizedLinear::Validate(const LinearShape& layer) const {
  const std::string broken = ExplainInvalid(*this, layer);
  if (!broken.empty()) throw InternalError(layer.name + ": quantized layer: " + broken);
}

}  // namespace bitlaw
