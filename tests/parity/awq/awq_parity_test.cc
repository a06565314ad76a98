// AWQ's scales against AutoAWQ: make_goldens.py says which version, and why these tolerances.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/api/model.h"
#include "bitlaw/api/quantized_linear.h"
#include "support/quantizers.h"

namespace bitlaw {
namespace {

using nlohmann::json;

at::Tensor Matrix(const json& rows) {
  std::vector<float> flat;
  for (const json& row : rows) {
    for (const json& one : row) flat.push_back(one.get<float>());
  }
  return at::tensor(flat, at::kFloat).view({static_cast<int64_t>(rows.size()), -1});
}

// Keeps the scale that it was divided by.
class Recorder : public Producer {
 public:
  explicit Recorder(int64_t channels) : channels_(at::arange(channels)) {}
  const at::Tensor& channels() const override { return channels_; }
  void Divide(const at::Tensor& scale) override { divided = scale; }
  at::Tensor divided;

 private:
  at::Tensor channels_;
};

TEST(AwqParity, ScalesAreThoseOfAutoAwq) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/awq/goldens.json");
  const json goldens = json::parse(file);
  const at::Tensor x = Matrix(goldens["inputs"]);  // [tokens, C_in]
  LayerCalibration calibration;
  calibration.sequences = 1;
  calibration.tokens = x.size(0);
  calibration.abs_mean = x.abs().mean(0);
  calibration.second_moment = at::mm(x.t(), x) * 2;
  ASSERT_EQ(goldens["cases"].size(), 6u);
  for (const json& golden : goldens["cases"]) {
    const bool has_weights = golden["duo_scaling"];
    SCOPED_TRACE(golden["bits"].dump() + " bits, weights " + std::to_string(has_weights));
    Recorder producer(x.size(1));
    std::vector<Linear> readers;
    Site site;
    site.shape.name = "site";
    site.shape.producer = "norm";
    site.producer = &producer;
    for (const json& rows : goldens["weights"]) {
      const at::Tensor weight = Matrix(rows);
      readers.emplace_back(LinearShape{.name = "reader" + std::to_string(readers.size()),
                                       .in_features = weight.size(1),
                                       .out_features = weight.size(0)},
                           weight, at::Tensor());
      site.shape.readers.push_back(readers.back().shape());
    }
    for (Linear& reader : readers) site.readers.push_back(&reader);
    const auto quantizer = MakeQuantizer("rtn", {{"bits", golden["bits"].get<int>()},
                                                 {"group_size", goldens["group_size"].get<int>()},
                                                 {"scale_dtype", "float32"}});
    const auto awq = MakeTransform("awq", {{"scaling", has_weights ? "inputs_and_weights" : "inputs"}});
    awq->TakeQuantizer(quantizer.get());
    awq->Apply(site, calibration);
    const at::Tensor scales = Matrix(json::array({golden["scales"]}))[0];
    EXPECT_LE(((producer.divided - scales).abs() / scales).max().item<double>(), 1e-5)
        << "exponent " << golden["exponent"];
    EXPECT_TRUE(readers[0].weight().allclose(Matrix(goldens["weights"][0]) * scales, 1e-5, 0));
  }
}

TEST(AwqParity, SearchedRangesAreAutoAwqsClipping) {
  std::ifstream file(std::string(BITLAW_SOURCE_DIR) + "/tests/parity/awq/goldens.json");
  const json goldens = json::parse(file);
  const at::Tensor x = Matrix(goldens["inputs"]), weight = Matrix(goldens["clipped"]);
  LayerCalibration calibration;
  calibration.sequences = 1;
  calibration.tokens = x.size(0);
  calibration.second_moment = at::mm(x.t(), x) * 2;
  const LinearShape shape{.name = "v_proj", .in_features = 32, .out_features = 8};
  const LinearShape query{.name = "q_proj", .in_features = 32, .out_features = 8};
  ASSERT_EQ(goldens["clips"].size(), 3u);
  for (const json& golden : goldens["clips"]) {
    SCOPED_TRACE(golden["bits"].dump() + " bits");
    const auto make = [&](const char* search) {
      return MakeQuantizer("rtn", {{"bits", golden["bits"].get<int>()},
                                   {"group_size", goldens["group_size"].get<int>()},
                                   {"scale_dtype", "float32"},
                                   {"range_search", search}});
    };
    const at::Tensor most = Matrix(golden["largest"]).repeat_interleave(16, 1);  // [C_out, C_in]
    const at::Tensor cut = at::minimum(at::maximum(weight, -most), most);
    const QuantizedLinear expected = make("none")->Quantize(shape, cut, {});
    const QuantizedLinear found = make("outputs")->Quantize(shape, weight, calibration);
    EXPECT_TRUE(found.scales.allclose(expected.scales, 1e-6, 0));
    EXPECT_TRUE(found.zeros.equal(expected.zeros));
    // Beyond the cut AutoAWQ rounds the cut weight, and here the nearest point of the same grid is taken.
    EXPECT_FALSE(found.codes.ne(expected.codes).logical_and(weight.abs() <= most).any().item<bool>());
    EXPECT_FALSE(found.scales.equal(make("none")->Quantize(shape, weight, {}).scales));
    // Those of queries and keys stay as they are.
    EXPECT_TRUE(make("outputs")->Quantize(query, weight, calibration).scales.equal(
        make("none")->Quantize(query, weight, {}).scales));
  }
}

}  // namespace
}  // namespace bitlaw
