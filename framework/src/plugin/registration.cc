#include "plugin/registration.h"

#include <algorithm>
#include <set>
#include <typeinfo>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

struct Kind {
  ComponentKind kind;
  std::string_view name;
  const std::type_info& factory;
};

template <class Interface>
Kind KindFor(ComponentKind kind) {
  return {kind, KindOf<Interface>::kName, typeid(typename KindOf<Interface>::Factory)};
}

// In the order of ComponentKind.
const Kind kKinds[] = {KindFor<ModelBackend>(ComponentKind::kModel), KindFor<Quantizer>(ComponentKind::kQuantizer),
                       KindFor<Corpus>(ComponentKind::kCorpus),      KindFor<Task>(ComponentKind::kTask),
                       KindFor<Law>(ComponentKind::kLaw),            KindFor<Exporter>(ComponentKind::kExporter),
                       KindFor<WeightGrid>(ComponentKind::kGrid),    KindFor<Transform>(ComponentKind::kTransform)};

const Kind& EntryOf(ComponentKind kind) {
  for (const Kind& entry : kKinds)
    if (entry.kind == kind) return entry;
  throw InternalError("ComponentKind out of range");
}

const std::type_info& FactoryType(ComponentKind kind) { return EntryOf(kind).factory; }

std::string Quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

bool HasNumber(OptionType type) { return type == OptionType::kInt || type == OptionType::kReal; }

void CheckFields(const std::vector<OptionField>& fields, const std::string& owner, const std::string& path,
                 std::vector<std::string>& faults);

// One field; `where` is "quantizer/rtn: option 'zeros.bits'".
void CheckField(const OptionField& field, const std::string& owner, const std::string& path,
                std::vector<std::string>& faults) {
  const std::string where = owner + ": option " + Quoted(path);
  const size_t faults_before = faults.size();
  if ((field.min || field.max) && !HasNumber(field.type)) faults.push_back(where + " has a range but is no number.");
  if (field.min && field.max &&
      (*field.min > *field.max || (*field.min == *field.max && (field.min_exclusive || field.max_exclusive)))) {
    faults.push_back(where + " has an empty range.");
  }
  if (field.type == OptionType::kChoice) {
    if (field.choices.empty()) faults.push_back(where + " is a choice among nothing.");
    std::set<std::string> seen;
    for (const std::string& choice : field.choices) {
      if (choice.empty()) faults.push_back(where + " has an empty choice.");
      if (!seen.insert(choice).second) faults.push_back(where + " lists the choice " + Quoted(choice) + " twice.");
    }
  } else if (!field.choices.empty()) {
    faults.push_back(where + " has choices but is not of type choice.");
  }
  if (!field.named_ints.empty() && field.type != OptionType::kInt) {
    faults.push_back(where + " has words for numbers but is no integer.");
  }
  if (field.type == OptionType::kList) {
    if (field.children.size() != 1) {
      faults.push_back(where + " is a list of " + std::to_string(field.children.size()) +
                       " element types, not of one.");
    } else {
      CheckField(field.children.front(), owner, path + "[]", faults);
    }
  } else if (field.type == OptionType::kGroup || field.type == OptionType::kGroupMap) {
    if (field.children.empty()) faults.push_back(where + " is a group without options.");
    CheckFields(field.children, owner, path + ".", faults);
  }
  if (faults.size() == faults_before) {
    for (const auto& [word, value] : field.defaults_by) {
      OptionField whole_path = field;
      whole_path.name = path;
      OptionSchema::ResolveOne(whole_path, value, owner + ": the default of an option breaks its own rule", &faults);
    }
  }
  // A default is judged by the same rules as a value in a file, and only when those rules make sense.
  if (faults.size() == faults_before && !field.default_value.is_null()) {
    OptionField whole_path = field;
    whole_path.name = path;
    OptionSchema::ResolveOne(whole_path, field.default_value, owner + ": the default of an option breaks its own rule",
                             &faults);
  }
}

