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
  law.options = reader.Rest();
  faults.ThrowIfAny();
  const Value* type = reader.Find("type");
  const Component& component =
      host.Find(ComponentKind::kLaw, law.component, type == nullptr ? "" : type->mark().Text());
  law.component = component.info.name;
  // Making a law reads no file and checks its formula.
  host.MakeLaw(law.component, law.name, component.schema.Resolve(law.options, "law '" + component.info.name + "'"));
  return law;
}

}  // namespace bitlaw
