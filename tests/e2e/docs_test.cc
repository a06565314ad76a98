// What the pages of this project tell people to write, and where they send them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "plugin/host.h"
#include "spec/decoder.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = BITLAW_SOURCE_DIR;

std::vector<fs::path> Pages() {
  std::vector<fs::path> pages = {kRoot / "README.md"};
  for (const char* folder : {"docs", "plugins", "examples", "configs"}) {
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (entry.path().extension() == ".md") pages.push_back(entry.path());
    }
  }
  std::sort(pages.begin(), pages.end());
  return pages;
}

std::vector<std::string> LinesOf(const fs::path& page) {
  std::ifstream file(page);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// A piece of YAML on a page: a fenced block, or an indented one that begins with a key of a study or task.
struct Snippet {
  std::string place, text;
};

std::vector<Snippet> SnippetsOf(const fs::path& page) {
  static const std::set<std::string> kKeys = {"bitlaw", "models", "corpora", "quantize", "tasks", "strata",
                                              "laws",   "fit",    "extract", "prompt",   "data"};
  std::vector<Snippet> snippets;
  const std::vector<std::string> lines = LinesOf(page);
  const std::string name = fs::relative(page, kRoot).string();
  for (size_t i = 0; i < lines.size(); ++i) {
    Snippet snippet{name + ":" + std::to_string(i + 1), ""};
    if (lines[i] == "```yaml") {
      for (++i; i < lines.size() && lines[i] != "```"; ++i) snippet.text += lines[i] + "\n";
      snippets.push_back(std::move(snippet));
      continue;
    }
    const bool begins = i > 0 && lines[i - 1].empty() && lines[i].starts_with("    ");
    const size_t colon = lines[i].find(':');
    if (!begins || colon == std::string::npos || kKeys.count(lines[i].substr(4, colon - 4)) == 0) continue;
    for (; i < lines.size() && (lines[i].empty() || lines[i].starts_with("    ")); ++i) {
      snippet.text += lines[i].substr(std::min<size_t>(4, lines[i].size())) + "\n";
    }
    snippets.push_back(std::move(snippet));
  }
  return snippets;
}

const PluginHost& Host() {
  static const PluginHost* const kHost = [] {
    auto* host = new PluginHost(OwnFingerprint());
    host->LoadFolder(BITLAW_TEST_PLUGIN_DIR);
    return host;
  }();
  return *kHost;
}

void ExpectOptions(const OptionSchema& schema, const Value& map, const std::vector<std::string>& own, bool may_be_part) {
  for (const auto& [key, value] : map.AsMap()) {
    if (std::find(own.begin(), own.end(), key) != own.end()) continue;
    const OptionField* field = schema.Find(key);
    if (field == nullptr) {
      ADD_FAILURE() << "'" << key << "' is not an option. Options: " << JoinNames(schema.names());
      continue;
    }
    std::vector<std::string> faults;
    if (OptionSchema::IsAxis(*field, value)) {
      for (const Value& one : value.AsList()) OptionSchema::ResolveOne(*field, one, "the page", &faults);
    } else if (!may_be_part || field->type != OptionType::kGroup) {
      OptionSchema::ResolveOne(*field, value, "the page", &faults);
    }
    EXPECT_THAT(faults, ::testing::IsEmpty());
  }
}

void CheckQuantize(const Value& entries) {
  for (const Value& entry : entries.AsList()) {
    if (entry.is_string()) continue;
    const Value* quantizer = entry.Find("quantizer");
    ASSERT_NE(quantizer, nullptr) << entry.Text();
    static const OptionSchema kNone;
    const bool keeps = quantizer->AsString() == kKeepWeights;
    ExpectOptions(keeps ? kNone : Host().Find(ComponentKind::kQuantizer, quantizer->AsString()).schema, entry, SpecKeysOf("quantize"),
                  false);
    if (const Value* calibration = entry.Find("calibration")) {
      Faults faults;
      MapReader(*calibration, "calibration", "'calibration'", faults);
      EXPECT_TRUE(faults.empty());
    }
  }
}

void CheckStudyParts(const Value& study) {
  for (const auto& [key, value] : study.AsMap()) {
    if (key == "quantize") CheckQuantize(value);
    if (key == "corpora") {
      for (const auto& [name, corpus] : value.AsMap()) {
        const Value* type = corpus.Find("type");
        ASSERT_NE(type, nullptr) << name;
        ExpectOptions(Host().Find(ComponentKind::kCorpus, type->AsString()).schema, corpus, {"type"}, false);
      }
    }
    if (key == "laws") {
      for (const Value& law : value.AsList()) {
        if (law.is_string() || law.Find("law") != nullptr) continue;
        const Value* type = law.Find("type");
        const auto& schema = Host().Find(ComponentKind::kLaw, type == nullptr ? "formula" : type->AsString()).schema;
        ExpectOptions(schema, law, {"name", "type"}, false);
      }
    }
  }
}

TEST(Pages, ShowYamlThatIsAccepted) {
  size_t checked = 0;
  for (const fs::path& page : Pages()) {
    if (page == kRoot / "docs/plugins/README.md") continue;  // Its study needs the page's own plugins: tests/guide runs it.
    for (const Snippet& snippet : SnippetsOf(page)) {
      SCOPED_TRACE(snippet.place);
      try {
        const Value value = ParseYaml(snippet.text, snippet.place);
        ASSERT_TRUE(value.is_map());
        const std::vector<std::string>& keys = SpecKeysOf("study");
        const bool is_study = std::any_of(value.AsMap().begin(), value.AsMap().end(), [&](const auto& entry) {
          return std::find(keys.begin(), keys.end(), entry.first) != keys.end();
        });
        if (is_study) {
          for (const auto& [key, part] : value.AsMap()) {
            EXPECT_NE(std::find(keys.begin(), keys.end(), key), keys.end()) << "'" << key << "' is not a key of a study";
          }
          CheckStudyParts(value);
        } else if (value.Find("formula") != nullptr) {
          ExpectOptions(Host().Find(ComponentKind::kLaw, "formula").schema, value, SpecKeysOf("law file"), false);
        } else {
          ExpectOptions(Host().Find(ComponentKind::kTask, "short_answer").schema, value, SpecKeysOf("task file"), true);
        }
        ++checked;
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
  EXPECT_GE(checked, 10u);
}

TEST(Pages, LinkToWhatIsThere) {
  static const std::regex kLink("\\]\\(([^)#]+)(#[^)]*)?\\)"), kPage("\\b((?:docs|configs|examples|plugins)/[A-Za-z0-9_./-]+\\.md)\\b");
  for (const fs::path& page : Pages()) {
    const std::vector<std::string> lines = LinesOf(page);
    bool is_code = false;
    for (size_t i = 0; i < lines.size(); ++i) {
      is_code ^= lines[i].starts_with("```");
      if (is_code) continue;  // [](int x) in C++ is no link.
      SCOPED_TRACE(fs::relative(page, kRoot).string() + ":" + std::to_string(i + 1));
      for (auto link = std::sregex_iterator(lines[i].begin(), lines[i].end(), kLink); link != std::sregex_iterator(); ++link) {
        const std::string target = (*link)[1];
        if (target.find("://") != std::string::npos || target.starts_with("mailto:")) continue;
        EXPECT_TRUE(fs::exists(page.parent_path() / target)) << target;
      }
      for (auto link = std::sregex_iterator(lines[i].begin(), lines[i].end(), kPage); link != std::sregex_iterator(); ++link) {
        const std::string target = (*link)[1];
        EXPECT_TRUE(fs::exists(kRoot / target) || fs::exists(page.parent_path() / target)) << target;
      }
    }
  }
}

}  // namespace
}  // namespace bitlaw
