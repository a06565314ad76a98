#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "records/record_store.h"
#include "run/claims/claim_taker.h"
#include "run/claims/heartbeat.h"
#include "run/machine/output_lock.h"

namespace bitlaw {

/// A launcher's part in a campaign: it beats from Open() or Join() until destroyed, and takes trials by claims.
class BITLAW_EXPORT CampaignMember {
 public:
  explicit CampaignMember(const std::filesystem::path& output) : output_(output), files_(output), self_(ThisWorker()) {}

  /// Opens the next campaign under the output's lock, or joins the one that others work on, and sweeps temporary files
  /// that no live worker has; OpenCampaign() says when, and what the errors are. `tell` gets lines for people, `wait`
  /// lasts a moment. `goes_on`: the one that is open is joined even if nobody works on it. False: `wait` gave up.
  bool Open(const Campaign& wanted, const std::string& work, const std::vector<CampaignTrial>& trials, OutputLock* lock,
            const RecordStore& store, bool goes_on, const std::function<void(const std::string&)>& tell,
            const std::function<bool()>& wait);
  /// Takes part in a campaign that is open. Error(kPlugin) unless `code_digest` is that of its trials.
  void Join(const Campaign& campaign, const std::string& code_digest, const std::vector<CampaignTrial>& trials);

  /// Workers of the folder that are not known to be dead, without waiting.
  std::vector<WorkerBeat> Others(double expiry_s) const;

  const Campaign& campaign() const { return campaign_; }
  const WorkerIdentity& self() const { return self_; }
  ClaimTaker& taker() { return *taker_; }
  Heartbeat& heartbeat() { return *heartbeat_; }

 private:
  std::filesystem::path output_;
  FolderFiles files_;
  WorkerIdentity self_;
  Campaign campaign_;
  std::optional<LifeWatch> watch_;
  std::unique_ptr<Heartbeat> heartbeat_;
  std::optional<ClaimTaker> taker_;
};

}  // namespace bitlaw
