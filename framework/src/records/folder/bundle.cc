#include "records/folder/bundle.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <set>
#include <system_error>

#include "base/files/base64.h"
#include "base/files/durable_file.h"
#include "base/json_text.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "records/folder/listing.h"

namespace bitlaw {
namespace fs = std::filesystem;

namespace {

constexpr const char* kBundle = "bitlaw records";
constexpr int64_t kBundleFormat = 1;
constexpr size_t kPieceBytes = size_t{3} << 20;
constexpr size_t kMostLineBytes = size_t{64} << 20;

std::string JsonString(std::string_view text) {
  std::string out;
  AppendJsonString(text, out);
  return out;
}

// The length of a piece that ends where a character does.
size_t TextPiece(std::string_view text) {
  size_t size = std::min(kPieceBytes, text.size());
  while (size < text.size() && size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return size;
}

class Writer {
 public:
  Writer(const fs::path& file, const std::string& version) : file_(file) {
    Line(fmt::format(R"({{"bundle": {}, "format": {}, "bitlaw": {}, "record_format": {}}})", JsonString(kBundle),
                     kBundleFormat, JsonString(version), kRecordFormat));
  }

  void Add(const fs::path& path, const fs::path& below) {
    std::error_code error;
    Line(fmt::format(R"({{"path": {}, "size_bytes": {}, "sha256": "{}"}})",
                     JsonString(path.lexically_relative(below).generic_string()), fs::file_size(path, error),
                     DigestOfFile(path)));
    if (path.extension() == ".safetensors") {
      AddBytes(path);
    } else {
      AddText(ReadWholeFile(path));
    }
    ++files_;
  }

  size_t Finish() {
    Line(fmt::format(R"({{"end": {}, "files": {}}})", JsonString(kBundle), files_));
    file_.Commit();
    return files_;
  }

 private:
  void Line(const std::string& text) { file_.Write(text + "\n"); }

  void AddText(std::string_view text) {
    const bool is_text = FindInvalidUtf8(text) == std::string::npos;
    while (!text.empty()) {
      const size_t size = is_text ? TextPiece(text) : std::min(kPieceBytes, text.size());
      if (is_text) {
        Line(fmt::format(R"({{"text": {}}})", JsonString(text.substr(0, size))));
      } else {
        Line(fmt::format(R"({{"base64": "{}"}})", ToBase64(text.substr(0, size))));
      }
      text.remove_prefix(size);
    }
  }

  void AddBytes(const fs::path& path) {
    std::ifstream source(path, std::ios::binary);
    std::string piece(kPieceBytes, '\0');
    while (source.read(piece.data(), static_cast<std::streamsize>(piece.size())) || source.gcount() > 0) {
      Line(fmt::format(R"({{"base64": "{}"}})",
                       ToBase64(std::string_view(piece).substr(0, static_cast<size_t>(source.gcount())))));
    }
    if (source.bad()) throw Error(ErrorKind::kIo, path.string() + ": the file cannot be read to its end.");
  }

  DurableFile file_;
  size_t files_ = 0;
};

// Reads the lines of a bundle one by one; errors name the line.
class Reader {
 public:
  explicit Reader(const fs::path& file) : path_(file.string()), file_(file, std::ios::binary) {
    if (!file_) throw Error(ErrorKind::kIo, path_ + ": the file cannot be read.");
  }

  /// The next line; nullopt at the end of the file.
  std::optional<Value> Next() {
    line_.clear();
    ++number_;
    for (int c = file_.get(); c != std::char_traits<char>::eof() && c != '\n'; c = file_.get()) {
      if (line_.size() == kMostLineBytes) Fail("the line is longer than any that a bundle has");
      line_ += static_cast<char>(c);
    }
    if (line_.empty() && file_.eof()) return std::nullopt;
    Value json = ParseJson(line_, fmt::format("{}:{}", path_, number_));
    if (!json.is_map()) Fail("the line is no JSON object");
    return json;
  }

  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorKind::kIo,
                fmt::format("{}:{}: {}. The file was not written by `bitlaw records export`, or was changed.", path_,
                            number_, what));
  }
  [[noreturn]] void FailAsCutOff() const {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: the bundle ends at line {}, before its last line: it was cut off. Copy it "
                            "again.",
                            path_, number_ - 1));
  }

 private:
  std::string path_, line_;
  std::ifstream file_;
  int64_t number_ = 0;
};

std::string TextOf(const Value& line, const char* key) {
  const Value* found = line.Find(key);
  return found != nullptr && found->is_string() ? found->AsString() : "";
}

