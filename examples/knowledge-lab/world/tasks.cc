#include "tasks.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "bitlaw/base/error.h"

namespace bitlaw::lab {
namespace {

using Json = nlohmann::ordered_json;

struct TaskForm {
  const char* name;
  Kind kind;
  const char* stratum;
  size_t choices;  // 0: generation with exact match.
  const char* description;
};

constexpr TaskForm kForms[] = {
    {"fact", Kind::kFact, "KM", 0, "A relation of a person, asked in the form in which it was learned."},
    {"paraphrase", Kind::kParaphrase, "KM", 0,
     "A relation of a person, asked in a form in which this fact was never seen."},
    {"recall", Kind::kFact, "KM", 4, "A relation of a person, chosen among four values of that relation."},
    {"rule", Kind::kRule, "KA", 0, "A property of a new creature by the rule of its class, beside others."},
    {"inherit", Kind::kInherit, "KA", 0, "A property that a new creature's class has from its group."},
    {"speak", Kind::kSpeak, "KA", 0, "A dictionary applied to a new sentence of three words."},
    {"decline", Kind::kDecline, "KA", 4,
     "Endings of two nouns in a case in which they were never seen, chosen among four."},
    {"arith", Kind::kArith, "KR", 0, "Two to six operations modulo 23 or 113, all alike often, step by step."},
    {"walk", Kind::kWalk, "KR", 4,
     "Four to six doors between rooms, all alike often, the right way chosen among four."},
    {"order", Kind::kOrder, "KR", 4,
     "The first, second or last of five to eight things in a row (training has up to six), chosen among them."},
    {"hop", Kind::kHop, "KR", 0, "Four to six links followed, step by step."},
    {"swap", Kind::kSwap, "KR", 0, "What four cups hold after three or four exchanges, step by step."},
};

void Write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream out(path, std::ios::binary);
  out << text;
  if (!out.flush()) throw Error(ErrorKind::kIo, path.string() + ": cannot be written.");
}

}  // namespace

void WriteTasks(const World& world, const TaskFiles& files, const std::filesystem::path& folder) {
  for (const TaskForm& form : kForms) {
    const std::string name = files.prefix + "_" + form.name;
    std::string lines;
    for (const Item& item : world.Items(form.kind, files.items, form.choices, form.choices)) {
      Json line = {{"question", item.prompt}};
      if (form.choices > 0) {
        line["choices"] = item.choices;
        line["answer"] = item.answer_index;
      } else {
        line["answers"] = Json::array({item.answer});
      }
      lines += line.dump() + "\n";
    }
    Write(folder / "tasks" / files.prefix / (name + ".jsonl"), lines);
    // A text of the lab begins with a space: every word is one token with its space.
    std::string yaml = fmt::format(
        "# Made by: bitlaw_lab tasks. {} items.\ntype: {}\nversion: \"1\"\nstratum: {}\ndescription: {}\n"
        "licence: Apache-2.0\ndata: {}.jsonl\nprompt: \" {{{{question}}}}\"\n",
        files.items, form.choices > 0 ? "multiple_choice" : "short_answer", form.stratum, form.description, name);
    yaml += form.choices > 0 ? "metrics: [acc]\n" : "until: [\" .\"]\nmax_new_tokens: 24\nnormalization: none\n";
    Write(folder / "tasks" / files.prefix / (name + ".yaml"), yaml);
  }
  const std::pair<Domain, const char*> domains[] = {
      {Domain::kGeneral, "general"}, {Domain::kFacts, "facts"}, {Domain::kReasoning, "reasoning"}};
  for (const auto& [domain, name] : domains) {
    // Training text is drawn from other streams of the generator (train.cc), so that these lines are new draws.
    Rng rng = Rng(777001).Fork(static_cast<uint64_t>(domain));
    std::string lines;
    for (size_t tokens = 0; tokens < files.text_tokens;) {
      const Line line = world.Training(rng, domain);
      tokens += world.vocabulary().Encode(line.prompt + " " + line.answer + " .").size();
      lines += Json{{"text", " " + line.prompt + " " + line.answer + " ."}}.dump() + "\n";
    }
    Write(folder / "text" / (files.prefix + "_" + name + ".jsonl"), lines);
  }
}

}  // namespace bitlaw::lab
