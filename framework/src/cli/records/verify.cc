#include <fmt/format.h>

#include <memory>

#include "cli/common/output.h"
#include "cli/records/records_parts.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct VerifyArguments {
  std::string folder;
  bool quarantine = false, json = false;
};

Value JsonOf(const FolderCheck& check) {
  Value::Map formats;
  for (const auto& [format, count] : check.other_formats)
    formats.emplace_back(std::to_string(format), static_cast<int64_t>(count));
  Value::List damaged, foreign;
  for (const DamagedFile& one : check.damaged)
    damaged.emplace_back(Value::Map{{"file", one.file.string()}, {"why", one.why}});
  for (const fs::path& file : check.foreign) foreign.emplace_back(file.string());
  return Value::Map{{"tasks", static_cast<int64_t>(check.tasks)},
                    {"quantizations", static_cast<int64_t>(check.quantizations)},
                    {"items", static_cast<int64_t>(check.items)},
                    {"codes", static_cast<int64_t>(check.codes)},
                    {"timings", static_cast<int64_t>(check.timings)},
                    {"other_formats", formats},
                    {"damaged", damaged},
                    {"foreign", foreign}};
}

int Verify(const VerifyArguments& arguments) {
  const RecordStore store{fs::path(arguments.folder)};
  const FolderCheck check = CheckFolder(store, CodesDigests());
  fs::path moved_to;
  if (arguments.quarantine && !check.damaged.empty()) moved_to = QuarantineDamaged(store, check);
  if (arguments.json) {
    Say(PrettyJson(JsonOf(check)) + "\n");
  } else {
    Say(fmt::format("{}: {} with {}, {}, {} of codes, {} of timings are whole.\n", arguments.folder,
                    Counted(check.tasks, "task record"), Counted(check.items, "item"),
                    Counted(check.quantizations, "quantization record"), Counted(check.codes, "file"),
                    Counted(check.timings, "file")));
    Say(OtherFormatsLine(check.other_formats));
    if (!check.foreign.empty()) {
      Say(fmt::format("{} below records/ and timings/ with no name that bitlaw gives: {}{}\n",
                      Counted(check.foreign.size(), "file"), check.foreign.front().string(),
                      check.foreign.size() == 1 ? "" : ", ..."));
    }
  }
  ComplainOfDamage(check.damaged);
  if (check.damaged.empty()) return 0;
  Complain(moved_to.empty()
               ? fmt::format(
                     "bitlaw: {} damaged. `bitlaw records verify {} --quarantine` moves them aside; `bitlaw run` does "
                     "what they held again.\n",
                     Counted(check.damaged.size(), "file is", "files are"), arguments.folder)
               : fmt::format("bitlaw: {} damaged and moved to {}. `bitlaw run` does what they held again.\n",
                             Counted(check.damaged.size(), "file was", "files were"), moved_to.string()));
  return ExitCode(ErrorKind::kIo);
}

}  // namespace

void AddRecordsVerify(CLI::App& records, Session& session) {
  auto arguments = std::make_shared<VerifyArguments>();
  CLI::App* verb = records.add_subcommand(
      "verify", "Read every record of a study with its items, codes and timings, and compare all with their digests");
  verb->add_option("folder", arguments->folder, "Output folder of a study")->required();
  verb->add_flag("--quarantine", arguments->quarantine,
                 "Move what is damaged to FOLDER/quarantine, so that the next `bitlaw run` does it again");
  verb->add_flag("--json", arguments->json, "Print what was found as JSON");
  verb->footer(
      "Exit code 5 if anything is damaged, moved aside or not. Digests find accidents: who edits a record and writes a "
      "new "
      "digest into it is not found out.");
  verb->callback([arguments, &session] { session.action = [arguments] { return Verify(*arguments); }; });
}

}  // namespace bitlaw
