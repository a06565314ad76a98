#include "import/lm_eval_file.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "spec/study_spec.h"

namespace bitlaw {

namespace {

constexpr std::string_view kTag = "!function ";
constexpr uint64_t kMaxBytes = 16 << 20;
constexpr int kMaxIncludes = 20;

const std::set<std::string_view> kBooleans = {"do_sample",          "higher_is_better",     "ignore_case",
                                              "ignore_punctuation", "ignore_numbers",       "trust_remote_code",
                                              "weight_by_size",     "should_decontaminate", "unsafe_code"};
const std::set<std::string_view> kMayBeEmpty = {"dataset_kwargs",   "dataset_name", "training_split",
                                                "validation_split", "test_split",   "fewshot_split"};

// The first character of the next line that is neither empty nor a comment.
std::string_view BeginAfter(std::string_view text, size_t line_end) {
  while (line_end < text.size()) {
    const size_t begin = line_end + 1;
    line_end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(std::min(begin, text.size()), line_end - std::min(begin, line_end));
    const std::string_view inner = Trim(line);
    if (!inner.empty() && !inner.starts_with('#')) return line.substr(0, 1);
  }
  return {};
}

// What PyYAML, which reads YAML 1.1, takes for null and booleans, in the words of the strict reader; of keys whose
// values are never texts, so that a line of a prompt stays as it is.
std::string WithPlainWords(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    const std::string_view next = BeginAfter(text, end);
    at = end + 1;
    const size_t begin = std::min(line.find_first_not_of(" -"), line.size());
    const size_t colon = line.find(':', begin);
    std::string_view key, value;
    if (colon != std::string_view::npos) {
      key = line.substr(begin, colon - begin);
      value = Trim(line.substr(colon + 1, line.find('#', colon) - colon - 1));
    }
    const bool is_true = value == "True" || value == "TRUE", is_false = value == "False" || value == "FALSE";
    if (kBooleans.contains(key) && (is_true || is_false)) {
      out += std::string(line.substr(0, colon)) + (is_true ? ": true" : ": false");
    } else if (begin == 0 && kMayBeEmpty.contains(key) && value.empty() && next != " " && next != "-") {
      out += std::string(key) + ": null";
    } else if (line.starts_with("dataset_kwargs:") || line.ends_with(": !!null \"null\"")) {
      out +=
          ReplaceAll(ReplaceAll(line, "trust_remote_code: True", "trust_remote_code: true"), "!!null \"null\"", "null");
    } else {
      out += line;
    }
    if (end < text.size()) out += '\n';
  }
  return out;
}

// The tag and its function in quotes, so that the strict reader takes both for a text.
std::string WithQuotedFunctions(const std::string& text) {
  std::string out;
  size_t at = 0;
  for (size_t hit; (hit = text.find(kTag, at)) != std::string::npos;) {
    size_t begin = hit + kTag.size();
    while (begin < text.size() && text[begin] == ' ') ++begin;
    const bool is_quoted = begin < text.size() && (text[begin] == '\'' || text[begin] == '"');
    if (is_quoted) ++begin;
    size_t end = begin;
    while (end < text.size() && std::string_view(" \t\r\n,}]#'\"").find(text[end]) == std::string_view::npos) ++end;
    const size_t before = hit == 0 ? std::string::npos : text.find_last_not_of(' ', hit - 1);
    const bool is_value = before != std::string::npos && (text[before] == ':' || text[before] == '-');
    out += text.substr(at, hit - at);
    out += is_value ? "'" + std::string(kTag) + text.substr(begin, end - begin) + "'" : text.substr(hit, end - hit);
    at = end + (is_value && is_quoted ? 1 : 0);
  }
  return out + text.substr(at);
}

Value Read(const std::filesystem::path& path, int depth) {
  Value own = ParseYaml(WithQuotedFunctions(WithPlainWords(ReadRegularFile(path, kMaxBytes))), path.string());
  if (!own.is_map()) throw Error(ErrorKind::kSpec, own.mark().Text() + ": the file is no map of keys.");
  const Value* include = own.Find("include");
  if (include == nullptr) return own;
  if (!include->is_string()) throw Error(ErrorKind::kSpec, include->mark().Text() + ": include is no file's name.");
  if (depth == kMaxIncludes) {
    throw Error(ErrorKind::kSpec,
                include->mark().Text() + ": more than " + std::to_string(kMaxIncludes) + " files include each other.");
  }
  Value merged = Read(path.parent_path() / include->AsString(), depth + 1);
  for (const auto& [key, value] : own.AsMap()) merged.Set(key, value);
  merged.set_mark(own.mark());
  return merged;
}

}  // namespace

Value ReadLmEvalFile(const std::filesystem::path& path) { return Read(path, 0); }

bool IsLmEvalFunction(const Value& value) { return value.is_string() && value.AsString().starts_with(kTag); }

}  // namespace bitlaw
