#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>

#include "bitlaw/base/error.h"
#include "cli/common/output.h"
#include "cli/records/records_parts.h"
#include "cli/study/study_text.h"
#include "plan/plan.h"
#include "records/folder/garbage.h"
#include "records/plan_records.h"
#include "run/claims/campaign.h"
#include "run/claims/claim_folder.h"
#include "run/claims/claim_taker.h"
#include "run/claims/liveness.h"
#include "run/claims/shared_files.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

struct GcArguments {
  std::string folder, study;
  bool remove = false, list = false;
};

std::optional<Campaign> CampaignOf(const FolderFiles& files) {
  try {
    const auto text = files.Read(kCampaignFile);
    if (text) return ReadCampaign(*text, kCampaignFile);
  } catch (const Error&) {  // Of another bitlaw, or damaged.
  }
  return std::nullopt;
}

WatchedWorkers WorkersOf(const FolderFiles& files, double expiry_s) {
  LifeWatch watch(files, expiry_s);
  const auto workers = WatchWorkers(files, watch, [&](const std::string& line) {
    if (!line.empty()) Complain(fmt::format("bitlaw: {} For {:.0f} s at most.\n", line, expiry_s));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return true;
  });
  return workers.value_or(WatchedWorkers());
}

// Claims of former campaigns, those of the last one whose holder is dead, and signs of life of the dead.
std::vector<UnusedFile> FindExpired(FolderFiles& files, const std::optional<Campaign>& last, const WatchedWorkers& workers) {
  std::vector<UnusedFile> expired;
  const auto add = [&](const std::string& name, const char* why) {
    std::error_code gone;
    const auto size = fs::file_size(files.folder() / name, gone);
    if (!gone) expired.push_back({files.folder() / name, why, static_cast<int64_t>(size)});
  };
  for (const std::string& folder : files.List("claims")) {
    if (last && folder == std::to_string(last->number)) continue;
    const fs::path campaign = files.folder() / "claims" / folder;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(campaign, error), end; !error && entry != end; entry.increment(error)) {
      if (entry->is_regular_file(error))
        add(entry->path().lexically_relative(files.folder()).string(), "it is of a campaign that is over");
    }
  }
  if (last) {
    const ClaimFolder claims(files, last->number);
    std::set<std::string> live;
    for (const WorkerBeat& beat : workers.live) live.insert(beat.worker.id);
    for (const auto& [trial, state] : claims.List()) {
      if (state.generation == 0 || state.is_over || state.is_done) continue;
      const std::string holder = WorkerOfClaim(claims.Content(trial, state.generation));
      if (!live.contains(holder)) add(claims.NameOf(trial, state.generation), "who claimed the trial is gone");
    }
  }
  for (const WorkerBeat& beat : workers.dead) add(BeatFile(beat.worker.id), "the worker is gone");
  return expired;
}

// The records that the study's trials have or may have.
StudyReferences ReferencesOf(Session& session, const GcArguments& arguments) {
  StudySpec study = ReadStudy(arguments.study, session.plugins(), session.SearchFolders());
  study.output = fs::absolute(arguments.folder).lexically_normal();
  const Plan plan = MakePlan(study, session.plugins());
  DigestCache cache = CacheOf(study.output);
  PlanContents contents(plan, session.plugins(), cache);
  StudyReferences references;
  for (const Trial& trial : plan.trials) {
    const auto content = contents.Cached(trial);
    if (!content) {
      references.unknown_trials.insert(trial.id);
      continue;
    }
    references.records.insert(RecordDigest(QuantizationKey(*content)));
    for (size_t t = 0; t < study.tasks.size(); ++t)
      references.records.insert(RecordDigest(TaskKey(*content, contents.task_content(t))));
  }
  return references;
}

// What is being written by those who live.
void KeepOfLive(const WatchedWorkers& workers, std::vector<UnusedFile>& unused) {
  std::erase_if(unused, [&](const UnusedFile& one) {
    return std::any_of(workers.live.begin(), workers.live.end(), [&](const WorkerBeat& beat) {
      return one.file.filename().string().find("." + beat.worker.id + ".") != std::string::npos;
    });
  });
}

