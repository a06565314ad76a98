// Bundles of records, as another machine hands them on: unpacked, merged into a folder, checked. Each file gets the
// digest that it has as it stands: with the old one, no change would get past its check.
#include "records/folder/bundle.h"

#include <fstream>
#include <sstream>

#include "base/files/base64.h"
#include "base/files/durable_file.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "fuzz/target.h"
#include "records/folder/merge.h"
#include "unit/records/sample_record.h"

namespace bitlaw::fuzz {
namespace {

namespace fs = std::filesystem;

// The lines with the digests that their files have; lines that are no JSON stay.
std::string WithDigests(std::string_view input) {
  std::vector<Value> lines;
  std::istringstream text{std::string(input)};
  for (std::string line; std::getline(text, line);) {
    try {
      lines.push_back(ParseJson(line, "line"));
    } catch (const Error&) {
      return std::string(input);
    }
  }
  Value* head = nullptr;
  std::string bytes;
  const auto close = [&] {
    if (head != nullptr) head->Set("sha256", DigestOf(bytes));
    bytes.clear();
  };
  for (Value& line : lines) {
    const Value *piece = line.Find("text"), *encoded = line.Find("base64");
    if (line.is_map() && line.Find("path") != nullptr) {
      close();
      head = &line;
    } else if (encoded != nullptr && encoded->is_string()) {
      bytes += FromBase64(encoded->AsString()).value_or("");
    } else if (piece != nullptr && piece->is_string()) {
      bytes += piece->AsString();
    }
  }
  close();
  std::string out;
  for (const Value& line : lines) {
    std::string one = PrettyJson(line);
    std::erase(one, '\n');
    out += one + "\n";
  }
  return out;
}

void BundleFile(std::string_view input) {
  const fs::path file = WriteScratch("bundle.jsonl", WithDigests(input)), merged = ScratchFolder() / "merged";
  fs::remove_all(merged);
  try {
    fs::create_directories(merged);
    const UnpackedBundle unpacked(file, merged);
    MergeFolders({{unpacked.folder(), file.string()}}, RecordStore(merged),
                 {.codes = [](const fs::path& codes) { return ReadWholeFile(codes); }});
  } catch (...) {
    fs::remove_all(merged);
    throw;
  }
  if (fs::exists(merged / "records"))
    Require(CheckFolder(RecordStore(merged), nullptr).damaged.empty(), "bundle: what is merged is whole");
  for (const auto& entry : fs::directory_iterator(merged)) {
    const std::string name = entry.path().filename().string();
    Require(name == "records" || name == "timings" || name == "artifacts", "bundle: only files of records are merged");
  }
  fs::remove_all(merged);
}

std::vector<std::string> BundleSamples() {
  const RecordStore store(ScratchFolder() / "bundled");
  fs::remove_all(store.output());
  fs::create_directories(store.output());
  TaskRecord record = SampleRecord();
  const std::string digest = store.Write(record, SampleItems());
  store.WriteTimings(digest, Value(Value::Map{{"elapsed_s", 1.5}}));
  WriteBundle(store, nullptr, "1.0", ScratchFolder() / "sample.jsonl");
  return {ReadWholeFile(ScratchFolder() / "sample.jsonl")};
}

const Register kBundle("bundle", BundleFile, BundleSamples);

}  // namespace
}  // namespace bitlaw::fuzz
