#include "cli/common/session.h"

#include <algorithm>

#include "base/allowed_cores.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#ifdef BITLAW_HAS_TENSOR
#include "bitlaw/sdk/machine/torch_threads.h"
#include "run/machine/machine.h"
#endif

namespace bitlaw {

PluginHost& Session::plugins(std::vector<std::string>* faults) {
  if (!plugins_) {
    auto host = std::make_unique<PluginHost>(OwnFingerprint());
    std::vector<std::filesystem::path> places = DefaultPluginFolders();
    places.insert(places.end(), plugin_paths.begin(), plugin_paths.end());
    for (const auto& place : places) {
      if (std::filesystem::is_directory(place)) {
        host->LoadFolder(place, &plugin_faults_);
        continue;
      }
      try {
        host->LoadFile(place);
      } catch (const Error& error) {
        plugin_faults_.push_back(error.what());
      }
    }
    plugins_ = std::move(host);
  }
  *faults = plugin_faults_;
  return *plugins_;
}

PluginHost& Session::plugins() {
  std::vector<std::string> faults;
  PluginHost& host = plugins(&faults);
  std::string text;
  for (const std::string& fault : faults) text += (text.empty() ? "" : "\n") + fault;
  if (!faults.empty()) throw Error(ErrorKind::kPlugin, text);
  return host;
}

Machine Session::ThisMachine(int threads, int workers) {
  Machine machine;
#ifdef BITLAW_HAS_TENSOR
  machine.devices = Devices();
  machine.why_no_card = WhyNoCard();
#endif
  machine.threads = threads > 0 ? threads : AllowedCores();
  machine.workers = workers;
  return machine;
}

Rates Session::MeasuredRates(const ComputeSetting& compute, [[maybe_unused]] int threads,
                             [[maybe_unused]] bool only_memory) {
  const bool on_card = compute.device != "cpu";
  Rates rates = on_card ? Rates::OfCard() : Rates();
#ifdef BITLAW_HAS_TENSOR
  const std::vector<std::string> devices = Devices();
  const auto device = std::find_if(devices.begin(), devices.end(),
                                   [&](const std::string& one) { return one.starts_with(compute.device); });
  if (device != devices.end() && on_card) rates.memory_bytes = DeviceMemoryBytes(*device);
  if (device != devices.end() && !only_memory) {
    SetTorchThreads(threads);
    const int64_t width = on_card ? 4096 : 512;
    // The best of a few: other programs may have the cores for a moment.
    const auto best = [&](bool bfloat16) {
      double gflops = 0;
      for (int i = 0; i < 5; ++i) gflops = std::max(gflops, MeasureModelProduct(bfloat16, width, 0.02, *device));
      return 1e9 * gflops;
    };
    rates.float32_flops = best(/*bfloat16=*/false);
    if (compute.dtype == Dtype::kBFloat16) rates.bfloat16_flops = best(/*bfloat16=*/true);
    rates.source = "measured here in a moment";
  }
#endif
  if (!on_card) rates.memory_bytes = MachineMemoryBytes();
  return rates;
}

std::filesystem::path Session::SharedFolder() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::filesystem::path() : program.parent_path().parent_path() / "share" / "bitlaw";
}

std::vector<std::filesystem::path> Session::SearchFolders() const {
  for (const std::filesystem::path& folder : config_paths) {
    if (std::filesystem::is_directory(folder)) continue;
    throw Error(ErrorKind::kIo, "--configs " + folder.string() + ": there is no such folder.");
  }
  std::vector<std::filesystem::path> folders = config_paths;
  const std::filesystem::path shared = SharedFolder() / "configs";
  if (shared.is_absolute() && std::filesystem::is_directory(shared)) folders.push_back(shared);
  return folders;
}

std::vector<std::string> Session::NamesOfFiles(const std::string& kind) const {
  std::vector<std::string> names;
  for (const std::filesystem::path& folder : SearchFolders()) {
    std::error_code status;
    for (std::filesystem::recursive_directory_iterator entry(folder / kind, status), end; !status && entry != end;
         entry.increment(status)) {
      if (entry->path().extension() == ".yaml") names.push_back(entry->path().stem().string());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  if (names.empty()) {
    throw Error(ErrorKind::kIo, "no configuration folder holds a file of " + kind + ". Name one with --configs.");
  }
  return names;
}

}  // namespace bitlaw
