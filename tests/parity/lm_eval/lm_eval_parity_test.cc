// Tasks imported from lm-evaluation-harness' files ask what the harness asks (goldens.json, made by make_goldens.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bitlaw/api/task.h"
#include "bitlaw/base/fingerprint.h"
#include "import/lm_eval_task.h"
#include "plugin/host.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kHere = fs::path(BITLAW_SOURCE_DIR) / "tests/parity/lm_eval";

const PluginHost& TaskPlugins() {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    for (const char* plugin : {"multiple_choice", "cloze", "short_answer"}) {
      made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_task_" + plugin + ".so");
    }
    return made;
  }();
  return *host;
}

std::string TextOf(const Json& right) {
  if (right.is_array()) return TextOf(right.at(0));
  return right.is_string() ? right.get<std::string>() : right.dump();
}

// Imports `file`, gives it the golden's rows, and compares every request and every right answer; returns how many.
size_t Compare(const fs::path& file, const Json& golden) {
  const ImportedTask imported = ReadLmEvalTask(file);
  const std::string test = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const fs::path folder = fs::temp_directory_path() / ("bitlaw_lm_eval_" + test);
  fs::remove_all(folder);
  fs::create_directories(folder);
  std::ofstream(folder / (imported.name + ".yaml")) << imported.Yaml("a test");
  const auto put = [&](const std::string& ending, const Json& rows) {
    std::ofstream data(folder / (imported.name + ending));
    for (const Json& row : rows) data << row.dump() << "\n";
  };
  put(".jsonl", golden.at("rows"));
  put(".fewshot.jsonl", golden.at("examples"));
  const PluginHost& host = TaskPlugins();
  const TaskSpec spec = ReadTask((folder / (imported.name + ".yaml")).string(), Value(), host, {}, {});
  const auto task = host.MakeTask(spec.component, spec.options, spec.context);
  const std::vector<TaskItem> items = task->Items();
  EXPECT_EQ(items.size(), golden.at("items").size());
  size_t compared = 0;
  for (size_t i = 0; i < std::min(items.size(), golden.at("items").size()); ++i) {
    SCOPED_TRACE("item " + std::to_string(i));
    const Json& wanted = golden.at("items")[i];
    EXPECT_EQ(items[i].requests.size(), wanted.at("requests").size());
    std::vector<Response> responses;
    for (size_t r = 0; r < std::min(items[i].requests.size(), wanted.at("requests").size()); ++r) {
      const Json& request = wanted.at("requests")[r];
      if (const auto* pair = std::get_if<LoglikelihoodRequest>(&items[i].requests[r])) {
        EXPECT_EQ(pair->context, request.at(0).get<std::string>());
        EXPECT_EQ(pair->continuation, request.at(1).get<std::string>());
        responses.push_back(LoglikelihoodResponse{});
      } else {
        const auto& generate = std::get<GenerateRequest>(items[i].requests[r]);
        EXPECT_EQ(generate.context, request.at(0).get<std::string>());
        const Json& until = request.at(1).at("until");
        EXPECT_EQ(Json(generate.until), until.is_array() ? until : Json::array({until}));
        EXPECT_EQ(generate.max_new_tokens, request.at(1).value("max_gen_toks", 256));
        responses.push_back(GenerateResponse{});
      }
      ++compared;
    }
    if (responses.size() == items[i].requests.size()) {
      EXPECT_EQ(task->Score(items[i], responses).at(0).right, TextOf(wanted.at("right")));
    }
  }
  fs::remove_all(folder);
  return compared;
}

TEST(LmEvalParity, ImportedTasksAskWhatTheHarnessAsks) {
  const Json goldens = Json::parse(std::ifstream(kHere / "goldens.json"));
  size_t compared = 0;
  for (const auto& [name, golden] : goldens.at("own").items()) {
    SCOPED_TRACE(name);
    compared += Compare(kHere / "tasks" / (name + ".yaml"), golden);
  }
  EXPECT_GT(compared, 100u);
}

TEST(LmEvalParity, TasksOfTheHarnessAskWhatTheHarnessAsks) {
  const char* folder = std::getenv("BITLAW_LM_EVAL_TASKS");
  if (folder == nullptr) GTEST_SKIP() << "needs BITLAW_LM_EVAL_TASKS, the folder lm_eval/tasks of lm_eval 0.4.13.";
  const Json goldens = Json::parse(std::ifstream(kHere / "goldens.json"));
  size_t compared = 0;
  for (const auto& [file, golden] : goldens.at("theirs").items()) {
    SCOPED_TRACE(file);
    compared += Compare(fs::path(folder) / file, golden);
  }
  EXPECT_GT(compared, 150u);
}

}  // namespace
}  // namespace bitlaw
