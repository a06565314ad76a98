#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cfenv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bitlaw/api/plugin.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/integer_grid.h"

namespace {

namespace fs = std::filesystem;

bool IsWorker() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string word; std::getline(file, word, '\0');) {
    if (word == "worker") return true;
  }
  return false;
}

// Rounds to nearest, unless it was told to do something else on the way.
class Misbehave final : public bitlaw::Quantizer {
 public:
  explicit Misbehave(const bitlaw::Options& options) : act_(options.String("act")) {
    rule_.bits = static_cast<int>(options.Int("bits"));
  }
  std::string ExplainUnsupported(const bitlaw::LinearShape&) const override { return ""; }
  double BitsRequested(const bitlaw::LinearShape&) const override { return rule_.bits; }
  double BitsPerWeight(const bitlaw::LinearShape&) const override { return rule_.bits; }
  bitlaw::CalibrationNeeds needs() const override { return {}; }

  bitlaw::QuantizedLinear Quantize(const bitlaw::LinearShape& layer, const at::Tensor& weight,
                                   const bitlaw::LayerCalibration&) const override {
    const std::string act = Act();
    if (act == "wait") WaitUntilGone();
    std::fprintf(stderr, "about to %s on %s\n", act.c_str(), layer.name.c_str());
    if (act == "segfault") ::raise(SIGSEGV);
    if (act == "abort") std::abort();
    if (act == "exit") std::_Exit(77);
    if (act == "memory") ::raise(SIGKILL);  // As the kernel does when memory runs out.
    if (act == "sleep") ::sleep(600);
    if (act == "throw") throw bitlaw::Error(bitlaw::ErrorKind::kNumerical, layer.name + ": told to throw.");
    if (act == "throw_int") throw 7;
    // A child that keeps the pipes open outlives the worker.
    if (act == "fork_exit" && ::fork() != 0) std::_Exit(77);
    if (act == "fork_exit") ::sleep(600), ::_exit(0);
    if (act == "fork_segv" && ::fork() != 0) ::raise(SIGSEGV);
    if (act == "fork_segv") ::sleep(600), ::_exit(0);
    if (act == "exit0") std::exit(0);
    if (act == "stack") std::fprintf(stderr, "%d", Deeper(1));
    if (act == "stop_self") ::raise(SIGSTOP);
    if (act == "thread_throw") std::thread([] { throw 3; }).join();
    if (act == "rlimit") NoFiles();
    if (act == "no_open") NoOpen(false);
    if (act == "no_open_for_good") DropPrivilege(), NoOpen(true);
    if (act == "hog") Hog();
    if (act == "hog_thread") std::thread([] { Hog(); }).join();
    if (act == "hog_for_good") TakeAll();
    if (act == "cuda_error") C10_THROW_ERROR(Error, "CUDA error: an illegal memory access was encountered");
    if (act == "cuda_memory") C10_THROW_ERROR(Error, "CUDA out of memory. Tried to allocate 2.00 GiB.");
    if (act == "throw_once" && fs::remove(Path("BITLAW_E2E_VICTIM"))) {
      throw bitlaw::Error(bitlaw::ErrorKind::kNumerical, "told to throw once.");
    }
    if (act == "take_memory") TakeMemory();
    if (act == "slow") ::usleep(100000);
    if (act == "kill_parent" && fs::remove(Path("BITLAW_E2E_VICTIM"))) ::kill(::getppid(), SIGKILL), ::sleep(600);
    if (act == "half_line") SayHalfALine();
    if (act == "half_line") throw bitlaw::Error(bitlaw::ErrorKind::kNumerical, "told to throw after half a line.");
    if (act == "close_all") for (int fd = 0; fd < 1000; ++fd) ::close(fd);
    if (act == "close_all") ::sleep(600);
    if (act == "round_up") std::fesetround(FE_UPWARD);
    if (act == "umask") ::umask(0777);
    if (act == "flush_subnormals") at::globalContext().setFlushDenormal(true);
    if (act == "say_done") SayDone();
    if (act == "flood") Flood();
    if (act == "replace") Replace();
    if (act == "touch") fs::last_write_time(Path("BITLAW_E2E_VICTIM"), fs::file_time_type::clock::now());
    if (act == "remove") Remove();
    if (act == "die_late" && !late_.exchange(true)) std::thread(DieLate).detach();
    bitlaw::QuantizedLinear rounded = bitlaw::RoundToNearest(rule_, weight, -1, layer.name);
    if (act == "nan") rounded.scales.fill_(std::numeric_limits<double>::quiet_NaN());
    return rounded;
  }

