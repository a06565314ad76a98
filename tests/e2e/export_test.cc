// A quantized model as other programs open it: from a file of codes, and from a study's trial.
#include <gmock/gmock.h>

#include "quantize/quantized_file.h"
#include "study_fixture.h"
#include "support/exporters.h"

namespace bitlaw {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ExportVerb : public StudyFolder {
 protected:
  ProgramEnd Program(const std::vector<std::string>& words) const { return StartedProgram(words, folder_).Wait(); }
  std::string In(const std::string& name) const { return (folder_ / name).string(); }

  // Codes of the tiny model by rounding to nearest.
  void Quantize(const std::vector<std::string>& options) const {
    std::vector<std::string> words = {"quantize",  In("tiny"), "--quantizer", "rtn",
                                      "--threads", "1",        "--output",    In("codes.safetensors")};
    for (const std::string& option : options) words.insert(words.end(), {"--option", option});
    const ProgramEnd end = Program(words);
    ASSERT_EQ(end.exit_code, 0) << end.err;
  }
  ProgramEnd Export(const std::string& what, const std::string& format, const std::string& output,
                    const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {
        "--configs", BITLAW_SOURCE_DIR "/tests/support", "export", what, "--format", format, "--output", In(output)};
    words.insert(words.end(), more.begin(), more.end());
    return Program(words);
  }

  // Every layer of `codes` has its values in the dense folder.
  void ExpectValues(const QuantizedModel& model, const std::string& dense) const {
    const StoredTensors stored(folder_ / dense / "model.safetensors");
    for (const QuantizedLayer& layer : model.layers) {
      const std::string bytes = stored.Bytes(layer.shape.name + ".weight");
      const at::Tensor values = layer.linear.Dequantize();
      ASSERT_EQ(bytes.size(), values.nbytes());
      EXPECT_EQ(std::memcmp(bytes.data(), values.contiguous().data_ptr(), bytes.size()), 0) << layer.shape.name;
    }
  }
};

TEST_F(ExportVerb, WritesCodesOfAFileInEachFormat) {
  Quantize({"bits=4", "group_size=16", "symmetric=true"});
  const QuantizedModel codes = LoadQuantized(In("codes.safetensors")).model;
  const ProgramEnd end = Export(In("codes.safetensors"), "dense", "dense", {"--model", In("tiny")});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, AllOf(HasSubstr("tiny: 14 layers, codes " + codes.codes_digest.substr(0, 12)),
                             HasSubstr("written as dense")));
  ExpectValues(codes, "dense");
  EXPECT_FALSE(std::filesystem::exists(In("dense.partial")));
  // The folder is a model of its own.
  EXPECT_EQ(Program({"quantize", In("dense"), "--quantizer", "rtn", "--threads", "1"}).exit_code, 0);
  for (const char* format : {"gptq_v2", "compressed_tensors"}) {
    const ProgramEnd other = Export(In("codes.safetensors"), format, format, {"--model", In("tiny")});
    EXPECT_EQ(other.exit_code, 0) << other.err;
    EXPECT_TRUE(std::filesystem::exists(folder_ / format / "tokenizer.json"));
  }
}

// A head that was the embedding is one of its own; what is turned in each pass no format says.
TEST_F(ExportVerb, WritesRotationsThatWeightsTake) {
  Quantize({"bits=4", "group_size=16", "transforms=[{transform: rotation, down_inputs: false}]"});
  const ProgramEnd end = Export(In("codes.safetensors"), "dense", "dense", {"--model", In("tiny")});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_EQ(StoredTensors(folder_ / "dense" / "model.safetensors").entries().count("lm_head.weight"), 1U);
  EXPECT_EQ(Program({"quantize", In("dense"), "--quantizer", "rtn", "--threads", "1"}).exit_code, 0);
  Quantize({"bits=4", "group_size=16", "transforms=[rotation]"});
  const ProgramEnd refused = Export(In("codes.safetensors"), "dense", "other", {"--model", In("tiny")});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("exporter 'dense': the model computes 2 rotations in each pass, one at "
                                     "model.layers.0.mlp.out, which the format cannot say"));
  EXPECT_FALSE(std::filesystem::exists(In("other")));
}

