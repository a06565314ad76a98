#include <gmock/gmock.h>

#include <fstream>

#include "bitlaw/api/exporter.h"
#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "e2e/study_fixture.h"
#include "plugin/host.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Guide : public StudyFolder {
 protected:
  ProgramEnd Bitlaw(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--plugin", BITLAW_E2E_PLUGINS});
    return StartedProgram(arguments, folder_).Wait();
  }
};

std::vector<std::string> KindNames() {
  std::vector<std::string> names;
  try {
    for (int kind = 0;; ++kind) names.emplace_back(Name(static_cast<ComponentKind>(kind)));
  } catch (const InternalError&) {  // Past the last one.
  }
  return names;
}

// The page has a section and an example for each kind that a host knows, which `plugins list` shows.
TEST_F(Guide, HasAnExampleOfEachKind) {
  const std::string page = StartedProgram::Text(BITLAW_SOURCE_DIR "/docs/plugins.md");
  const ProgramEnd list = Bitlaw({"plugins", "list"});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  ASSERT_THAT(KindNames(), testing::Contains("exporter"));
  for (const std::string& kind : KindNames()) {
    const size_t section = page.find("\n## " + std::string(kind) + "\n");
    ASSERT_NE(section, std::string::npos) << kind;
    const size_t begins = page.find("\n// ", section) + 4;
    const std::string name = page.substr(begins, page.find(".cc:", begins) - begins);
    EXPECT_THAT(list.out, HasSubstr(std::string(kind) + "/" + name));
  }
}

// What the exporter's example writes of two layers and a norm that a transform changed.
TEST_F(Guide, ItsExporterWritesCodesAndChangedWeights) {
  PluginHost host(OwnFingerprint());
  host.LoadFile(BITLAW_E2E_PLUGINS "/guide_raw_codes.so");
  const std::unique_ptr<Exporter> exporter = host.MakeExporter("raw_codes", Options(Value::Map{}));
  ModelSummary summary;
  LinearShape q;
  q.name = "q";
  QuantizedLinear linear;
  linear.bits = 4;
  linear.codes = at::tensor({1, 2, 3, 4, 5, 6}, at::kByte).reshape({2, 3});
  const std::string norm = "norm.weight";
  const at::Tensor value = at::tensor({0.5f, 2.0f});
  const std::vector<ExportLayer> layers = {{q, linear}};
  const std::vector<ExportWeight> others = {{norm, value}};
  exporter->Export("", {summary, layers, others}, folder_);
  EXPECT_EQ(StartedProgram::Text(folder_ / "layers.csv"), "layer,rows,columns,bits\nq,2,3,4\n");
  EXPECT_EQ(StartedProgram::Text(folder_ / "q.codes"), "\1\2\3\4\5\6");
  EXPECT_EQ(StartedProgram::Text(folder_ / "norm.weight.values"), std::string("\0\0\0\x3f\0\0\0\x40", 8));
  const KvCacheGrid rounded;
  EXPECT_EQ(exporter->ExplainUnsupported({summary, layers, others, &rounded}),
            "its keys and values are rounded, which this format cannot say.");
}

// Two random models, nine trials each; every example but the exporter takes part.
TEST_F(Guide, TheStudyAtItsEndRuns) {
  fs::copy(BITLAW_GUIDE_EXAMPLES, folder_, fs::copy_options::recursive);
  std::ofstream(folder_ / "seven.seed") << "7\n";
  std::ofstream(folder_ / "eight.seed") << "8\n";
  const std::string study = (folder_ / "guide.yaml").string();
  const ProgramEnd check = Bitlaw({"check", study});
  EXPECT_EQ(check.exit_code, 0) << check.err;
  const ProgramEnd run = Bitlaw({"run", study, "--output", (folder_ / "out").string(), "--threads", "1"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("18 of 18 trials complete"));
  const ProgramEnd report = Bitlaw({"report", (folder_ / "out").string(), "--format", "text"});
  EXPECT_THAT(report.out, HasSubstr("floor"));
  // The example's own factor is a column, said to be what it is, and a row of the report.
  const std::string observations = StartedProgram::Text((folder_ / "out/observations.csv").string());
  EXPECT_THAT(observations.substr(0, observations.find('\n')), HasSubstr(",cutoff,"));
  const std::string columns = StartedProgram::Text((folder_ / "out/columns.json").string());
  EXPECT_THAT(columns, HasSubstr("\"origin\": \"quantizer 'ternary'\""));
  EXPECT_THAT(report.out, HasSubstr("quantizer 'ternary'"));
}

}  // namespace
}  // namespace bitlaw
