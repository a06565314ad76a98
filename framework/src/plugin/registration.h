#pragma once

#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "plugin/host.h"

namespace bitlaw {

/// A component with the factory that makes it.
struct RegisteredComponent {
  Component component;
  std::variant<ModelBackendFactory, QuantizerFactory, CorpusFactory, TaskFactory, LawFactory> factory;
};

using ComponentKey = std::pair<ComponentKind, std::string>;

/// What one plugin registers, held apart until all of it has passed. Faults are collected rather than thrown through
/// the plugin's code, which could swallow them.
class StagingRegistrar final : public Registrar {
 public:
  void AddModelBackend(ComponentInfo info, OptionSchema schema, ModelBackendFactory factory) override;
  void AddQuantizer(ComponentInfo info, OptionSchema schema, QuantizerFactory factory) override;
  void AddCorpus(ComponentInfo info, OptionSchema schema, CorpusFactory factory) override;
  void AddTask(ComponentInfo info, OptionSchema schema, TaskFactory factory) override;
  void AddLaw(ComponentInfo info, OptionSchema schema, LawFactory factory) override;

  std::map<ComponentKey, RegisteredComponent>& staged() { return staged_; }
  const std::vector<std::string>& faults() const { return faults_; }

 private:
  template <typename Factory>
  void Add(ComponentKind kind, ComponentInfo info, OptionSchema schema, Factory factory);

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
