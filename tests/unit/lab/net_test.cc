#include "net.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "bitlaw/base/rng.h"

namespace bitlaw::lab {
namespace {

class LabNet : public testing::TestWithParam<const char*> {};

/// Along a direction u the loss changes by gradient . u. The difference is of fourth order,
///   (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12 h,
/// because at second order the curvature of the head norms shows. A float32 loss is good to about 1e-6, h = 1e-2.
TEST_P(LabNet, GradientMatchesFiniteDifferencesForEveryTensor) {
  NetConfig config;
  config.family = GetParam();
  config.hidden = 16, config.layers = 2, config.heads = 4, config.kv_heads = 2, config.head_dim = 4, config.ffn = 24;
  config.vocab = 40;
  const int64_t batch = 4, tokens = 12, rows = batch * tokens;
  Net net(config, batch, tokens, 3);
  Rng rng(9);
  // Weights of about one in place of the small initial ones, so that no part of the net is nearly linear.
  for (int64_t i = 0; i < net.parameters().numel(); ++i) {
    net.parameters().data_ptr<float>()[i] += static_cast<float>(0.2 * rng.Normal());
  }
  std::vector<int32_t> ids(rows), targets(rows);
  std::vector<float> weight(rows);
  for (int64_t i = 0; i < rows; ++i) {
    ids[i] = static_cast<int32_t>(rng.Below(40)), targets[i] = static_cast<int32_t>(rng.Below(40));
    weight[i] = i % 5 == 0 ? 0.0f : i % 3 == 0 ? 0.1f : 1.0f;
  }
  net.Step(ids, targets, weight);
  const at::Tensor gradient = net.gradient().clone(), start = net.parameters().clone();
  std::vector<char> correct;
  for (const Net::View& view : net.Named()) {
    int64_t size = 1;
    for (const int64_t extent : view.shape) size *= extent;
    const at::Tensor slope = gradient.narrow(0, view.offset, size);
    // The steepest direction of this tensor, bent by noise: its derivative is well above the rounding.
    at::Tensor direction = slope / slope.norm();
    for (int64_t i = 0; i < size; ++i) direction[i] += 0.3 * rng.Normal() / std::sqrt(static_cast<double>(size));
    direction /= direction.norm();
    const double step = 1e-2;
    const auto loss_at = [&](double distance) {
      net.parameters().copy_(start);
      net.parameters().narrow(0, view.offset, size).add_(direction, distance);
      return net.Evaluate(ids, targets, weight, &correct);
    };
    const double near = loss_at(step) - loss_at(-step), far = loss_at(2 * step) - loss_at(-2 * step);
    const double measured = (8 * near - far) / (12 * step);
    const double stated = (slope * direction).sum().item<double>();
    EXPECT_NEAR(measured, stated, 2e-3 * std::abs(stated) + 2e-4) << view.name;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, LabNet, testing::Values("llama", "qwen3"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace bitlaw::lab
