#include "train.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace bitlaw::lab {
namespace {

namespace fs = std::filesystem;

std::string Contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(LabTraining, WritesTheModelAsItIsAfterTheStepsAskedAndGoesOnAsWithout) {
  Rung rung;
  rung.name = "small";
  rung.net.family = "qwen3";
  rung.net.hidden = 32, rung.net.heads = 2, rung.net.kv_heads = 1, rung.net.ffn = 64;
  rung.steps = 4, rung.rows = 512;
  const World world(20261122);
  const fs::path folder = fs::path(testing::TempDir()) / "lab_training";
  fs::remove_all(folder);
  Train(rung, world, folder / "with", 1000, {2});
  Train(rung, world, folder / "without", 1000);
  const std::string early = Contents(folder / "with/small-step2/model.safetensors");
  const std::string last = Contents(folder / "with/small/model.safetensors");
  EXPECT_EQ(early.size(), last.size());
  EXPECT_FALSE(early.empty());
  EXPECT_TRUE(early != last);
  EXPECT_TRUE(last == Contents(folder / "without/small/model.safetensors"));
  EXPECT_TRUE(fs::exists(folder / "with/small-step2/tokenizer.json"));
  EXPECT_FALSE(fs::exists(folder / "without/small-step2"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace bitlaw::lab
