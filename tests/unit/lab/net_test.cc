#include "net.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "bitlaw/base/rng.h"

namespace bitlaw::lab {
namespace {

class LabNetGradient : public testing::TestWithParam<const char*> {};

/// Along a direction u the loss changes by gradient . u. The difference is of fourth order,
///   (8 (L(h) - L(-h)) - (L(2h) - L(-2h))) / 12 h,
/// because at second order the curvature of the head norms shows. A float32 loss is good to about 1e-6, h = 1e-2.
TEST_P(LabNetGradient, MatchesFiniteDifferencesForEveryTensor) {
  NetConfig config;
  config.family = GetParam();
  config.hidden = 16, config.layers = 2, config.heads = 4, config.kv_heads = 2, config.head_dim = 16, config.ffn = 24;
  config.vocab = 40;
  // All experts chosen: where the choice changes the loss jumps.
  if (config.family == "qwen3_moe") config.experts = config.chosen = 3, config.router_balance = 0;
  const int64_t rows = 48;
  const std::unique_ptr<Net> owner = Net::Make(config, rows, 3, Precision::kFloat32);
  Net& net = *owner;
  Rng rng(9);
  // Weights of about one in place of the small initial ones, so that no part of the net is nearly linear.
  for (int64_t i = 0; i < net.parameters().numel(); ++i) {
    net.parameters().data_ptr<float>()[i] += static_cast<float>(0.2 * rng.Normal());
  }
  Batch batch;
  batch.starts = {0, 1, 20, 27, 48};  // Documents of 1, 19, 7 and 21 tokens: less and more than a block of keys.
  for (int32_t i = 0; i < rows; ++i) {
    batch.tokens.push_back(static_cast<int32_t>(rng.Below(40)));
    if (i % 5 == 0) continue;
    batch.asked.push_back(i);
    batch.targets.push_back(static_cast<int32_t>(rng.Below(40)));
    batch.weight.push_back(i % 3 == 0 ? 0.1f : 1.0f);
  }
  net.Step(batch);
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
      return net.Evaluate(batch, &correct);
    };
    const double near = loss_at(step) - loss_at(-step), far = loss_at(2 * step) - loss_at(-2 * step);
    const double measured = (8 * near - far) / (12 * step);
    const double stated = (slope * direction).sum().item<double>();
    EXPECT_NEAR(measured, stated, 2e-3 * std::abs(stated) + 2e-4) << view.name;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, LabNetGradient, testing::Values("llama", "qwen3", "qwen3_moe"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(LabNet, GivesNoGradientToAnExpertThatNoTokenChooses) {
  NetConfig config;
  config.family = "qwen3_moe";
  config.hidden = 16, config.layers = 1, config.heads = 1, config.kv_heads = 1, config.head_dim = 16, config.ffn = 24,
  config.vocab = 8;
  config.experts = 3, config.chosen = 1;
  const std::unique_ptr<Net> net = Net::Make(config, 4, 3, Precision::kFloat32);
  net->Step(
      Batch{{3, 3, 3, 3}, {0, 1, 2, 3, 4}, {0, 1, 2, 3}, {1, 2, 3, 4}, {1, 1, 1, 1}});  // The same token four times.
  int with_gradient = 0;
  for (const Net::View& view : net->Named()) {
    if (view.name.ends_with("down_proj.weight")) {
      with_gradient += net->gradient().narrow(0, view.offset, 16 * 24).abs().sum().item<double>() > 0;
    }
  }
  EXPECT_EQ(with_gradient, 1);
}

TEST(LabNet, Bfloat16FollowsFloat32) {
  // A relative rounding of 2^-9 at each of some ten products: gradients agree to a few per cent.
  for (const char* family : {"llama", "qwen3", "qwen3_moe"}) {
    NetConfig config;
    config.family = family;
    config.hidden = 64, config.heads = 4, config.kv_heads = 2, config.ffn = 96, config.vocab = 50;
    if (config.family == "qwen3_moe") config.experts = config.chosen = 2;
    const std::unique_ptr<Net> exact = Net::Make(config, 256, 5, Precision::kFloat32),
                               fast = Net::Make(config, 256, 5, Precision::kBfloat16);
    Batch batch;
    Rng rng(4);
    for (int32_t i = 0; i < 256; ++i) {
      if (i % 32 == 0) batch.starts.push_back(i);
      batch.tokens.push_back(static_cast<int32_t>(rng.Below(50)));
      batch.asked.push_back(i);
      batch.targets.push_back(static_cast<int32_t>(rng.Below(50)));
      batch.weight.push_back(1.0f);
    }
    batch.starts.push_back(256);
    EXPECT_NEAR(fast->Step(batch), exact->Step(batch), 0.01) << family;
    EXPECT_LT((fast->gradient() - exact->gradient()).norm().item<double>(),
              0.03 * exact->gradient().norm().item<double>())
        << family;
  }
}

}  // namespace
}  // namespace bitlaw::lab
