#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bitlaw/sdk/checkpoint/gguf_file.h"
#include "support/exporters.h"
#include "support/tiny_checkpoint.h"
#include "unit/models/file_fixture.h"

namespace bitlaw {

constexpr char kDown[] = "model.layers.0.mlp.down_proj";

// A tiny checkpoint of one block and layers of it: down_proj [32, 64], q_proj [32, 32] of four heads.
class GgufExport : public FileTest {
 protected:
  void SetUp() override {
    FileTest::SetUp();
    WriteTinyCheckpoint(folder_ / "from", {.hidden = 32, .blocks = 1, .mlp = 64});
    summary_.name = "tiny";
  }

  QuantizedLinear& Add(const std::string& name, QuantizedLinear layer, int block = 0) {
    LinearShape shape{name, block, layer.codes.size(1), layer.codes.size(0)};
    layer.Validate(shape);
    shapes_.push_back(std::make_unique<LinearShape>(shape));
    linears_.push_back(std::make_unique<QuantizedLinear>(std::move(layer)));
    layers_.push_back({*shapes_.back(), *linears_.back()});
    return *linears_.back();
  }
  ExportModel model() const { return {summary_, layers_, others_}; }

  GgufFile Export(const Value::Map& options = {}) {
    std::filesystem::remove_all(folder_ / "to");
    std::filesystem::create_directories(folder_ / "to");
    MakeExporter("gguf", options)->Export(folder_ / "from", model(), folder_ / "to");
    return GgufFile(folder_ / "to" / "tiny.gguf");
  }
  std::string Refusal(const Value::Map& options = {}) { return MakeExporter("gguf", options)->ExplainUnsupported(model()); }
  std::string Refusal(QuantizedLinear layer) {
    layers_.clear();
    Add(kDown, std::move(layer));
    return Refusal();
  }
  // What is said of the checkpoint once `from` in its config.json is `to`.
  std::string RefusalOfConfig(const std::string& from, const std::string& to) {
    const std::string text = Read(folder_ / "from" / "config.json");
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    std::ofstream(folder_ / "from" / "config.json") << text.substr(0, at) << to << text.substr(at + from.size());
    const std::string said = ErrorText([&] { Export(); });
    std::ofstream(folder_ / "from" / "config.json") << text;
    return said;
  }

  static std::string BytesOf(const GgufFile& file, const std::string& name, size_t count) {
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.name == name) {
        return {reinterpret_cast<const char*>(file.file()->bytes()) + tensor.offset_bytes, count};
      }
    }
    return "";
  }
  static std::string TypeOf(const GgufFile& file, const std::string& name) {
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.name == name) return tensor.type->name;
    }
    return "";
  }

  ModelSummary summary_;
  std::vector<std::unique_ptr<LinearShape>> shapes_;
  std::vector<std::unique_ptr<QuantizedLinear>> linears_;
  std::vector<ExportLayer> layers_;
  std::vector<ExportWeight> others_;
};

}  // namespace bitlaw
