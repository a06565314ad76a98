#include "run/status/status_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text/counted.h"
#include "run/status/duration_text.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

Value NumberOrNull(double value) { return std::isfinite(value) ? Value(value) : Value(); }

std::string TimeLine(const StudyStatus& status) {
  if (status.held.empty() && status.left == 0) return "";
  if (std::isnan(status.work_left_s)) return "not known before a trial is done";
  const std::string work = fmt::format("{} of one process", DurationText(status.work_left_s));
  if (std::isnan(status.remaining_s)) return work;
  return fmt::format("about {} left ({})", DurationText(status.remaining_s), work);
}

// "node7 80 done, 2 in hand; node9 40 done", those that did most before the others.
std::string HostsLine(const StudyStatus& status, size_t most) {
  most = std::min<size_t>(most, 8);  // A line.
  std::vector<std::pair<std::string, HostShare>> hosts(status.hosts.begin(), status.hosts.end());
  std::stable_sort(hosts.begin(), hosts.end(), [](const auto& a, const auto& b) { return a.second.done > b.second.done; });
  std::string line;
  for (size_t i = 0; i < std::min(most, hosts.size()); ++i) {
    const auto& [host, share] = hosts[i];
    line += fmt::format("{}{} {} done", i == 0 ? "" : "; ", host.empty() ? "(not known)" : host, share.done);
    if (share.in_hand > 0) line += fmt::format(", {} in hand", share.in_hand);
  }
  if (hosts.size() > most) line += fmt::format("; and {} more (--json lists all)", Counted(hosts.size() - most, "host"));
  return line;
}

// What to do next, where somebody has to.
std::string NextLine(const StudyStatus& status, const fs::path& output) {
  const std::string worker = "`bitlaw worker --claim " + output.string() + "`";
  switch (status.state) {
    case StudyState::kNotBegun:
      return "`bitlaw run STUDY.yaml --output " + output.string() + "` begins, or has begun and reads models";
    case StudyState::kPrepared:
      return status.jobs.array.empty()
                 ? "start " + worker + " wherever it shall be worked on, or `bitlaw run` the study"
                 : "";
    case StudyState::kRunning: return "";
    case StudyState::kInterrupted: return "run the study again, or start " + worker + ": both go on where it stopped";
    case StudyState::kFinished: return "";
    case StudyState::kFailed: return "run the study again to try failed trials again (--failed: only them)";
  }
  return "";
}

std::string FailureText(const FailedTrial& one) {
  const FailureRecord& failure = one.failure;
  std::string text = fmt::format("  {:<9} {}  {}", one.is_final ? "failed" : "retried", failure.trial, failure.label);
  if (!failure.kind.empty())
    text += fmt::format("\n            [{}] {}{}", failure.kind, failure.stage.empty() ? "" : failure.stage + ": ",
                        failure.reason);
  if (!failure.worker.empty()) {
    text += fmt::format("\n            attempt {}, {}, {}", failure.attempt, failure.worker, failure.date);
  }
  for (const std::string& line : one.log) text += "\n            | " + line;
  return text + "\n";
}

Value WorkerJson(const WorkerIdentity& worker) {
  return Value::Map{{"id", worker.id}, {"host", worker.host}, {"pid", worker.pid}, {"job", worker.job}};
}

}  // namespace

