#include "tasks.h"

#include <fmt/format.h>

#include <cmath>
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
    {"born", Kind::kBorn, "KM", 0, "A number of two words that belongs to a person."},
    {"recall", Kind::kFact, "KM", 4, "A relation of a person, chosen among four values of that relation."},
    {"rule", Kind::kRule, "KA", 0, "A property of a new creature, by the rule of its class."},
    {"inherit", Kind::kInherit, "KA", 0, "A property of a new creature that its class has from its group."},
    {"speak", Kind::kSpeak, "KA", 0, "A dictionary applied to a new sentence of two words in a mode."},
    {"decline", Kind::kDecline, "KA", 4,
     "The ending of a noun in a case in which it was never seen, chosen among four."},
    {"arith", Kind::kArith, "KR", 0, "One to sixteen operations modulo 23 or 113, step by step."},
    {"walk", Kind::kWalk, "KR", 0, "One to sixteen doors between the rooms of a house, step by step."},
    {"hop", Kind::kHop, "KR", 0,
     "One to sixteen links followed, of which each, each second or each fourth is written."},
    {"order", Kind::kOrder, "KR", 0,
     "The first of three to twelve things in a row (training has up to eight), or one of them alone."},
    {"swap", Kind::kSwap, "KR", 4,
     "What four cups hold after one to sixteen exchanges, of which each, each second or each fourth is written, chosen "
     "among four."},
};

// The decade of a frequency.
std::string Band(double frequency) {
  return frequency < 1 ? "below_1" : frequency < 10 ? "from_1" : frequency < 100 ? "from_10" : "from_100";
}

bool HasStride(Kind kind) { return kind == Kind::kHop || kind == Kind::kOrder || kind == Kind::kSwap; }

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
      if (item.steps > 0) line["steps"] = item.steps;
      if (HasStride(form.kind)) line["stride"] = item.stride;
      if (item.frequency > 0) {
        line["frequency"] = std::round(item.frequency * 1000) / 1000;
        line["band"] = Band(item.frequency);
      }
      lines += line.dump() + "\n";
    }
    Write(folder / "tasks" / files.prefix / (name + ".jsonl"), lines);
    // A text of the lab begins with a space: every word is one token with its space.
    const bool has_steps = form.stratum == std::string_view("KR");
    std::string yaml = fmt::format(
        "# Made by: bitlaw_lab tasks. {} items.\ntype: {}\nversion: \"2\"\nstratum: {}\ndescription: {}\n"
        "licence: Apache-2.0\ndata: {}.jsonl\nprompt: \" {{{{question}}}}\"\ngroup_field: {}\nitem_factors: [{}]\n",
        files.items, form.choices > 0 ? "multiple_choice" : "short_answer", form.stratum, form.description, name,
        has_steps ? "steps" : "band", !has_steps ? "frequency" : HasStride(form.kind) ? "steps, stride" : "steps");
    yaml += form.choices > 0 ? "metrics: [acc]\n"
                             : "metrics: [exact_match, bits_per_byte]\nuntil: [\" .\"]\nmax_new_tokens: 56\n"
                               "normalization: none\n";
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
