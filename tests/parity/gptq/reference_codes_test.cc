// Codes against the public GPTQ reference; make_goldens.py says how the goldens were made and what a tie is.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/sdk/checkpoint/packed_codes.h"
#include "parity/gptq/goldens.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

const Goldens& TheGoldens() {
  static const Goldens* goldens = new Goldens("goldens.safetensors");
  return *goldens;
}

const SyntheticLayer& TheLayer(const std::string& name) {
  static auto* layers = new std::map<std::string, SyntheticLayer>;
  if (!layers->count(name)) layers->emplace(name, DrawLayer(name, TheGoldens().layers.at(name)));
  return layers->at(name);
}

double Diagnostic(const QuantizedLinear& q, const std::string& name) {
  for (const auto& [key, value] : q.diagnostics) {
    if (key == name) return value;
  }
  return std::nan("");
}

Value::Map OptionsOf(const json& card) {
  return {{"bits", Value(card["bits"].get<int64_t>())},
          {"group_size", card["group_size"] == -1 ? Value("row") : Value(card["group_size"].get<int64_t>())},
          {"symmetric", Value(card["symmetric"].get<bool>())},
          {"mse", Value(card["mse"].get<bool>())},
          {"act_order", Value(card["act_order"].get<bool>())},
          {"group_params", Value(card["static_groups"].get<bool>() ? "static" : "ref")},
          {"factor_dtype", Value(card["factor_float64"].get<bool>() ? "float64" : "float32")},
          {"scale_dtype", Value("float32")},
          {"allow_partial_group", Value(true)}};
}

class GptqReference : public testing::TestWithParam<json> {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }  // Layers this small lose time to threads.
};

TEST_P(GptqReference, HasTheSameCodesExceptAfterTies) {
  const json& card = GetParam();
  const std::string name = card["name"];
  const SyntheticLayer& layer = TheLayer(card["layer"]);
  const int64_t rows = layer.shape.out_features, columns = layer.shape.in_features;
  const QuantizedLinear q =
      MakeQuantizer("gptq", OptionsOf(card))->Quantize(layer.shape, layer.weight, layer.calibration);
  q.Validate(layer.shape);
  const int64_t groups = q.scales.size(1);

  std::vector<uint8_t> golden_codes(rows * columns);
  UnpackCodes(TheGoldens().Read<uint8_t>(name + ".codes"), card["bits"], golden_codes);
  const auto golden_scales = TheGoldens().Read<float>(name + ".scales");
  const auto golden_zeros = TheGoldens().Read<uint8_t>(name + ".zeros");
  const auto ties = TheGoldens().Read<int32_t>(name + ".ties");
  std::vector<uint16_t> order(columns);
  std::iota(order.begin(), order.end(), 0);
  if (card["act_order"]) order = TheGoldens().Read<uint16_t>(name + ".order");
  ASSERT_EQ(golden_scales.size(), static_cast<size_t>(rows * groups));

  const uint8_t* codes = q.codes.data_ptr<uint8_t>();
  const float* scales = q.scales.data_ptr<float>();
  const uint8_t* zeros = q.zeros.data_ptr<uint8_t>();
  const int32_t* group_of = q.group_index.data_ptr<int32_t>();
  int64_t differing = 0, explained_rows = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto tie = std::lower_bound(ties.begin(), ties.end(), r * columns);
    const int64_t first_tie = tie != ties.end() && *tie < (r + 1) * columns ? *tie - r * columns : columns;
    bool row_differs = false;
    for (int64_t step = 0; step < columns; ++step) {
      const int64_t j = order[step], g = group_of[j];
      const float scale = scales[r * groups + g], golden_scale = golden_scales[r * groups + g];
      const bool same = codes[r * columns + j] == golden_codes[r * columns + j] &&
                        zeros[r * groups + g] == golden_zeros[r * groups + g] &&
                        std::fabs(scale - golden_scale) <= 2e-5f * golden_scale;
      if (same) continue;
      differing += codes[r * columns + j] != golden_codes[r * columns + j];
      row_differs = true;
      ASSERT_GE(step, first_tie) << "row " << r << ", column " << j << ": code " << int{codes[r * columns + j]}
                                 << ", reference " << int{golden_codes[r * columns + j]} << "; scale " << scale
                                 << ", reference " << golden_scale << "; zero " << int{zeros[r * groups + g]}
                                 << ", reference " << int{golden_zeros[r * groups + g]};
    }
    explained_rows += row_differs;
  }
  RecordProperty("differing_codes", static_cast<int>(differing));
  RecordProperty("rows_after_a_tie", static_cast<int>(explained_rows));
  EXPECT_LE(explained_rows, 2) << "ties explain single rows, not a layer";
  // The golden is summed in float64; ours in float32, where terms of both signs cancel.
  EXPECT_NEAR(Diagnostic(q, "hessian_error"), card["hessian_error"].get<double>(),
              1e-2 * card["hessian_error"].get<double>());
}

TEST_P(GptqReference, ErrsLessThanRoundToNearest) {
  const json& card = GetParam();
  const SyntheticLayer& layer = TheLayer(card["layer"]);
  for (const char* dtype : {"float32", "float16"}) {
    Value::Map options = OptionsOf(card);
    for (auto& [key, value] : options) {
      if (key == "scale_dtype") value = Value(dtype);
    }
    const QuantizedLinear q = MakeQuantizer("gptq", options)->Quantize(layer.shape, layer.weight, layer.calibration);
    EXPECT_LT(Diagnostic(q, "hessian_error"), Diagnostic(q, "hessian_error_rtn")) << dtype;
  }
}

std::vector<json> Cases() { return TheGoldens().cases.get<std::vector<json>>(); }

INSTANTIATE_TEST_SUITE_P(Goldens, GptqReference, testing::ValuesIn(Cases()), [](const auto& info) {
  std::string name = info.param["name"];
  std::replace(name.begin(), name.end(), '-', 'm');
  return name;
});

TEST(GptqReferenceGoldens, NameTheirOriginAndCoverEveryRule) {
  EXPECT_GE(TheGoldens().cases.size(), 40u);
  int act_orders = 0, searches = 0, partial = 0;
  for (const json& card : TheGoldens().cases) {
    act_orders += card["act_order"].get<bool>();
    searches += card["mse"].get<bool>();
    partial += card["group_size"] == 192;
  }
  EXPECT_GE(act_orders, 8);
  EXPECT_GE(searches, 4);
  EXPECT_GE(partial, 6);
}

}  // namespace
}  // namespace bitlaw