 private:
  // Once the file that BITLAW_E2E_GONE names is there, what went wrong goes wrong no more.
  static bool IsGone() {
    const char* file = std::getenv("BITLAW_E2E_GONE");
    return file != nullptr && fs::exists(file);
  }
  std::string Act() const { return IsGone() ? "well" : act_; }
  static void WaitUntilGone() {
    while (!IsGone()) ::usleep(5000);
  }

  // Until the stack is full.
  static int Deeper(int depth) {
    volatile char frame[10000];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : Deeper(depth + 1) + frame[0];
  }

  // Whatever is written to a file ends the process.
  static void NoFiles() {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_FSIZE, &none);
  }

  // Nothing more can be opened. A hard limit is not raised again without privilege.
  static void NoOpen(bool hard) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 0;
    if (hard) limit.rlim_max = 0;
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  static void DropPrivilege() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct sets[2]{};
    ::syscall(SYS_capget, &header, sets);
    sets[0].effective &= ~(1u << CAP_SYS_RESOURCE);
    sets[0].permitted &= ~(1u << CAP_SYS_RESOURCE);
    ::syscall(SYS_capset, &header, sets);
  }

  // Takes memory until there is none; an address space of 256 MiB more stands for the machine's.
  static void Hog() {
    struct Limit {
      Limit() {
        ::getrlimit(RLIMIT_AS, &before);
        uint64_t pages = 0;
        std::ifstream("/proc/self/statm") >> pages;
        const rlimit less{pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) + (256 << 20), before.rlim_max};
        ::setrlimit(RLIMIT_AS, &less);
      }
      ~Limit() { ::setrlimit(RLIMIT_AS, &before); }
      rlimit before{};
    } const limit;
    for (std::vector<std::vector<char>> taken;;) taken.emplace_back(16 << 20, 'x');
  }

  // Takes memory until somebody ends the process.
  static void TakeAll() {
    for (std::vector<std::vector<char>> taken;;) taken.emplace_back(16 << 20, 'x');
  }

  // More than a gigabyte, and gives them back.
  static void TakeMemory() {
    std::vector<std::vector<char>> taken;
    for (int i = 0; i < 80; ++i) taken.emplace_back(16 << 20, 'x');
  }

  static void SayHalfALine() {
    for (const int fd : WritablePipes()) {
      if (::write(fd, "{\"bitlaw\":", 10) < 0) errno = 0;
    }
  }

  static fs::path Path(const char* variable) { return std::getenv(variable); }

  // Noise, half a line, and a message that is a lie, into whatever is open.
  static void SayDone() {
    const std::string text = "garbage \x01\xff{\n{\"bitlaw\":\n{\"bitlaw\":\"done\"}\n";
    for (int fd = 3; fd < 30; ++fd) {
      if (::write(fd, text.data(), text.size()) < 0) errno = 0;
    }
    ::sleep(600);
  }

  // Once a process: a line without an end, of as many MiB as BITLAW_E2E_FLOOD_MIB says, into each pipe.
  static void Flood() {
    static bool done = false;
    if (std::exchange(done, true)) return;
    const std::string text(1 << 20, 'x');
    const int mebibytes = std::atoi(std::getenv("BITLAW_E2E_FLOOD_MIB"));
    for (const int fd : WritablePipes()) {
      for (int i = 0; i < mebibytes; ++i) {
        for (size_t at = 0; at < text.size();) {
          const ssize_t wrote = ::write(fd, text.data() + at, text.size() - at);
          if (wrote < 0) return;
          at += static_cast<size_t>(wrote);
        }
      }
    }
  }

  // Standard error, and the descriptor that the worker moved its own output to.
  static std::vector<int> WritablePipes() {
    std::vector<int> pipes;
    for (int fd = STDERR_FILENO; fd < 30; ++fd) {
      struct stat status {};
      if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
        pipes.push_back(fd);
    }
    return pipes;
  }

  // Another file of the same size and time in the place of one that is in use.
  static void Replace() {
    const fs::path victim = Path("BITLAW_E2E_VICTIM"), other = Path("BITLAW_E2E_REPLACEMENT");
    if (!fs::exists(other)) return;
    fs::last_write_time(other, fs::last_write_time(victim));
    fs::rename(other, victim);
  }

  // Moved away first, in one step: a folder that others still write to cannot be emptied while it has its name.
  static void Remove() {
    const fs::path victim = Path("BITLAW_E2E_VICTIM"), gone = victim.string() + ".removed";
    if (!fs::exists(victim)) return;
    fs::rename(victim, gone);
    std::error_code ignored;  // Who had found the folder under its first name may still make a file in it.
    while (fs::exists(gone, ignored)) fs::remove_all(gone, ignored);
  }

  // As soon as the last record stands: the unquantized model's, the quantization's and its task's.
  static void DieLate() {
    const fs::path records = Path("BITLAW_E2E_VICTIM");
    for (;;) {
      size_t count = 0;
      std::error_code ignored;
      fs::recursive_directory_iterator entry(records, ignored);
      for (const fs::recursive_directory_iterator end; !ignored && entry != end; entry.increment(ignored))
        count += entry->path().extension() == ".json";
      if (count >= 3) ::raise(SIGKILL);
    }
  }

  static inline std::atomic<bool> late_ = false;
  std::string act_;
  bitlaw::GridRule rule_;
};

