#include "run/claims/claim_folder.h"

#include <algorithm>
#include <charconv>

namespace bitlaw {
namespace {

constexpr const char* kReleased = ".released";
constexpr const char* kFailed = ".failed";
constexpr const char* kDone = ".done";

// "abc.2.failed" -> trial "abc", generation 2, "failed"; "abc.done" -> generation 0, "done". False for another name.
bool Parse(const std::string& name, std::string& trial, int& generation, std::string& state) {
  const size_t dot = name.find('.');
  if (dot == std::string::npos || dot == 0) return false;
  trial = name.substr(0, dot);
  generation = 0;
  if (name.substr(dot) == kDone) {
    state = "done";
    return true;
  }
  const char *begin = name.data() + dot + 1, *end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(begin, end, generation);
  if (error != std::errc() || generation < 1) return false;
  const std::string ending(rest, end);
  if (!ending.empty() && ending != kReleased && ending != kFailed) return false;
  state = ending.empty() ? "" : ending.substr(1);
  return true;
}

}  // namespace

ClaimFolder::ClaimFolder(SharedFiles& files, int64_t campaign)
    : files_(files), campaign_(campaign), root_("claims/" + std::to_string(campaign)) {}

std::string ClaimFolder::PathOf(const std::string& trial, const std::string& ending) const {
  return root_ + "/" + FolderOf(trial) + "/" + trial + ending;
}

std::string ClaimFolder::NameOf(const std::string& trial, int generation) const {
  return PathOf(trial, "." + std::to_string(generation));
}

bool ClaimFolder::Claim(const std::string& trial, int generation, const std::string& content) {
  return files_.Create(NameOf(trial, generation), content);
}

bool ClaimFolder::IsHeld(const std::string& trial, int generation) const {
  return files_.Exists(NameOf(trial, generation)) && !files_.Exists(NameOf(trial, generation + 1));
}

std::string ClaimFolder::Content(const std::string& trial, int generation) const {
  return files_.Read(NameOf(trial, generation)).value_or("");
}

void ClaimFolder::Release(const std::string& trial, int generation) {
  files_.Create(NameOf(trial, generation) + kReleased, "");
}
void ClaimFolder::Fail(const std::string& trial, int generation) {
  files_.Create(NameOf(trial, generation) + kFailed, "");
}
int ClaimFolder::CountFailed(const std::string& trial, int generation) const {
  int count = 0;
  for (int g = 1; g <= generation; ++g) count += files_.Exists(NameOf(trial, g) + kFailed) ? 1 : 0;
  return count;
}
void ClaimFolder::Done(const std::string& trial, const std::string& content) {
  files_.Create(PathOf(trial, kDone), content);
}
bool ClaimFolder::IsDone(const std::string& trial) const { return files_.Exists(PathOf(trial, kDone)); }
std::string ClaimFolder::DoneContent(const std::string& trial) const {
  return files_.Read(PathOf(trial, kDone)).value_or("");
}

void ClaimFolder::Stop(const std::string& reason) { files_.Create(root_ + "/stopped", reason); }
std::optional<std::string> ClaimFolder::stopped() const { return files_.Read(root_ + "/stopped"); }

std::vector<std::string> ClaimFolder::Folders() const {
  std::vector<std::string> folders = files_.List(root_);
  std::erase_if(folders, [](const std::string& name) { return name.size() != 2; });
  return folders;
}

std::map<std::string, ClaimState> ClaimFolder::List(const std::string& folder, size_t* names) const {
  std::map<std::string, ClaimState> states;
  std::map<std::string, int> latest_over;
  const std::vector<std::string> listed = files_.List(root_ + "/" + folder);
  if (names != nullptr) *names += listed.size();
  for (const std::string& name : listed) {
    std::string trial, state;
    int generation = 0;
    if (!Parse(name, trial, generation, state)) continue;
    ClaimState& found = states[trial];
    // The end of an attempt may be seen before its claim is.
    found.generation = std::max(found.generation, generation);
    if (state == "done") found.is_done = true;
    if (state == "failed") ++found.failed;
    if (state == "failed" || state == "released") latest_over[trial] = std::max(latest_over[trial], generation);
  }
  for (const auto& [trial, generation] : latest_over) states[trial].is_over = generation == states[trial].generation;
  return states;
}

std::map<std::string, ClaimState> ClaimFolder::List() const {
  std::map<std::string, ClaimState> states;
  for (const std::string& folder : Folders()) states.merge(List(folder));
  return states;
}

bool IsClaimHeld(const std::filesystem::path& claim) {
  const std::string name = claim.filename().string();
  std::string trial, state;
  int generation = 0;
  std::error_code error;
  if (!Parse(name, trial, generation, state) || generation == 0 || !std::filesystem::exists(claim, error)) return false;
  return !std::filesystem::exists(claim.parent_path() / (trial + "." + std::to_string(generation + 1)), error);
}

}  // namespace bitlaw
