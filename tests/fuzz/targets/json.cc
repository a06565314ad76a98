// JSON, JSON lines, and the lines by which a worker talks to its launcher.
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/data/jsonl.h"
#include "fuzz/target.h"
#include "run/worker_message.h"

namespace bitlaw::fuzz {
namespace {

void Json(std::string_view input) {
  const Value value = ParseJson(input, "input");
  const std::string text = value.CanonicalJson();
  Require(ParseJson(text, "canonical") == value, "JSON: the canonical text reads back to the value");
  Require(ParseJson(PrettyJson(value), "pretty") == value, "JSON: the indented text reads back to the value");
  Require(!value.Text().empty() || (value.is_string() && value.AsString().empty()), "JSON: a value has a text");
}

void JsonLines(std::string_view input) {
  for (const Value& row : ReadJsonl(WriteScratch("rows.jsonl", input))) {
    Require(row.is_map() && row.mark().line > 0, "JSONL: each row is a map with a place");
  }
}

void WorkerLine(std::string_view input) {
  const std::optional<WorkerMessage> message = FromLine(input);
  if (!message) return;
  const std::string line = ToLine(*message);
  const std::optional<WorkerMessage> again = FromLine(line);
  Require(again.has_value() && ToLine(*again) == line, "worker line: a message that is sent on stays the same");
}

const Register kJson("json", Json);
const Register kJsonLines("jsonl", JsonLines);
const Register kWorkerLine("worker_line", WorkerLine);

}  // namespace
}  // namespace bitlaw::fuzz
