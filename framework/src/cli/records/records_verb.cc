#include <fmt/format.h>

#include <algorithm>

#include "cli/common/output.h"
#include "cli/records/records_parts.h"
#include "cli/verbs.h"
#include "records/record.h"

namespace bitlaw {

namespace {

constexpr size_t kShown = 20;

}  // namespace

CodesDigestOf CodesDigests() {
#ifdef BITLAW_HAS_TENSOR
  return DigestOfCodesFile;
#else
  return nullptr;
#endif
}

std::string OtherFormatsLine(const std::map<int64_t, size_t>& formats) {
  std::string text;
  for (const auto& [format, count] : formats)
    text += fmt::format("{}{} of format {}", text.empty() ? "" : ", ", Counted(count, "record"), format);
  if (text.empty()) return "";
  return fmt::format(
      "{}: this bitlaw reads format {} and leaves them. Read them with the bitlaw that wrote them; `bitlaw run` "
      "does their trials again.\n",
      text, kRecordFormat);
}

void ComplainOfDamage(const std::vector<DamagedFile>& damaged) {
  for (size_t i = 0; i < std::min(kShown, damaged.size()); ++i) Complain("damaged: " + damaged[i].why + "\n");
  if (damaged.size() > kShown) Complain(fmt::format("damaged: {} more\n", damaged.size() - kShown));
}

void AddRecordsVerb(CLI::App& app, Session& session) {
  CLI::App* verb =
      app.add_subcommand("records", "What studies recorded: verify it, put folders together, clean up, hand it on");
  verb->require_subcommand(1);
  AddRecordsVerify(*verb, session);
  AddRecordsMerge(*verb, session);
  AddRecordsGc(*verb, session);
  AddRecordsExport(*verb, session);
}

}  // namespace bitlaw
