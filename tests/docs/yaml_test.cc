// The YAML that the pages show, decoded by the reader of studies. A part of a study is completed to one first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "docs/pages.h"
#include "fit/options/fit_options.h"
#include "plan/evaluate_options.h"
#include "plugin/host.h"
#include "spec/decoder.h"
#include "spec/study_reader.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

// A piece of YAML on a page: a fenced block, or an indented one that begins with a key of a study, task or law.
struct Snippet {
  std::string place, text;
};

std::vector<Snippet> SnippetsOf(const fs::path& page) {
  static const std::set<std::string> kKeys = {"bitlaw",    "models",  "corpora",  "quantize", "tasks",   "strata",
                                              "laws",      "fit",     "evaluate", "map",      "figures", "compute",
                                              "quantizer", "formula", "type",     "extract",  "prompt",  "data"};
  std::vector<Snippet> snippets;
  for (const Block& block : BlocksOf(page)) {
    if (block.lines.empty()) continue;
    const size_t colon = block.lines.front().find(':');
    const bool begins = colon != std::string::npos && kKeys.count(block.lines.front().substr(0, colon)) != 0;
    if (block.is_fenced ? block.language != "yaml" : !begins) continue;
    Snippet snippet{block.place, ""};
    for (const std::string& line : block.lines) snippet.text += line + "\n";
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

bool Holds(const std::vector<std::string>& keys, const std::string& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

class DocsYaml : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "bitlaw-docs-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    ::setenv("BITLAW_DATA", folder_.c_str(), 1);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Stands in for a model: what its backend knows it by.
  void MakeModel(std::string path) const {
    std::replace(path.begin(), path.end(), '*', 'x');
    const fs::path place = folder_ / path;
    fs::create_directories(place.parent_path());
    if (place.extension() == ".gguf") {
      std::ofstream(place) << "GGUF\3" << std::string(64, '\0');
    } else if (!fs::exists(place)) {
      fs::create_directory_symlink(SourceRoot() / "examples/knowledge-lab/models/lab-qwen3-123k", place);
    }
  }

  static void FindCorpora(const Value& value, std::set<std::string>& names) {
    if (value.is_list()) {
      for (const Value& one : value.AsList()) FindCorpora(one, names);
    } else if (value.is_map()) {
      for (const auto& [key, one] : value.AsMap()) {
        if (key == "corpus" || key == "calibration.corpus") {
          for (const Value& name : one.is_list() ? one.AsList() : Value::List{one}) names.insert(name.AsString());
        } else {
          FindCorpora(one, names);
        }
      }
    }
  }

  // What a study must have beside the part that a page shows.
  Value Completed(const Value& part) const {
    Value study = part;
    if (study.Find("bitlaw") == nullptr) study.Set("bitlaw", 1);
    if (study.Find("study") == nullptr) study.Set("study", "page");
    if (study.Find("models") == nullptr) study.Set("models", Value::List{"models/one"});
    for (const Value& model : study.Find("models")->AsList())
      MakeModel((model.is_map() ? *model.Find("path") : model).AsString());
    std::set<std::string> corpora;
    if (const Value* quantize = study.Find("quantize")) FindCorpora(*quantize, corpora);
    if (study.Find("corpora") == nullptr && !corpora.empty()) {
      Value map = Value::Map{};
      for (const std::string& name : corpora)
        map.Set(name, Value::Map{{"type", "text"}, {"path", name + ".txt"}, {"mode", "concatenate"}});
      study.Set("corpora", map);
    }
    if (const Value* strata = study.Find("strata"); strata != nullptr && study.Find("tasks") == nullptr) {
      Value::List tasks;
      for (const auto& [name, members] : strata->AsMap())
        tasks.insert(tasks.end(), members.AsList().begin(), members.AsList().end());
      study.Set("tasks", tasks);
    }
    return study;
  }

  StudySpec ReadAsStudy(const Value& study) const {
    std::ofstream(folder_ / "study.yaml") << study.CanonicalJson();
    return ReadStudy(folder_ / "study.yaml", Host(), {SourceRoot() / "configs"});
  }

  void CheckStudy(const Value& part) const {
    const StudySpec study = ReadAsStudy(Completed(part));
    ReadFitSettings(study.fit);  // run resolves these two.
    EvaluateOptions::Schema().Resolve(study.evaluate, "evaluate");
  }

  // A task file as a whole, or some of its keys.
  void CheckTask(const Value& value) const {
    if (value.Find("type") != nullptr) {
      std::ofstream(folder_ / "page.yaml") << value.CanonicalJson();
      ReadTask((folder_ / "page.yaml").string(), Value(), Host(), {}, {folder_.string()});
      return;
    }
    const OptionSchema& schema = Host().Find(ComponentKind::kTask, "short_answer").schema;
    std::vector<std::string> faults;
    for (const auto& [key, one] : value.AsMap()) {
      if (Holds(SpecKeysOf("task file"), key)) continue;
      const OptionField* field = schema.Find(key);
      if (field == nullptr) {
        ADD_FAILURE() << "'" << key << "' is not an option of a task. Options: " << JoinNames(schema.names());
      } else if (field->type != OptionType::kGroup) {
        OptionSchema::ResolveOne(*field, one, "the page", &faults);
      }
    }
    EXPECT_THAT(faults, ::testing::IsEmpty());
  }

  // What a snippet is, by its keys. Throws what its reader says of it.
  void Check(const Value& value) const {
    const bool is_study = std::any_of(value.AsMap().begin(), value.AsMap().end(),
                                      [&](const auto& entry) { return Holds(SpecKeysOf("study"), entry.first); });
    if (is_study) return CheckStudy(value);
    if (value.Find("quantizer") != nullptr) return CheckStudy(Value::Map{{"quantize", Value::List{value}}});
    if (value.Find("formula") == nullptr) return CheckTask(value);
    Value law = value;
    if (law.Find("name") == nullptr) law.Set("name", "page");
    CheckStudy(Value::Map{{"laws", Value::List{law}}});
  }

  fs::path folder_;
};

TEST_F(DocsYaml, IsAcceptedByTheReader) {
  size_t checked = 0;
  for (const fs::path& page : Pages()) {
    if (page == SourceRoot() / "docs/plugins/README.md")
      continue;  // Its study needs the page's own plugins: tests/guide runs it.
    for (const Snippet& snippet : SnippetsOf(page)) {
      SCOPED_TRACE(snippet.place);
      try {
        const Value value = ParseYaml(snippet.text, snippet.place);
        ASSERT_TRUE(value.is_map());
        Check(value);
        ++checked;
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
  }
  EXPECT_GE(checked, 20u);
}

// A page with a mistake does not pass.
TEST_F(DocsYaml, IsRefusedWhereItIsWrong) {
  for (const char* text :
       {"quantize:\n  - {quantizer: gptq, bitz: 4}\n", "quantize:\n  - {quantizer: gptq, bits: 40}\n",
        "fit: {bootstrapp: 1}\n", "evaluate: {batch_tokens: none}\n", "formula: A * N^\n", "tasks: [arc_eazy]\n",
        "study: x\nmodells: [a]\n", "figures:\n  - {name: a, x: N}\n"}) {
    EXPECT_THROW(Check(ParseYaml(text, "page")), Error) << text;
  }
}

}  // namespace
}  // namespace bitlaw
