#include "fuzz/plugins.h"

#include <string>

#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "fuzz/target.h"

namespace bitlaw::fuzz {

namespace fs = std::filesystem;

const PluginHost& Host() {
  static const PluginHost* const host = [] {
    auto* made = new PluginHost(OwnFingerprint());
    try {
      made->LoadFile(BITLAW_FUZZ_FIXTURE);
      made->LoadFile(BITLAW_FUZZ_GRID);
      for (const char* name : {"bitlaw_task_cloze", "bitlaw_task_multiple_choice", "bitlaw_task_perplexity",
                               "bitlaw_task_short_answer", "bitlaw_law_formula", "bitlaw_corpus_text"}) {
        made->LoadFile(fs::path(BITLAW_FUZZ_PLUGINS) / (std::string(name) + ".so"));
      }
    } catch (const Error& error) {
      Require(false, error.what());
    }
    return made;
  }();
  return *host;
}

const fs::path& StudyHome() {
  static const auto* const home = [] {
    const auto model = [](const std::string& name, int hidden) {
      const std::string h = std::to_string(hidden);
      WriteScratch("study/models/" + name + ".shapes.json",
                   "{\"architecture\": \"toy\", \"hidden_size\": " + h +
                       ", \"num_blocks\": 2, \"vocab_size\": 100, \"max_positions\": 2048, \"linears\": [{\"name\": "
                       "\"q\", \"in\": " + h + ", \"out\": " + h + "}]}");
    };
    model("small", 64);
    model("large", 128);
    WriteScratch("study/text.txt", "Some words to calibrate on, and then a few more of them.\n");
    WriteScratch("study/tasks/one.yaml", "type: fixture\nquestion: Why?\n");
    WriteScratch("study/laws/line.yaml", "formula: A * N\nparameters: {A: {}}\n");
    return new fs::path(ScratchFolder() / "study");
  }();
  return *home;
}

AtStudyHome::AtStudyHome() : before_(fs::current_path()) { fs::current_path(StudyHome()); }
AtStudyHome::~AtStudyHome() { fs::current_path(before_); }

}  // namespace bitlaw::fuzz
