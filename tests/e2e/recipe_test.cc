// A study whose recipes have every part, from its file to its table.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

// The value of a text field of JSON as PrettyJson() writes it; "" if there is none.
std::string TextField(const std::string& json, const std::string& name) {
  const std::string key = "\"" + name + "\": \"";
  const size_t at = json.find(key);
  return at == std::string::npos ? "" : json.substr(at + key.size(), json.find('"', at + key.size()) - at - key.size());
}

class RecipeStudy : public StudyFolder {
 protected:
  nlohmann::json Planned(const std::filesystem::path& study) const {
    const ProgramEnd end = StartedProgram({"--plugin", BITLAW_E2E_PLUGINS, "--configs", BITLAW_SOURCE_DIR "/tests/support",
                                           "plan", study.string(), "--json"},
                                          folder_)
                               .Wait();
    return nlohmann::json::parse(end.out).at("trials");
  }
};

TEST_F(RecipeStudy, EveryPartIsDoneAndIsAColumn) {
  const auto study = WriteStudy(R"(  - none
  - {quantizer: rtn, bits: 4, group_size: 16}
  - quantizer: gptq
    transforms: [[], [{transform: smooth_scale, alpha: 0.5}]]
    weights: {grid: nf4, group_size: 16}
    activations: {bits: 8}
    kv_cache: {value_bits: 4}
    calibration: {sequences: 2, tokens: 32}
  - {quantizer: keep, activations: {bits: [6, 4]}}
  - quantizer: keep
    activations: {bits: 8, per: tensor}
    kv_cache: {key_bits: 4, key_per: channel, value_format: fp8_e4m3}
    calibration: {sequences: 2, tokens: 32}
)",
                                "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 7 of 7 trials complete, 7 tasks scored now"));
  const std::string table = FilesOf("out").at("observations.csv");
  EXPECT_THAT(table.substr(0, table.find('\n')), HasSubstr("activations.bits"));
  EXPECT_THAT(table, HasSubstr("tiny gptq transforms=smooth_scale"));
  EXPECT_THAT(table, HasSubstr("tiny keep activations.bits=4"));
  EXPECT_THAT(table, HasSubstr("kv_cache.key_per=channel"));

  // Nothing is done twice, and a flat study finds what the recipe's study recorded of the same trial.
  const ProgramEnd again = RunStudy(study, "out");
  EXPECT_THAT(again.out, HasSubstr("e2e: 7 of 7 trials complete, 0 tasks scored now"));
  const ProgramEnd flat =
      RunStudy(WriteStudy("  - {quantizer: rtn, weights: {grid: uniform, bits: 4, group_size: 16}}\n", "[endings]"), "out");
  EXPECT_THAT(flat.out, HasSubstr("e2e: 2 of 2 trials complete, 0 tasks scored now")) << flat.err;
}

// Presets and rules of layers are axes; B is the mean over weights.
TEST_F(RecipeStudy, PresetsAndLayersAreAxes) {
  const auto study = WriteStudy(R"(  - none
  - quantizer: gptq
    preset: [static_order, ist]
    bits: 4
    group_size: 16
    overrides: [[], [{match: "*", bits: 8}]]
    sequential: [stage, none]
    calibration: {sequences: 2, tokens: 32}
)",
                                "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 9 of 9 trials complete, 9 tasks scored now"));
  const std::string table = FilesOf("out").at("observations.csv");
  for (const char* label : {"tiny gptq preset=static_order act_order=true group_params=static sequential=none overrides=none",
                            "tiny gptq preset=ist act_order=false group_params=ref sequential=stage overrides=* bits=8"}) {
    EXPECT_THAT(table, HasSubstr(label));
  }
  std::string ist;
  for (const auto& [name, text] : FilesOf("out/records")) {
    if (text.find("\"preset\": \"ist\"") != std::string::npos) ist = text;
  }
  EXPECT_EQ(TextField(ist, "group_params"), "ref");
}

// Which layers were quantized before a layer's inputs were seen stands in the record, also by default.
TEST_F(RecipeStudy, RecordsSayAfterWhichLayersInputsWereObserved) {
  const auto study = WriteStudy(R"(  - {quantizer: gptq, group_size: 16, calibration: {sequences: 2, tokens: 32}}
  - {quantizer: gptq, group_size: 16, sequential: none, calibration: {sequences: 2, tokens: 32}}
  - {quantizer: rtn, group_size: 16}
)",
                                "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  std::multiset<std::string> said;
  for (const auto& [name, text] : FilesOf("out/records")) {
    if (TextField(text, "kind") != "quantization") continue;
    const size_t at = text.find("\n  \"sequential\": ");  // Not of its key.
    said.insert(at == std::string::npos ? "" : text.substr(at + 1, text.find('\n', at + 1) - at - 1));
  }
  EXPECT_EQ(said, (std::multiset<std::string>{"", "  \"sequential\": \"none\",", "  \"sequential\": \"stage\","}));
}

