#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "run/claims/campaign.h"
#include "run/claims/claim_folder.h"
#include "run/claims/claim_order.h"
#include "run/claims/liveness.h"

namespace bitlaw {

/// What does not change of a campaign's trials: ids and ranks. All takers of one process may share it.
struct BITLAW_EXPORT ClaimTrials {
  explicit ClaimTrials(const std::vector<CampaignTrial>& trials);

  std::vector<std::string> ids;
  std::vector<uint32_t> by_id;              ///< Trials by rising id.
  std::vector<uint32_t> recorded;           ///< Trials that are done already.
  std::shared_ptr<const RankedTrials> ranked;
};

/// Takes the trials of a campaign for one worker, beside others on any machine. What it knows of the others is what it saw
/// at its last look into the folder; a claim is decided by the folder alone. Looks at everything are rationed; before a
/// claim the one folder that it goes to is listed, if that was not seen within a beat.
///
/// Not thread-safe.
class BITLAW_EXPORT ClaimTaker {
 public:
  struct Options {
    Campaign campaign;
    std::string worker;    ///< Its id.
    std::string content;   ///< Of its claims: ClaimText().
    double look_s = 1;     ///< Between two looks into the folder while nothing is free.
    /// What all workers together may ask for a second by looking: names, a folder counting as a hundred. Many workers
    /// look less often then.
    double names_per_s = 100000;
    LifeWatch::Seconds now = {};  ///< Empty: the steady clock.
    uint64_t seed = std::random_device()();  ///< Which of equally good trials is tried after another one was lost.
  };
  /// A trial in hand.
  struct Claim {
    size_t trial = 0;   ///< Index into the list.
    int generation = 0;
    std::string file;   ///< Relative to the folder.
    bool operator==(const Claim&) const = default;
  };
  /// Why there is no trial to take.
  enum class None {
    kAllEnded,    ///< Nothing is left that anybody could do.
    kHere,        ///< What is left is in this worker's hands.
    kLive,        ///< ... in the hands of workers that live, or in this worker's. Of many workers that do not know yet
                  ///< whether others live all but some are told this, so that not all of them stay to see it.
    kUnsure,      ///< ... of workers of which it is not known yet whether they live.
    kStopped,     ///< Too many trials failed: stopped() says why.
    kSuperseded,  ///< Another campaign was opened.
  };
  struct Taken {
    std::optional<Claim> claim;
    None none = None::kAllEnded;
  };
  /// What others ended, since it was asked for last.
  struct Ended {
    std::vector<size_t> done, failed;
  };

  /// Over the ids and weights of all trials; those that are recorded are never taken.
  ClaimTaker(SharedFiles& files, LifeWatch& watch, Options options, const std::vector<CampaignTrial>& trials);
  ClaimTaker(SharedFiles& files, LifeWatch& watch, Options options, std::shared_ptr<const ClaimTrials> trials);

  /// The next trial, of which `last` was the one before. After many claims that others had made it gives up for a beat:
  /// what is left is taken faster than it is seen, and nothing counts as free until then.
  Taken Next(std::optional<size_t> last);
  /// Looks into the folder, unless that was less than `age_s` ago, or than names_per_s grants; whether it did.
  bool Look(double age_s);
  /// Whether there is a trial that could be tried.
  size_t free() const { return superseded_ || !stopped_.empty() || IsPausing() ? 0 : order_.free(); }
  /// Why there is none, as far as the last look tells.
  None WhyNone() const;

  bool IsHeld(const Claim& claim) const { return folder_.IsHeld(IdOf(claim.trial), claim.generation); }
  void Done(const Claim& claim, const std::string& content);
  /// Whether that was the trial's last attempt.
  bool Fail(const Claim& claim);
  void Release(const Claim& claim);
  /// Somebody else has taken it over: nothing is written.
  void Lose(const Claim& claim);

  Ended TakeEnded();
  std::string DoneContent(size_t trial) const { return folder_.DoneContent(IdOf(trial)); }
  /// Worker ids by the trial that they have in hand; "" where the claim cannot be read yet.
  const std::map<size_t, std::string>& others() const { return others_; }
  std::string stopped() const { return stopped_; }
  size_t failed() const { return failed_; }
  const ClaimFolder& folder() const { return folder_; }
  ClaimOrder::State state(size_t trial) const { return order_.state(trial); }

 private:
  void LookNow();
  size_t LookInto(const std::string& folder);
  bool IsPausing() const { return options_.now() < paused_until_; }
  const std::string& IdOf(size_t trial) const { return trials_->ids[trial]; }
  void WatchOthers();
  void NoteOther(size_t trial);
  void DrawWhoWaits();
  std::optional<size_t> TrialOf(const std::string& id) const;
  void See(size_t trial, const ClaimState& state);
  void SetEnded(size_t trial, std::vector<size_t>& list);
  void CountFailure(size_t trial);
  bool IsSuperseded() const;

  SharedFiles& files_;
  LifeWatch& watch_;
  Options options_;
  ClaimFolder folder_;
  std::shared_ptr<const ClaimTrials> trials_;
  ClaimOrder order_;
  std::vector<int> generations_;           ///< The latest claim that is known of; 0: none.
  std::map<size_t, Claim> mine_;           ///< By trial.
  std::map<size_t, std::string> others_;
  std::map<std::string, std::string> holders_;  ///< By claim file: claims do not change.
  Ended ended_;
  std::string stopped_;
  size_t failed_ = 0;
  bool superseded_ = false, unsure_ = false;
  bool has_drawn_ = false, leaves_to_others_ = false;  ///< Since the last look.
  size_t workers_ = 0;                     ///< At the last look.
  double least_age_s_ = 0;                 ///< That names_per_s grants, by the last look.
  double looked_ = -std::numeric_limits<double>::infinity();
  std::map<std::string, double> looked_into_;  ///< When, by folder.
  double paused_until_ = -std::numeric_limits<double>::infinity();
  std::mt19937_64 random_;
};

/// The content of a claim, for people, and for who asks whether its worker lives.
BITLAW_EXPORT std::string ClaimText(const WorkerIdentity& worker, const std::string& date);
/// The worker's id in it; "" for another text.
BITLAW_EXPORT std::string WorkerOfClaim(const std::string& text);
/// The worker's host in it; "" for another text.
BITLAW_EXPORT std::string HostOfClaim(const std::string& text);

}  // namespace bitlaw
