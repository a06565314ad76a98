// An output folder as bitlaw finds it again: records under the names that their trials ask for, with digests that fit
// what stands in them (as if somebody had edited a record and written its digest anew), failures, and study.json.
#include <fstream>

#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "fit/study/item_statistics.h"
#include "fuzz/plugins.h"
#include "fuzz/target.h"
#include "records/observations.h"
#include "records/plan_records.h"
#include "report/document.h"
#include "report/figure/gnuplot_script.h"
#include "report/page/html.h"
#include "report/page/study_page.h"
#include "report/study_report.h"
#include "spec/study_spec.h"
#include "unit/records/sample_record.h"

namespace bitlaw::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxItems = 200;

// Draws as few as show every table; a study's own would take seconds an input.
Value QuickFit() {
  return Value::Map{{"random_starts", 1}, {"bootstrap", 2},           {"k_fold", 2},
                    {"permutations", 2},  {"bootstrap_unit", "items"}, {"threads", 1}};
}

// One model, unquantized and at two widths, and one task.
struct Recorded {
  Plan plan;
  fs::path output;
  std::vector<std::string> task_keys, quantization_keys;  // By trial, as JSON.
};

const Recorded& Home() {
  static const Recorded* const home = [] {
    const AtStudyHome here;
    auto* made = new Recorded;
    try {
      WriteScratch("study/state.yaml",
                   "bitlaw: 1\nstudy: state\nmodels: [models/small.shapes.json]\noutput: state_out\n"
                   "quantize:\n  - none\n  - {quantizer: fixture_free, bits: [2, 4], group_size: 32}\n"
                   "tasks: [one]\nallow_fallback: true\n"
                   "laws: [{name: line, formula: A * B^b, parameters: {A: {}, b: {}}}]\n");
      made->plan = MakePlan(ReadStudy(StudyHome() / "state.yaml", Host(), {StudyHome()}), Host());
      made->plan.study.fit = QuickFit();
      made->output = made->plan.study.output;
      fs::create_directories(made->output);
      DigestCache cache = CacheOf(made->output);
      PlanContents contents(made->plan, Host(), cache);
      for (const Trial& trial : made->plan.trials) {
        const TrialContent content = contents.WithoutCalibration(trial);
        made->task_keys.push_back(TaskKey(content, contents.task_content(0)).CanonicalJson());
        made->quantization_keys.push_back(QuantizationKey(content).CanonicalJson());
      }
      cache.Save();
    } catch (const Error& error) {
      Require(false, error.what());
    }
    return made;
  }();
  return *home;
}

