// Codes of the group-aware order and of GPTAQ against GPTQModel; make_gptqmodel_goldens.py says how the goldens were
// made.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "bitlaw/sdk/checkpoint/packed_codes.h"
#include "parity/gptq/goldens.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

const Goldens& TheGoldens() {
  static const Goldens* goldens = new Goldens("gptqmodel_goldens.safetensors");
  return *goldens;
}

// draw_drift() of make_gptqmodel_goldens.py: what the unquantized model's inputs have beside the layer's.
at::Tensor DrawDrift(const json& card) {
  const int64_t columns = card["columns"];
  Rng rng(card["seed"].get<uint64_t>() + 1000);
  const auto bell = [&] {
    const double a = rng.Uniform(), b = rng.Uniform(), c = rng.Uniform(), d = rng.Uniform();
    return a + b + c + d - 2;
  };
  at::Tensor drift = at::empty({512, columns}, at::kDouble);
  double* x = drift.data_ptr<double>();
  for (int64_t t = 0; t < 512; ++t) {
    const double shared = bell();
    for (int64_t j = 0; j < columns; ++j) x[t * columns + j] = std::nearbyint((shared + bell()) * 8) / 16;
  }
  for (const int64_t j : card["dead"]) drift.select(1, j).zero_();
  return drift;
}

const SyntheticLayer& TheLayer(const std::string& name) {
  static auto* layers = new std::map<std::string, SyntheticLayer>;
  if (layers->count(name)) return layers->at(name);
  const json& card = TheGoldens().layers.at(name);
  SyntheticLayer layer = DrawLayer(name, card);
  layer.calibration.cross_moment = at::mm(DrawDrift(card).t(), layer.inputs).to(at::kFloat);  // exact
  return layers->emplace(name, std::move(layer)).first->second;
}

Value::Map OptionsOf(const json& card) {
  const bool is_aware = card["group_aware"].get<bool>();
  return {{"preset", Value(is_aware ? "group_aware" : "ist")},
          {"bits", Value(card["bits"].get<int64_t>())},
          {"group_size", card["group_size"] == -1 ? Value("row") : Value(card["group_size"].get<int64_t>())},
          {"symmetric", Value(card["symmetric"].get<bool>())},
          {"act_order", Value(is_aware || card["act_order"].get<bool>())},
          {"group_params", Value(card["static_groups"].get<bool>() ? "static" : "ref")},
          {"gptaq_alpha", Value(card["alpha"].get<double>())},
          {"scale_dtype", Value("float32")},
          {"allow_partial_group", Value(true)}};
}

class GptqModel : public testing::TestWithParam<json> {
 protected:
  static void SetUpTestSuite() { at::set_num_threads(1); }
};

TEST_P(GptqModel, HasTheSameCodesExceptAfterTies) {
  const json& card = GetParam();
  const std::string name = card["name"];
  const SyntheticLayer& layer = TheLayer(card["layer"]);
  const int64_t rows = layer.shape.out_features, columns = layer.shape.in_features;
  const QuantizedLinear q =
      MakeQuantizer("gptq", OptionsOf(card))->Quantize(layer.shape, layer.weight, layer.calibration);
  q.Validate(layer.shape);
  EXPECT_TRUE(q.GroupsAreRuns()) << "no group index is needed";
  const int64_t groups = q.scales.size(1);
  std::vector<uint8_t> golden_codes(rows * columns);
  UnpackCodes(TheGoldens().Read<uint8_t>(name + ".codes"), card["bits"], golden_codes);
  const auto golden_scales = TheGoldens().Read<float>(name + ".scales");
  const auto golden_zeros = TheGoldens().Read<uint8_t>(name + ".zeros");
  const auto ties = TheGoldens().Read<int32_t>(name + ".ties");
  std::vector<uint16_t> order(columns);
  std::iota(order.begin(), order.end(), 0);
  if (card["act_order"] || card["group_aware"]) order = TheGoldens().Read<uint16_t>(name + ".order");
  ASSERT_EQ(golden_scales.size(), static_cast<size_t>(rows * groups));
  const uint8_t* codes = q.codes.data_ptr<uint8_t>();
  const float* scales = q.scales.data_ptr<float>();
  const uint8_t* zeros = q.zeros.data_ptr<uint8_t>();
  const int32_t* group_of = q.group_index.data_ptr<int32_t>();
  int64_t explained_rows = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const auto tie = std::lower_bound(ties.begin(), ties.end(), r * columns);
    const int64_t first_tie = tie != ties.end() && *tie < (r + 1) * columns ? *tie - r * columns : columns;
    bool row_differs = false;
    for (int64_t step = 0; step < columns; ++step) {
      const int64_t j = order[step], at = r * groups + group_of[j];
      if (codes[r * columns + j] == golden_codes[r * columns + j] && zeros[at] == golden_zeros[at] &&
          std::fabs(scales[at] - golden_scales[at]) <= 2e-5F * golden_scales[at]) {
        continue;
      }
      row_differs = true;
      ASSERT_GE(step, first_tie) << "row " << r << ", column " << j << ": code " << int{codes[r * columns + j]}
                                 << ", GPTQModel " << int{golden_codes[r * columns + j]} << "; scale " << scales[at]
                                 << ", GPTQModel " << golden_scales[at] << "; zero " << int{zeros[at]} << ", GPTQModel "
                                 << int{golden_zeros[at]};
    }
    explained_rows += row_differs;
  }
  RecordProperty("rows_after_a_tie", static_cast<int>(explained_rows));
  EXPECT_LE(explained_rows, 2) << "ties explain single rows, not a layer";
}

INSTANTIATE_TEST_SUITE_P(Goldens, GptqModel, testing::ValuesIn(TheGoldens().cases.get<std::vector<json>>()),
                         [](const auto& info) {
                           std::string name = info.param["name"];
                           std::replace(name.begin(), name.end(), '-', 'm');
                           return name;
                         });

}  // namespace
}  // namespace bitlaw
