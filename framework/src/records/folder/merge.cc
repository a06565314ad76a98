#include "records/folder/merge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <system_error>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"
#include "records/folder/listing.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

constexpr size_t kShown = 10;

// Fields of a record that are measured; of maps and lists of maps those entries that describe are left out.
constexpr std::array kMeasured = {"metrics",    "items",   "counts",           "quantization", "calibration",
                                  "sequential", "experts", "online_rotations", "layers",       "skipped"};

// The map without these entries, and without those whose keys begin with `prefix`.
Value Without(const Value& map, std::initializer_list<std::string_view> keys, std::string_view prefix = "\n") {
  if (!map.is_map()) return map;
  Value::Map left;
  for (const auto& entry : map.AsMap()) {
    if (std::find(keys.begin(), keys.end(), entry.first) == keys.end() && !entry.first.starts_with(prefix))
      left.push_back(entry);
  }
  return left;
}

Value Measured(const Value& record, const std::string& field) {
  const Value* found = record.Find(field);
  if (found == nullptr) return {};
  if (field == "counts") return Without(*found, {}, "overlap_");  // As `evaluate: overlap_words` has it.
  if (field == "calibration") return Without(*found, {"corpus"});
  if (field != "layers" || !found->is_list()) return *found;
  Value::List layers;
  for (const Value& layer : found->AsList()) layers.push_back(Without(layer, {"diagnostics"}));
  return layers;
}

struct Source {
  RecordStore store;
  std::string bundle;

  /// A text in which files are named that are in the folder of a bundle only for now.
  std::string Named(std::string text) const {
    const std::string folder = store.output().string() + "/";
    for (size_t at = bundle.empty() ? std::string::npos : text.find(folder); at != std::string::npos;
         at = text.find(folder, at))
      text.replace(at, folder.size(), bundle + ": ");
    return text;
  }
  std::string NameOf(const std::string& digest) const { return Named(store.RecordPath(digest).string()); }
};

// One record of a source that may be taken.
struct Candidate {
  const Source* from = nullptr;
  bool is_task = false, has_timings = false, has_codes = false;
  std::string codes_digest;
};

// "tiny gptq bits=3, arc_easy"
std::string TitleOf(const Value& record) {
  const auto text = [](const Value* map, const char* key) {
    const Value* found = map == nullptr ? nullptr : map->Find(key);
    return found != nullptr && found->is_string() ? found->AsString() : "";
  };
  const std::string label = text(record.Find("trial"), "label"), task = text(record.Find("task"), "name");
  return label + (label.empty() || task.empty() ? "" : ", ") + task;
}

// Reads all sources and decides what is new; damaged and other records are noted in `result`.
class Comparison {
 public:
  Comparison(const RecordStore& into, const MergeOptions& options, MergeResult& result)
      : into_(into), options_(options), result_(result) {
    std::error_code error;
    if (fs::is_directory(into.output() / "records", error)) there_ = ListFolder(into.output()).records;
  }

  void Read(const Source& from) {
    for (const auto& [digest, files] : ListFolder(from.store.output()).records) {
      if (files.record) Read(from, digest, files);
    }
  }

  void RefuseConflicts() const {
    if (conflicts_.empty()) return;
    std::vector<std::string> shown(
        conflicts_.begin(), conflicts_.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, conflicts_.size())));
    if (shown.size() < conflicts_.size())
      shown.push_back(fmt::format("  and {} more", conflicts_.size() - shown.size()));
    throw Error(
        ErrorKind::kIo,
        fmt::format("{}: {} records have the key of another one and say something else. Nothing was merged. Move one "
                    "of each two aside, or keep what is there, and else the first that was named: --keep-first.\n{}",
                    into_.output().string(), conflicts_.size(), fmt::join(shown, "\n")));
  }

  const std::map<std::string, Candidate>& taken() const { return taken_; }
  /// Sources of codes whose record is there already.
  const std::map<std::string, Candidate>& codes() const { return codes_; }

 private:
  void Read(const Source& from, const std::string& digest, const RecordFiles& files) {
    WholeRecord whole;
    try {
      whole = ReadWholeRecord(from.store, digest);
    } catch (const Error& error) {
      result_.damaged.push_back({from.store.RecordPath(digest), from.Named(error.what()), digest});
      return;
    }
    if (whole.other_format != 0) {
      ++result_.other_formats[whole.other_format];
      return;
    }
    if (whole.json.Find("key")->Find("imported") != nullptr) {
      throw Error(ErrorKind::kIo,
                  fmt::format("{}: the record was imported. Import the run again into the folder that shall "
                              "have it: `bitlaw import RESULTS --out FOLDER`.",
                              from.NameOf(digest)));
    }
    const Candidate found{&from, whole.is_task, files.timings, files.codes, whole.codes_digest};
    const std::optional<Value> other = Other(digest);
    if (!other) {
      taken_[digest] = found;
    } else if (MeasuredDifferences(*other, whole.json).empty()) {
      ++result_.present;
      // The record may be there without its codes.
      if (!whole.is_task && files.codes && !taken_.contains(digest)) codes_[digest] = found;
    } else if (options_.keep_first) {
      ++result_.kept;
    } else {
      const std::string there =
          taken_.contains(digest) ? taken_.at(digest).from->NameOf(digest) : into_.RecordPath(digest).string();
      conflicts_.push_back(fmt::format("  {} and {} ({}): {} differ", there, from.NameOf(digest), TitleOf(whole.json),
                                       fmt::join(MeasuredDifferences(*other, whole.json), ", ")));
    }
  }

  // The record of that key which stays: of `into`, if it is whole, or of an earlier source.
  std::optional<Value> Other(const std::string& digest) const {
    try {
      const auto there = there_.find(digest);
      if (there != there_.end() && there->second.record) return ReadWholeRecord(into_, digest).json;
    } catch (const Error&) {  // It makes room.
    }
    const auto taken = taken_.find(digest);
    if (taken == taken_.end()) return std::nullopt;
    return ReadWholeRecord(taken->second.from->store, digest).json;
  }

  const RecordStore& into_;
  const MergeOptions& options_;
  MergeResult& result_;
  std::map<std::string, RecordFiles> there_;
  std::map<std::string, Candidate> taken_, codes_;
  std::vector<std::string> conflicts_;
};

