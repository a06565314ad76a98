#include "bitlaw/sdk/checkpoint/hf_export.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/files/durable_file.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

std::string UpToLastDot(const std::string& name) { return name.substr(0, name.rfind('.') + 1); }

// Tokenizer, generation settings, chat template, license: what a checkpoint has beside weights and config.json.
bool GoesAlong(const fs::path& file) {
  static const std::set<std::string> kExtensions = {".json", ".jinja", ".model", ".tiktoken", ".txt"};
  const std::string name = file.filename().string();
  if (name.front() == '.' || name == "config.json" || name == "quantize_config.json" || name.ends_with(".index.json"))
    return false;
  return kExtensions.count(file.extension().string()) > 0 || name.starts_with("LICENSE") || name.starts_with("NOTICE");
}

// As it is stored.
TensorToWrite AsItIs(const std::shared_ptr<const MappedFile>& file, const SafetensorsEntry& entry) {
  return {entry.name, entry.dtype, entry.shape, [file, offset = entry.offset_bytes, size = entry.size_bytes] {
            return std::string(reinterpret_cast<const char*>(file->bytes()) + offset, static_cast<size_t>(size));
          }};
}

}  // namespace

std::string HfExport::ExplainUnsupported(const fs::path& checkpoint) {
  std::error_code error;
  if (fs::is_directory(checkpoint, error) && fs::exists(checkpoint / "config.json", error)) return "";
  return checkpoint.string() +
         " is no Hugging Face folder (it has no config.json), which this format begins from. Convert "
         "the model first.";
}

const HfFolder::Tensor& HfExport::Find(const std::string& name) const {
  if (const HfFolder::Tensor* found = from_.Find(name)) return *found;
  throw Error(ErrorKind::kIo,
              from_.path().string() + ": holds no tensor '" + name + "'. It is not the checkpoint that was quantized.");
}

void HfExport::Replace(const std::string& name, std::vector<TensorToWrite> tensors) {
  Find(name);
  replaced_[name] = std::move(tensors);
}

void HfExport::SetConfig(std::string_view key, Value value) {
  if (value.is_null()) {
    std::erase_if(config_.AsMap(), [&](const auto& entry) { return entry.first == key; });
  } else {
    config_.Set(key, std::move(value));
  }
}

std::string HfExport::ModuleOf(const std::string& name) const {
  const std::string stem = UpToLastDot(Find(name).entry.name);
  return stem.substr(0, stem.size() - 1);
}

std::vector<TensorToWrite> HfExport::TensorsToWrite() const {
  std::set<std::string> split, written;  // Stored tensors of all experts: those in pieces, those that are there.
  for (const auto& [name, tensors] : replaced_) {
    if (const auto& whole = Find(name).whole) split.insert(whole->name);
  }
  using Stored = std::pair<std::string, HfFolder::Tensor>;
  std::vector<Stored> stored(from_.tensors().begin(), from_.tensors().end());
  std::stable_sort(stored.begin(), stored.end(), [](const Stored& a, const Stored& b) {
    const auto place = [](const Stored& one) {
      return std::make_tuple(one.second.file->path(), one.second.entry.offset_bytes);
    };
    return place(a) < place(b);
  });
  std::vector<TensorToWrite> all;
  const auto put = [&](const std::vector<TensorToWrite>& tensors, const std::string& stored_name) {
    for (const TensorToWrite& one : tensors) {
      all.push_back(one);
      all.back().name = UpToLastDot(stored_name) + one.name;
    }
  };
  for (const auto& [name, tensor] : stored) {
    const auto together = replaced_.find(tensor.projections);
    if (const auto replaced = replaced_.find(name); replaced != replaced_.end()) {
      put(replaced->second, tensor.entry.name);
    } else if (together != replaced_.end()) {
      if (written.insert(tensor.whole->name).second) put(together->second, tensor.whole->name);
    } else if (tensor.whole == nullptr || split.count(tensor.whole->name) > 0) {
      all.push_back(AsItIs(tensor.file, tensor.entry));
    } else if (written.insert(tensor.whole->name).second) {
      all.push_back(AsItIs(tensor.file, *tensor.whole));
    }
  }
  all.insert(all.end(), added_.begin(), added_.end());
  return all;
}

void HfExport::Write(const fs::path& folder) const {
  WriteSafetensorsShards(folder, TensorsToWrite());
  WriteDurably(folder / "config.json", PrettyJson(config_));
  for (const auto& item : fs::directory_iterator(from_.path())) {
    const fs::path& file = item.path();
    if (!item.is_regular_file() || !GoesAlong(file)) continue;
    std::error_code error;
    fs::copy_file(file, folder / file.filename(), error);
    if (error)
      throw Error(ErrorKind::kIo,
                  (folder / file.filename()).string() + ": cannot be written: " + error.message() + ".");
  }
}

}  // namespace bitlaw
