#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <unordered_set>

#include "bitlaw/base/error.h"
#include "bitlaw/base/regular_file.h"
#include "spec/find_files.h"
#include "spec/study_spec.h"
#include "spec/yaml_scalar.h"

namespace bitlaw {
namespace {

constexpr uintmax_t kMaxBytes = 16 << 20;
constexpr size_t kMaxDepth = 100;
// What aliases stand for counts each time they are used.
constexpr size_t kMaxNodes = 1'000'000;
constexpr size_t kMaxTextBytes = size_t{64} << 20;
constexpr size_t kMaxFaults = 50;

[[noreturn]] void Throw(const std::vector<std::string>& faults) {
  std::string text;
  for (const std::string& fault : faults) text += (text.empty() ? "" : "\n") + fault;
  throw Error(ErrorKind::kSpec, text);
}

// YAML's own escape for characters beyond \uFFFF is \U0001F600; JSON, which is YAML, writes two halves, \ud83d\ude00,
// and yaml-cpp refuses these. In the whole text each such pair becomes the long escape and two marks, of the same
// length together, so that places stay right. In a double-quoted text the parser then makes the character of it, and
// WithoutPairMarks() takes the marks out; everywhere else it puts back what was written. The marks are control
// characters, which no YAML file may hold; they tell which of the pair's digits were capitals.
constexpr char kPairMark = 0x0E;

bool IsHexDigit(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

// The surrogate that "\uXXXX" at `at` stands for, or 0.
unsigned SurrogateAt(std::string_view text, size_t at) {
  if (at + 6 > text.size() || text.substr(at, 2) != "\\u") return 0;
  const std::string_view digits = text.substr(at + 2, 4);
  if (!std::all_of(digits.begin(), digits.end(), IsHexDigit)) return 0;
  const unsigned code = static_cast<unsigned>(std::stoul(std::string(digits), nullptr, 16));
  return code >= 0xD800 && code <= 0xDFFF ? code : 0;
}

char CapitalsMark(std::string_view digits) {
  int capitals = 0;
  for (const char c : digits) capitals = capitals * 2 + (c >= 'A' && c <= 'F' ? 1 : 0);
  return static_cast<char>(kPairMark + capitals);
}

std::string HexDigits(unsigned code, int count, int capitals) {
  std::string digits;
  for (int i = count - 1; i >= 0; --i) {
    const char* letters = ((capitals >> i) & 1) != 0 ? "0123456789ABCDEF" : "0123456789abcdef";
    digits += letters[(code >> (4 * i)) & 15];
  }
  return digits;
}

std::string WithPairMarks(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '\\') {
      out += text[at++];
      continue;
    }
    const unsigned high = SurrogateAt(text, at), low = SurrogateAt(text, at + 6);
    if (high >= 0xD800 && high < 0xDC00 && low >= 0xDC00) {
      out += "\\U" + HexDigits(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00), 8, 0);
      out += CapitalsMark(std::string_view(text).substr(at + 2, 4));
      out += CapitalsMark(std::string_view(text).substr(at + 8, 4));
      at += 12;
    } else {
      // A backslash takes the character after it along: in "\\\\ud83d" there is no escape of a surrogate.
      out += text.substr(at, 2);
      at += 2;
    }
  }
  return out;
}

std::string WithoutPairMarks(const std::string& scalar) {
  const auto is_mark = [](char c) { return c >= kPairMark && c < kPairMark + 16; };
  std::string out;
  for (size_t at = 0; at < scalar.size(); ++at) {
    if (!is_mark(scalar[at]) || at + 1 >= scalar.size() || !is_mark(scalar[at + 1])) {
      out += scalar[at];
      continue;
    }
    const int first = scalar[at++] - kPairMark, second = scalar[at] - kPairMark;
    const bool is_escape = out.size() >= 10 && out.compare(out.size() - 10, 2, "\\U") == 0 &&
                           std::all_of(out.end() - 8, out.end(), IsHexDigit);
    if (!is_escape) continue;  // The parser has made the character of it.
    const unsigned code = static_cast<unsigned>(std::stoul(out.substr(out.size() - 8), nullptr, 16)) - 0x10000;
    out.resize(out.size() - 10);
    out += "\\u" + HexDigits(0xD800 + (code >> 10), 4, first) + "\\u" + HexDigits(0xDC00 + (code & 0x3FF), 4, second);
  }
  return out;
}

