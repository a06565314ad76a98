#include "import/lm_eval_file.h"

#include <regex>
#include <string_view>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "spec/study_spec.h"

namespace bitlaw {

namespace {

constexpr std::string_view kTag = "!function ";
constexpr uint64_t kMaxBytes = 16 << 20;
constexpr int kMaxIncludes = 20;

// What PyYAML, which reads YAML 1.1, takes for null and booleans, in the words of the strict reader; of keys whose
// values are never texts, so that a line of a prompt stays as it is.
std::string WithPlainWords(const std::string& text) {
  static const std::regex kBoolean(
      "(^|\n)([ -]*(?:do_sample|higher_is_better|ignore_case|ignore_punctuation|ignore_numbers|should_decontaminate|"
      "trust_remote_code|weight_by_size|unsafe_code|streaming): +)(?:(True|TRUE)|(False|FALSE))(?=[ "
      "\r]*(?:#[^\n]*)?(?:\n|$))");
  static const std::regex kEmpty(
      "(^|\n)((?:dataset_kwargs|dataset_name|training_split|validation_split|test_split|fewshot_split|tag):)(?=[ "
      "\r]*\n[^ \n-])");
  std::string out;
  size_t at = 0;
  for (std::sregex_iterator hit(text.begin(), text.end(), kBoolean), end; hit != end; ++hit) {
    out += text.substr(at, static_cast<size_t>(hit->position()) - at) + hit->str(1) + hit->str(2) +
           ((*hit)[3].matched ? "true" : "false");
    at = static_cast<size_t>(hit->position() + hit->length());
  }
  return std::regex_replace(out + text.substr(at), kEmpty, "$1$2 null");
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
