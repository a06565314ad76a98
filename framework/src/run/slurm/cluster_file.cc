#include "run/slurm/cluster_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string_view>

#include "bitlaw/base/error.h"
#include "spec/decoder.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

constexpr int64_t kMost = 1'000'000'000;

OptionField Text() {
  OptionField field;
  field.type = OptionType::kString;
  return field;
}

OptionSchema MakeSchema() {
  OptionSchema schema;
  schema.String("partition").Optional().Doc("Partition, or several with commas. Not given: the cluster's default.");
  schema.String("account").Optional().Doc("Account that is charged.");
  schema.String("qos").Optional().Doc("Quality of service.");
  schema.String("time").Optional().Doc(
      "Time limit of one job as sbatch takes it, in quotes: \"8:00:00\", \"2-12\" (days-hours), \"90\" (minutes). "
      "A worker takes trials until then and is queued again.");
  schema.String("memory").Optional().Doc("Memory of one job, in powers of 1024: 64G, 64GiB, 900M.");
  schema.Int("cpus").Min(1).Optional().Unit("cores").Doc("Cores of one job; its threads.");
  schema.Int("gpus").Min(1).Optional().Doc("GPUs of one job, each with a worker process.");
  schema.String("gpu_type").Optional().Doc("Their type, where the cluster names it: a100.");
  schema.List("modules", Text()).Default(Value::List{}).Doc("Environment modules that are loaded.");
  schema.String("setup").Default("").Doc("Lines of bash that are run after that: variables, `source`.");
  schema.List("sbatch", Text()).Default(Value::List{}).Doc("Further options of sbatch, one a text: --constraint=a100.");
  schema.Int("jobs").Range(1, 1'000'000).Default(8).Doc("Jobs of the array, at most one a trial that is left.");
  schema.Int("array_parallelism").Min(1).Optional().Doc("How many of them run at once. Not given: all that fit.");
  schema.Int("workers").Min(1).Optional().Doc("Processes of one job that do trials. Not given: one a device.");
  schema.Int("leave_before_s")
      .Range(30, 86400)
      .Default(120)
      .Unit("s")
      .Doc("How long before the time limit a worker is told to leave: time for the trials in hand to end.");
  return schema;
}

// "12", and nothing but digits.
std::optional<int64_t> Number(std::string_view text) {
  int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_whole =
      !text.empty() && text.front() != '-' && error == std::errc() && rest == text.data() + text.size();
  return is_whole && number <= kMost ? std::optional(number) : std::nullopt;
}

std::vector<std::string_view> Split(std::string_view text, char by) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t end = text.find(by);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Names of partitions, accounts and the like: nothing that a line of the script would take apart.
bool IsPlain(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("._,:+=/@-").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// What the script says itself.
constexpr std::array<std::string_view, 9> kOwn = {"--array",      "--output",   "--error",
                                                  "--signal",     "--requeue",  "--no-requeue",
                                                  "--dependency", "--job-name", "--open-mode"};

}  // namespace

const OptionSchema& ClusterSchema() {
  static const OptionSchema schema = MakeSchema();
  return schema;
}

std::optional<int64_t> SlurmSeconds(const std::string& text) {
  std::string_view rest = text;
  int64_t days = 0;
  const size_t dash = rest.find('-');
  if (dash != std::string_view::npos) {
    const auto found = Number(rest.substr(0, dash));
    if (!found) return std::nullopt;
    days = *found;
    rest.remove_prefix(dash + 1);
  }
  std::vector<int64_t> parts;
  for (const std::string_view part : Split(rest, ':')) {
    const auto found = Number(part);
    if (!found) return std::nullopt;
    parts.push_back(*found);
  }
  if (parts.size() > 3) return std::nullopt;
  int64_t seconds = 0;
  if (dash != std::string_view::npos) {  // hours[:minutes[:seconds]]
    parts.resize(3, 0);
    seconds = ((days * 24 + parts[0]) * 60 + parts[1]) * 60 + parts[2];
  } else if (parts.size() == 3) {
    seconds = (parts[0] * 60 + parts[1]) * 60 + parts[2];
  } else {  // minutes[:seconds]
    parts.resize(2, 0);
    seconds = parts[0] * 60 + parts[1];
  }
  return seconds > 0 ? std::optional(seconds) : std::nullopt;
}