void WriteFile(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// Files a record, and the items of one of a task, under `key`, with digests that fit.
void File(const RecordStore& store, const std::string& key, std::string_view text, const std::string_view* items) {
  const Value key_value = ParseJson(key, "key");
  const std::string digest = RecordDigest(key_value);
  Value record = ParseJson(text, "input");
  if (!record.is_map()) return;
  record.Set("key", key_value);
  if (items != nullptr) {
    fs::path path = store.RecordPath(digest);
    WriteFile(path.replace_extension("." + DigestOf(*items).substr(0, 16) + ".items.csv"), *items);
    const Value* file = record.Find("items");
    if (file != nullptr && file->is_map()) {
      Value described = *file;
      described.Set("size_bytes", static_cast<int64_t>(items->size()));
      described.Set("digest", DigestOf(*items));
      record.Set("items", described);
    }
  }
  SetContentDigest(record);
  WriteFile(store.RecordPath(digest), PrettyJson(record));
}

// Input: a task record, its items, another task record (for both widths), its items, a quantization record, a failure.
void StudyState(std::string_view input) {
  const auto parts = Parts(input, 6);
  const AtStudyHome here;
  const Recorded& home = Home();
  const RecordStore store(home.output);
  for (const char* folder : {"records", "failures"}) fs::remove_all(home.output / folder);
  for (size_t i = 0; i < home.task_keys.size(); ++i) {
    const size_t part = i == 0 ? 0 : 2;
    File(store, home.task_keys[i], parts[part], &parts[part + 1]);
    if (i > 0) File(store, home.quantization_keys[i], parts[4], nullptr);
  }
  WriteFile(store.FailurePath("0123456789ab"), parts[5]);

  const RecordedPairs pairs = RecordedTasks(home.plan, Host(), home.output);
  Require(pairs.done <= pairs.total, "study: no more is recorded than is planned");
  std::vector<std::string> faults;
  store.CountOtherFormats();
  for (size_t i = 0; i < home.task_keys.size(); ++i) {
    store.FindQuantization(RecordDigest(ParseJson(home.quantization_keys[i], "key")), faults);
    const auto record = store.FindTask(RecordDigest(ParseJson(home.task_keys[i], "key")), faults);
    if (!record) continue;
    try {
      const std::vector<ItemScore> items = store.Items(*record);
      WriteItems(record->card, items);
      for (size_t m = 0; m < record->card.metrics.size(); ++m) {
        Summarize(record->card.metrics[m], m, items);
        SummarizeParts(record->card.metrics[m], m, items);
      }
      if (items.size() > kMaxItems) return;
    } catch (const Error&) {
    }
  }
  const StudyResults report = FitStudy(home.plan, Host(), home.output);
  RenderText(StudyDocument(report));
  RenderMarkdown(StudyDocument(report));
  WriteCsv(report.observations);
}

// Input: study.json, observations.csv and a failure: what `bitlaw report <folder>` reads.
void StudyFolder(std::string_view input) {
  const auto parts = Parts(input, 3);
  Value description = ParseJson(parts[0], "input");
  if (!description.is_map() || ParseCsv(parts[1], "input.csv").rows() > 60) return;
  const Value* fit = description.Find("fit");
  if (fit != nullptr && !fit->is_null()) {
    try {
      ReadFitSettings(*fit);
    } catch (const Error&) {
    }
  }
  description.Set("fit", QuickFit());
  const AtStudyHome here;
  StudyHome();
  const fs::path output = StudyHome() / "folder_out";
  WriteFile(output / "study.json", PrettyJson(description));
  WriteFile(output / "observations.csv", parts[1]);
  WriteFile(output / "failures" / "0123456789ab.json", parts[2]);
  const StudyResults report = FitStudy(output, Host());
  const std::string text = WriteStudyDescription(report.description);
  Require(WriteStudyDescription(ReadStudyDescription(text, "written.json")) == text,
          "study.json: what is written reads back");
  const ReportDocument page = StudyPage(report);
  RenderHtml(page, DrawnFigures());
  for (const Figure& figure : FiguresOf(page)) GnuplotScript(figure);
  WriteStudyReport(report, page, DrawnFigures(), output);
}

std::string FailureText() {
  return PrettyJson(Value::Map{{"trial", "0123456789ab"}, {"label", "small bits=2"}, {"stage", "quantize blocks.0.q"},
                               {"kind", "numerical"}, {"reason", "no."}, {"stderr_tail", ""}, {"date", ""}});
}

std::vector<std::string> StudyStateSamples() {
  TaskRecord record = SampleRecord();
  record.items.rows = 2;
  TaskRecord plain = record;
  plain.quantization.reset();
  plain.calibration.reset();
  std::vector<ItemScore> items = SampleItems();
  const std::string items_text = WriteItems(record.card, items);
  QuantizationRecord quantization;
  quantization.key = record.key;
  quantization.trial = record.trial;
  quantization.model = record.model;
  quantization.quantization = *record.quantization;
  quantization.layers = {{"blocks.0.q", 3.25, "", {{"loss", 0.5}}}};
  const std::string quantized = WriteRecord(quantization);
  // A baseline with fewer metrics than the records beside it.
  TaskRecord bare = plain;
  bare.metrics.clear();
  bare.card.metrics.clear();
  const std::string bare_items = WriteItems(bare.card, {{"a", {}, 0.25}, {"b", {}, 0.25}});
  return {Join({WriteRecord(plain), items_text, WriteRecord(record), items_text, quantized, FailureText()}),
          Join({WriteRecord(bare), bare_items, WriteRecord(record), items_text, quantized, "{}"})};
}

std::vector<std::string> StudyFolderSamples() {
  const AtStudyHome here;
  StudyDescription description = Describe(Home().plan);
  description.skipped = {{"small bits=3", "no."}};
  std::string csv =
      "trial,label,model,N,quantizer,B,task,stratum,metric,metric_kind,primary,value,standard_error,items,chance,"
      "acc_adj\n";
  int row = 0;
  for (const char* width : {"16", "2", "3", "4", "8"}) {
    const std::string id = std::to_string(++row);
    csv += "t" + id + ",small bits=" + width + ",small,8192," + (row == 1 ? "none" : "fixture_free") + "," + width +
           ",one,KM,acc,accuracy,1,0.7" + id + ",0.02,500,0.25,0.6" + id + "\n";
  }
  return {Join({WriteStudyDescription(description), csv, FailureText()})};
}

const Register kStudyState("study_state", StudyState, StudyStateSamples);
const Register kStudyFolder("study_folder", StudyFolder, StudyFolderSamples);

}  // namespace
}  // namespace bitlaw::fuzz
