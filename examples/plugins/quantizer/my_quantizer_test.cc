#include "my_quantizer.h"

#include <cstdio>
#include <memory>

#include "bitlaw/testing/quantizer_conformance.h"

int main() {
  const auto make = [] {
    return std::make_unique<MyQuantizer>(MyQuantizer::Schema().Resolve(bitlaw::Value(), "quantizer 'my_quantizer'"));
  };
  bitlaw::LinearShape wide, narrow;
  wide.name = "wide", wide.in_features = 96, wide.out_features = 32;
  narrow.name = "narrow", narrow.in_features = 32, narrow.out_features = 4;
  int faults = 0;
  for (const std::string& fault : bitlaw::testing::QuantizerFaults(make, "my_quantizer", {wide, narrow})) {
    faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
  }

  // |1|, |-1|, |0.2|, |1.8| have the mean 1; below 0.5 of it is 0.
  bitlaw::LinearShape four;
  four.name = "four", four.in_features = 4, four.out_features = 1;
  const at::Tensor weight = at::tensor({1.0F, -1.0F, 0.2F, 1.8F}).view({1, 4});
  const at::Tensor expected = at::tensor({1.0F, -1.0F, 0.0F, 1.0F}).view({1, 4});
  if (!at::equal(make()->Quantize(four, weight, {}).Dequantize(), expected)) {
    faults += std::fprintf(stderr, "four weights are not what they should be\n") > 0;
  }
  return faults == 0 ? 0 : 1;
}
