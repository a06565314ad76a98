#include "my_transform.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cstdio>

#include "bitlaw/testing/small_decoder.h"
#include "bitlaw/testing/transform_conformance.h"

int main() {
  const MyTransform transform(MyTransform::Schema().Resolve(bitlaw::Value(), "transform 'my_transform'"));
  const auto open = [] { return bitlaw::testing::OpenSmallDecoder(); };
  const at::Tensor tokens = at::randint(0, 256, {2, 12}, at::detail::createCPUGenerator(3), at::kLong);
  int faults = 0;
  for (const std::string& fault : bitlaw::testing::TransformFaults(transform, "my_transform", open, tokens)) {
    faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
  }

  // After it the columns of the first site have one largest weight.
  const auto model = open();
  const bitlaw::Site site = model->block(0).sites()[0];
  transform.Apply(site, {});
  at::Tensor largest = at::zeros({site.shape.in_features()});
  for (const bitlaw::Linear* reader : site.readers) largest = at::maximum(largest, reader->weight().abs().amax(0));
  if ((largest.max() / largest.min()).item<double>() > 1.0001) {
    faults += std::fprintf(stderr, "channels differ after it\n") > 0;
  }
  return faults == 0 ? 0 : 1;
}
