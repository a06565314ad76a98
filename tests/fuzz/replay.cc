// Runs targets over seeds, inputs that once broke something, and a fixed number of blind changes of both. Needs no
// fuzzing engine:
//   bitlaw_fuzz_replay [target [--changes=N]]          the inputs of one target or all
//   bitlaw_fuzz_replay target file...                  these files
//   bitlaw_fuzz_replay target --write-samples=FOLDER   writes the seeds that the code makes
//   bitlaw_fuzz_replay --list                          the targets' names
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <string>

#include "bitlaw/base/rng.h"
#include "fuzz/target.h"

namespace bitlaw::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr int kSecondsAnInput = 20;

// What a signal handler may print: the input under way, written to a file so that it can be tried again.
std::string input_name;
std::string current_input;
const char* kept_path = nullptr;

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Say(const char* text) { [[maybe_unused]] const auto written = ::write(2, text, std::strlen(text)); }

void OnFault(int signal) {
  Say(signal == SIGALRM ? "\nfuzz: more than 20 s for " : "\nfuzz: died on ");
  Say(input_name.c_str());
  if (FILE* file = std::fopen(kept_path, "wb")) {
    std::fwrite(current_input.data(), 1, current_input.size(), file);
    std::fclose(file);
    Say("; the input is kept in ");
    Say(kept_path);
  }
  Say("\n");
  std::signal(signal, SIG_DFL);
  std::raise(signal == SIGALRM ? SIGABRT : signal);
}

bool Run(const Target& target, const std::string& name, std::string input) {
  input_name = std::string(target.name) + ": " + name;
  current_input = std::move(input);
  ::alarm(kSecondsAnInput);
  const bool accepted = RunOnce(target, current_input);
  ::alarm(0);
  return accepted;
}

// One blind change: bits, bytes, pieces dropped, doubled, moved in from another input, numbers at their limits.
void Change(std::string& text, const std::string& other, Rng& rng) {
  static constexpr const char* kPieces[] = {"0",    "-1",           "9223372036854775808", "1e999", "NaN", "\"", "\\u0000",
                                            "{",    "]",            "\xff",                "\r\n",  ",",   ":",  "'",
                                            "*",    "\xef\xbb\xbf", "&a ",                 "\\K",   "(?=", "\n"};
  const auto below = [&](size_t limit) { return static_cast<size_t>(rng.Below(std::max<size_t>(1, limit))); };
  const size_t at = below(text.size() + 1);
  switch (below(7)) {
    case 0:
      if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
      return;
    case 1:
      if (at < text.size()) text[at] = static_cast<char>(below(256));
      return;
    case 2: text.erase(at, 1 + below(16)); return;
    case 3: text.insert(at, text.substr(below(text.size()), 1 + below(64))); return;
    case 4: text.insert(at, other.substr(below(other.size()), 1 + below(64))); return;
    case 5: text.insert(at, kPieces[below(std::size(kPieces))]); return;
    default: text.resize(at); return;
  }
}

std::vector<fs::path> Files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(folder, status)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> Samples(const Target& target) {
  return target.samples != nullptr ? target.samples() : std::vector<std::string>();
}

void Replay(const Target& target, size_t changes) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::string> inputs = {""};
  size_t accepted = 0, accepted_changes = 0;
  Run(target, "nothing", "");
  for (const char* kind : {"seeds", "regressions"}) {
    for (const fs::path& file : Files(fs::path(BITLAW_FUZZ_DIR) / kind / target.name)) {
      inputs.push_back(Read(file));
      accepted += Run(target, file.string(), inputs.back());
    }
  }
  for (std::string& sample : Samples(target)) {
    inputs.push_back(std::move(sample));
    accepted += Run(target, "sample " + std::to_string(inputs.size() - 1), inputs.back());
  }
  if (inputs.size() == 1) {
    std::fprintf(stderr, "fuzz: target %s has no seeds in %s\n", target.name, BITLAW_FUZZ_DIR "/seeds");
    std::exit(1);
  }
  Rng rng(20);
  for (size_t i = 0; i < changes; ++i) {
    std::string input = inputs[1 + rng.Below(inputs.size() - 1)];
    const std::string& other = inputs[1 + rng.Below(inputs.size() - 1)];
    for (size_t count = 1 + rng.Below(6); count > 0; --count) Change(input, other, rng);
    accepted_changes += Run(target, "change " + std::to_string(i), std::move(input));
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("%-16s %4zu of %4zu inputs and %6zu of %6zu changes read without Error, %6.1f s\n", target.name, accepted,
              inputs.size() - 1, accepted_changes, changes, took.count());
  std::fflush(stdout);
}

int Main(int argc, char** argv) {
  static const std::string kept = (fs::temp_directory_path() / "bitlaw_fuzz_input").string();
  kept_path = kept.c_str();
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) std::signal(signal, OnFault);
#ifndef BITLAW_SANITIZED
  constexpr rlim_t kBytes = rlim_t{4} << 30;
  const rlimit memory{kBytes, kBytes};
  ::setrlimit(RLIMIT_DATA, &memory);
#endif
  if (argc < 2) {
    for (const Target& target : Targets()) Replay(target, 0);
    return 0;
  }
  if (std::string_view(argv[1]) == "--list") {
    for (const Target& target : Targets()) std::printf("%s\n", target.name);
    return 0;
  }
  const Target* target = FindTarget(argv[1]);
  if (target == nullptr) {
    std::fprintf(stderr,
                 "usage: bitlaw_fuzz_replay --list | [target [--changes=N | --write-samples=FOLDER | file...]]\n");
    return 2;
  }
  const std::string_view option = argc > 2 ? argv[2] : "";
  constexpr std::string_view kChanges = "--changes=", kWriteSamples = "--write-samples=";
  if (option.starts_with(kWriteSamples)) {
    const fs::path folder(option.substr(kWriteSamples.size()));
    int count = 0;
    for (const std::string& sample : Samples(*target)) {
      std::ofstream(folder / ("sample_" + std::to_string(count++)), std::ios::binary) << sample;
    }
    return 0;
  }
  if (argc == 2 || option.starts_with(kChanges)) {
    Replay(*target, argc == 2 ? 0 : std::strtoul(argv[2] + kChanges.size(), nullptr, 10));
    return 0;
  }
  for (int i = 2; i < argc; ++i) {
    std::printf("%s: %s\n", argv[i], Run(*target, argv[i], Read(argv[i])) ? "read" : "refused");
  }
  return 0;
}

}  // namespace
}  // namespace bitlaw::fuzz

int main(int argc, char** argv) { return bitlaw::fuzz::Main(argc, argv); }