int CollectGarbage(Session& session, const GcArguments& arguments) {
  const RecordStore store{fs::path(arguments.folder)};
  FolderFiles files{fs::path(arguments.folder)};
  std::optional<StudyReferences> references;
  if (!arguments.study.empty()) references = ReferencesOf(session, arguments);
  const std::optional<Campaign> last = CampaignOf(files);
  const WatchedWorkers workers = WorkersOf(files, last ? last->settings.expiry_s : CampaignSettings().expiry_s);
  if (arguments.remove && !workers.live.empty()) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: nothing is removed while workers live: {}. Wait for them, or stop them "
                            "(SIGTERM).",
                            arguments.folder, WorkersText(workers.live)));
  }
  std::vector<UnusedFile> unused = FindUnused(store, references ? &*references : nullptr);
  KeepOfLive(workers, unused);
  for (UnusedFile& one : FindExpired(files, last, workers)) unused.push_back(std::move(one));
  struct Sum {
    size_t files = 0;
    int64_t bytes = 0;
  };
  std::map<std::string, Sum> by_reason;
  for (const UnusedFile& one : unused) {
    ++by_reason[one.why].files;
    by_reason[one.why].bytes += one.size_bytes;
    if (arguments.list) Say(one.file.string() + "\n");
  }
  if (!arguments.list) {
    for (const auto& [why, sum] : by_reason)
      Say(fmt::format("{:>8}, {:>9}: {}\n", Counted(sum.files, "file"), SizeText(static_cast<double>(sum.bytes)), why));
  }
  if (references && !references->unknown_trials.empty()) {
    Complain(fmt::format(
        "bitlaw: of {} of the study a digest is not known, since it never ran to its end in this folder: records "
        "that it may have made stay.\n",
        Counted(references->unknown_trials.size(), "trial")));
  }
  if (arguments.remove) {
    const size_t removed = RemoveUnused(store, unused);
    for (const std::string& folder : files.List("claims")) {
      if (!last || folder != std::to_string(last->number)) files.RemoveFolder("claims/" + folder);
    }
    Say(fmt::format("{}: {} removed.\n", arguments.folder, Counted(removed, "file")));
    return 0;
  }
  if (!workers.live.empty()) {
    Complain(fmt::format("bitlaw: workers live ({}); what they are about to refer to may be among these files.\n",
                         WorkersText(workers.live)));
  }
  if (!arguments.list) {
    Say(unused.empty() ? fmt::format("{}: nothing is unused.\n", arguments.folder)
                       : fmt::format("{}: {} unused. --list names them, --delete removes them.\n", arguments.folder,
                                     Counted(unused.size(), "file is", "files are")));
  }
  return 0;
}

}  // namespace

void AddRecordsGc(CLI::App& records, Session& session) {
  auto arguments = std::make_shared<GcArguments>();
  CLI::App* verb = records.add_subcommand(
      "gc", "Find what nothing refers to: half-written files, items and codes without a record, expired claims");
  verb->add_option("folder", arguments->folder, "Output folder of a study")->required();
  verb->add_option(
          "--study", arguments->study,
          "A study file: records that none of its trials has count as unused, too, with all that belongs to them")
      ->check(CLI::ExistingFile);
  verb->add_flag("--list", arguments->list, "Print the paths of the files, one a line");
  verb->add_flag("--delete", arguments->remove, "Remove them; refused while workers live");
  verb->footer(
      "Without --delete nothing is changed. Records are unused only where --study names a study: give it all that the "
      "folder is "
      "used for. Damaged records (`bitlaw records verify`), records of another format and quarantine/ are left where "
      "they are.");
  verb->callback([arguments, &session] {
    session.action = [arguments, &session] { return CollectGarbage(session, *arguments); };
  });
}

}  // namespace bitlaw
