#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {

/// A folder of its own for each test, removed at its end.
class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("bitlaw_" + std::string(test->test_suite_name()) + "_" + test->name() + "_" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return folder_ / name;
  }
  static std::string Read(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  /// The Error's text with this test's folder written as "DIR", or "no error".
  std::string ErrorText(const std::function<void()>& body) const {
    try {
      body();
    } catch (const Error& error) {
      std::string text = error.what();
      const std::string name = folder_.string();
      for (size_t at; (at = text.find(name)) != std::string::npos;) text.replace(at, name.size(), "DIR");
      return text;
    }
    return "no error";
  }

  std::filesystem::path folder_;
};

/// `value` as little-endian bytes.
template <typename T>
std::string Le(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// A copy of `bytes` with one to four random changes: a byte, a word of ones, a stretch cut out or doubled.
inline std::string Mutated(const std::string& bytes, size_t reach, Rng& rng) {
  std::string changed = bytes;
  for (uint64_t change = 1 + rng.Below(4); change > 0 && changed.size() > 16; --change) {
    const size_t at = rng.Below(std::min(reach, changed.size() - 9));
    switch (rng.Below(5)) {
      case 0: changed[at] = static_cast<char>(rng.Below(256)); break;
      case 1: changed[at] = static_cast<char>(changed[at] ^ (1 << rng.Below(8))); break;
      case 2: std::memset(changed.data() + at, 0xFF, 1 + rng.Below(8)); break;
      case 3: changed.erase(at, 1 + rng.Below(8)); break;
      default: changed.insert(at, changed.substr(at, 1 + rng.Below(8))); break;
    }
  }
  return changed;
}

}  // namespace bitlaw
