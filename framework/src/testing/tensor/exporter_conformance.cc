#include "bitlaw/testing/exporter_conformance.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>

#include "bitlaw/api/kv_cache.h"
#include "bitlaw/api/quantized_linear.h"
#include "bitlaw/base/error.h"
#include "bitlaw/sdk/grids/integer_grid.h"
#include "testing/fault_list.h"

namespace bitlaw::testing {
namespace {

/// The files below a folder by their relative paths, with their bytes.
std::map<std::string, std::string> FilesBelow(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    files[entry.path().lexically_relative(folder).generic_string()] = {std::istreambuf_iterator<char>(file), {}};
  }
  return files;
}

struct GridToExport {
  std::string what;
  GridRule rule;
  int64_t group_size;
};

}  // namespace

std::vector<std::string> ExporterFaults(const Exporter& exporter, const std::string& name,
                                        const ExporterTrial& trial) {
  namespace fs = std::filesystem;
  const at::NoGradGuard no_grad;
  FaultList fault("exporter '" + name + "'");
  // What it writes of a model; nullopt, with the reason, where it refuses.
  std::string refusal;
  const auto write =
      [&](const ExportModel& model, const std::string& of,
          const std::function<void(const fs::path&)>& look = {}) -> std::optional<std::map<std::string, std::string>> {
    refusal = exporter.ExplainUnsupported(model);
    const fs::path folder = trial.folder / "export";
    fs::remove_all(folder);
    fs::create_directories(folder);
    std::optional<std::map<std::string, std::string>> files;
    try {
      exporter.Export(trial.checkpoint, model, folder);
      files = FilesBelow(folder);
      if (!refusal.empty()) {
        fault("of " + of + " ExplainUnsupported says '" + refusal + "', and Export does it.");
        files.reset();
      } else if (look) {
        look(folder);
      }
    } catch (const Error& error) {
      if (refusal.empty()) {
        fault("of " + of + " ExplainUnsupported is empty, and Export says '" + std::string(error.what()) + "'.");
        refusal = error.what();
      } else if (error.kind() != ErrorKind::kUnsupported ||
                 std::string(error.what()).find(refusal) == std::string::npos) {
        fault("of " + of + " Export says '" + std::string(error.what()) + "', not ExplainUnsupported's '" + refusal +
              "'.");
      }
    } catch (const std::exception& error) {
      fault("of " + of + " it throws '" + std::string(error.what()) + "', which is no bitlaw::Error.");
      if (refusal.empty()) refusal = error.what();
    }
    fs::remove_all(folder);
    return files;
  };

  const bool has_groups = std::all_of(trial.summary.linears.begin(), trial.summary.linears.end(),
                                      [](const LinearShape& layer) { return layer.in_features % 32 == 0; });
  std::vector<GridToExport> grids;
  for (const int bits : {4, 2, 3, 8}) {
    for (const bool symmetric : {true, false}) {
      for (const int64_t group : {int64_t{32}, int64_t{-1}}) {
        if (group == 32 && !has_groups) continue;
        GridRule rule;
        rule.bits = bits;
        rule.symmetric = symmetric;
        grids.push_back({std::to_string(bits) + " bits " + (symmetric ? "without" : "with") + " zero points, " +
                             (group == 32 ? "groups of 32" : "row by row"),
                         rule, group});
      }
    }
  }
  std::string reasons;
  bool writes_any = false;
  for (const GridToExport& grid : grids) {
    std::vector<QuantizedLinear> linears;
    for (size_t i = 0; i < trial.summary.linears.size(); ++i) {
      const LinearShape& shape = trial.summary.linears[i];
      const at::Tensor weight =
          at::randn({shape.out_features, shape.in_features}, at::detail::createCPUGenerator(11 + i), at::kFloat) * 0.1;
      linears.push_back(RoundToNearest(grid.rule, weight, grid.group_size, shape.name));
    }
    std::vector<ExportLayer> layers;
    for (size_t i = 0; i < linears.size(); ++i) layers.push_back({trial.summary.linears[i], linears[i]});
    const ExportModel model{trial.summary, layers};
    std::vector<at::Tensor> codes, scales;
    for (const QuantizedLinear& linear : linears) {
      codes.push_back(linear.codes.clone());
      scales.push_back(linear.scales.clone());
    }

    const auto written = write(model, grid.what, [&](const fs::path& folder) {
      if (!trial.read) return;
      for (const auto& [shape, linear] : layers) {
        const at::Tensor found = trial.read(folder, shape), expected = linear.Dequantize();
        if (found.defined() && found.sizes() == expected.sizes() && at::equal(found.to(at::kFloat), expected)) continue;
        fault("of " + grid.what + " what is read of '" + shape.name + "' is not what its codes say.");
        break;
      }
    });
    if (!written) {
      reasons = refusal;
      continue;
    }
    const bool is_first = !writes_any;
    writes_any = true;
    if (written->empty()) {
      fault("of " + grid.what + " it wrote no file.");
      continue;
    }
    for (size_t i = 0; i < linears.size(); ++i) {
      if (!at::equal(codes[i], linears[i].codes) || !at::equal(scales[i], linears[i].scales)) {
        fault("it changed the codes that it was given.");
      }
    }
    if (write(model, grid.what) != written) fault("of " + grid.what + " it writes other bytes the second time.");
    if (!is_first || linears.empty()) continue;

    // What must not be lost. Each of these is of another model, so the same bytes are a wrong file.
    const auto must_show = [&](const ExportModel& changed, const std::string& what) {
      const auto other = write(changed, what);
      if (other && *other == *written)
        fault(what + " is lost: it writes the same bytes as without, and does not refuse it.");
    };
    QuantizedLinear& last = linears.back();
    last.codes[0][0] = last.codes[0][0].item<int64_t>() == 0 ? 1 : 0;
    must_show(model, "another code of '" + layers.back().shape.name + "'");
    last.codes = codes.back();
    last.scales = scales.back() * 2;
    must_show(model, "another scale of '" + layers.back().shape.name + "'");
    last.scales = scales.back();
    for (QuantizedLinear& linear : linears) linear.activation = ActivationGrid{};
    must_show(model, "the rounding of inputs to 8 bits");
    for (QuantizedLinear& linear : linears) linear.activation.reset();
    KvCacheGrid kv_cache;
    kv_cache.keys.emplace();
    kv_cache.values.emplace();
    must_show({trial.summary, layers, {}, &kv_cache}, "the rounding of keys and values to 8 bits");
    if (trial.other_weight) {
      const std::vector<ExportWeight> others = {{trial.other_weight->first, trial.other_weight->second}};
      must_show({trial.summary, layers, others}, "the changed weight '" + trial.other_weight->first + "'");
    }
  }
  if (!writes_any) fault("it can write none of the grids that were tried: " + reasons);
  return fault.all();
}

}  // namespace bitlaw::testing
