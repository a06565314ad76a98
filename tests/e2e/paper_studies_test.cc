#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "bitlaw/base/value.h"
#include "study_fixture.h"

// The studies of configs/studies/paper-*.yaml, planned with the shapes of configs/shapes: how many trials, of what
// size.

namespace bitlaw {
namespace {

using testing::HasSubstr;
using testing::Not;

// A decoder's sizes, and the number of parameters that its public model card gives.
struct PublicModel {
  int64_t hidden, ffn, blocks, heads, kv_heads, head_dim, parameters;
};

const std::map<std::string, PublicModel>& PublicModels() {
  static const std::map<std::string, PublicModel> models = {
      {"Qwen3-0.6B", {1024, 3072, 28, 16, 8, 128, 596'049'920}},
      {"Qwen3-1.7B", {2048, 6144, 28, 16, 8, 128, 1'720'574'976}},
      {"Qwen3-4B", {2560, 9728, 36, 32, 8, 128, 4'022'468'096}},
      {"Qwen3-8B", {4096, 12288, 36, 32, 8, 128, 8'190'735'360}},
      {"Qwen3-14B", {5120, 17408, 40, 40, 8, 128, 14'768'307'200}},
      {"Qwen3-32B", {5120, 25600, 64, 64, 8, 128, 32'762'123'264}},
      {"Llama-3.2-1B", {2048, 8192, 16, 32, 8, 64, 1'235'814'400}},
      {"Llama-3.2-3B", {3072, 8192, 28, 24, 8, 128, 3'212'749'824}},
      {"Llama-3.1-8B", {4096, 14336, 32, 32, 8, 128, 8'030'261'248}},
  };
  return models;
}

// Each group of a row has its codes, a float16 scale and a zero point of B bits; what lies outside of blocks has 16
// bits.
double SizeBytes(const PublicModel& m, double bits, int64_t group) {
  const int64_t q = m.heads * m.head_dim, kv = m.kv_heads * m.head_dim;
  const std::pair<int64_t, int64_t> matrices[] = {{q, m.hidden},     {kv, m.hidden},    {kv, m.hidden},   {m.hidden, q},
                                                  {m.ffn, m.hidden}, {m.ffn, m.hidden}, {m.hidden, m.ffn}};
  double weights = 0, stored_bits = 0;
  for (const auto& [rows, columns] : matrices) {
    weights += static_cast<double>(m.blocks * rows * columns);
    const int64_t groups = group == 0 ? 0 : (columns + group - 1) / group;
    stored_bits += static_cast<double>(m.blocks * rows) *
                   (static_cast<double>(columns) * bits + static_cast<double>(groups) * (16 + bits));
  }
  return (stored_bits + 16 * (static_cast<double>(m.parameters) - weights)) / 8;
}

class PaperStudies : public StudyFolder {
 protected:
  ProgramEnd Plan(const std::string& study, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"plan", study, "--shapes", BITLAW_SOURCE_DIR "/configs/shapes"};
    words.insert(words.end(), more.begin(), more.end());
    return StartedProgram(words, folder_).Wait();
  }
};

struct PaperStudy {
  const char* name;
  size_t configurations, models, tasks;
};
void PrintTo(const PaperStudy& study, std::ostream* out) { *out << study.name; }

class PaperStudyTest : public PaperStudies, public testing::WithParamInterface<PaperStudy> {};

TEST_P(PaperStudyTest, HasTheTrialsAndSizesOfItsShapes) {
  const PaperStudy& study = GetParam();
  const std::string file = BITLAW_SOURCE_DIR "/configs/studies/" + std::string(study.name) + ".yaml";
  const ProgramEnd end = Plan(file, {"--json", "--machine", BITLAW_SOURCE_DIR "/configs/machines/h200.yaml"});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const Value plan = ParseJson(end.out, "plan");
  EXPECT_EQ(plan.Find("skipped")->AsList().size(), 0u) << end.out.substr(end.out.find("\"skipped\""), 500);
  EXPECT_EQ(plan.Find("models")->AsList().size(), study.models);
  EXPECT_EQ(plan.Find("tasks")->AsList().size(), study.tasks);
  for (const Value& model : plan.Find("models")->AsList()) {
    const PublicModel& known = PublicModels().at(model.Find("name")->AsString());
    EXPECT_EQ(model.Find("parameters_total")->AsInt(), known.parameters) << model.Find("name")->AsString();
    EXPECT_EQ(model.Find("stored_dtype")->AsString(), "bfloat16");
  }
  std::set<std::string> configurations;
  size_t unquantized = 0;
  double total = 0, expected_total = 0, made_s = 0;
  for (const Value& trial : plan.Find("trials")->AsList()) {
    const Value& factors = *trial.Find("factors");
    const PublicModel& model = PublicModels().at(trial.Find("model")->AsString());
    const bool is_quantized = trial.Find("quantizer")->AsString() != "none";
    unquantized += !is_quantized;
    if (is_quantized) {
      const Value &options = *trial.Find("options"), &calibration = *trial.Find("calibration");
      configurations.insert(trial.Find("model")->AsString() + options.Find("bits")->Text() + "/" +
                            options.Find("group_size")->Text() + "/" + calibration.CanonicalJson());
    }
    const int64_t group = is_quantized ? trial.Find("options")->Find("group_size")->AsInt() : 0;
    const double size = SizeBytes(model, factors.Find("B")->AsReal(), group);
    EXPECT_NEAR(factors.Find("size_bytes")->AsReal(), size, 1e-9 * size) << trial.Find("label")->AsString();
    total += factors.Find("size_bytes")->AsReal();
    expected_total += size;
    for (const char* stage : {"load_s", "calibrate_s", "quantize_s"}) {
      made_s += trial.Find("cost")->Find(stage)->AsReal();
    }
  }
  EXPECT_EQ(configurations.size(), study.configurations);
  EXPECT_EQ(unquantized, study.models);
  EXPECT_EQ(plan.Find("trials")->AsList().size(), study.configurations + study.models);
  EXPECT_NEAR(total, expected_total, 1e-9 * expected_total);
  // What the page says.
  const std::string page = StartedProgram::Text(BITLAW_SOURCE_DIR "/docs/results/reproducing-the-paper.md");
  const size_t records = plan.Find("trials")->AsList().size() * study.tasks;
  EXPECT_THAT(page, HasSubstr(fmt::format("| [{0}](../../configs/studies/{0}.yaml) | {1} + {2} | {3} | {4:.1f} GB |",
                                          study.name, study.configurations, study.models, records,
                                          expected_total / 1e9)));
  const Value& costs = *plan.Find("costs");
  EXPECT_THAT(page, HasSubstr(fmt::format("| {} | {:.2f} h | {:.1f} GB | {:.1f} GB | {:.1f} GB |", study.name, made_s / 3600,
                                          costs.Find("worker_memory_bytes")->AsReal() / 1e9,
                                          costs.Find("codes_in_hand_bytes")->AsReal() / 1e9,
                                          costs.Find("kept_codes_bytes")->AsReal() / 1e9)));
}

INSTANTIATE_TEST_SUITE_P(All, PaperStudyTest,
                         testing::Values(PaperStudy{"paper-qwen3", 6 * 3 * 4 * 4 + 5, 6, 14},
                                         PaperStudy{"paper-llama3", 3 * 2 * (4 + 4 - 1), 3, 14},
                                         PaperStudy{"paper-first-bits", 4, 1, 14},
                                         PaperStudy{"paper-first-groups", 4, 1, 5},
                                         PaperStudy{"paper-first-recovery", 4, 1, 14},
                                         PaperStudy{"paper-calibration", 2 * (6 * 3 * 4 * 4 + 5), 6, 14},
                                         PaperStudy{"paper-two-bit", 6 * 4 * 4, 6, 14}),
                         [](const auto& info) {
                           std::string name = info.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(PaperStudies, AreTheFilesThatAreThere) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(BITLAW_SOURCE_DIR "/configs/studies"))
    files += entry.path().filename().string().starts_with("paper-");
  EXPECT_EQ(files, 7u);
}

// The fixture's model, and a folder with its config.json alone.
TEST_F(PaperStudies, APlanFromShapesSaysWhatOneFromWeightsDoes) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: [3, 4], group_size: 16}\n", "[]");
  const auto read = [&](const std::string& text) {
    const Value plan = ParseJson(text, "plan");
    std::map<std::string, std::string> rows;
    for (const Value& trial : plan.Find("trials")->AsList())
      rows[trial.Find("label")->AsString()] = trial.Find("factors")->CanonicalJson();
    return rows;
  };
  const ProgramEnd whole = StartedProgram({"plan", study.string(), "--json"}, folder_).Wait();
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_THAT(whole.out, Not(HasSubstr("shapes alone")));
  const Value first = ParseJson(whole.out, "plan").Find("models")->AsList().front();
  const std::filesystem::path model = first.Find("path")->AsString();
  std::filesystem::create_directories(folder_ / "shapes" / model.filename());
  std::filesystem::copy_file(model / "config.json", folder_ / "shapes" / model.filename() / "config.json");
  std::filesystem::rename(model, folder_ / "away");
  const ProgramEnd gone = StartedProgram({"plan", study.string(), "--json"}, folder_).Wait();
  EXPECT_EQ(gone.exit_code, 2);
  const ProgramEnd shapes =
      StartedProgram({"plan", study.string(), "--json", "--shapes", (folder_ / "shapes").string()}, folder_).Wait();
  ASSERT_EQ(shapes.exit_code, 0) << shapes.err;
  EXPECT_THAT(shapes.out,
              HasSubstr("1 model of shapes alone: the ids of their trials are not those that a run will give."));
  EXPECT_EQ(read(shapes.out), read(whole.out));
  EXPECT_EQ(read(shapes.out).size(), 3u);
}

TEST_F(PaperStudies, ShapesAreNotRun) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: 3, group_size: 16}\n", "[]");
  std::string text = StartedProgram::Text(study);
  const size_t at = text.find("models:"), end = text.find('\n', at);
  text.replace(at, end - at, "models: [{path: '" BITLAW_SOURCE_DIR "/configs/shapes/Qwen3-0.6B', backend: hf_shapes}]");
  std::ofstream(study, std::ios::trunc) << text;
  EXPECT_EQ(StartedProgram({"plan", study.string()}, folder_).Wait().exit_code, 0);
  for (const char* verb : {"check", "run"}) {
    const ProgramEnd refused = StartedProgram({verb, study.string()}, folder_).Wait();
    EXPECT_EQ(refused.exit_code, 2) << verb;
    EXPECT_THAT(refused.err, HasSubstr("model 'Qwen3-0.6B' has the backend 'hf_shapes', which knows its shapes and no "
                                       "weights: it can be planned, not run. Leave 'backend' out and give a folder with "
                                       "weights.")) << verb;
  }
}

TEST_F(PaperStudies, AModelWithoutShapesIsNamed) {
  std::filesystem::create_directories(folder_ / "empty");
  const ProgramEnd end = StartedProgram({"plan", BITLAW_SOURCE_DIR "/configs/studies/paper-first-bits.yaml", "--shapes",
                                         (folder_ / "empty").string()},
                                        folder_)
                             .Wait();
  EXPECT_EQ(end.exit_code, 2);
  EXPECT_THAT(end.err, HasSubstr("models[0].path = 'models/Qwen3-1.7B' matches no file or folder."));
  EXPECT_THAT(end.err, HasSubstr(" Among shapes: matches no file or folder."));
  const ProgramEnd none = StartedProgram({"plan", BITLAW_SOURCE_DIR "/configs/studies/paper-first-bits.yaml", "--shapes",
                                          (folder_ / "none").string()},
                                         folder_)
                              .Wait();
  EXPECT_EQ(none.exit_code, 5);
  EXPECT_THAT(none.err, HasSubstr("none: is no folder. Name one that holds a folder with config.json for each model"));
}

}  // namespace
}  // namespace bitlaw
