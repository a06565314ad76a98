#include "bitlaw/api/plugin.h"
#include "cli/reference/reference_pages.h"

namespace bitlaw {

std::string ComponentPage(const PluginHost& host) {
  std::string page =
      "# Reference: components and their options\n\n" +
      PageNote("components", "of the schemas that the loaded plugins declare") +
      "\n`bitlaw plugins describe KIND/NAME` prints one of them. In a study every option may be a list, which makes it "
      "an axis.\n";
  std::string kind;
  for (const Component* component : host.components()) {
    const std::string full_name = component->full_name(), own = full_name.substr(0, full_name.find('/'));
    if (own != kind) page += "\n## " + own + "\n\nThe interface: [" + own + "](../plugins/" + own + ".md).\n";
    kind = own;
    page += "\n### " + full_name + "\n\n" + component->info.summary + "\n";
    if (!component->info.source.empty()) page += "Source: " + component->info.source + "\n";
    page += "\n" + OptionTable(component->schema);
  }
  return page;
}

}  // namespace bitlaw
