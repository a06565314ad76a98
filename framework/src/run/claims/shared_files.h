#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// Small files of a folder that several machines share. Names are relative to it: "claims/3/ab/abcdef012345.1".
///
/// What one machine wrote another may see late (NFS keeps what it knew of a name for seconds): Read, Exists and List may
/// answer of the past. Create may not: it asks the server. Tests put a folder that lags in the place of the real one.
class BITLAW_EXPORT SharedFiles {
 public:
  virtual ~SharedFiles() = default;
  /// Makes a file that is not there, with its folders; false if it is there. Of all who create one name, one is told true.
  virtual bool Create(const std::string& name, const std::string& content) = 0;
  /// Puts a file into place as a whole.
  virtual void Replace(const std::string& name, const std::string& content) = 0;
  virtual void Remove(const std::string& name) = 0;
  /// A folder with all that is in it.
  virtual void RemoveFolder(const std::string& folder) = 0;
  virtual std::optional<std::string> Read(const std::string& name) const = 0;
  virtual bool Exists(const std::string& name) const = 0;
  /// The names of what lies in a folder, without the folder's; empty if there is none.
  virtual std::vector<std::string> List(const std::string& folder) const = 0;
};

/// Those of an output folder. Create is open(O_CREAT | O_EXCL), which is exclusive on local disks, NFS from version 3,
/// Lustre, GPFS and BeeGFS. Error(kIo) with the system's reason where something cannot be written.
class BITLAW_EXPORT FolderFiles final : public SharedFiles {
 public:
  explicit FolderFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}
  bool Create(const std::string& name, const std::string& content) override;
  void Replace(const std::string& name, const std::string& content) override;
  void Remove(const std::string& name) override;
  void RemoveFolder(const std::string& folder) override;
  std::optional<std::string> Read(const std::string& name) const override;
  bool Exists(const std::string& name) const override;
  std::vector<std::string> List(const std::string& folder) const override;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
};

}  // namespace bitlaw
