// The synthetic layers of make_goldens.py and what public programs made of them.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {

using nlohmann::json;

// Goldens, an ordinary safetensors file of this folder.
class Goldens {
 public:
  explicit Goldens(const std::string& name) {
    std::ifstream file(std::string(BITLAW_GPTQ_GOLDENS) + "/" + name, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    if (bytes_.size() < 8) throw std::runtime_error(name + " is missing");
    uint64_t size = 0;
    std::memcpy(&size, bytes_.data(), 8);
    header_ = json::parse(bytes_.substr(8, size));
    first_ = 8 + size;
    cases = json::parse(header_["__metadata__"]["cases"].get<std::string>());
    layers = json::parse(header_["__metadata__"]["layers"].get<std::string>());
  }

  template <typename T>
  std::vector<T> Read(const std::string& name) const {
    const json& entry = header_.at(name);
    const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    std::vector<T> values((end - begin) / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes_.data() + first_ + begin, end - begin);
    return values;
  }

  json cases, layers;

 private:
  std::string bytes_;
  json header_;
  size_t first_ = 0;
};

struct SyntheticLayer {
  LinearShape shape;
  at::Tensor weight;  // [C_out, C_in]
  LayerCalibration calibration;
  at::Tensor inputs;  // [512, C_in] float64
};

// draw_layer() of make_goldens.py: every operation is exact or one correctly rounded step.
inline SyntheticLayer DrawLayer(const std::string& name, const json& card) {
  const int64_t rows = card["rows"], columns = card["columns"];
  Rng rng(card["seed"].get<uint64_t>());
  const auto bell = [&] {
    const double a = rng.Uniform(), b = rng.Uniform(), c = rng.Uniform(), d = rng.Uniform();
    return a + b + c + d - 2;
  };
  SyntheticLayer layer;
  layer.shape = {.name = name, .in_features = columns, .out_features = rows};
  layer.weight = at::empty({rows, columns}, at::kFloat);
  float* w = layer.weight.data_ptr<float>();
  for (int64_t i = 0; i < rows * columns; ++i) w[i] = static_cast<float>(0.02 * bell());
  layer.weight[3].abs_();
  layer.weight[5].zero_();
  std::vector<double> gain(columns);
  for (double& g : gain) g = 0.25 + 2 * rng.Uniform();
  at::Tensor inputs = at::empty({512, columns}, at::kDouble);
  double* x = inputs.data_ptr<double>();
  for (int64_t t = 0; t < 512; ++t) {
    double state = 0;
    for (int64_t j = 0; j < columns; ++j) {
      state = 0.9 * state + bell();
      x[t * columns + j] = std::clamp(std::nearbyint(state * gain[j] * 16) / 16, -8.0, 8.0);
    }
  }
  for (const int64_t j : card["dead"]) inputs.select(1, j).zero_();
  layer.calibration.sequences = 2;
  layer.calibration.tokens = 512;
  layer.calibration.second_moment = at::mm(inputs.t(), inputs).to(at::kFloat);  // 2 / n = 1, exact
  layer.inputs = inputs;
  return layer;
}

}  // namespace bitlaw