void Register(bitlaw::Registrar& registrar) {
  // Killed before it could say that it is ready: as many workers as the file has bytes.
  const char* kills = std::getenv("BITLAW_E2E_KILLS");
  if (kills != nullptr && ::getpgrp() == ::getpid() && IsWorker()) {
    std::error_code ignored;
    const auto left = fs::file_size(kills, ignored);
    if (!ignored && left > 0) {
      fs::resize_file(kills, left - 1);
      ::raise(SIGKILL);
    }
  }
  bitlaw::OptionSchema schema;
  schema.Int("bits").Range(2, 8).Default(4).Unit("bits").Doc("Width of one weight code.");
  schema.Choice("act", {"well", "segfault", "abort", "exit", "memory", "sleep", "throw", "throw_int", "fork_exit",
                        "close_all", "say_done", "flood", "replace", "touch", "remove", "die_late", "round_up", "umask",
                        "flush_subnormals", "fork_segv", "exit0", "stack", "stop_self", "thread_throw", "rlimit", "hog", "hog_thread", "hog_for_good",
                        "nan", "kill_parent", "throw_once", "take_memory", "slow", "half_line", "no_open", "no_open_for_good",
                        "cuda_error", "cuda_memory", "wait"})
      .Default("well")
      .Doc("What to do instead of rounding.");
  registrar.Add<bitlaw::Quantizer>({"misbehave", "Does what no quantizer should.", ""}, schema,
                         [](const bitlaw::Options& options) { return std::make_unique<Misbehave>(options); });
}

}  // namespace

BITLAW_PLUGIN("bitlaw.tests.misbehave", "1.0.0", "Apache-2.0", "Does what no quantizer should.", Register)
