// Item by item against lm-evaluation-harness on the same weights (goldens.json, made by make_goldens.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/digest.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "evaluate/evaluate.h"
#include "plugin/host.h"
#include "spec/study_spec.h"
#include "support/models.h"

namespace bitlaw {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

const fs::path kSource = BITLAW_SOURCE_DIR;

const Json& Goldens() {
  static const Json* goldens = new Json(Json::parse(std::ifstream(kSource / "tests/parity/evaluation/goldens.json")));
  return *goldens;
}

// Prompts and answers are compared by the digests that the goldens hold of them.
std::string Short(const std::string& text) { return DigestOf(text).substr(0, 16); }

std::string DigestOfRequest(const Request& request) {
  if (const auto* pair = std::get_if<LoglikelihoodRequest>(&request)) {
    return Short(pair->context + "\x1f" + pair->continuation);
  }
  if (const auto* generate = std::get_if<GenerateRequest>(&request)) return Short(generate->context);
  return Short(std::get<RollingRequest>(request).text);
}

const PluginHost& TaskPlugins() {
  static PluginHost* host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    for (const char* plugin : {"multiple_choice", "cloze", "perplexity", "short_answer"}) {
      made->LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_task_" + plugin + ".so");
    }
    return made;
  }();
  return *host;
}

// The harness's name of a metric as the goldens have it -> ours.
std::string OurMetric(const std::string& theirs) {
  if (theirs == "exact_match,strict-match") return "exact_match_strict";
  if (theirs == "exact_match,flexible-extract") return "exact_match_flexible";
  return theirs;
}

class HarnessParity : public ::testing::TestWithParam<std::string> {};

TEST_P(HarnessParity, GivesTheSameItems) {
  const std::string name = GetParam();
  ASSERT_TRUE(Goldens().at("tasks").contains(name));
  const Json& golden = Goldens().at("tasks").at(name);
  const char *weights = std::getenv("BITLAW_SMOLLM2"), *data = std::getenv("BITLAW_DATA");
  if (weights == nullptr || data == nullptr) {
    GTEST_SKIP() << "needs BITLAW_SMOLLM2 (the path of SmolLM2-135M-Instruct.Q4_1.gguf; examples/smollm2 says where it "
                    "comes from) and BITLAW_DATA (a folder of benchmarks as docs/evaluation.md, section Data, says).";
  }
  ASSERT_EQ(DigestOfFile(weights), Goldens().at("provenance").at("model_sha256").get<std::string>())
      << "the goldens are of other weights";
  const std::string file = golden.at("data").get<std::string>();
  const fs::path path = fs::path(data) / (file.ends_with(".txt") ? "text" : "eval") / file;
  if (!fs::exists(path) || DigestOfFile(path) != golden.at("data_sha256").get<std::string>()) {
    GTEST_SKIP() << path << " is not the file that the goldens are of.";
  }

  Value overrides = Value::Map{{"limit", static_cast<int64_t>(golden.at("items").size())}};
  if (golden.at("generation").is_object()) {
    overrides.Set("max_new_tokens", golden.at("generation").at("max_gen_toks").get<int64_t>());
  }
  if (name == "mmlu_5shot") overrides.Set("limit_from", "first");
  const TaskSpec spec = ReadTask(name, overrides, TaskPlugins(), {kSource / "configs"}, {data});
  const auto task = TaskPlugins().MakeTask(spec.component, spec.options, spec.context);
  SetTorchThreads(2);
  const auto model = MakeModelBackend("gguf")->Open(weights, {});
  EvaluateOptions options;
  options.keep_samples = true;
  const TaskResult result = Evaluate(*model, *task, options);

  const Json& items = golden.at("items");
  ASSERT_EQ(result.items.size(), items.size());
  ASSERT_EQ(result.scores.size(), items.size());
  double largest = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    SCOPED_TRACE("item " + result.items[i].id);
    const Json& item = items[i];
    ASSERT_EQ(result.items[i].requests.size(), item.at("prompts").size());
    for (size_t r = 0; r < result.items[i].requests.size(); ++r) {
      EXPECT_EQ(DigestOfRequest(result.items[i].requests[r]), item.at("prompts")[r].get<std::string>())
          << "another prompt";
      const Response& response = result.responses[i][r];
      double nats = 0;
      if (const auto* answer = std::get_if<LoglikelihoodResponse>(&response)) {
        nats = answer->loglikelihood_nats;
        EXPECT_EQ(answer->is_greedy, item.at("greedy")[r].get<bool>());
      } else if (const auto* windows = std::get_if<RollingResponse>(&response)) {
        for (const WindowLoss& window : windows->windows) nats -= window.loss_nats;
      } else {
        const std::string& text = std::get<GenerateResponse>(response).text;
        EXPECT_EQ(Short(text), item.at("text").get<std::string>()) << Value(text).Text();
        continue;
      }
      const double error = std::abs(nats - item.at("nats")[r].get<double>());
      largest = std::max(largest, error);
      EXPECT_LT(error, 1e-3);
    }
    for (size_t m = 0; m < result.card.metrics.size(); ++m) {
      for (const auto& [theirs, wanted] : item.at("scores").items()) {
        if (OurMetric(theirs) != result.card.metrics[m].name) continue;
        const ItemValue& ours = result.scores[i].values[m];
        // Of perplexities the goldens hold the weight (words, bytes), or the loglikelihood of the one target.
        const bool ratio = std::holds_alternative<RollingRequest>(result.items[i].requests[0]);
        if (theirs == "perplexity") {
          EXPECT_NEAR(-ours.value, wanted.get<double>(), 1e-3);
        } else {
          EXPECT_EQ(ratio ? ours.weight : ours.value, wanted.get<double>()) << theirs;
        }
      }
    }
  }
  // Means and standard errors, as far as the harness computes them in the same way (not by its bootstrap).
  int compared = 0;
  for (size_t m = 0; m < result.summaries.size(); ++m) {
    const MetricSummary& summary = result.summaries[m];
    for (const auto& [key, value] : golden.at("results").items()) {
      const size_t comma = key.find(',');
      const std::string metric = key.substr(0, comma), filter = key.substr(std::min(key.size(), comma + 1));
      const bool is_error = metric.ends_with("_stderr");
      const std::string base = is_error ? metric.substr(0, metric.size() - 7) : metric;
      const bool filtered = filter != "none" && filter != "remove_whitespace";
      if (OurMetric(filtered ? base + "," + filter : base) != summary.name) continue;
      const bool accuracy = result.card.metrics[m].kind == MetricKind::kAccuracy;
      if (is_error && !accuracy) continue;
      ++compared;
      EXPECT_NEAR(is_error ? summary.standard_error : summary.value, value.get<double>(),
                  accuracy ? 1e-9 : 1e-5 * value.get<double>())
          << key;
    }
  }
  EXPECT_GE(compared, 2);
  std::printf("%s: %zu items equal, largest difference of a sum %.2g nats\n", name.c_str(), items.size(), largest);
}

std::vector<std::string> TasksOfGoldens() {
  std::vector<std::string> names;
  for (const auto& [name, golden] : Goldens().at("tasks").items()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Tasks, HarnessParity, ::testing::ValuesIn(TasksOfGoldens()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace bitlaw
