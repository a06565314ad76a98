#include "my_exporter.h"

#include <cstdio>
#include <cstdlib>

#include "bitlaw/testing/exporter_conformance.h"

namespace {

namespace fs = std::filesystem;

at::Tensor Read(const fs::path& path, int64_t rows, int64_t columns, at::ScalarType dtype) {
  at::Tensor tensor = at::empty({rows, columns}, dtype);
  std::ifstream file(path, std::ios::binary);
  file.read(static_cast<char*>(tensor.data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
  return tensor;
}

// The weight that whoever reads the folder finds, W = scale * (code - zero).
at::Tensor Weight(const fs::path& folder, const bitlaw::LinearShape& layer) {
  const int64_t rows = layer.out_features, columns = layer.in_features;
  const auto groups = static_cast<int64_t>(fs::file_size(folder / (layer.name + ".zeros"))) / rows;
  const at::Tensor codes = Read(folder / (layer.name + ".codes"), rows, columns, at::kByte);
  const at::Tensor scales = Read(folder / (layer.name + ".scales"), rows, groups, at::kFloat);
  const at::Tensor zeros = Read(folder / (layer.name + ".zeros"), rows, groups, at::kByte);
  const auto spread = [&](const at::Tensor& a) { return a.repeat_interleave(columns / groups, 1).to(at::kFloat); };
  return spread(scales) * (codes.to(at::kFloat) - spread(zeros));
}

}  // namespace

int main() {
  const MyExporter exporter(MyExporter::Schema().Resolve(bitlaw::Value(), "exporter 'my_exporter'"));
  char folder[] = "/tmp/my_exporter_XXXXXX";
  if (mkdtemp(folder) == nullptr) return 1;
  bitlaw::testing::ExporterTrial trial;
  trial.folder = folder;
  for (const char* name : {"up", "down"}) {
    bitlaw::LinearShape layer;
    layer.name = name, layer.in_features = 64, layer.out_features = 8;
    trial.summary.linears.push_back(layer);
  }
  trial.other_weight.emplace("norm.weight", at::full({64}, 1.5F));
  trial.read = Weight;
  int faults = 0;
  for (const std::string& fault : bitlaw::testing::ExporterFaults(exporter, "my_exporter", trial)) {
    faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
  }
  fs::remove_all(folder);
  return faults == 0 ? 0 : 1;
}
