#include "plugin/registration.h"

#include <algorithm>
#include <set>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

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
  // A default is judged by the same rules as a value in a file, and only when those rules make sense.
  if (faults.size() == faults_before && !field.default_value.is_null()) {
    OptionField whole_path = field;
    whole_path.name = path;
    OptionSchema::ResolveOne(whole_path, field.default_value, owner + ": the default of an option breaks its own rule",
                             &faults);
  }
}

void CheckFields(const std::vector<OptionField>& fields, const std::string& owner, const std::string& path,
                 std::vector<std::string>& faults) {
  for (const OptionField& field : fields) {
    if (!IsIdentifier(field.name)) {
      faults.push_back(
          owner + ": " + Quoted(path + field.name) +
          " is no name for an option. Names are lower-case letters, digits and underscores, a letter first.");
    }
    CheckField(field, owner, path + field.name, faults);
  }
}

}  // namespace

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

template <typename Factory>
void StagingRegistrar::Add(ComponentKind kind, ComponentInfo info, OptionSchema schema, Factory factory) {
  const std::string full_name = std::string(Name(kind)) + "/" + info.name;
  if (!IsIdentifier(info.name)) {
    faults_.push_back(
        Quoted(full_name) +
        " is no name for a component. Names are lower-case letters, digits and underscores, a letter first.");
  } else if (kind == ComponentKind::kQuantizer && info.name == "none") {
    faults_.push_back("'quantizer/none' is taken: it stands for the unquantized model.");
  }
  if (info.summary.empty() || info.summary.find('\n') != std::string::npos) {
    faults_.push_back(full_name + ": its summary must be one line that is not empty.");
  }
  if (!factory) faults_.push_back(full_name + ": its factory is an empty function.");
  for (std::string& fault : SchemaFaults(schema, full_name)) faults_.push_back(std::move(fault));
  const ComponentKey key{kind, info.name};
  if (staged_.contains(key)) {
    faults_.push_back("'" + full_name + "' is registered twice.");
    return;
  }
  RegisteredComponent staged;
  staged.component.kind = kind;
  staged.component.info = std::move(info);
  staged.component.schema = std::move(schema);
  staged.factory = std::move(factory);
  staged_.emplace(key, std::move(staged));
}

void StagingRegistrar::AddModelBackend(ComponentInfo info, OptionSchema schema, ModelBackendFactory factory) {
  Add(ComponentKind::kModel, std::move(info), std::move(schema), std::move(factory));
}
void StagingRegistrar::AddQuantizer(ComponentInfo info, OptionSchema schema, QuantizerFactory factory) {
  Add(ComponentKind::kQuantizer, std::move(info), std::move(schema), std::move(factory));
}
void StagingRegistrar::AddCorpus(ComponentInfo info, OptionSchema schema, CorpusFactory factory) {
  Add(ComponentKind::kCorpus, std::move(info), std::move(schema), std::move(factory));
}
void StagingRegistrar::AddTask(ComponentInfo info, OptionSchema schema, TaskFactory factory) {
  Add(ComponentKind::kTask, std::move(info), std::move(schema), std::move(factory));
}
void StagingRegistrar::AddLaw(ComponentInfo info, OptionSchema schema, LawFactory factory) {
  Add(ComponentKind::kLaw, std::move(info), std::move(schema), std::move(factory));
}

}  // namespace bitlaw