bool IsHead(const Value& line) { return TextOf(line, "bundle") == kBundle; }

}  // namespace

BundleResult WriteBundle(const RecordStore& store, const CodesDigestOf& codes, const std::string& version,
                         const fs::path& file) {
  BundleResult result;
  std::set<fs::path> paths;
  for (const auto& [digest, files] : ListFolder(store.output()).records) {
    if (!files.record) continue;
    try {
      const WholeRecord whole = ReadWholeRecord(store, digest);
      if (whole.other_format != 0) continue;
      paths.insert(store.RecordPath(digest));
      ++result.records;
      if (!whole.items.empty()) paths.insert(whole.items);
      if (files.timings) {
        const fs::path timings = store.TimingsPath(digest);
        const std::string fault = FaultOfTimings(timings);
        if (fault.empty()) paths.insert(timings);
        if (!fault.empty()) result.damaged.push_back({timings, fault, ""});
      }
      const fs::path file_of_codes = CodesPath(store.output(), digest);
      if (!files.codes || !codes || whole.is_task) continue;
      const bool fits = codes(file_of_codes) == whole.codes_digest;
      if (fits) paths.insert(file_of_codes);
      if (!fits)
        result.damaged.push_back(
            {file_of_codes, file_of_codes.string() + ": its codes are not those of its record.", ""});
    } catch (const Error& error) {
      result.damaged.push_back({store.RecordPath(digest), error.what(), digest});
    }
  }
  Writer writer(file, version);
  for (const fs::path& path : paths) writer.Add(path, store.output());
  result.files = writer.Finish();
  return result;
}

UnpackedBundle::UnpackedBundle(const fs::path& file, const fs::path& beside, size_t number)
    : folder_(beside / fmt::format("incoming-{}-{}.tmp", ::getpid(), number)) {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
  try {
    Unpack(file);
  } catch (...) {
    fs::remove_all(folder_, ignored);
    throw;
  }
}

UnpackedBundle::~UnpackedBundle() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void UnpackedBundle::Unpack(const fs::path& file) {
  fs::create_directories(folder_ / "records");
  Reader reader(file);
  const std::optional<Value> head = reader.Next();
  if (!head || !IsHead(*head)) reader.Fail("it does not begin as a bundle of records");
  const Value* format = head->Find("format");
  if (format == nullptr || *format != Value(kBundleFormat)) {
    reader.Fail(fmt::format("the bundle's format is {}; this bitlaw reads format {}",
                            format == nullptr ? "not stated" : format->Text(), kBundleFormat));
  }
  size_t files = 0;
  std::optional<Value> line = reader.Next();
  while (line && line->Find("end") == nullptr) {
    const std::string path = TextOf(*line, "path"), digest = TextOf(*line, "sha256");
    if (!IsRecordPath(path)) reader.Fail(fmt::format("'{}' is the path of no file that belongs to a record", path));
    std::ofstream to;
    std::error_code error;
    const fs::path place = folder_ / path;
    if (fs::exists(place, error)) reader.Fail(fmt::format("'{}' is there a second time", path));
    fs::create_directories(place.parent_path(), error);
    to.open(place, std::ios::binary);
    Digest found;
    for (line = reader.Next(); line && line->Find("path") == nullptr && line->Find("end") == nullptr;
         line = reader.Next()) {
      std::optional<std::string> piece;
      if (const Value* text = line->Find("text"); text != nullptr && text->is_string()) piece = text->AsString();
      if (const Value* bytes = line->Find("base64"); bytes != nullptr && bytes->is_string())
        piece = FromBase64(bytes->AsString());
      if (!piece) reader.Fail("the line is no piece of a file");
      found.Add(*piece);
      to.write(piece->data(), static_cast<std::streamsize>(piece->size()));
    }
    if (!line) reader.FailAsCutOff();
    to.close();
    if (!to) throw Error(ErrorKind::kIo, place.string() + ": the file cannot be written.");
    if (found.Hex() != digest)
      reader.Fail(fmt::format("'{}', which ends above, has not the digest that it is listed with", path));
    ++files;
  }
  if (!line) reader.FailAsCutOff();
  const Value* count = line->Find("files");
  if (count == nullptr || *count != Value(static_cast<int64_t>(files)))
    reader.Fail(
        fmt::format("the bundle has {} files, and says {}", files, count == nullptr ? "nothing" : count->Text()));
}

}  // namespace bitlaw