/// Builds a Value tree from the parser's events; collects what is ambiguous and stops at what is broken.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& text, const std::string& origin) : text_(text), origin_(origin) {
    for (size_t at = 0; at < text.size(); ++at) {
      if (at == 0 || text[at - 1] == '\n') line_starts_.push_back(at);
    }
  }

  Value root;
  std::vector<std::string> faults;

  SourceMark Place(const YAML::Mark& mark) const {
    // yaml-cpp counts lines, and bytes within a line, from 0; people count characters from 1.
    int column = mark.column + 1;
    if (mark.line >= 0 && static_cast<size_t>(mark.line) < line_starts_.size()) {
      const size_t start = line_starts_[mark.line];
      const size_t end = std::min(text_.size(), start + std::max(0, mark.column));
      column -= static_cast<int>(
          std::count_if(text_.begin() + start, text_.begin() + end, [](char c) { return (c & 0xC0) == 0x80; }));
    }
    return {origin_, mark.line + 1, column};
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0) {
      Stop(Place(mark), "a second YAML document begins. A file holds one; remove the '---' line or split the file.");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    // The parser reports "~", "null", "Null" and an empty value alike: the text tells them apart.
    Value value;
    const SourceMark place = Place(mark);
    const size_t at = mark.pos < 0 ? text_.size() : std::min<size_t>(mark.pos, text_.size());
    std::string_view word(text_);
    word = word.substr(at);
    const std::string_view spelled = word.starts_with("~") ? word.substr(0, 1) : word.substr(0, 4);
    if (spelled == "~" || spelled == "Null" || spelled == "NULL") {
      std::string fault;
      ReadPlainScalar(spelled, &fault);
      AddFault(place, fault);
    }
    if (ExpectsKey()) Stop(place, "a key is empty or null. Write the key's name.");
    const bool is_written = spelled == "~" || (Lower(spelled) == "null" && !ContinuesWord(word.substr(4)));
    if (!is_written && !open_.empty()) AddMissing(place);
    value.set_mark(place);
    Add(std::move(value), {1, 0}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (ExpectsKey()) Stop(Place(mark), "an alias stands where a key is expected. Write the key's name.");
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) Stop(Place(mark), "an alias stands inside the value that it refers to.");
    Add(found->second.value, found->second.size, 0, Place(mark));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& scalar) override {
    const SourceMark place = Place(mark);
    const std::string value = WithoutPairMarks(scalar);
    CheckTag(place, tag);
    const bool is_plain = tag == "?";
    if (ExpectsKey()) {
      TakeKey(place, value, is_plain);
      return;
    }
    std::string fault;
    Value read = is_plain ? ReadPlainScalar(value, &fault) : Value(value);
    if (!fault.empty()) AddFault(place, fault);
    read.set_mark(place);
    Add(std::move(read), {1, value.size()}, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Place(mark), tag, anchor, Value::List{});
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Place(mark), tag, anchor, Value::Map{});
  }
  void OnMapEnd() override { Close(); }

 private:
  // Of a subtree: its values, and the bytes of its keys and texts.
  struct Size {
    size_t nodes = 0, text_bytes = 0;
  };
  struct OpenNode {
    Value value;
    YAML::anchor_t anchor = 0;
    Size size{1, 0};  // So far.
    bool has_key = false;
    std::string key;
    SourceMark key_place;
    std::unordered_set<std::string> keys;
  };
  struct Anchored {
    Value value;
    Size size;
  };

  static std::string Lower(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    return lower;
  }

  // True if a word goes on: "null_mode" is not null, and neither is a key "null:".
  static bool ContinuesWord(std::string_view rest) {
    return !rest.empty() && rest[0] != ' ' && rest[0] != '\t' && rest[0] != '\n' && rest[0] != ',' && rest[0] != ']' &&
           rest[0] != '}';
  }

  // A key or a list's dash with nothing after it: a line that was cut off, or a value that was forgotten.
  void AddMissing(const SourceMark& place) {
    const OpenNode& parent = open_.back();
    if (parent.value.is_map()) {
      AddFault(parent.key_place, "the key '" + parent.key + "' has no value. Write one, or remove the key.");
    } else {
      AddFault(place, "an entry of the list is empty. Write a value, or remove it.");
    }
  }

  void AddFault(const SourceMark& place, const std::string& fault) {
    faults.push_back(place.Text() + ": " + fault);
    if (faults.size() >= kMaxFaults) {
      faults.push_back("and perhaps more: reading stopped after " + std::to_string(kMaxFaults) + " faults.");
      Throw(faults);
    }
  }

  [[noreturn]] void Stop(const SourceMark& place, const std::string& fault) {
    faults.push_back(place.Text() + ": " + fault);
    Throw(faults);
  }

  bool ExpectsKey() const { return !open_.empty() && open_.back().value.is_map() && !open_.back().has_key; }

  void CheckTag(const SourceMark& place, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    AddFault(place, "the tag '" + tag + "' is not understood here. Remove it; quotes make a value text.");
  }

  void TakeKey(const SourceMark& place, const std::string& key, bool is_plain) {
    OpenNode& map = open_.back();
    if (is_plain && key == "<<") {
      Stop(place,
           "merge keys ('<<') are not part of YAML 1.2. Write the keys out, or use 'include' in a task or law file.");
    }
    const std::string ambiguous = is_plain ? ExplainAmbiguousKey(key) : "";
    if (!ambiguous.empty()) AddFault(place, ambiguous);
    if (!map.keys.insert(key).second) {
      const Value* first = map.value.Find(key);
      AddFault(place, "the key '" + key + "' is written twice" +
                          (first == nullptr ? "." : ", first at line " + std::to_string(first->key_mark().line) + "."));
    }
    map.key = key;
    map.key_place = place;
    map.has_key = true;
  }

  void Open(const SourceMark& place, const std::string& tag, YAML::anchor_t anchor, Value container) {
    CheckTag(place, tag);
    if (ExpectsKey()) Stop(place, "a list or map stands where a key is expected. Keys are plain words.");
    if (open_.size() >= kMaxDepth) Stop(place, "nested deeper than " + std::to_string(kMaxDepth) + " levels.");
    container.set_mark(place);
    open_.emplace_back();
    open_.back().value = std::move(container);
    open_.back().anchor = anchor;
  }

  void Close() {
    OpenNode done = std::move(open_.back());
    open_.pop_back();
    Add(std::move(done.value), done.size, done.anchor);
  }

  // `use`: where an alias stands; line 0 for a value that is written out.
  void Add(Value value, Size size, YAML::anchor_t anchor, const SourceMark& use = {}) {
    const bool is_alias = use.line != 0;
    total_.nodes += is_alias ? size.nodes : 1;
    total_.text_bytes += is_alias || !(value.is_list() || value.is_map()) ? size.text_bytes : 0;
    if (total_.nodes > kMaxNodes) {
      Stop(is_alias ? use : value.mark(),
           "the file stands for more than " + std::to_string(kMaxNodes) + " values. Aliases multiply; use fewer.");
    }
    if (total_.text_bytes > kMaxTextBytes) {
      Stop(is_alias ? use : value.mark(), "the file stands for more than " + std::to_string(kMaxTextBytes) +
                                              " bytes of text. Aliases multiply; use fewer.");
    }
    if (anchor != 0) anchors_[anchor] = {value, size};
    if (open_.empty()) {
      root = std::move(value);
      return;
    }
    OpenNode& parent = open_.back();
    parent.size.nodes += size.nodes;
    parent.size.text_bytes += size.text_bytes + parent.key.size();
    if (parent.value.is_list()) {
      parent.value.AsList().push_back(std::move(value));
      return;
    }
    value.set_key_mark(parent.key_place.line, parent.key_place.column);
    parent.value.AsMap().emplace_back(std::move(parent.key), std::move(value));
    parent.has_key = false;
  }

  const std::string& text_;
  const std::string& origin_;
  std::vector<size_t> line_starts_;
  std::vector<OpenNode> open_;
  std::map<YAML::anchor_t, Anchored> anchors_;
  Size total_;
  int documents_ = 0;
};

