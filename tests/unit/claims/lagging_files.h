#pragma once

#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "run/claims/shared_files.h"

namespace bitlaw {

/// What a file server holds, with the moment at which each file came; time is a number that a test sets.
struct Server {
  struct File {
    std::string content;
    double since = 0;
  };
  std::map<std::string, std::vector<File>> files;  ///< All versions, the latest last; an empty list: removed.
  double now = 0;
  size_t refused = 0;              ///< Create() of what was there.
};

/// A machine's view of a server: it sees what was there `lag_s` ago, as a client that keeps attributes and names does.
/// Create asks the server itself.
class LaggingFiles final : public SharedFiles {
 public:
  explicit LaggingFiles(Server& server, double lag_s = 0) : server_(server), lag_s_(lag_s) {}

  bool Create(const std::string& name, const std::string& content) override {
    auto& versions = server_.files[name];
    if (!versions.empty()) return ++server_.refused, false;
    versions.push_back({content, server_.now});
    return true;
  }
  void Replace(const std::string& name, const std::string& content) override {
    server_.files[name].push_back({content, server_.now});
  }
  void Remove(const std::string& name) override { server_.files.erase(name); }
  void RemoveFolder(const std::string& folder) override {
    std::erase_if(server_.files, [&](const auto& file) { return file.first.starts_with(folder + "/"); });
  }
  std::optional<std::string> Read(const std::string& name) const override {
    std::optional<std::string> seen;
    const auto found = server_.files.find(name);
    if (found == server_.files.end()) return seen;
    for (const Server::File& version : found->second) {
      if (version.since <= server_.now - lag_s_) seen = version.content;
    }
    return seen;
  }
  bool Exists(const std::string& name) const override { return Read(name).has_value(); }
  std::vector<std::string> List(const std::string& folder) const override {
    std::set<std::string> names;
    for (const auto& [name, versions] : server_.files) {
      if (!name.starts_with(folder + "/") || !Exists(name)) continue;
      const std::string rest = name.substr(folder.size() + 1);
      names.insert(rest.substr(0, rest.find('/')));
    }
    return {names.begin(), names.end()};
  }

 private:
  Server& server_;
  double lag_s_;
};

}  // namespace bitlaw
