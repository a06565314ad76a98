// Calibration text that is mixed, generated, or stands in the tasks; checkpoints that are quantized already.
#include <gmock/gmock.h>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;
using testing::Not;

class CalibrationStudy : public StudyFolder {
 protected:
  using Row = std::map<std::string, std::string>;

  std::filesystem::path Write(const std::string& name, const std::string& models, const std::string& corpora,
                              const std::string& quantize, const std::string& more = "") const {
    const auto path = folder_ / name;
    std::ofstream(path) << "bitlaw: 1\nstudy: e2e\noutput: unused\nmodels: " << models << "\ncorpora:\n" << corpora
                        << "quantize:\n" << quantize << "tasks: [endings]\n" << more;
    return path;
  }
  std::vector<Row> Rows(const std::string& output) const {
    return RowsOf(StartedProgram::Text(folder_ / output / "observations.csv"));
  }
  Row RowWhere(const std::string& output, const std::string& column, const std::string& value,
               const std::string& model = "tiny") const {
    for (const Row& row : Rows(output))
      if (row.at(column) == value && row.at("model") == model) return row;
    ADD_FAILURE() << "no row of " << model << " has " << column << " " << value;
    return {};
  }
  // The report of what is recorded in `output` of a study that was written to `study`.
  std::string ReportOf(const std::filesystem::path& study, const std::string& output) const {
    std::string text = StartedProgram::Text(study);
    const std::string unused = "output: unused";
    text.replace(text.find(unused), unused.size(), "output: " + (folder_ / output).string());
    std::ofstream(study) << text;
    return StartedProgram({"--configs", BITLAW_SOURCE_DIR "/tests/support", "report", study.string(), "--format", "text"},
                          folder_)
        .Wait()
        .out;
  }
  std::string ItemsOf(const std::string& output, const Row& row) const {
    for (const auto& [name, text] : FilesOf(output + "/records"))
      if (name.find(row.at("record") + ".") != std::string::npos && name.ends_with(".items.csv")) return text;
    ADD_FAILURE() << "no items of record " << row.at("record");
    return "";
  }
};

const char kLines[] = "  lines: {type: text, mode: concatenate, path: corpus.txt}\n";
const char kGptq[] = "  - {quantizer: gptq, bits: 4, group_size: 16, calibration: {corpus: lines, sequences: 2, tokens: 32}}\n";

// Four trials of a text and four of another one, with which a worker changes its text once.
TEST_F(CalibrationStudy, DrawsATextOnceAWorkerForTrialsThatFollowEachOther) {
  const auto study = Write("texts.yaml", "[tiny]", kLines,
                           "  - {quantizer: gptq, bits: [2, 3, 4, 8], group_size: 16, calibration: {corpus: lines, "
                           "sequences: [2, 4], tokens: 32}}\n");
  for (const int workers : {1, 2}) {
    SCOPED_TRACE(workers);
    const std::string output = "texts" + std::to_string(workers);
    ASSERT_EQ(RunStudy(study, output, {"--workers", std::to_string(workers)}).exit_code, 0);
    int quantized = 0, drawn = 0;
    for (const auto& [name, text] : FilesOf(output + "/timings")) {
      quantized += text.find("\"quantize_s\"") != std::string::npos;
      drawn += text.find("\"draw_s\"") != std::string::npos;
    }
    EXPECT_EQ(quantized, 8);
    EXPECT_GE(drawn, 2);
    EXPECT_LE(drawn, 2 * workers);
  }
}

TEST_F(CalibrationStudy, PutsACheckpointOfAnotherProgramBesideItsTrials) {
  const auto study = Write("one.yaml", "[tiny]", kLines, kGptq);
  ASSERT_EQ(RunStudy(study, "one").exit_code, 0);
  for (const std::string format : {"gptq_v2", "compressed_tensors"}) {
    SCOPED_TRACE(format);
    const ProgramEnd exported =
        StartedProgram({"--configs", BITLAW_SOURCE_DIR "/tests/support", "export", study.string(), "--trial", "gptq", "--format",
                        format, "--output", (folder_ / format).string(), "--results", (folder_ / "one").string(), "--threads", "1"},
                       folder_)
            .Wait();
    ASSERT_EQ(exported.exit_code, 0) << exported.err;
    const auto both = Write("two.yaml", "[tiny, {path: " + format + ", original: tiny}]", kLines, kGptq);
    const ProgramEnd end = RunStudy(both, "two_" + format);
    ASSERT_EQ(end.exit_code, 0) << end.err;
    const Row trial = RowWhere("two_" + format, "quantizer", "gptq"), none = RowWhere("two_" + format, "quantizer", "none");
    const Row read = RowWhere("two_" + format, "quantizer", "none", format);
    EXPECT_EQ(read.at("value"), trial.at("value"));
    EXPECT_EQ(read.at("baseline_value"), none.at("value"));
    EXPECT_EQ(ItemsOf("two_" + format, read), ItemsOf("two_" + format, trial));
    EXPECT_NE(ItemsOf("two_" + format, read), ItemsOf("two_" + format, none));
    for (const char* column : {"B", "bits_effective", "G", "size_bytes"}) EXPECT_EQ(read.at(column), trial.at(column)) << column;
    EXPECT_EQ(read.at("B"), "4");
    EXPECT_EQ(read.at("stored_method"), format == "gptq_v2" ? "gptq" : "compressed-tensors");
    EXPECT_EQ(trial.at("stored_method"), "");
    EXPECT_THAT(ReportOf(both, "two_" + format), HasSubstr("weights were quantized by another program ("));
  }
}

