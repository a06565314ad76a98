// A law fitted to a table, and the report of that: what `bitlaw fit --law LAW --data CSV` does.
#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "fit/examine/analysis.h"
#include "fit/output/fit_output.h"
#include "fuzz/plugins.h"
#include "fuzz/target.h"
#include "records/table.h"
#include "report/document.h"
#include "report/law_tables.h"
#include "spec/study_spec.h"

namespace bitlaw::fuzz {
namespace {

// As few draws as show every table: an input takes milliseconds.
FitSettings QuickSettings() {
  const Value given =
      Value::Map{{"random_starts", 1}, {"bootstrap", 4}, {"k_fold", 2}, {"permutations", 2}, {"threads", 1}};
  try {
    return ReadFitSettings(given);
  } catch (const Error& error) {
    Require(false, error.what());
  }
  return {};
}

// Input: a law file, %%%%, a CSV.
void Fit(std::string_view input) {
  static const FitSettings settings = QuickSettings();
  const auto parts = Parts(input, 2);
  const Table table = ParseCsv(parts[1], "input.csv");
  if (table.rows() > 60) return;
  const AtStudyHome here;
  WriteScratch("study/laws/law.yaml", parts[0]);
  const LawSpec spec = ReadLaw("laws/law.yaml", Host(), {StudyHome()});
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(Host().MakeLaw(spec.component, spec.name, *spec.options));
  FitReport report = FitLaws(laws, table, settings);
  const AnalysisReport analysis = Analyze(laws, table, settings, report);
  const ReportDocument document = FitDocument(report, analysis, "input");
  RenderText(document);
  RenderMarkdown(document);
  FitReportJson(report).CanonicalJson();
  AnalysisJson(analysis).CanonicalJson();
  WriteCsv(FitReportTable(report, analysis));
}

const Register kFit("fit", Fit);

}  // namespace
}  // namespace bitlaw::fuzz
