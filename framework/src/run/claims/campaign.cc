#include "run/claims/campaign.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>
#include <utility>

#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "plan/work_study.h"

namespace bitlaw {
namespace {

constexpr int64_t kFormat = 1;
constexpr const char* kWorkFile = "work.json";  // WorkFile() of an output folder.

const Value& Entry(const Value& map, const char* key) {
  const Value* value = map.is_map() ? map.Find(key) : nullptr;
  if (value == nullptr) throw InternalError(std::string("'") + key + "' is missing");
  return *value;
}

template <class Read>
auto Reading(const std::string& origin, Read&& read) {
  try {
    return read();
  } catch (const std::exception& error) {
    throw Error(ErrorKind::kIo, fmt::format("{}: it is not what this bitlaw writes for workers: {}.", origin, error.what()));
  }
}

std::string OneLine(const Value& value) {
  // Keys keep their order, and with it the options of a quantizer theirs. A line end within a text is written as \n.
  std::string line = PrettyJson(value);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

// Whether work.json of the folder, of a campaign that others opened, says what `work` says, read from whatever path.
bool IsSameStudy(const SharedFiles& files, const Campaign& theirs, const Campaign& wanted, const std::string& work) {
  if (theirs.work_digest == wanted.work_digest) return true;
  const auto text = files.Read(kWorkFile);
  if (!text || DigestOf(*text) != theirs.work_digest) return false;
  return ContentDigest(*text, kWorkFile) == ContentDigest(work, kWorkFile);
}

// What `wanted` does not have in common with the campaign that others work on; "" if nothing.
std::string Difference(const SharedFiles& files, const Campaign& theirs, const Campaign& wanted, const std::string& work) {
  if (!IsSameStudy(files, theirs, wanted, work)) return "another study, or another version of it";
  if (theirs.trials_digest != wanted.trials_digest) return "another choice of its trials";
  if (theirs.code_digest != wanted.code_digest) return "with another build of bitlaw or a plugin";
  // Who says nothing of them takes those of the others.
  if (!(wanted.settings == CampaignSettings()) && !(theirs.settings == wanted.settings)) {
    return "with another --trial-timeout, --retries, --max-failures, --worker-memory, --beat, --claim-expiry or --keep-codes";
  }
  return "";
}

Value SecondsJson(const StageSeconds& seconds) {
  Value map;
  for (size_t s = 0; s < kStages; ++s) map.Set(Name(static_cast<Stage>(s)), seconds.of[s]);
  return map;
}

}  // namespace

StageSeconds SecondsFrom(const Value& line) {
  StageSeconds seconds;
  const Value* map = line.is_map() ? line.Find("seconds") : nullptr;
  if (map == nullptr || !map->is_map()) return seconds;
  for (size_t s = 0; s < kStages; ++s) {
    const Value* one = map->Find(Name(static_cast<Stage>(s)));
    if (one != nullptr && one->is_number()) seconds.of[s] = one->AsReal();
  }
  return seconds;
}

std::string WriteCampaign(const Campaign& campaign) {
  const CampaignSettings& settings = campaign.settings;
  return PrettyJson(Value::Map{{"format", kFormat},
                               {"number", campaign.number},
                               {"study", campaign.study},
                               {"work_digest", campaign.work_digest},
                               {"trials_digest", campaign.trials_digest},
                               {"code_digest", campaign.code_digest},
                               {"beat_s", settings.beat_s},
                               {"expiry_s", settings.expiry_s},
                               {"trial_timeout_s", settings.trial_timeout_s},
                               {"retries", static_cast<int64_t>(settings.retries)},
                               {"max_failures", static_cast<int64_t>(settings.max_failures)},
                               {"worker_memory_bytes", settings.worker_memory_bytes},
                               {"keep_codes", settings.keep_codes}});
}

Campaign ReadCampaign(const std::string& text, const std::string& origin) {
  return Reading(origin, [&] {
    const Value json = ParseJson(text, origin);
    if (!(Entry(json, "format") == Value(kFormat))) throw InternalError("it has another format");
    Campaign campaign;
    campaign.number = Entry(json, "number").AsInt();
    campaign.study = Entry(json, "study").AsString();
    campaign.work_digest = Entry(json, "work_digest").AsString();
    campaign.trials_digest = Entry(json, "trials_digest").AsString();
    campaign.code_digest = Entry(json, "code_digest").AsString();
    CampaignSettings& settings = campaign.settings;
    settings.beat_s = Entry(json, "beat_s").AsReal();
    settings.expiry_s = Entry(json, "expiry_s").AsReal();
    settings.trial_timeout_s = Entry(json, "trial_timeout_s").AsReal();
    settings.retries = static_cast<int>(Entry(json, "retries").AsInt());
    settings.max_failures = static_cast<int>(Entry(json, "max_failures").AsInt());
    settings.worker_memory_bytes = Entry(json, "worker_memory_bytes").AsInt();
    settings.keep_codes = Entry(json, "keep_codes").AsBool();
    if (campaign.number < 1 || !(settings.beat_s > 0) || !(settings.expiry_s > 0)) throw InternalError("a number is out of range");
    return campaign;
  });
}

std::string WriteTrials(const std::vector<CampaignTrial>& trials) {
  std::string text;
  for (const CampaignTrial& one : trials) {
    text += OneLine(Value::Map{{"trial", TrialJson(one.trial)},
                               {"weights_digest", one.weights_digest},
                               {"group", one.weight.group},
                               {"subgroup", one.weight.subgroup},
                               {"cost", one.weight.cost},
                               {"seconds", SecondsJson(one.seconds)},
                               {"recorded", one.recorded}});
    text += "\n";
  }
  return text;
}

std::vector<CampaignTrial> ReadTrials(const std::string& text, const std::string& origin) {
  std::vector<CampaignTrial> trials;
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::string place = fmt::format("{}:{}", origin, number);
    trials.push_back(Reading(place, [&] {
      const Value json = ParseJson(line, place);
      CampaignTrial one;
      one.trial = ReadTrialJson(Entry(json, "trial"), place);
      one.weights_digest = Entry(json, "weights_digest").AsString();
      one.weight = {Entry(json, "group").AsString(), Entry(json, "subgroup").AsString(), Entry(json, "cost").AsReal()};
      one.seconds = SecondsFrom(json);
      one.recorded = Entry(json, "recorded").AsBool();
      return one;
    }));
  }
  return trials;
}

std::string DigestOf(const std::vector<CampaignTrial>& trials) {
  Digest digest;
  for (const CampaignTrial& one : trials) digest.Add(OneLine(TrialJson(one.trial))).Add("\n");
  return digest.Hex();
}

TrialWeight WeightOf(const Plan& plan, const Trial& trial, double cost) {
  const PlannedModel& model = plan.models[trial.model];
  TrialWeight weight;
  weight.group = fmt::format("{} {} {}", model.spec.name, Name(trial.compute.dtype), trial.compute.device);
  if (trial.calibration) {
    const CalibrationSpec& draw = *trial.calibration;
    weight.subgroup = fmt::format("{} {} {} {}", draw.corpus, draw.sequences, draw.tokens, draw.seed);
  }
  weight.cost = cost;
  return weight;
}

std::optional<OpenedCampaign> OpenCampaign(SharedFiles& files, const Campaign& wanted, const std::string& work,
                                           const std::vector<CampaignTrial>& trials, LifeWatch& watch,
                                           const std::function<bool(const std::string& line)>& wait, bool goes_on) {
  const auto workers = WatchWorkers(files, watch, wait);
  if (!workers) return std::nullopt;
  OpenedCampaign opened;
  opened.live = workers->live;
  std::optional<Campaign> last;
  try {
    if (const auto text = files.Read(kCampaignFile)) last = ReadCampaign(*text, kCampaignFile);
  } catch (const Error&) {  // Of another bitlaw, or damaged: claims of any number are not looked at.
  }
  if ((goes_on || !opened.live.empty()) && last) {
    const std::string difference = Difference(files, *last, wanted, work);
    if (difference.empty()) {
      opened.campaign = *last;
      opened.is_joined = true;
      return opened;
    }
    if (opened.live.empty()) {
      throw Error(ErrorKind::kIo,
                  fmt::format("{}: the campaign that is open is of {}, and --go-on continues it as it is. Run "
                              "without --go-on to begin the next one.",
                              kCampaignFile, difference));
    }
    throw Error(ErrorKind::kIo,
                fmt::format("others work in this output folder, on {}: {}. Wait for them, stop them (SIGTERM), or give this "
                            "run another --output.",
                            difference, WorkersText(opened.live)));
  }
  std::set<int64_t> numbers = {last ? last->number : 0};
  const std::vector<std::string> folders = files.List("claims");
  for (const std::string& folder : folders) numbers.insert(std::atoll(folder.c_str()));
  opened.campaign = wanted;
  opened.campaign.number = *numbers.rbegin() + 1;
  files.Replace(kWorkFile, work);
  files.Replace(kTrialsFile, WriteTrials(trials));
  files.Replace(kCampaignFile, WriteCampaign(opened.campaign));
  for (const std::string& folder : folders) files.RemoveFolder("claims/" + folder);
  for (const WorkerBeat& beat : workers->dead) files.Remove(BeatFile(beat.worker.id));
  return opened;
}

}  // namespace bitlaw
