#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/fingerprint.h"
#include "bitlaw/base/value.h"
#include "bitlaw/sdk/machine/device_code.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "cli/common/output.h"
#include "cli/usage/value_checks.h"
#include "cli/verbs.h"
#include "math/matrix_product.h"
#include "run/machine/machine.h"
#include "run/machine/machine_problems.h"

namespace bitlaw {
namespace {

struct DoctorOptions {
  bool json = false, strict = false;
  int threads = 0;
};

double GibiBytes(double bytes) { return bytes / (1024.0 * 1024.0 * 1024.0); }

Value::List ToList(const std::vector<std::string>& words) {
  Value::List list;
  for (const std::string& word : words) list.emplace_back(word);
  return list;
}

// Every plugin folder with what it holds; a fault of one plugin is a problem, not the end of the examination.
Value::List ExaminePlugins(const Session& session, std::vector<std::string>& problems) {
  Value::List folders;
  PluginHost host(OwnFingerprint());
  auto load = [&](const std::filesystem::path& folder) {
    const bool exists = std::filesystem::is_directory(folder);
    std::vector<std::string> faults;
    const size_t before = host.plugins().size();
    if (exists) {
      host.LoadFolder(folder, &faults);
    } else if (std::filesystem::exists(folder)) {
      try {
        host.LoadFile(folder);
      } catch (const Error& error) {
        faults.emplace_back(error.what());
      }
    }
    Value::List plugins;
    for (size_t i = before; i < host.plugins().size(); ++i) {
      const LoadedPlugin& plugin = host.plugins()[i];
      plugins.push_back(Value::Map{
          {"id", plugin.id}, {"version", plugin.version}, {"components", ToList(plugin.components)}});
    }
    problems.insert(problems.end(), faults.begin(), faults.end());
    folders.push_back(
        Value::Map{{"path", folder.string()}, {"exists", std::filesystem::exists(folder)}, {"plugins", plugins}});
  };
  for (const auto& folder : DefaultPluginFolders()) load(folder);
  for (const auto& path : session.plugin_paths) load(path);
  if (host.plugins().empty())
    problems.emplace_back("no plugin was found: no study can run. Build or install bitlaw's plugins.");
  return folders;
}

// What each device other than the host is and does.
Value::List ExamineDevices(std::vector<std::string>& problems) {
  Value::List devices;
  for (const std::string& name : Devices()) {
    const auto rounded = [](double value) { return std::stod(fmt::format("{:.1f}", value)); };
    // One that is full or busy is a problem, not the end of the examination.
    try {
      const auto facts = WithTorchErrors("device " + name, [&] { return DescribeDevice(at::Device(name)); });
      if (!facts) continue;
      devices.push_back(Value::Map{
        {"device", name},
        {"name", facts->name},
        {"capability", facts->capability},
        {"driver", facts->driver},
        {"memory_gib", rounded(GibiBytes(static_cast<double>(facts->memory_bytes)))},
        {"memory_free_gib", rounded(GibiBytes(static_cast<double>(facts->free_bytes)))},
        {"model_float32_gflops", rounded(MeasureModelProduct(/*bfloat16=*/false, 4096, 0.3, name))},
        {"model_bfloat16_gflops", rounded(MeasureModelProduct(/*bfloat16=*/true, 8192, 0.3, name))}});
    } catch (const Error& error) {
      problems.emplace_back(error.what());
    }
  }
  return devices;
}

Value Examine(const Session& session, const DoctorOptions& options) {
  double load = 0;  // Before the measurements, which are load themselves.
  if (::getloadavg(&load, 1) != 1) load = std::nan("");
  SetTorchThreads(options.threads);
  const Cpu cpu = DescribeCpu();
  const BlasLibrary blas = FindBlas();
  MeasuredRates rates;
  rates.model_float32 = MeasureModelProduct(/*bfloat16=*/false, 1024, 0.7);
  rates.model_bfloat16 = MeasureModelProduct(/*bfloat16=*/true, 1024, 0.7);
  rates.blas_float32 = MeasureBlasProduct(1024, 0.7);
  rates.cholesky = MeasureCholesky(576, 0.5);
  std::vector<std::string> problems = MachineProblems(blas, cpu, rates);
  if (const std::string problem = LoadProblem(load, cpu); !problem.empty()) problems.push_back(problem);
  if (!HasFloat32Products()) {
    problems.emplace_back(
        "this build has no oneDNN: float32 products go to the system's BLAS, and sums of bfloat16 products "
        "are rounded. Install libdnnl-dev and configure anew.");
  }
  struct sysinfo memory {};
  ::sysinfo(&memory);
  struct statvfs disk {};
  ::statvfs(".", &disk);
  const double disk_gib = GibiBytes(static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize));
  if (disk_gib < 1) problems.push_back(fmt::format("the working folder's disk has {:.2f} GiB left.", disk_gib));
  auto rounded = [](double value) { return std::stod(fmt::format("{:.1f}", value)); };
  Value report;
  report.Set("bitlaw", BITLAW_VERSION);
  report.Set("libtorch", TorchVersion());
  report.Set("compiler", Compiler());
  report.Set("fingerprint", OwnFingerprint());
  report.Set("cpu", cpu.model);
  report.Set("instruction_sets", ToList(cpu.instruction_sets));
  report.Set("hardware_threads", cpu.hardware_threads);
  report.Set("allowed_threads", cpu.allowed_threads);
  report.Set("torch_threads", cpu.torch_threads);
  report.Set("load_1_min", NumberOrNull(std::isnan(load) ? load : rounded(load)));
  report.Set("omp_num_threads", cpu.omp_num_threads.empty() ? Value() : Value(cpu.omp_num_threads));
  report.Set("openblas_coretype", cpu.openblas_coretype.empty() ? Value() : Value(cpu.openblas_coretype));
  report.Set("blas", blas.kind);
  report.Set("blas_file", blas.path);
  report.Set("blas_configuration", blas.configuration);
  report.Set("blas_threading", blas.threading);
  report.Set("blas_libraries", ToList(blas.loaded));
  report.Set("onednn", HasFloat32Products());
  report.Set("onednn_bfloat16", HasBfloat16Products());
  report.Set("model_float32_gflops", rounded(rates.model_float32));
  report.Set("model_bfloat16_gflops", rounded(rates.model_bfloat16));
  report.Set("blas_float32_gflops", rounded(rates.blas_float32));
  report.Set("cholesky_576_gflops", rounded(rates.cholesky));
  report.Set("devices", ToList(Devices()));
  report.Set("why_no_gpu", WhyNoCard().empty() ? Value() : Value(WhyNoCard()));
  report.Set("device_facts", ExamineDevices(problems));
  report.Set("memory_gib", rounded(GibiBytes(static_cast<double>(memory.totalram) * memory.mem_unit)));
  report.Set("memory_free_gib",
             rounded(GibiBytes(static_cast<double>(memory.freeram + memory.bufferram) * memory.mem_unit)));
  report.Set("disk_free_gib", rounded(disk_gib));
  report.Set("plugins", ExaminePlugins(session, problems));
  report.Set("problems", ToList(problems));
  return report;
}

std::string Words(const Value& list) {
  std::vector<std::string> words;
  for (const Value& word : list.AsList()) words.push_back(word.AsString());
  return JoinNames(words);
}

void Print(const Value& report) {
  auto text = [&](const char* key) { return report.Find(key)->AsString(); };
  auto number = [&](const char* key) { return report.Find(key)->AsReal(); };
  fmt::print("bitlaw        {}, {}\n", text("bitlaw"), text("compiler"));
  fmt::print("libtorch      {}\n", text("libtorch"));
  fmt::print("processor     {} ({})\n", text("cpu"), Words(*report.Find("instruction_sets")));
  fmt::print("threads       {} of {} cores\n", report.Find("torch_threads")->AsInt(),
             report.Find("allowed_threads")->AsInt());
  const Value& load = *report.Find("load_1_min");
  if (!load.is_null()) fmt::print("load          {:.1f} in the last minute\n", load.AsReal());
  fmt::print("memory        {:.1f} GiB, {:.1f} free; disk {:.1f} GiB free\n", number("memory_gib"),
             number("memory_free_gib"), number("disk_free_gib"));
  fmt::print("BLAS          {}, threads: {}\n", text("blas"), text("blas_threading"));
  if (!text("blas_file").empty()) fmt::print("              {}\n", text("blas_file"));
  if (!text("blas_configuration").empty()) fmt::print("              {}\n", text("blas_configuration"));
  fmt::print("oneDNN        {}\n", !report.Find("onednn")->AsBool() ? "not in this build"
                                   : report.Find("onednn_bfloat16")->AsBool()
                                       ? "float32 and bfloat16 products"
                                       : "float32 products; the processor has no "
                                         "fast bfloat16");
  fmt::print("products      of models: float32 {:.1f}, bfloat16 {:.1f} GFLOP/s; BLAS: float32 {:.1f}\n",
             number("model_float32_gflops"), number("model_bfloat16_gflops"), number("blas_float32_gflops"));
  fmt::print("Cholesky 576  {:.1f} GFLOP/s\n", number("cholesky_576_gflops"));
  fmt::print("devices       {}\n", Words(*report.Find("devices")));
  if (const Value& why = *report.Find("why_no_gpu"); !why.is_null())
    fmt::print("GPU           none: {}\n", why.AsString());
  for (const Value& device : report.Find("device_facts")->AsList()) {
    const auto of = [&](const char* key) { return device.Find(key)->AsReal(); };
    fmt::print("{:13} {}, {} GiB, {} free; driver {}; products: float32 {:.0f}, bfloat16 {:.0f} GFLOP/s\n",
               device.Find("device")->AsString(), device.Find("name")->AsString(), of("memory_gib"),
               of("memory_free_gib"), device.Find("driver")->AsString(), of("model_float32_gflops"),
               of("model_bfloat16_gflops"));
  }
  for (const Value& folder : report.Find("plugins")->AsList()) {
    fmt::print("plugins       {}{}\n", folder.Find("path")->AsString(),
               folder.Find("exists")->AsBool() ? "" : " (not there)");
    for (const Value& plugin : folder.Find("plugins")->AsList()) {
      fmt::print("              {} {}: {}\n", plugin.Find("id")->AsString(), plugin.Find("version")->AsString(),
                 Words(*plugin.Find("components")));
    }
  }
  const auto& problems = report.Find("problems")->AsList();
  if (problems.empty()) fmt::print("No problems found.\n");
  for (const Value& problem : problems) fmt::print("PROBLEM       {}\n", problem.AsString());
}

}  // namespace

void AddDoctorVerb(CLI::App& app, Session& session) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* verb = app.add_subcommand(
      "doctor",
      "Examine this machine: versions, load, oneDNN and BLAS and their speed, GPUs, plugins; say what to fix");
  verb->add_flag("--json", options->json, "Print the findings as JSON");
  verb->add_flag("--strict", options->strict, "Exit with 3 if there is a problem");
  verb->add_option("--threads", options->threads, "Threads for the measurements; 0: every core this process may use")
      ->check(WholeNumber(0, 1024));
  verb->callback([&session, options] {
    session.action = [&session, options] {
      const Value report = Examine(session, *options);
      if (options->json) {
        std::fputs(PrettyJson(report).c_str(), stdout);
      } else {
        Print(report);
      }
      return options->strict && !report.Find("problems")->AsList().empty() ? 3 : 0;
    };
  });
}

}  // namespace bitlaw