TEST_F(ExportVerb, SaysWhatIsWrongAndLeavesNothingBehind) {
  Quantize({"bits=4", "group_size=16", "activations.bits=8"});
  const std::string codes = In("codes.safetensors");
  const ProgramEnd refused = Export(codes, "gptq_v2", "out", {"--model", In("tiny")});
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("exporter 'gptq_v2': model.layers.0.self_attn.q_proj: its inputs are rounded"));
  EXPECT_FALSE(std::filesystem::exists(In("out")));
  EXPECT_FALSE(std::filesystem::exists(In("out.partial")));
  EXPECT_THAT(Export(codes, "dense", "out").err, HasSubstr("Name the checkpoint that was quantized with --model."));
  EXPECT_THAT(Export(codes, "dence", "out", {"--model", In("tiny")}).err, HasSubstr("--format"));
  EXPECT_THAT(Export(codes, "dense", "tiny", {"--model", In("tiny"), "--option", "weights_only=true"}).err,
              HasSubstr("tiny: is there already. Name a new or empty folder with --output."));
  WriteTinyCheckpoint(folder_ / "other", {.hidden = 32, .blocks = 1});
  EXPECT_THAT(Export(codes, "dense", "out", {"--model", In("other")}).err,
              HasSubstr("its layers are not those of --model " + In("other")));
}

TEST_F(ExportVerb, WritesATrialOfAStudyWithTheCodesThatWereScored) {
  const auto study = WriteStudy(R"(  - quantizer: gptq
    bits: [3, 4]
    group_size: 16
    calibration: {sequences: 2, tokens: 32}
)",
                                "[endings]");
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  const std::vector<std::string> results = {"--results", In("out"), "--threads", "1"};
  const auto with = [&](std::vector<std::string> words) {
    words.insert(words.end(), results.begin(), results.end());
    return words;
  };
  const ProgramEnd end = Export(study.string(), "dense", "dense", with({"--trial", "bits=3"}));
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("tiny gptq bits=3"));
  EXPECT_EQ(end.err.find("note:"), std::string::npos) << end.err;
  EXPECT_THAT(Export(study.string(), "dense", "two", with({"--trial", "gptq"})).err, HasSubstr("matches 2 trials"));
  EXPECT_THAT(Export(study.string(), "dense", "two").err, HasSubstr("Name one with --trial"));
  EXPECT_THAT(Export(study.string(), "dense", "two", with({"--trial", "awq"})).err,
              HasSubstr("--trial 'awq' matches none"));
  EXPECT_THAT(Export(study.string(), "dense", "two", with({"--trial", "none"})).err,
              HasSubstr("tiny none: its weights are as they were. Export a trial that quantizes them; for the model itself name its "
                        "folder or file."));
  // Without its record nothing says which codes were scored.
  const ProgramEnd unknown =
      Export(study.string(), "dense", "two", {"--trial", "bits=3", "--results", In("empty"), "--threads", "1"});
  EXPECT_EQ(unknown.exit_code, 0) << unknown.err;
  EXPECT_THAT(unknown.err, HasSubstr("note: tiny gptq bits=3"));
  EXPECT_EQ(FilesOf("two").at("model.safetensors"), FilesOf("dense").at("model.safetensors"));
}

TEST_F(ExportVerb, WritesATrialThatRoundsKeysAndValuesAlone) {
  const auto exported = [&](const std::string& keeps, const std::string& format) {
    const auto study = WriteStudy("  - {quantizer: keep, " + keeps + ", calibration: {sequences: 2, tokens: 32}}\n", "[endings]");
    return Export(study.string(), format, "cache_" + format,
                  {"--results", In("none"), "--threads", "1", "--trial", "keep"});
  };
  const std::string cache =
      "kv_cache: {key_format: fp8_e4m3, key_per: tensor, value_format: fp8_e4m3, value_per: tensor}";
  const ProgramEnd end = exported(cache, "compressed_tensors");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(FilesOf("cache_compressed_tensors").at("config.json"), HasSubstr("\"kv_cache_scheme\": {"));
  EXPECT_THAT(exported(cache, "dense").err, HasSubstr("no weight is quantized, so that the checkpoint itself is what would be written"));
  EXPECT_THAT(exported("activations: {bits: 8}", "compressed_tensors").err,
              HasSubstr("its weights are as they were. Export a trial that quantizes them, or one of quantizer 'keep' that "
                        "rounds keys and values and nothing else."));
}