// What a rotation computes in each pass is a column and stands in the record; blocks that are read again have it again.
TEST_F(RecipeStudy, RotationsAreCountedAndSurviveStreaming) {
  const std::string entry =
      "  - {transforms: [{transform: rotation, keys: true}], quantizer: rtn, bits: 4, group_size: row, "
      "activations: {bits: 4}, kv_cache: {key_bits: 4}}\n";
  const ProgramEnd end = RunStudy(WriteStudy(entry, "[endings]"), "out");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const std::string table = FilesOf("out").at("observations.csv");
  EXPECT_THAT(table, HasSubstr("online_operations"));
  EXPECT_THAT(table, HasSubstr("residual signed hadamard 32, heads hadamard 8, keys hadamard 8, down_inputs hadamard 64"));
  std::string record;
  for (const auto& [name, text] : FilesOf("out/records")) {
    if (TextField(text, "kind") == "quantization") record = text;
  }
  EXPECT_THAT(record, HasSubstr("\"place\": \"model.layers.*.self_attn.keys\""));
  EXPECT_THAT(record, HasSubstr("\"place\": \"model.layers.*.mlp.out\""));
  EXPECT_THAT(record, HasSubstr("\"operations\": 384"));  // 64 log2 64

  const ProgramEnd streamed =
      RunStudy(WriteStudy(entry + "evaluate: {stream_blocks: true}\n", "[endings]"), "streamed");
  ASSERT_EQ(streamed.exit_code, 0) << streamed.err;
  EXPECT_EQ(FilesOf("streamed").at("observations.csv"), table);
}

// Two blocks of 9,216 weights, 16 or 5.25 = 4 + (16 + 4) / 16 bits each; an embedding of 257 x 32 = 8,224 weights that is
// the head as well, 16 or 9.5 = 8 + (16 + 8) / 16; five norms of 32. The down projections of both blocks have 4,096.
TEST_F(RecipeStudy, SizesAreOfAllWeightsThatAreStored) {
  const auto study = WriteStudy(R"(  - none
  - {quantizer: rtn, bits: 4, group_size: 16}
  - {quantizer: rtn, bits: 4, group_size: 16, overrides: [{match: "*.down_proj", skip: true}]}
  - {quantizer: rtn, bits: 4, group_size: 16, embeddings: {bits: 8, group_size: 16}}
  - {quantizer: rtn, bits: 4, group_size: 16, transforms: [{transform: rotation, down_inputs: false}]}
  - {quantizer: rtn, bits: 4, group_size: 16, transforms: [{transform: rotation, residual: false}]}
)",
                                "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const double blocks = 2 * 9216, rounded = blocks * 5.25 / 8, embedding = 8224, norms = 5 * 32;
  const std::vector<std::array<double, 3>> expected = {
      {16, 16, 2 * (blocks + embedding + norms)},
      {4, 5.25, rounded + 2 * (embedding + norms)},
      {(14336 * 4 + 4096 * 16) / blocks, (14336 * 5.25 + 4096 * 16) / blocks,
       14336 * 5.25 / 8 + 2 * (4096 + embedding + norms)},
      {4, (blocks * 5.25 + embedding * 9.5) / (blocks + embedding), rounded + embedding * 9.5 / 8 + 2 * norms},
      {4, 5.25, rounded + 2 * (2 * embedding + norms)},  // The head is a matrix of its own.
      {4, 5.25, rounded + 2 * (embedding + norms)}};
  const nlohmann::json trials = Planned(study);
  const auto rows = RowsOf(FilesOf("out").at("observations.csv"));
  ASSERT_EQ(trials.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const auto& one) { return one.at("trial") == trials[i].at("id"); });
    ASSERT_NE(row, rows.end()) << i;
    for (size_t c = 0; c < 3; ++c) {
      const char* const column = std::array{"B", "bits_effective", "size_bytes"}[c];
      EXPECT_DOUBLE_EQ(trials[i].at("factors").at(column).get<double>(), expected[i][c]) << column << " " << i;
      EXPECT_DOUBLE_EQ(std::stod(row->at(column)), expected[i][c]) << column << " " << i;
    }
  }
}

TEST_F(RecipeStudy, BlocksOfGridsAreTheirGroupsOnAnAxisToo) {
  const auto study = WriteStudy("  - {quantizer: rtn, weights: {grid: [mxfp4, nvfp4, nf4]}}\n", "[endings]");
  const nlohmann::json trials = Planned(study);
  ASSERT_EQ(trials.size(), 4u);  // The unquantized model too.
  std::vector<int64_t> groups;
  for (size_t i = 1; i < trials.size(); ++i) groups.push_back(trials[i].at("factors").at("G").get<int64_t>());
  EXPECT_THAT(groups, testing::ElementsAre(32, 16, 128));
}