std::string StatusText(const StudyStatus& status, const fs::path& output, size_t most) {
  std::string text;
  if (status.state == StudyState::kNotBegun) {
    text =
        fmt::format("{}: no campaign was opened here; {}\n", output.string(),
                    status.records == 0 ? "there are no records." : Counted(status.records, "record") + " from before.");
  } else {
    text = fmt::format("{}: {}, campaign {}, {}\n", output.string(), status.study, status.campaign, Name(status.state));
    text += fmt::format("  trials    {} of {} done", status.done, status.total);
    if (status.recorded_before > 0) text += fmt::format(" ({} before this campaign)", status.recorded_before);
    text += fmt::format(", {} in hand, {} failed, {} left\n", status.held.size(), status.failed, status.left);
  }
  if (const std::string line = TimeLine(status); !line.empty() && status.campaign > 0)
    text += "  time      " + line + "\n";
  if (!status.hosts.empty()) text += "  by host   " + HostsLine(status, most) + "\n";
  if (!status.stopped.empty()) text += "  stopped   " + status.stopped + " No other trial is begun.\n";
  for (size_t i = 0; i < std::min(most, status.held.size()); ++i) {
    const HeldTrial& held = status.held[i];
    text +=
        fmt::format("  in hand   {}  {}\n            for {}{}, {}, last sign of life {} ago\n", held.trial, held.label,
                    DurationText(held.since_s), held.attempt > 1 ? fmt::format(", attempt {}", held.attempt) : "",
                    held.worker.Text(), DurationText(held.silent_s));
  }
  if (status.held.size() > most)
    text += fmt::format("            and {} more in hand (--json lists all)\n", status.held.size() - most);
  for (const WorkerStatus& worker : status.workers) {
    if (!worker.lives) {
      text += fmt::format("  silent    {}, last sign of life {} ago; others take over what it had\n",
                          worker.worker.Text(), DurationText(worker.silent_s));
    }
  }
  for (size_t i = 0; i < std::min(most, status.failures.size()); ++i) text += FailureText(status.failures[i]);
  if (status.failures.size() > most)
    text += fmt::format("            and {} more failed (--json lists all)\n", status.failures.size() - most);
  if (!status.jobs.array.empty()) {
    text += fmt::format("  Slurm     job {}, an array{}, submitted {}\n", status.jobs.array,
                        status.jobs.report.empty() ? "" : ", and job " + status.jobs.report + ", which then fits",
                        status.jobs.date);
  }
  std::error_code error;
  if (status.state == StudyState::kFinished && fs::exists(output / "report.html", error)) {
    text += "  report    " + (output / "report.html").string() + "\n";
  }
  if (const std::string next = NextLine(status, output); !next.empty()) text += "  next      " + next + "\n";
  return text;
}

Value StatusJson(const StudyStatus& status, const fs::path& output) {
  Value::List held, workers, failed, hosts;
  for (const auto& [host, share] : status.hosts) {
    hosts.push_back(Value::Map{{"host", host.empty() ? Value() : Value(host)},
                               {"done", static_cast<int64_t>(share.done)},
                               {"in_hand", static_cast<int64_t>(share.in_hand)}});
  }
  for (const HeldTrial& one : status.held) {
    held.push_back(Value::Map{{"trial", one.trial},
                              {"label", one.label},
                              {"worker", WorkerJson(one.worker)},
                              {"since_s", one.since_s},
                              {"silent_s", one.silent_s},
                              {"attempt", one.attempt}});
  }
  for (const WorkerStatus& one : status.workers) {
    workers.push_back(Value::Map{{"worker", WorkerJson(one.worker)},
                                 {"lives", one.lives},
                                 {"silent_s", one.silent_s},
                                 {"trials", Value::List(one.trials.begin(), one.trials.end())}});
  }
  for (const FailedTrial& one : status.failures) {
    const FailureRecord& failure = one.failure;
    failed.push_back(Value::Map{{"trial", failure.trial},
                                {"label", failure.label},
                                {"is_final", one.is_final},
                                {"attempt", failure.attempt},
                                {"kind", failure.kind},
                                {"stage", failure.stage},
                                {"reason", failure.reason},
                                {"worker", failure.worker},
                                {"date", failure.date},
                                {"log", Value::List(one.log.begin(), one.log.end())}});
  }
  Value jobs;
  if (!status.jobs.array.empty()) {
    jobs = Value::Map{{"array", status.jobs.array}, {"report", status.jobs.report}, {"date", status.jobs.date}};
  }
  return Value::Map{{"output", output.string()},
                    {"study", status.study},
                    {"campaign", status.campaign},
                    {"state", std::string(Name(status.state))},
                    {"trials", Value::Map{{"total", static_cast<int64_t>(status.total)},
                                          {"done", static_cast<int64_t>(status.done)},
                                          {"recorded_before", static_cast<int64_t>(status.recorded_before)},
                                          {"in_hand", static_cast<int64_t>(status.held.size())},
                                          {"failed", static_cast<int64_t>(status.failed)},
                                          {"left", static_cast<int64_t>(status.left)}}},
                    {"remaining_s", NumberOrNull(status.remaining_s)},
                    {"work_left_s", NumberOrNull(status.work_left_s)},
                    {"stopped", status.stopped},
                    {"in_hand", std::move(held)},
                    {"hosts", std::move(hosts)},
                    {"workers", std::move(workers)},
                    {"failed", std::move(failed)},
                    {"slurm", std::move(jobs)}};
}

}  // namespace bitlaw