std::optional<int64_t> SlurmMemoryMib(const std::string& text) {
  std::string_view number = text;
  if (number.ends_with("iB")) number.remove_suffix(2);
  const size_t unit = number.empty() ? std::string_view::npos : std::string_view("MGT").find(number.back());
  if (unit == std::string_view::npos) return std::nullopt;
  const auto found = Number(number.substr(0, number.size() - 1));
  constexpr int64_t kMib[] = {1, 1024, 1024 * 1024};
  return found && *found > 0 ? std::optional(*found * kMib[unit]) : std::nullopt;
}

Cluster ReadCluster(const std::filesystem::path& file) {
  const Value map = ReadYamlFile(file);
  if (!map.is_map()) {
    throw Error(ErrorKind::kSpec, fmt::format("{}: the cluster file is {}. It must be a map of {}.", file.string(),
                                              Article(map.type()), JoinNames(ClusterSchema().names())));
  }
  const Options given = ClusterSchema().Resolve(map, "cluster file '" + file.stem().string() + "'");
  Faults faults;
  const auto text = [&](const char* name) { return given.Has(name) ? given.String(name) : ""; };
  const auto plain = [&](const char* name) {
    const std::string found = text(name);
    if (given.Has(name) && !IsPlain(found)) {
      faults.Add(given.Raw(name).mark(),
                 fmt::format("'{}' = '{}' has more than letters, digits and ._,:+=/@- in it, or "
                             "nothing. Leave the key out for the cluster's default.",
                             name, found));
    }
    return found;
  };
  const auto number = [&](const char* name) { return given.Has(name) ? given.Int(name) : 0; };
  Cluster cluster;
  cluster.partition = plain("partition");
  cluster.account = plain("account");
  cluster.qos = plain("qos");
  cluster.gpu_type = plain("gpu_type");
  cluster.cpus = number("cpus");
  cluster.gpus = number("gpus");
  cluster.setup = text("setup");
  cluster.jobs = number("jobs");
  cluster.array_parallelism = number("array_parallelism");
  cluster.workers = number("workers");
  cluster.leave_before_s = number("leave_before_s");
  if (!cluster.gpu_type.empty() && cluster.gpus == 0) {
    faults.Add(given.Raw("gpu_type").mark(),
               "'gpu_type' says which, but there is no 'gpus' that says how many. Add gpus: 1.");
  }
  if (given.Has("time")) {
    cluster.time = given.String("time");
    const auto seconds = SlurmSeconds(cluster.time);
    if (!seconds) {
      faults.Add(given.Raw("time").mark(),
                 fmt::format("'time' = '{}' is no time limit. Write \"minutes\", \"minutes:seconds\", "
                             "\"hours:minutes:seconds\", \"days-hours\" or \"days-hours:minutes:seconds\".",
                             cluster.time));
    } else if (*seconds <= 2 * cluster.leave_before_s) {
      faults.Add(
          given.Raw("time").mark(),
          fmt::format("'time' = '{}' is {} s, and workers are told to leave leave_before_s = {} s before its end. It "
                      "must be more than twice as long.",
                      cluster.time, *seconds, cluster.leave_before_s));
    }
  }
  if (given.Has("memory")) {
    const auto mib = SlurmMemoryMib(given.String("memory"));
    if (!mib) {
      faults.Add(given.Raw("memory").mark(),
                 fmt::format("'memory' = '{}' is no amount. Write 900M, 64G or 1T (powers of "
                             "1024; 64GiB is 64G).",
                             given.String("memory")));
    }
    cluster.memory_mib = mib.value_or(0);
  }
  for (const Value& module : given.Raw("modules").AsList()) {
    cluster.modules.push_back(module.AsString());
    if (!IsPlain(module.AsString())) {
      faults.Add(module.mark(),
                 fmt::format("'{}' is no module's name. Other lines of bash stand under 'setup'.", module.AsString()));
    }
  }
  for (const Value& option : given.Raw("sbatch").AsList()) {
    const std::string& word = option.AsString();
    cluster.sbatch.push_back(word);
    const std::string name = word.substr(0, word.find_first_of("= "));
    if (!word.starts_with("--") || word.find('\n') != std::string::npos) {
      faults.Add(option.mark(),
                 fmt::format("'{}' is no option of sbatch. Write its long form: --constraint=a100.", word));
    } else if (std::find(kOwn.begin(), kOwn.end(), name) != kOwn.end()) {
      faults.Add(option.mark(), fmt::format("'{}' is set by bitlaw. Leave it out; 'jobs', 'array_parallelism' and "
                                            "'leave_before_s' say what may be chosen.",
                                            name));
    }
  }
  faults.ThrowIfAny();
  return cluster;
}

}  // namespace bitlaw
