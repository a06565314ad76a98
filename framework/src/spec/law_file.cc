#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "plugin/host.h"
#include "spec/study_reader.h"
#include "spec/study_spec.h"

namespace bitlaw {

LawSpec ReadLaw(const std::string& name, const PluginHost& host, const std::vector<std::filesystem::path>& search) {
  return StudyReader(std::filesystem::current_path() / "study.yaml", host, search).ReadLawAlone(name);
}

std::unique_ptr<Law> OpenLaw(const LawSpec& law, const PluginHost& host) {
  const Component& component = host.Find(ComponentKind::kLaw, law.component, law.mark.Text());
  const auto resolve = [&] { return component.schema.Resolve(law.given, "law '" + component.info.name + "'"); };
  return host.MakeLaw(component.info.name, law.name, law.options ? *law.options : resolve());
}

}  // namespace bitlaw
