#include "run/launch/campaign_member.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "base/files/durable_file.h"
#include "base/text/counted.h"
#include "bitlaw/base/error.h"
#include "run/machine/machine.h"

namespace bitlaw {
namespace {

// "2 workers of the same study on node1, node2"
std::string Listed(const std::vector<WorkerBeat>& workers) {
  std::set<std::string> hosts;
  for (const WorkerBeat& beat : workers) hosts.insert(beat.worker.host);
  return fmt::format("{} of the same study on {}", Counted(workers.size(), "worker"), fmt::join(hosts, ", "));
}

}  // namespace

bool CampaignMember::Open(const Campaign& wanted, const std::string& work, const std::vector<CampaignTrial>& trials,
                          OutputLock* lock, const RecordStore& store, bool goes_on,
                          const std::function<void(const std::string&)>& tell, const std::function<bool()>& wait) {
  const auto wait_and_tell = [&](const std::string& line) {
    if (!line.empty()) tell("note: " + line);
    return wait();
  };
  if (lock != nullptr && !lock->Take(wait_and_tell)) return false;
  LifeWatch watch(files_, wanted.settings.expiry_s);
  const auto opened = OpenCampaign(files_, wanted, work, trials, watch, wait_and_tell, goes_on);
  if (opened) {
    std::vector<std::string> live;
    for (const WorkerBeat& beat : opened->live) live.push_back(beat.worker.id);
    store.RemoveTemporaries(live);
    if (opened->is_joined && opened->live.empty())
      tell(fmt::format("note: goes on with campaign {}.", opened->campaign.number));
    if (opened->is_joined && !opened->live.empty()) tell(fmt::format("note: joins {}.", Listed(opened->live)));
    Join(opened->campaign, wanted.code_digest, trials);  // Beats before anybody else can open one.
  }
  if (lock != nullptr) lock->Release();
  return opened.has_value();
}

void CampaignMember::Join(const Campaign& campaign, const std::string& code_digest, const std::vector<CampaignTrial>& trials) {
  campaign_ = campaign;
  if (campaign.code_digest != code_digest) {
    throw Error(ErrorKind::kPlugin,
                fmt::format("{}: its trials are done by another build of bitlaw, or with other plugins, than this worker has. "
                            "Start the same installation, with the same --plugin, as `bitlaw run` did.",
                            (output_ / kCampaignFile).string()));
  }
  watch_.emplace(files_, campaign.settings.expiry_s);
  heartbeat_ = std::make_unique<Heartbeat>(files_, self_, campaign.number, campaign.settings.beat_s);
  NameTemporaries(self_.id);
  taker_.emplace(files_, *watch_,
                 ClaimTaker::Options{.campaign = campaign, .worker = self_.id, .content = ClaimText(self_, UtcNow())}, trials);
  taker_->Look(0);
}

std::vector<WorkerBeat> CampaignMember::Others(double expiry_s) const {
  LifeWatch watch(files_, expiry_s);
  std::vector<WorkerBeat> others;
  for (WorkerBeat& beat : ListWorkers(files_)) {
    if (watch.Of(beat.worker.id) != WorkerLife::kDead) others.push_back(std::move(beat));
  }
  return others;
}

}  // namespace bitlaw
