#include "records/folder/merge.h"

#include <fmt/format.h>

#include <memory>
#include <vector>

#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/records/records_parts.h"
#include "records/folder/bundle.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct MergeArguments {
  std::vector<std::string> folders;  ///< The last is the one to merge into.
  bool keep_first = false, no_codes = false;
};

int Merge(const MergeArguments& arguments) {
  if (arguments.folders.size() < 2) {
    throw Error(ErrorKind::kSpec,
                "records merge: name at least one folder or bundle to take from, and last the folder to merge "
                "into.");
  }
  const fs::path into = arguments.folders.back();
  std::error_code error;
  if (fs::exists(into, error) && !fs::is_directory(into, error)) {
    throw Error(ErrorKind::kSpec, fmt::format("{}: is no folder. Name last the folder to merge into.", into.string()));
  }
  const bool was_there = fs::exists(into, error);
  std::vector<std::unique_ptr<UnpackedBundle>> bundles;
  std::vector<MergeSource> from;
  for (size_t i = 0; i + 1 < arguments.folders.size(); ++i) {
    const fs::path source = arguments.folders[i];
    if (!fs::exists(source, error))
      throw Error(ErrorKind::kIo, source.string() + ": there is no such folder or bundle.");
    if (fs::is_directory(source, error)) {
      from.push_back({source});
      continue;
    }
    fs::create_directories(into, error);
    if (error)
      throw Error(ErrorKind::kIo, fmt::format("{}: the folder cannot be made: {}.", into.string(), error.message()));
    try {
      bundles.push_back(std::make_unique<UnpackedBundle>(source, into, bundles.size()));
    } catch (...) {
      bundles.clear();
      if (!was_there) fs::remove(into, error);  // If it is empty.
      throw;
    }
    from.push_back({bundles.back()->folder(), source.string()});
  }
  MergeOptions options;
  options.keep_first = arguments.keep_first;
  if (!arguments.no_codes) options.codes = CodesDigests();
  const MergeResult result = MergeFolders(from, RecordStore(into), options);
  Say(fmt::format("{}: {} and {} added, with {} of timings and {} of codes; {} there already.\n", into.string(),
                  Counted(result.tasks, "task record"), Counted(result.quantizations, "quantization record"),
                  Counted(result.timings, "file"), Counted(result.codes, "file"),
                  Counted(result.present, "record was", "records were")));
  if (result.kept > 0) {
    Say(fmt::format("{} left out: another one of the same key came first.\n",
                    Counted(result.kept, "record was", "records were")));
  }
  Say(OtherFormatsLine(result.other_formats));
  if (result.tasks + result.quantizations > 0) {
    Say(fmt::format("`bitlaw run STUDY.yaml --output {}` does what is missing, and makes tables and report of all.\n",
                    into.string()));
  }
  ComplainOfDamage(result.damaged);
  if (result.damaged.empty()) return 0;
  Complain(fmt::format("bitlaw: {} left out as damaged.\n", Counted(result.damaged.size(), "file was", "files were")));
  return ExitCode(ErrorKind::kIo);
}

}  // namespace

void AddRecordsMerge(CLI::App& records, Session& session) {
  auto arguments = std::make_shared<MergeArguments>();
  CLI::App* verb = records.add_subcommand(
      "merge", "Put the records of several folders or bundles, with items, timings and codes, into one folder");
  verb->add_option("folders", arguments->folders,
                   "FROM... INTO: output folders, or bundles of `bitlaw records export`; last the folder to merge into")
      ->required();
  verb->add_flag("--keep-first", arguments->keep_first,
                 "Of two records with one key that measured something else keep the one in INTO, or else the first "
                 "that was named");
  verb->add_flag("--no-codes", arguments->no_codes, "Leave codes of quantized weights where they are");
  verb->footer(
      "No file of INTO is overwritten, and a study may go on in it meanwhile. Two records with one key that measured "
      "something "
      "else (machines differ in last bits) are an error that names both, and nothing is merged. Damaged records of "
      "FROM are "
      "left out and named (exit code 5).");
  verb->callback([arguments, &session] { session.action = [arguments] { return Merge(*arguments); }; });
}

}  // namespace bitlaw