TEST_F(CalibrationStudy, CalibratesOnMixedTextAndOnWhatTheModelWrites) {
  const auto study = Write("made.yaml", "[tiny]",
                           std::string(kLines) + "  own: {type: generated, columns: {quality: 1}}\n"
                                                 "  mixed: {type: mix, parts: {lines: {weight: 1}, own: {weight: 3}}}\n",
                           "  - {quantizer: gptq, bits: 3, group_size: [16, 32], calibration: {corpus: [own, mixed], sequences: 4, "
                           "tokens: 24}}\n");
  const ProgramEnd end = RunStudy(study, "made");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_EQ(Rows("made").size(), 10u);
  EXPECT_EQ(RowWhere("made", "corpus", "mixed").at("mix"), "0.25 lines + 0.75 own");
  EXPECT_EQ(RowWhere("made", "corpus", "own").at("mix"), "");
  EXPECT_EQ(RowWhere("made", "corpus", "own").at("quality"), "1");
  // Each text was written once, though two trials calibrate on it.
  size_t texts = 0;
  for (const auto& [name, bytes] : FilesOf("made/artifacts")) texts += name.starts_with("calibration-") ? 1 : 0;
  EXPECT_EQ(texts, 2u);
  const auto records = FilesOf("made/records");
  EXPECT_EQ(RunStudy(study, "made").exit_code, 0);
  EXPECT_EQ(FilesOf("made/records"), records);
  // Another folder comes to the same.
  ASSERT_EQ(RunStudy(study, "again").exit_code, 0);
  EXPECT_EQ(FilesOf("again/records"), records);
}

TEST_F(CalibrationStudy, WarnsOfItemsThatStandInTheCalibrationText) {
  std::ofstream known(folder_ / "known.txt");
  for (int i = 0; i < 300; ++i) known << "THE SUN rises, in the east. ";
  known.close();
  const std::string corpora = std::string(kLines) + "  known: {type: text, mode: concatenate, path: known.txt}\n";
  const std::string quantize =
      "  - {quantizer: gptq, bits: [3, 4], group_size: 16, calibration: {corpus: [lines, known], sequences: 2, tokens: 64}}\n";
  const auto study = Write("known.yaml", "[tiny]", corpora, quantize, "evaluate: {overlap_words: 6}\n");
  const ProgramEnd end = RunStudy(study, "known");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  const std::string warning =
      "warning: task 'endings': some of its items have 6 words in a row that the calibration text of corpus 'known' has too.";
  const size_t at = end.err.find(warning);
  ASSERT_NE(at, std::string::npos) << end.err;
  EXPECT_EQ(end.err.find(warning, at + 1), std::string::npos);  // Once, of two trials.
  EXPECT_THAT(end.err, Not(HasSubstr("of corpus 'lines' has too")));
  EXPECT_GT(std::stod(RowWhere("known", "corpus", "known").at("overlap")), 0);
  EXPECT_EQ(RowWhere("known", "corpus", "lines").at("overlap"), "0");
  EXPECT_EQ(RowWhere("known", "quantizer", "none").at("overlap"), "");
  EXPECT_THAT(ReportOf(study, "known"), HasSubstr("% of its items have words in a row"));
  const auto off = Write("off.yaml", "[tiny]", corpora, quantize, "evaluate: {overlap_words: none}\n");
  const ProgramEnd quiet = RunStudy(off, "off");
  ASSERT_EQ(quiet.exit_code, 0) << quiet.err;
  EXPECT_THAT(quiet.err, Not(HasSubstr("words in a row")));
  EXPECT_EQ(RowWhere("off", "corpus", "known").at("overlap"), "");
}

}  // namespace
}  // namespace bitlaw
