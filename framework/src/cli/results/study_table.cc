#include "cli/results/study_table.h"

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "cli/common/unmatched_records.h"
#include "fit/study/study_description.h"
#include "fit/study/study_laws.h"
#include "fit/study/study_results.h"
#include "fit/table/column_map.h"

namespace bitlaw {

namespace fs = std::filesystem;

namespace {

StudyTable ReadData(const std::string& data) {
  if (fs::is_directory(data)) {
    const fs::path table = fs::path(data) / "observations.csv";
    throw Error(ErrorKind::kIo, "--data " + data + ": is a folder, where a CSV file is needed. " +
                                    (fs::exists(table) ? "Write " + table.string() + ", or the folder without --data."
                                                       : "It has no observations.csv."));
  }
  StudyTable input;
  input.name = fs::path(data).filename().string();
  // The identifiers of observations stay texts; a foreign table has no such columns.
  CsvOptions options;
  const Table probe = ReadCsv(data);
  if (probe.Find("trial") != nullptr && probe.Find("task") != nullptr) {
    if (fs::path(data).filename() == "observations.csv") input.columns = ReadColumnsBeside(data);
    options.text_columns = ObservationTextColumns(input.columns);
  }
  input.table = ReadCsv(data, options);
  return input;
}

StudyTable ReadFolder(const std::string& source) {
  StudyTable input;
  const fs::path observations = fs::path(source) / "observations.csv";
  const fs::path description = fs::path(source) / "study.json";
  if (!fs::exists(observations)) {
    throw Error(ErrorKind::kIo, observations.string() +
                                    ": there is no such file. An output folder has it once 'bitlaw run' has "
                                    "ended there; give the study file instead.");
  }
  input.columns = ReadColumnsBeside(observations);
  input.table = ReadCsv(observations, {ObservationTextColumns(input.columns)});
  input.output = source;
  input.name = observations.string();
  if (fs::exists(description)) {
    StudyDescription study = ReadStudyDescription(ReadWholeFile(description), description.string());
    input.name = "study " + study.study;
    input.is_study = true;
    input.laws = std::move(study.laws);
    input.map = std::move(study.map);
    input.settings = std::move(study.fit);
  }
  return input;
}

StudyTable ReadFile(const std::string& source, Session& session) {
  StudyTable input;
  const StudySpec study = ReadStudy(source, session.plugins(), session.SearchFolders());
  auto plan = std::make_shared<Plan>(MakePlan(study, session.plugins()));
  input.name = "study " + study.name;
  input.is_study = true;
  input.table = Observations(*plan, session.plugins(), study.output, &input.warnings);
  input.output = study.output;
  input.columns = ObservationColumns(*plan);
  input.laws = study.laws;
  input.map = study.map;
  input.settings = study.fit;
  input.plan = std::move(plan);
  return input;
}

}  // namespace

StudyTable ReadStudyTable(const std::string& verb, const std::string& source, const std::string& data,
                          Session& session) {
  if (source.empty() == data.empty()) {
    throw Error(ErrorKind::kSpec, verb + ": give either a study (its file or output folder) or --data TABLE.csv.");
  }
  StudyTable input = !data.empty()              ? ReadData(data)
                     : fs::is_directory(source) ? ReadFolder(source)
                                                : ReadFile(source, session);
  input.verb = verb;
  input.source = source;
  return input;
}

Table TableToFit(StudyTable& input, const std::string& map, const std::string& where) {
  if (input.table.rows() == 0 && input.plan) {
    const std::string more = input.warnings.empty() ? "" : " " + input.warnings[0];
    throw Error(ErrorKind::kIo, input.verb + ": there are no rows. " + UnmatchedRecords(*input.plan, input.source) + more);
  }
  if (input.table.rows() == 0 && !input.output.empty()) {
    throw Error(ErrorKind::kIo, input.verb + ": " + (fs::path(input.output) / "observations.csv").string() +
                                    " has no rows. 'bitlaw run' writes them when it ends; of a study that runs give "
                                    "the study file: then the records are read.");
  }
  if (input.table.rows() == 0) {
    throw Error(ErrorKind::kIo,
                input.verb + ": the table has no rows." + (input.warnings.empty() ? "" : " " + input.warnings[0]));
  }
  Table table = MapColumns(input.table, input.map);
  if (!map.empty()) table = MapColumns(table, map);
  if (where.empty()) return table;
  const std::vector<size_t> rows = table.Where(Expression::Parse(where));
  input.warnings.push_back("--where '" + where + "' kept " + std::to_string(rows.size()) + " of " +
                           std::to_string(table.rows()) + " rows.");
  return table.Rows(rows);
}

LawSpec LawFor(const StudyTable& input, const std::string& given, Session& session) {
  for (const LawSpec& own : input.laws) {
    if (own.name == given) return own;
  }
  return ReadLaw(given, session.plugins(), session.SearchFolders());
}

std::unique_ptr<Law> OneLaw(const StudyTable& input, const std::string& given, const FitSettings& settings,
                            Session& session) {
  std::vector<LawSpec> laws;
  if (!given.empty()) {
    laws.push_back(LawFor(input, given, session));
  } else if (!input.laws.empty()) {
    laws.push_back(input.laws.front());
  } else {
    throw Error(ErrorKind::kSpec, input.verb + ": no law is named. Give --law FILE or --law NAME.");
  }
  // Values that the study holds are meant for its laws: another law has only those that it knows.
  OpenedLaws opened = OpenStudyLaws(laws, session.plugins(), {}, settings.fix);
  if (!opened.faults.empty()) throw opened.faults.front().error;
  return std::move(opened.laws.front());
}

}  // namespace bitlaw
