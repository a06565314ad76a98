#pragma once

#include <any>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin/host.h"

namespace bitlaw {

/// A component with the factory that makes it.
struct RegisteredComponent {
  Component component;
  std::any factory;  ///< KindOf<...>::Factory of component.kind.
};

using ComponentKey = std::pair<ComponentKind, std::string>;

/// The kind of this name; nullopt if this bitlaw has none.
std::optional<ComponentKind> KindNamed(std::string_view name);
/// Every kind's name.
std::string KindList();

/// What one plugin registers, held apart until all of it has passed. Faults are collected rather than thrown through
/// the plugin's code, which could swallow them.
class StagingRegistrar final : public Registrar {
 public:
  std::map<ComponentKey, RegisteredComponent>& staged() { return staged_; }
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  void AddComponent(std::string_view kind, ComponentInfo info, OptionSchema schema, std::any factory) override;

  std::map<ComponentKey, RegisteredComponent> staged_;
  std::vector<std::string> faults_;
};

/// What is wrong with a plugin's own schema, one sentence an entry: malformed names, ranges without
/// a number in them, choices without a choice, a default that its own option would refuse. (OptionSchema itself refuses
/// a name that is declared twice.)
/// `owner` leads each sentence: "quantizer/rtn".
BITLAW_EXPORT std::vector<std::string> SchemaFaults(const OptionSchema& schema, const std::string& owner);

/// [a-z][a-z0-9_]*
BITLAW_EXPORT bool IsIdentifier(std::string_view name);

}  // namespace bitlaw
