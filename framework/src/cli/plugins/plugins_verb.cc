#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "api/help/option_rows.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "cli/common/output.h"
#include "cli/plugins/plugin_verbs.h"
#include "cli/verbs.h"

namespace bitlaw {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kExitPluginFault = 4;

Json JsonOf(const Value& value) { return value.is_null() ? Json() : Json::parse(value.CanonicalJson()); }

// Everything a schema says, so that an editor or a form can be made from it. Absent properties are left out.
Json JsonOf(const OptionField& field) {
  Json json;
  if (!field.name.empty()) json["name"] = field.name;
  json["type"] = Name(field.type);
  if (!field.unit.empty()) json["unit"] = field.unit;
  json["required"] = field.required;
  if (!field.required) json["default"] = JsonOf(field.default_value);
  for (const auto& [word, value] : field.defaults_by) json["default_by"][field.default_by][word] = JsonOf(value);
  if (field.min) json[field.min_exclusive ? "above" : "min"] = *field.min;
  if (field.max) json[field.max_exclusive ? "below" : "max"] = *field.max;
  if (!field.choices.empty()) json["choices"] = field.choices;
  for (const auto& [word, number] : field.named_ints) json["words"][word] = number;
  if (field.min_items) json["min_items"] = *field.min_items;
  if (field.or_single) json["or_single"] = true;
  if (field.type == OptionType::kList) {
    if (!field.children.empty()) json["element"] = JsonOf(field.children.front());
  } else {
    for (const OptionField& child : field.children) json["options"].push_back(JsonOf(child));
  }
  if (!field.doc.empty()) json["doc"] = field.doc;
  return json;
}

Json JsonOf(const Component& component) {
  Json json;
  json["component"] = component.full_name();
  json["summary"] = component.info.summary;
  json["source"] = component.info.source;
  json["plugin"] = component.plugin_id;
  json["version"] = component.plugin_version;
  json["library"] = component.plugin_path;
  return json;
}

// `kind`: "" for all.
int List(Session& session, const std::string& kind, bool as_json) {
  std::vector<std::string> faults;
  const PluginHost& host = session.plugins(&faults);
  std::vector<const Component*> components;
  for (const Component* component : host.components()) {
    if (kind.empty() || component->kind == ParseComponentKind(kind)) components.push_back(component);
  }
  if (as_json) {
    Json json;
    json["fingerprint"] = OwnFingerprint();
    json["plugins"] = Json::array();
    for (const LoadedPlugin& plugin : host.plugins()) {
      json["plugins"].push_back({{"id", plugin.id},
                                 {"version", plugin.version},
                                 {"licence", plugin.licence},
                                 {"summary", plugin.summary},
                                 {"library", plugin.path.string()},
                                 {"components", plugin.components}});
    }
    json["components"] = Json::array();
    for (const Component* component : components) json["components"].push_back(JsonOf(*component));
    json["faults"] = faults;
    std::printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    size_t name_width = 0, plugin_width = 0;
    auto plugin_text = [](const Component& component) { return component.plugin_id + " " + component.plugin_version; };
    for (const Component* component : components) {
      name_width = std::max(name_width, component->full_name().size());
      plugin_width = std::max(plugin_width, plugin_text(*component).size());
    }
    for (const Component* component : components) {
      std::printf("%-*s  %-*s  %s\n", static_cast<int>(name_width), component->full_name().c_str(),
                  static_cast<int>(plugin_width), plugin_text(*component).c_str(), component->info.summary.c_str());
    }
    if (components.empty())
      std::printf("%s", kind.empty() ? "No plugin is loaded.\n" : ("No loaded plugin has a " + kind + ".\n").c_str());
  }
  std::fflush(stdout);
  for (const std::string& fault : faults) Complain("bitlaw: " + fault + "\n");
  return faults.empty() ? 0 : kExitPluginFault;
}

// By KIND/NAME, or by the name alone where only one kind has it.
const Component& FindComponent(const PluginHost& host, const std::string& given) {
  const size_t slash = given.find('/');
  if (slash != std::string::npos) return host.Find(ParseComponentKind(given.substr(0, slash)), given.substr(slash + 1));
  std::vector<const Component*> found;
  std::vector<std::string> full_names, names;
  for (const Component* component : host.components()) {
    names.push_back(component->info.name);
    if (component->info.name != given) continue;
    found.push_back(component);
    full_names.push_back(component->full_name());
  }
  if (found.size() == 1) return *found.front();
  if (found.empty()) {
    throw Error(ErrorKind::kSpec, "no component is called '" + given + "'." + DidYouMean(given, names) +
                                      " 'bitlaw plugins list' lists them.");
  }
  throw Error(ErrorKind::kSpec,
              "several kinds have a '" + given + "': " + JoinNames(full_names) + ". Write KIND/NAME.");
}

int Describe(Session& session, const std::string& name, bool as_json) {
  const PluginHost& host = session.plugins();
  const Component& component = FindComponent(host, name);
  const auto plugin = std::find_if(host.plugins().begin(), host.plugins().end(),
                                   [&](const LoadedPlugin& one) { return one.id == component.plugin_id; });
  if (as_json) {
    Json json = JsonOf(component);
    json["licence"] = plugin->licence;
    json["options"] = Json::array();
    for (const OptionField& field : component.schema.fields()) json["options"].push_back(JsonOf(field));
    std::printf("%s\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return 0;
  }
  std::printf("%s: %s\n", component.full_name().c_str(), component.info.summary.c_str());
  if (!component.info.source.empty()) std::printf("Source   %s\n", component.info.source.c_str());
  std::printf("Plugin   %s %s (%s)\n", plugin->id.c_str(), plugin->version.c_str(), plugin->licence.c_str());
  std::printf("Library  %s\n\n", component.plugin_path.c_str());
  if (component.schema.fields().empty()) {
    std::printf("It has no options.\n");
  } else {
    std::printf("%s", component.schema.HelpText().c_str());
  }
  return 0;
}

}  // namespace

void AddPluginsVerb(CLI::App& app, Session& session) {
  CLI::App* plugins =
      app.add_subcommand("plugins", "List the loaded plugins, describe a component, begin a plugin, or test one");
  plugins->require_subcommand(1);

  auto as_json = std::make_shared<bool>(false);
  CLI::App* list = plugins->add_subcommand("list", "Every component with its plugin, and every library that failed");
  auto kind = std::make_shared<std::string>();
  list->add_option("kind", *kind, "Only components of this kind: what the list names before the '/'");
  list->add_flag("--json", *as_json, "Print JSON");
  list->callback([&session, as_json, kind] {
    session.action = [&session, as_json, kind] {
      if (!kind->empty()) ParseComponentKind(*kind);  // Before any plugin is loaded.
      return List(session, *kind, *as_json);
    };
  });

  CLI::App* describe = plugins->add_subcommand("describe", "One component's options: name, type, unit, range, default");
  auto name = std::make_shared<std::string>();
  describe->add_option("component", *name, "KIND/NAME, for example quantizer/gptq; NAME where only one kind has it")
      ->required();
  describe->add_flag("--json", *as_json, "Print JSON");
  describe->callback([&session, as_json, name] {
    session.action = [&session, as_json, name] { return Describe(session, *name, *as_json); };
  });
  AddPluginsNewVerb(*plugins, session);
  AddPluginsTestVerb(*plugins, session);
}

}  // namespace bitlaw
