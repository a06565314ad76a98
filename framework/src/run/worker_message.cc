#include "run/worker_message.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"
#include "plan/work_study.h"

namespace bitlaw {
namespace {

constexpr const char* kKinds[] = {"ready", "stage", "calibration", "task", "warning", "done", "failed"};

Value Number(double value) { return std::isfinite(value) ? Value(value) : Value(); }

std::string TextOf(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  return value != nullptr && value->is_string() ? value->AsString() : "";
}

bool FlagOf(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  return value != nullptr && value->is_bool() && value->AsBool();
}

double NumberOf(const Value& map, const char* key) {
  const Value* value = map.Find(key);
  return value != nullptr && value->is_number() ? value->AsReal() : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

std::string ToLine(const WorkerMessage& message) {
  const Value value = Value::Map{{"bitlaw", kKinds[static_cast<int>(message.kind)]},
                                 {"text", message.text},
                                 {"entry", message.entry},
                                 {"digest", message.digest},
                                 {"task", message.task},
                                 {"metric", message.metric},
                                 {"value", Number(message.value)},
                                 {"standard_error", Number(message.standard_error)},
                                 {"elapsed_s", Number(message.elapsed_s)},
                                 {"found", message.found},
                                 {"error_kind", message.error_kind},
                                 {"spent", message.spent}};
  return value.CanonicalJson() + "\n";
}

std::optional<WorkerMessage> FromLine(std::string_view line) {
  Value value;
  try {
    value = ParseJson(line, "worker");
  } catch (const Error&) {
    return std::nullopt;
  }
  if (!value.is_map()) return std::nullopt;
  const std::string kind = TextOf(value, "bitlaw");
  for (size_t i = 0; i < std::size(kKinds); ++i) {
    if (kind != kKinds[i]) continue;
    WorkerMessage message;
    message.kind = static_cast<WorkerMessage::Kind>(i);
    message.text = TextOf(value, "text");
    message.entry = TextOf(value, "entry");
    message.digest = TextOf(value, "digest");
    message.task = TextOf(value, "task");
    message.metric = TextOf(value, "metric");
    message.value = NumberOf(value, "value");
    message.standard_error = NumberOf(value, "standard_error");
    message.elapsed_s = NumberOf(value, "elapsed_s");
    message.found = FlagOf(value, "found");
    message.spent = FlagOf(value, "spent");
    message.error_kind = TextOf(value, "error_kind");
    return message;
  }
  return std::nullopt;
}

std::string ToOrderLine(const TrialOrder& order) {
  // Keys keep their order, and with it the options of a quantizer theirs. A line end within a text is written as \n.
  std::string line = PrettyJson(Value::Map{{"trial", TrialJson(order.trial)},
                                           {"weights_digest", order.weights_digest},
                                           {"code_digest", order.code_digest},
                                           {"work_digest", order.work_digest},
                                           {"claim", order.claim}});
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

TrialOrder FromOrderLine(const std::string& line) {
  const Value json = ParseJson(line, "order");
  const Value* trial = json.Find("trial");
  TrialOrder order;
  order.trial = ReadTrialJson(trial == nullptr ? Value() : *trial, "order");
  order.weights_digest = TextOf(json, "weights_digest");
  order.code_digest = TextOf(json, "code_digest");
  order.work_digest = TextOf(json, "work_digest");
  order.claim = TextOf(json, "claim");
  return order;
}

}  // namespace bitlaw