// What fields[i].default_by names is a choice before it, with a default, and has all the words.
void CheckDefaultBy(const std::vector<OptionField>& fields, size_t i, const std::string& owner, const std::string& path,
                    std::vector<std::string>& faults) {
  const OptionField& field = fields[i];
  if (field.default_by.empty()) return;
  const std::string where = owner + ": option " + Quoted(path + field.name);
  const auto end = fields.begin() + static_cast<int64_t>(i);
  const auto choice = std::find_if(fields.begin(), end, [&](const OptionField& f) { return f.name == field.default_by; });
  if (choice == end || choice->type != OptionType::kChoice || choice->required || field.required) {
    faults.push_back(where + " has its default by " + Quoted(field.default_by) +
                     ". Both must have a default, and that one must be a choice that stands before it.");
    return;
  }
  for (const auto& [word, value] : field.defaults_by) {
    if (std::find(choice->choices.begin(), choice->choices.end(), word) != choice->choices.end()) continue;
    faults.push_back(where + " has a default where " + Quoted(field.default_by) + " is " + Quoted(word) +
                     ", which is none of its choices.");
  }
}

void CheckFields(const std::vector<OptionField>& fields, const std::string& owner, const std::string& path,
                 std::vector<std::string>& faults) {
  for (size_t i = 0; i < fields.size(); ++i) {
    const OptionField& field = fields[i];
    CheckDefaultBy(fields, i, owner, path, faults);
    if (!IsIdentifier(field.name)) {
      faults.push_back(
          owner + ": " + Quoted(path + field.name) +
          " is no name for an option. Names are lower-case letters, digits and underscores, a letter first.");
    }
    CheckField(field, owner, path + field.name, faults);
  }
}

}  // namespace

std::string_view Name(ComponentKind kind) { return EntryOf(kind).name; }

std::optional<ComponentKind> KindNamed(std::string_view name) {
  for (const Kind& entry : kKinds)
    if (entry.name == name) return entry.kind;
  return std::nullopt;
}

ComponentKind ParseComponentKind(std::string_view name) {
  if (const auto kind = KindNamed(name)) return *kind;
  std::vector<std::string> known;
  for (const Kind& entry : kKinds) known.emplace_back(entry.name);
  throw Error(ErrorKind::kSpec, "'" + std::string(name) + "' is no kind of component." + DidYouMean(name, known) +
                                    " Kinds: " + KindList() + ".");
}

std::string KindList() {
  std::vector<std::string> names;
  for (const Kind& entry : kKinds) names.emplace_back(entry.name);
  return JoinNames(names);
}

bool IsIdentifier(std::string_view name) {
  auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  auto is_tail = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; };
  return !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), is_tail);
}

std::vector<std::string> SchemaFaults(const OptionSchema& schema, const std::string& owner) {
  std::vector<std::string> faults;
  CheckFields(schema.fields(), owner, "", faults);
  return faults;
}

void StagingRegistrar::AddComponent(std::string_view kind_name, ComponentInfo info, OptionSchema schema,
                                    std::any factory) {
  const std::string full_name = std::string(kind_name) + "/" + info.name;
  const std::optional<ComponentKind> kind = KindNamed(kind_name);
  if (!kind) {
    faults_.push_back(Quoted(full_name) + ": this bitlaw has no component of kind " + Quoted(kind_name) +
                      ". Kinds: " + KindList() + ". Use the bitlaw that the plugin was written for, or a newer one.");
    return;
  }
  if (!IsIdentifier(info.name)) {
    faults_.push_back(
        Quoted(full_name) +
        " is no name for a component. Names are lower-case letters, digits and underscores, a letter first.");
  } else if (*kind == ComponentKind::kQuantizer && info.name == "none") {
    faults_.push_back("'quantizer/none' is taken: it stands for the unquantized model.");
  } else if (*kind == ComponentKind::kQuantizer && info.name == "keep") {
    faults_.push_back("'quantizer/keep' is taken: it stands for weights that stay as they are.");
  }
  if (info.summary.empty() || info.summary.find('\n') != std::string::npos) {
    faults_.push_back(full_name + ": its summary must be one line that is not empty.");
  }
  if (!factory.has_value()) {
    faults_.push_back(full_name + ": its factory is an empty function.");
  } else if (factory.type() != FactoryType(*kind)) {
    faults_.push_back(full_name + ": its factory is not one of kind " + Quoted(kind_name) +
                      ": another KindOf<...> has that name. Use the one of bitlaw/api/plugin.h.");
  }
  for (std::string& fault : SchemaFaults(schema, full_name)) faults_.push_back(std::move(fault));
  const ComponentKey key{*kind, info.name};
  if (staged_.contains(key)) {
    faults_.push_back("'" + full_name + "' is registered twice.");
    return;
  }
  RegisteredComponent staged;
  staged.component.kind = *kind;
  staged.component.info = std::move(info);
  staged.component.schema = std::move(schema);
  staged.factory = std::move(factory);
  staged_.emplace(key, std::move(staged));
}

}  // namespace bitlaw