// Drops a byte-order mark, turns CRLF into LF, and refuses bytes that no YAML file may hold.
std::string Cleaned(const std::string& raw, const std::string& origin) {
  std::string text;
  text.reserve(raw.size() + 1);
  int line = 1, column = 1;
  auto fail = [&](const std::string& fault) {
    throw Error(ErrorKind::kSpec, SourceMark{origin, line, column}.Text() + ": " + fault);
  };
  size_t at = raw.starts_with("\xEF\xBB\xBF") ? 3 : 0;
  if (raw.starts_with("\xFF\xFE") || raw.starts_with("\xFE\xFF")) fail("the file is UTF-16. Save it as UTF-8.");
  while (at < raw.size()) {
    const unsigned char c = raw[at];
    if (c == '\r') {
      ++at;
      if (at < raw.size() && raw[at] == '\n') continue;
      text += '\n';
      ++line, column = 1;
      continue;
    }
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) {
      static constexpr char kDigits[] = "0123456789ABCDEF";
      fail(std::string("the control character 0x") + kDigits[c >> 4] + kDigits[c & 15] + " is not allowed in YAML.");
    }
    size_t length = 1;
    if (c >= 0x80) {
      length = c >= 0xC2 && c <= 0xDF ? 2 : c >= 0xE0 && c <= 0xEF ? 3 : c >= 0xF0 && c <= 0xF4 ? 4 : 0;
      for (size_t i = 1; i < length; ++i) {
        if (at + i >= raw.size() || (raw[at + i] & 0xC0) != 0x80) length = 0;
      }
      if (length == 0) fail("the file is not UTF-8. Save it as UTF-8.");
    }
    text.append(raw, at, length);
    at += length;
    if (c == '\n') {
      ++line, column = 1;
    } else {
      ++column;
    }
  }
  return text;
}

