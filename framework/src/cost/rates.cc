#include "cost/rates.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "bitlaw/base/error.h"
#include "spec/decoder.h"
#include "spec/study_spec.h"

namespace bitlaw {
namespace {

constexpr double kGibi = 1024.0 * 1024.0 * 1024.0;

OptionSchema MakeSchema() {
  const Rates usual;
  OptionSchema schema;
  schema.String("name").Doc("What the machine or device is called: \"NVIDIA H200\".");
  schema.Real("float32_gflops").Above(0).Unit("GFLOP/s").Doc(
      "Large products in float32, with the threads of one worker, or on one device: model_float32_gflops of `bitlaw doctor "
      "--json`.");
  schema.Real("bfloat16_gflops").Above(0).Unit("GFLOP/s").Doc("The same in bfloat16.");
  schema.Real("half_width").Min(0).Default(usual.half_width).Unit("channels").Doc(
      "Width of a layer at which products reach half of these rates: about 50 on a core, 2000 on a large GPU.");
  schema.Real("solver_share").Above(0).Default(usual.solver_share).Doc(
      "Share of float32_gflops that factorizations and column walks of a quantizer reach.");
  schema.Real("layer_ms").Min(0).Default(1e3 * usual.layer_s).Unit("ms").Doc(
      "Time of each layer that is quantized, beside its arithmetic.");
  schema.Real("weight_ns").Min(0).Default(1e9 * usual.weight_s).Unit("ns").Doc(
      "Time to round one weight to nearest, for quantizers without second moments.");
  schema.Real("memory_gbytes_per_s").Above(0).Default(1e-9 * usual.memory_bytes_per_s).Unit("GB/s").Doc(
      "At which weights are read when one token a text is generated.");
  schema.Real("disk_gbytes_per_s").Above(0).Default(1e-9 * usual.disk_bytes_per_s).Unit("GB/s").Doc(
      "At which checkpoints are read.");
  schema.Real("memory_gib").Above(0).Optional().Unit("GiB").Doc("Memory of the machine, or of one device.");
  return schema;
}

// The number that a file begins with; 0 if there is none ("max").
double NumberIn(const std::string& file) {
  std::ifstream stream(file);
  double number = 0;
  return stream >> number ? number : 0;
}

}  // namespace

const OptionSchema& RatesSchema() {
  static const OptionSchema schema = MakeSchema();
  return schema;
}

Rates Rates::OfCard() {
  Rates rates;
  rates.float32_flops = 20e12;
  rates.bfloat16_flops = 200e12;
  rates.half_width = 2000;
  rates.layer_s = 6e-3;
  rates.weight_s = 1e-10;
  rates.memory_bytes_per_s = 2e12;
  rates.source = "assumed of a server's GPU, since none is here; --machine FILE says what yours does";
  return rates;
}

Rates ReadRates(const std::filesystem::path& file) {
  const Value map = ReadYamlFile(file);
  if (!map.is_map()) {
    throw Error(ErrorKind::kSpec, fmt::format("{}: the machine file is {}. It must be a map of {}.", file.string(),
                                              Article(map.type()), JoinNames(RatesSchema().names())));
  }
  const Options given = RatesSchema().Resolve(map, "machine file '" + file.stem().string() + "'");
  Rates rates;
  rates.float32_flops = 1e9 * given.Real("float32_gflops");
  rates.bfloat16_flops = 1e9 * given.Real("bfloat16_gflops");
  rates.half_width = given.Real("half_width");
  rates.solver_share = given.Real("solver_share");
  rates.layer_s = 1e-3 * given.Real("layer_ms");
  rates.weight_s = 1e-9 * given.Real("weight_ns");
  rates.memory_bytes_per_s = 1e9 * given.Real("memory_gbytes_per_s");
  rates.disk_bytes_per_s = 1e9 * given.Real("disk_gbytes_per_s");
  rates.memory_bytes = given.Has("memory_gib") ? kGibi * given.Real("memory_gib") : 0;
  rates.source = fmt::format("of {}, by {}", given.String("name"), file.string());
  return rates;
}

double MachineMemoryBytes() {
  double bytes = 0;
  std::ifstream memory("/proc/meminfo");
  double kib = 0;
  for (std::string name; memory >> name;) {
    if (name == "MemTotal:" && memory >> kib) break;
  }
  bytes = 1024 * kib;
  std::string folder;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (line.starts_with("0::")) folder = line.substr(3);
  }
  for (const std::string& place : {"/sys/fs/cgroup" + folder, std::string("/sys/fs/cgroup")}) {
    const double limit = NumberIn(place + "/memory.max");
    if (limit > 0) bytes = bytes > 0 ? std::min(bytes, limit) : limit;
  }
  return bytes;
}

}  // namespace bitlaw
