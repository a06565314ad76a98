#include <algorithm>
#include <cctype>
#include <filesystem>

#include "bitlaw/api/law.h"
#include "bitlaw/base/error.h"
#include "plugin/host.h"
#include "spec/study_reader.h"
#include "spec/study_spec.h"

namespace bitlaw {

namespace {

// Operators that no name of a law file has; '/' and '-' are left to paths.
bool IsFormula(const std::string& text) {
  std::error_code ignored;
  return text.find_first_of("*^()+=") != std::string::npos && !std::filesystem::exists(text, ignored);
}

// "A * N^-alpha" as "A_N_-alpha": letters, digits, '.', '_' and '-', at most 40 of them.
std::string NameOf(const std::string& formula) {
  std::string name;
  for (const char c : formula) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || (c == '-' && !name.empty()) ||
                          (c == '.' && !name.empty());
    if (is_plain) {
      name += c;
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  name.resize(std::min<size_t>(name.size(), 40));
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name.empty() ? "formula" : name;
}

// Where '=' stands that is no part of a comparison (<=, >=, ==, !=).
size_t EqualsSign(const std::string& text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') continue;
    if (i + 1 < text.size() && text[i + 1] == '=') {
      ++i;
    } else if (i == 0 || (text[i - 1] != '<' && text[i - 1] != '>' && text[i - 1] != '!')) {
      return i;
    }
  }
  return std::string::npos;
}

std::string Trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

// "acc_adj = A * N^alpha" as the law file that says so.
Value FormulaEntry(const std::string& text) {
  const size_t equals = EqualsSign(text);
  const std::string formula = Trimmed(equals == std::string::npos ? text : text.substr(equals + 1));
  Value entry;
  entry.Set("name", NameOf(formula));
  if (equals != std::string::npos) entry.Set("response", Trimmed(text.substr(0, equals)));
  entry.Set("formula", formula);
  return entry;
}

}  // namespace

LawSpec ReadLaw(const std::string& name, const PluginHost& host, const std::vector<std::filesystem::path>& search) {
  const Value entry = IsFormula(name) ? FormulaEntry(name) : Value(name);
  return StudyReader(std::filesystem::current_path() / "study.yaml", host, search).ReadLawAlone(entry);
}

std::unique_ptr<Law> OpenLaw(const LawSpec& law, const PluginHost& host) {
  const Component& component = host.Find(ComponentKind::kLaw, law.component, law.mark.Text());
  const auto resolve = [&] { return component.schema.Resolve(law.given, "law '" + component.info.name + "'"); };
  return host.MakeLaw(component.info.name, law.name, law.options ? *law.options : resolve());
}

}  // namespace bitlaw