// Counted from 1; only blanks stand before the tab.
bool IsIndentedByTab(const std::string& text, int line) {
  size_t at = 0;
  for (int i = 1; i < line && at != std::string::npos; ++i) {
    at = text.find('\n', at);
    if (at != std::string::npos) ++at;
  }
  at = at == std::string::npos ? at : text.find_first_not_of(' ', at);
  return at != std::string::npos && text[at] == '\t';
}

}  // namespace

Value ParseYaml(const std::string& raw, const std::string& origin) {
  if (raw.size() > kMaxBytes) {
    throw Error(ErrorKind::kSpec, origin + ": the file has " + std::to_string(raw.size()) + " bytes. The limit is " +
                                      std::to_string(kMaxBytes) + ".");
  }
  const std::string text = WithPairMarks(Cleaned(raw, origin));
  TreeBuilder builder(text, origin);
  std::istringstream stream(text);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    // After a scan error yaml-cpp may report a line past the last.
    const bool is_surrogate = std::string_view(error.msg).starts_with("invalid unicode");
    const SourceMark place = builder.Place(error.mark);
    builder.faults.push_back(place.Text() + ": not YAML: " +
                             (is_surrogate
                                  ? "the escape before this place is no character: half of a surrogate pair, or a "
                                    "number above 10FFFF. Write both halves, as in \"\\ud83d\\ude00\", or the "
                                    "character itself."
                                  : error.msg + ".") +
                             (IsIndentedByTab(text, place.line) ? " A tab indents the line; YAML wants spaces." : ""));
  }
  if (!builder.faults.empty()) Throw(builder.faults);
  if (builder.root.mark().line == 0) builder.root.set_mark({origin, 1, 1});
  return std::move(builder.root);
}

Value ReadYamlFile(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code status;
  if (!std::filesystem::exists(path, status)) throw Error(ErrorKind::kIo, name + ": " + ExplainMissing(path));
  if (std::filesystem::is_directory(path, status)) {
    throw Error(ErrorKind::kIo, name + ": is a folder, where a YAML file is needed.");
  }
  if (!std::filesystem::is_regular_file(path, status)) throw Error(ErrorKind::kIo, name + ": is not a regular file.");
  if (const uintmax_t size = std::filesystem::file_size(path, status); size > kMaxBytes) {
    throw Error(ErrorKind::kSpec, name + ": the file has " + std::to_string(size) + " bytes. The limit is " +
                                      std::to_string(kMaxBytes) + ".");
  }
  return ParseYaml(ReadRegularFile(path, kMaxBytes), name);
}

}  // namespace bitlaw
