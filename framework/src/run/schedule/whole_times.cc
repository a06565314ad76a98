#include "run/schedule/whole_times.h"

#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <system_error>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "run/claims/campaign.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostTimed = 200;

}  // namespace

double TimeOf(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

std::vector<std::pair<std::string, double>> WholeTimes(const fs::path& output, const ClaimFolder& folder,
                                                       const std::map<std::string, ClaimState>& states) {
  std::vector<const std::pair<const std::string, ClaimState>*> done;
  for (const auto& state : states) {
    if (state.second.is_done && state.second.generation > 0) done.push_back(&state);
  }
  std::vector<std::pair<std::string, double>> times;
  const size_t step = std::max<size_t>(1, done.size() / kMostTimed);
  for (size_t i = 0; i < done.size(); i += step) {
    const auto& [trial, state] = *done[i];
    const fs::path claim = output / folder.NameOf(trial, state.generation);
    const double took = TimeOf(claim.parent_path() / (trial + ".done")) - TimeOf(claim);
    if (took > 0) times.emplace_back(trial, took);
  }
  return times;
}

std::vector<std::pair<std::string, double>> WholeTimes(const fs::path& output) {
  const fs::path file = output / kCampaignFile;
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  try {
    FolderFiles files(output);
    ClaimFolder folder(files, ReadCampaign(ReadWholeFile(file), file.string()).number);
    return WholeTimes(output, folder, folder.List());
  } catch (const Error&) {  // Of another bitlaw, or damaged; nothing depends on it here.
    return {};
  }
}

}  // namespace bitlaw