class RecipeFile : public StudyFolder {
 protected:
  ProgramEnd Quantize(const std::string& recipe, const std::vector<std::string>& more = {}) const {
    std::ofstream(folder_ / "recipe.yaml") << recipe;
    std::vector<std::string> words = {"quantize",   (folder_ / "tiny").string(), "--recipe", (folder_ / "recipe.yaml").string(),
                                      "--threads",  "1",        "--json",   "--corpus", (folder_ / "corpus.txt").string(),
                                      "--sequences", "2",       "--tokens", "32"};
    words.insert(words.end(), more.begin(), more.end());
    return StartedProgram(words, folder_).Wait();
  }
};

TEST_F(RecipeFile, GivesTheCodesThatAStudyHasOfTheSameEntry) {
  const std::string entry =
      "quantizer: gptq\n    transforms: [{transform: smooth_scale, alpha: 0.5}]\n    weights: {grid: nf4, group_size: 16}\n"
      "    activations: {bits: 8}\n    kv_cache: {value_bits: 4}\n";
  const auto study = WriteStudy("  - " + entry + "    calibration: {sequences: 2, tokens: 32}\n", "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  std::string codes;
  for (const auto& [name, text] : FilesOf("out/records")) {
    if (TextField(text, "kind") == "quantization") codes = TextField(text, "codes_digest");
  }
  ASSERT_EQ(codes.size(), 64u);
  const ProgramEnd whole = Quantize("{" + entry.substr(0, entry.find('\n')) + ", transforms: [{transform: smooth_scale, alpha: 0.5}], "
                                    "weights: {grid: nf4, group_size: 16}, activations: {bits: 8}, kv_cache: {value_bits: 4}}\n");
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_EQ(TextField(whole.out, "codes_digest"), codes);
  // Each part may come from a flag, which counts more than the file.
  const ProgramEnd flags =
      Quantize("{quantizer: rtn, activations: {bits: 4}, transforms: [{transform: smooth_scale, alpha: 0.5}]}\n",
               {"--quantizer", "gptq", "--option", "grid=nf4", "--option", "weights.group_size=16", "--option",
                "activations.bits=8", "--option", "kv_cache.value_bits=4"});
  ASSERT_EQ(flags.exit_code, 0) << flags.err;
  EXPECT_EQ(TextField(flags.out, "codes_digest"), codes);
}

// Each shipped file is a recipe that can be done, and says what it matches.
TEST_F(RecipeFile, ThatIsShippedCanBeDone) {
  int files = 0;
  for (const auto& file : std::filesystem::directory_iterator(BITLAW_SOURCE_DIR "/configs/recipes")) {
    if (file.path().extension() != ".yaml") continue;
    ++files;
    std::ifstream stream(file.path());
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    EXPECT_THAT(text, testing::StartsWith("# ")) << file.path();
    // The tiny model has rows that are no whole number of groups; hqq has no such option.
    const bool takes_part = text.find("quantizer: hqq") == std::string::npos;
    const ProgramEnd end = Quantize(text, takes_part ? std::vector<std::string>{"--option", "allow_partial_group=true"}
                                                     : std::vector<std::string>{});
    EXPECT_EQ(end.exit_code, 0) << file.path() << ": " << end.err;
  }
  EXPECT_GE(files, 10);
}

TEST_F(RecipeFile, IsReadAsStrictlyAsAStudy) {
  const std::string file = (folder_ / "recipe.yaml").string();
  const auto said = [&](const std::string& recipe, const std::vector<std::string>& more = {}) {
    const ProgramEnd end = Quantize(recipe, more);
    EXPECT_EQ(end.exit_code, 2) << recipe;
    return end.err;
  };
  EXPECT_THAT(said("{quantizer: rtn, activations: {bit: 8}}\n"),
              HasSubstr(file + ":1:32: 'bit' is not an option of 'activations' of the recipe. Did you mean 'bits'?"));
  EXPECT_THAT(said("{quantizer: rtn, bits: [3, 4]}\n"),
              HasSubstr(file + ":1:24: 'bits' of the recipe is a list of values, of which a study makes trials. Give one value."));
  EXPECT_THAT(said("{quantizer: rtn, calibration: {sequences: 2}}\n"),
              HasSubstr(file + ":1:18: 'calibration' of the recipe is of a study. Leave it out."));
  EXPECT_THAT(said("{quantizer: none}\n"), HasSubstr("the recipe is 'none', the unquantized model: nothing would be done."));
  EXPECT_THAT(said("[rtn]\n"), HasSubstr(file + ": a recipe is a map"));
  EXPECT_THAT(said("{quantizer: keep, activations: {bits: 8}}\n", {"--output", (folder_ / "codes").string()}),
              HasSubstr("the recipe keeps the weights as they are, so there are no codes to write."));
}

}  // namespace
}  // namespace bitlaw
