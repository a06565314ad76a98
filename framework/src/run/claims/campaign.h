#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "cost/trial_cost.h"
#include "plan/plan.h"
#include "run/claims/claim_order.h"
#include "run/claims/liveness.h"
#include "run/claims/shared_files.h"

namespace bitlaw {

/// How the workers of a campaign deal with each other and with what fails; the same for all of them.
struct BITLAW_EXPORT CampaignSettings {
  double beat_s = 15;           ///< Between two beats of a worker.
  double expiry_s = 60;         ///< A worker whose beat did not change for so long is dead.
  double trial_timeout_s = 0;   ///< 0: none.
  int retries = 0;              ///< More attempts of a trial that failed.
  int max_failures = 0;         ///< Failed trials after which no other one is begun; 0: no limit.
  int64_t worker_memory_bytes = 0;  ///< Of a process that does trials; 0: no limit.
  bool keep_codes = false;      ///< LaunchOptions::keep_codes.
  bool operator==(const CampaignSettings&) const = default;
};

/// One try to do all trials of a study, by any number of workers: campaign.json of the output folder.
struct BITLAW_EXPORT Campaign {
  int64_t number = 0;           ///< From 1; each has claims of its own.
  std::string study{};
  std::string work_digest{};    ///< Of work.json.
  std::string trials_digest{};  ///< DigestOf() the trials.
  std::string code_digest{};    ///< Of program and plugins (run/machine/code_watch.h).
  CampaignSettings settings{};
};
BITLAW_EXPORT std::string WriteCampaign(const Campaign& campaign);
/// Error(kIo) that begins with `origin` for another text.
BITLAW_EXPORT Campaign ReadCampaign(const std::string& text, const std::string& origin);

inline constexpr const char* kCampaignFile = "campaign.json";
inline constexpr const char* kTrialsFile = "trials.jsonl";

/// A trial as trials.jsonl lists it, one a line, in the plan's order.
struct BITLAW_EXPORT CampaignTrial {
  Trial trial;
  std::string weights_digest;   ///< Of its model, as the campaign's first launcher found it.
  TrialWeight weight;
  StageSeconds seconds{};       ///< CostModel's, at rates that are the same for all trials.
  bool recorded = false;        ///< All of it, before the campaign began.
};
BITLAW_EXPORT std::string WriteTrials(const std::vector<CampaignTrial>& trials);
BITLAW_EXPORT std::vector<CampaignTrial> ReadTrials(const std::string& text, const std::string& origin);
/// Of a line of that file; zeros where it has none.
BITLAW_EXPORT StageSeconds SecondsFrom(const Value& line);
/// Over what is to be done: not over what is recorded, nor over weights.
BITLAW_EXPORT std::string DigestOf(const std::vector<CampaignTrial>& trials);

/// What is chosen by of a trial of a plan. `cost`: in any unit, the same for all.
BITLAW_EXPORT TrialWeight WeightOf(const Plan& plan, const Trial& trial, double cost);

/// What OpenCampaign() did.
struct BITLAW_EXPORT OpenedCampaign {
  Campaign campaign;
  bool is_joined = false;             ///< It was open already.
  std::vector<WorkerBeat> live;       ///< These; of dead ones the files are gone.
};

/// Joins the campaign of the folder if workers live that do the same with the same settings; opens the next one if none
/// lives, over work.json as `work` and trials. Waits until it is known of each worker whether it lives: the expiry at
/// most, and not at all for those of this machine. Only for a process that holds the output's lock.
/// `wait`: called while nothing is known, with a line for people once; returns after a moment, false: give up.
/// `goes_on`: a campaign that is open is joined though nobody works on it.
/// Returns nullopt if `wait` gave up.
/// Errors  Error(kIo) that lists the workers if they live and do something else; with `goes_on` also if the open
///         campaign is of something else.
BITLAW_EXPORT std::optional<OpenedCampaign> OpenCampaign(SharedFiles& files, const Campaign& wanted,
                                                         const std::string& work,
                                                         const std::vector<CampaignTrial>& trials, LifeWatch& watch,
                                                         const std::function<bool(const std::string& line)>& wait,
                                                         bool goes_on = false);

}  // namespace bitlaw
