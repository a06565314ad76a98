#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "plugin/host.h"
#include "spec/component_file.h"
#include "spec/decoder.h"
#include "spec/find_files.h"
#include "spec/study_spec.h"

namespace bitlaw {

LawSpec ReadLaw(const std::string& name, const PluginHost& host, const std::vector<std::filesystem::path>& search) {
  const std::filesystem::path home = std::filesystem::current_path();
  std::vector<std::filesystem::path> folders = StudyFolders(home);
  folders.insert(folders.end(), search.begin(), search.end());
  const NamedFile found = FindNamedFile(name, "laws", home, folders);
  if (!found.problem.empty()) throw Error(ErrorKind::kSpec, "law '" + name + "': " + found.problem);

  Faults faults;
  const ComponentFile file = ReadComponentFile(found.path, "law file", "law '" + name + "'", faults);
  faults.ThrowIfAny();
  MapReader reader(file.map, "law file", "the law", faults, true);
  LawSpec law;
  law.mark = file.map.mark();
  law.name = reader.Name("name").value_or(found.path.stem().string());
  law.component = reader.String("type").value_or("formula");
  law.given = reader.Rest();
  faults.ThrowIfAny();
  const Value* type = reader.Find("type");
  const Component& component =
      host.Find(ComponentKind::kLaw, law.component, type == nullptr ? "" : type->mark().Text());
  law.component = component.info.name;
  law.options = component.schema.Resolve(law.given, "law '" + component.info.name + "'");
  host.MakeLaw(law.component, law.name, *law.options);  // Reads no file and checks its formula.
  return law;
}

std::vector<std::unique_ptr<Law>> OpenLaws(const std::vector<LawSpec>& specs, const PluginHost& host) {
  std::vector<std::unique_ptr<Law>> laws;
  for (const LawSpec& spec : specs) {
    const Component& component = host.Find(ComponentKind::kLaw, spec.component, spec.mark.Text());
    const auto resolve = [&] { return component.schema.Resolve(spec.given, "law '" + component.info.name + "'"); };
    laws.push_back(host.MakeLaw(component.info.name, spec.name, spec.options ? *spec.options : resolve()));
  }
  return laws;
}

}  // namespace bitlaw