TEST_F(ExportVerb, WritesAModelOfWhichNothingIsQuantized) {
  const ProgramEnd gguf = Export(In("tiny"), "gguf", "gguf");
  ASSERT_EQ(gguf.exit_code, 0) << gguf.err;
  EXPECT_EQ(gguf.out, "tiny: 0 layers, written as gguf to " + In("gguf") + "\n");
  // A model of its own, whose other tensors stay as they are where it is quantized.
  const ProgramEnd again = Export(In("gguf/tiny.gguf"), "gguf", "again");
  EXPECT_EQ(again.exit_code, 3);
  EXPECT_THAT(again.err, HasSubstr("tiny.gguf is a file and nothing of it is quantized. Copy it."));
  const ProgramEnd dense = Export(In("tiny"), "dense", "dense", {"--option", "dtype=bfloat16"});
  ASSERT_EQ(dense.exit_code, 0) << dense.err;
  const StoredTensors stored(folder_ / "dense" / "model.safetensors");
  EXPECT_EQ(stored.entries().at("model.layers.0.mlp.gate_proj.weight").dtype, "BF16");
  EXPECT_EQ(stored.entries().at("model.norm.weight").dtype, "F32");
  EXPECT_THAT(Export(In("tiny"), "dense", "two").err,
              HasSubstr("no weight is quantized, so that the checkpoint itself is what would be written. Set dtype"));
  EXPECT_THAT(Export(In("tiny"), "gptq_v2", "two").err, HasSubstr("exporter 'gptq_v2': no weight is quantized."));
  EXPECT_THAT(Export(In("tiny"), "dense", "two", {"--model", In("tiny")}).err, HasSubstr("is a model itself. Name one."));
}

TEST_F(ExportVerb, WritesTheCodesOfARecordWhileTheyAreThere) {
  const auto study = WriteStudy(R"(  - {quantizer: rtn, bits: 4, group_size: 16}
)",
                                "[endings]");
  ASSERT_EQ(RunStudy(study, "out", {"--keep-codes"}).exit_code, 0);
  std::filesystem::path codes;
  for (const auto& item : std::filesystem::directory_iterator(folder_ / "out" / "artifacts")) codes = item.path();
  const std::string digest = codes.stem().string();
  const std::string record = In("out/records/" + digest.substr(0, 2) + "/" + digest + ".json");
  const ProgramEnd end = Export(record, "dense", "dense", {"--model", In("tiny")});
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("tiny rtn"));
  ExpectValues(LoadQuantized(codes).model, "dense");
  // By the beginning of its name; by the record of a task of that trial.
  const std::vector<std::string> of_out = {"--model", In("tiny"), "--results", In("out")};
  EXPECT_EQ(Export(digest.substr(0, 8), "dense", "short", of_out).exit_code, 0);
  int written = 0;
  for (const auto& item : std::filesystem::recursive_directory_iterator(folder_ / "out" / "records")) {
    if (item.path().extension() != ".json" || item.path().stem() == digest) continue;
    const ProgramEnd of_task =
        Export(item.path().string(), "dense", "task-" + item.path().stem().string(), {"--model", In("tiny")});
    written += of_task.exit_code == 0;
    if (of_task.exit_code == 0) continue;
    EXPECT_THAT(of_task.err, HasSubstr("is of the unquantized model 'tiny none'. Export the model itself."));
  }
  EXPECT_EQ(written, 1);
  EXPECT_THAT(Export("ffffffff", "dense", "two", of_out).err, HasSubstr("ffffffff: no records of " + In("out")));
  EXPECT_THAT(Export(digest, "dense", "two", {"--model", In("tiny")}).err, HasSubstr("with --results."));
  WriteTinyCheckpoint(folder_ / "other", {.hidden = 32, .blocks = 2, .seed = 9});
  EXPECT_THAT(Export(record, "dense", "two", {"--model", In("other")}).err,
              HasSubstr("Name the checkpoint that was quantized."));
  // A run without the flag drops them.
  ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
  EXPECT_THAT(Export(record, "dense", "two", {"--model", In("tiny")}).err,
              AllOf(HasSubstr("are no longer in " + In("out/artifacts") + ": a run drops them"), HasSubstr("--keep-codes")));
}

TEST_F(ExportVerb, FindsCodesThatTheStudyKeeps) {
  const auto study = WriteStudy("  - {quantizer: rtn, bits: 4, group_size: 16}\n", "[endings]");
  std::ofstream(study, std::ios::app) << "keep: artifacts\n";
  for (int times = 0; times < 2; ++times) {
    ASSERT_EQ(RunStudy(study, "out").exit_code, 0);
    ASSERT_EQ(FilesOf("out/artifacts").size(), 1u) << times;
  }
  const std::string digest = FilesOf("out/artifacts").begin()->first.substr(0, 64);
  const ProgramEnd end = Export(digest, "dense", "dense", {"--model", In("tiny"), "--results", In("out")});
  EXPECT_EQ(end.exit_code, 0) << end.err;
}

}  // namespace
}  // namespace bitlaw
