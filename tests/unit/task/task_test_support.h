#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "spec/study_spec.h"

namespace bitlaw::testing {

/// The text of the Error that `body` throws; "no error" if it throws none.
template <typename Body>
std::string ErrorOf(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// A folder of its own for each test, with files written into it.
class TaskFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("bitlaw_" + std::string(test->test_suite_name()) + "_" + test->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return (folder_ / name).string();
  }

  std::filesystem::path folder_;
};

/// Tasks from YAML options, as if they stood in <folder>/task.yaml.
class TaskFromYaml : public TaskFiles {
 protected:
  template <typename T>
  T Make(const std::string& yaml, std::vector<std::string> data_paths = {}) const {
    const Value options = ParseYaml(yaml, (folder_ / "task.yaml").string());
    return T(T::Schema().Resolve(options, "task 'test'"), TaskContext{"mine", std::move(data_paths)});
  }
  static const LoglikelihoodRequest& Pair(const TaskItem& item, size_t i) {
    return std::get<LoglikelihoodRequest>(item.requests.at(i));
  }
};

}  // namespace bitlaw::testing
