#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "bitlaw/base/export.h"
#include "run/claims/shared_files.h"

namespace bitlaw {

/// What the names of a trial's files in a claim folder tell.
struct BITLAW_EXPORT ClaimState {
  int generation = 0;     ///< The latest claim; 0: none.
  int failed = 0;         ///< Attempts that failed.
  bool is_over = false;   ///< The latest claim was released, or its attempt failed: the next one may be made at once.
  bool is_done = false;
};

/// The claims of one campaign, claims/<campaign>/<2 hex>/: who works on which trial, and which have ended. Whatever is to
/// be known of a trial stands in the names of its files, so that listing folders is enough:
///
///   <trial>.<g>            claimed for the g-th time, from 1; the content says by whom
///   <trial>.<g>.released   that claim was given back
///   <trial>.<g>.failed     that attempt failed
///   <trial>.done           all of the trial is recorded
///
/// A claim is a file that is created exclusively: its name is the claim. Who takes a trial over from a worker that is
/// dead creates generation g + 1; who finds that there knows that it lost the trial (a fence).
class BITLAW_EXPORT ClaimFolder {
 public:
  ClaimFolder(SharedFiles& files, int64_t campaign);

  /// False if somebody else has it.
  bool Claim(const std::string& trial, int generation, const std::string& content);
  /// Whether a claim still counts: its file is there, and no later one's.
  bool IsHeld(const std::string& trial, int generation) const;
  /// The content of a claim; "" if it cannot be read (yet).
  std::string Content(const std::string& trial, int generation) const;

  void Release(const std::string& trial, int generation);
  void Fail(const std::string& trial, int generation);
  /// Of a trial's attempts up to that one, how many failed.
  int CountFailed(const std::string& trial, int generation) const;
  void Done(const std::string& trial, const std::string& content);
  bool IsDone(const std::string& trial) const;
  std::string DoneContent(const std::string& trial) const;

  /// No trial is begun any more. The first reason stays.
  void Stop(const std::string& reason);
  std::optional<std::string> stopped() const;

  /// The folders of it that there are: the first two letters of their trials.
  std::vector<std::string> Folders() const;
  /// Every trial of which there is a file in one of them. `names`: one more for each that was listed.
  std::map<std::string, ClaimState> List(const std::string& folder, size_t* names = nullptr) const;
  /// Of all of them.
  std::map<std::string, ClaimState> List() const;
  static std::string FolderOf(const std::string& trial) { return trial.substr(0, 2); }

  /// The claim's file, relative to the shared folder.
  std::string NameOf(const std::string& trial, int generation) const;
  int64_t campaign() const { return campaign_; }

 private:
  std::string PathOf(const std::string& trial, const std::string& ending) const;

  SharedFiles& files_;
  int64_t campaign_;
  std::string root_;
};

/// IsHeld() of a claim that is known by its file, as a worker's child process is told of it.
BITLAW_EXPORT bool IsClaimHeld(const std::filesystem::path& claim);

}  // namespace bitlaw
