#include <fmt/format.h>

#include <memory>

#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/records/records_parts.h"
#include "cli/study/study_text.h"
#include "records/folder/bundle.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct ExportArguments {
  std::string folder, file;
  bool no_codes = false;
};

int Export(const ExportArguments& arguments) {
  std::error_code error;
  if (fs::exists(arguments.file, error)) {
    throw Error(ErrorKind::kIo, arguments.file + ": is there already. Name a new file.");
  }
  const BundleResult result =
      WriteBundle(RecordStore{fs::path(arguments.folder)}, arguments.no_codes ? nullptr : CodesDigests(),
                  BITLAW_VERSION, arguments.file);
  Say(fmt::format("{}: {} in {}, {}. `bitlaw records merge {} FOLDER` puts them into a folder.\n", arguments.file,
                  Counted(result.records, "record"), Counted(result.files, "file"),
                  SizeText(static_cast<double>(fs::file_size(arguments.file))), arguments.file));
  ComplainOfDamage(result.damaged);
  if (result.damaged.empty()) return 0;
  Complain(fmt::format("bitlaw: {} left out as damaged.\n",
                       Counted(result.damaged.size(), "file") + (result.damaged.size() == 1 ? " was" : " were")));
  return ExitCode(ErrorKind::kIo);
}

}  // namespace

void AddRecordsExport(CLI::App& records, Session& session) {
  auto arguments = std::make_shared<ExportArguments>();
  CLI::App* verb = records.add_subcommand(
      "export", "Write all records of a folder, with items, timings and codes, into one file for another machine");
  verb->add_option("folder", arguments->folder, "Output folder of a study")->required();
  verb->add_option("file", arguments->file, "The bundle to write: JSON lines, taken in by `bitlaw records merge`")
      ->required();
  verb->add_flag("--no-codes", arguments->no_codes, "Leave codes of quantized weights out");
  verb->callback([arguments, &session] { session.action = [arguments] { return Export(*arguments); }; });
}

}  // namespace bitlaw