// A copy that is there once all of it is; false where there is a file of that name.
bool CopyNew(const fs::path& from, const fs::path& to, const fs::path& within) {
  std::error_code error;
  if (fs::exists(to, error)) return false;
  std::ifstream source(from, std::ios::binary);
  if (!source) throw Error(ErrorKind::kIo, from.string() + ": the file cannot be read.");
  DurableFile file(to, within);
  std::string piece(size_t{4} << 20, '\0');
  while (source.read(piece.data(), static_cast<std::streamsize>(piece.size())) || source.gcount() > 0)
    file.Write(std::string_view(piece).substr(0, static_cast<size_t>(source.gcount())));
  if (source.bad()) throw Error(ErrorKind::kIo, from.string() + ": the file cannot be read to its end.");
  return file.CommitNew();
}

void CopyTimings(const std::string& digest, const Candidate& one, const RecordStore& into, MergeResult& result) {
  const fs::path timings = one.from->store.TimingsPath(digest);
  if (const std::string fault = FaultOfTimings(timings); !fault.empty()) {
    result.damaged.push_back({timings, one.from->Named(fault), ""});
  } else if (CopyNew(timings, into.TimingsPath(digest), into.output())) {
    ++result.timings;
  }
}

void CopyCodes(const std::string& digest, const Candidate& one, const RecordStore& into, const MergeOptions& options,
               MergeResult& result) {
  const fs::path codes = CodesPath(one.from->store.output(), digest);
  try {
    const std::string found = options.codes(codes);
    if (found != one.codes_digest) {
      result.damaged.push_back(
          {codes, one.from->Named(codes.string() + ": its codes are not those of its record."), ""});
    } else if (CopyNew(codes, CodesPath(into.output(), digest), into.output())) {
      ++result.codes;
    }
  } catch (const Error& error) {
    if (!std::string_view(error.what()).starts_with(codes.string())) throw;
    result.damaged.push_back({codes, one.from->Named(error.what()), ""});
  }
}

}  // namespace

std::vector<std::string> MeasuredDifferences(const Value& a, const Value& b) {
  std::vector<std::string> differ;
  for (const char* field : kMeasured) {
    if (!(Measured(a, field) == Measured(b, field))) differ.emplace_back(field);
  }
  return differ;
}

MergeResult MergeFolders(const std::vector<MergeSource>& from, const RecordStore& into, const MergeOptions& options) {
  MergeResult result;
  std::vector<Source> sources;
  for (const MergeSource& source : from) {
    std::error_code error;
    if (fs::equivalent(source.folder, into.output(), error)) {
      throw Error(ErrorKind::kIo, source.folder.string() + ": is the folder to merge into. Name it once, as the last.");
    }
    sources.push_back({RecordStore(source.folder), source.bundle});
  }
  Comparison comparison(into, options, result);
  for (const Source& source : sources) comparison.Read(source);
  comparison.RefuseConflicts();
  std::error_code error;
  if (!fs::create_directories(into.output(), error) && error) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: the folder cannot be made: {}.", into.output().string(), error.message()));
  }
  for (const auto& [digest, one] : comparison.taken()) {
    const RecordStore& store = one.from->store;
    const WholeRecord whole = ReadWholeRecord(store, digest);
    const bool is_new = into.Adopt(digest, whole.text, whole.items.empty() ? "" : ReadWholeFile(whole.items));
    if (!is_new) continue;  // Another process was faster.
    ++(one.is_task ? result.tasks : result.quantizations);
    if (one.has_timings) CopyTimings(digest, one, into, result);
    if (one.has_codes && options.codes) CopyCodes(digest, one, into, options, result);
  }
  if (options.codes) {
    for (const auto& [digest, one] : comparison.codes()) CopyCodes(digest, one, into, options, result);
  }
  return result;
}

}  // namespace bitlaw
