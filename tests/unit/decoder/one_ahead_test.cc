#include "sdk/decoder/tensor/reading/one_ahead.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace bitlaw {
namespace {

TEST(OneAhead, MakesTheValueOnAThreadOfItsOwn) {
  OneAhead<std::thread::id> ahead;
  EXPECT_FALSE(ahead.Has(3));
  ahead.Begin(3, [](const std::atomic<bool>&) { return std::this_thread::get_id(); });
  EXPECT_TRUE(ahead.Has(3));
  EXPECT_FALSE(ahead.Has(4));
  EXPECT_NE(ahead.Take(), std::this_thread::get_id());
  EXPECT_FALSE(ahead.Has(3));
}

TEST(OneAhead, ThrowsWhatTheMakingThrewAndMakesTheNext) {
  OneAhead<std::unique_ptr<int>> ahead;
  ahead.Begin(1, [](const std::atomic<bool>&) -> std::unique_ptr<int> { throw std::runtime_error("cut off"); });
  try {
    ahead.Take();
    FAIL() << "gave a value";
  } catch (const std::runtime_error& error) {
    EXPECT_EQ(std::string(error.what()), "cut off");
  }
  EXPECT_FALSE(ahead.Has(1));
  ahead.Begin(2, [](const std::atomic<bool>&) { return std::make_unique<int>(7); });
  EXPECT_EQ(*ahead.Take(), 7);
}

TEST(OneAhead, StopsAndForgetsWhatIsGivenUp) {
  std::weak_ptr<int> first;
  OneAhead<std::shared_ptr<int>> ahead;
  auto value = std::make_shared<int>(1);
  first = value;
  ahead.Begin(1, [value = std::move(value)](const std::atomic<bool>&) { return value; });
  std::atomic<bool> was_stopped = false;
  const auto until_stopped = [&](const std::atomic<bool>& has_to_stop) -> std::shared_ptr<int> {
    while (!has_to_stop) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    was_stopped = true;
    throw std::runtime_error("stopped");
  };
  ahead.Begin(2, until_stopped);
  EXPECT_TRUE(first.expired()) << "what was begun before is still held";
  EXPECT_TRUE(ahead.Has(2));
  EXPECT_FALSE(was_stopped);
  ahead.GiveUp();
  EXPECT_TRUE(was_stopped);
  EXPECT_FALSE(ahead.Has(2));
  was_stopped = false;
  {
    OneAhead<std::shared_ptr<int>> other;
    other.Begin(5, until_stopped);
  }
  EXPECT_TRUE(was_stopped) << "a thread outlives what it works for";
}

}  // namespace
}  // namespace bitlaw
