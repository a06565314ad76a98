#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bitlaw/testing/exporter_conformance.h"
#include "support/exporters.h"
#include "support/tiny_checkpoint.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::ExporterFaults;
using testing::ExporterTrial;
using ::testing::HasSubstr;

class ExporterKit : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("bitlaw_exporter_kit_" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::create_directories(folder_);
    trial_.folder = folder_;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
  ExporterTrial trial_;
};

TEST_F(ExporterKit, EveryExporterInTheTreeKeepsItsPromises) {
  TinyCheckpoint tiny;
  tiny.hidden = 64, tiny.mlp = 128;
  trial_.checkpoint = folder_ / "tiny";
  WriteTinyCheckpoint(trial_.checkpoint, tiny);
  PluginHost host(OwnFingerprint());
  host.LoadFile(std::string(BITLAW_TEST_PLUGIN_DIR) + "/bitlaw_model_hf.so");
  const Options defaults = host.Find(ComponentKind::kModel, "hf").schema.Resolve(Value(), "hf");
  trial_.summary = host.MakeModelBackend("hf", defaults)->Inspect(trial_.checkpoint);
  trial_.other_weight.emplace("model.norm.weight", at::full({64}, 1.5F));
  for (const char* name : {"compressed_tensors", "dense", "gguf", "gptq_v2"}) {
    EXPECT_THAT(ExporterFaults(*MakeExporter(name), name, trial_), ElementsAre()) << name;
  }
  trial_.read = [](const fs::path& folder, const LinearShape& layer) {
    const std::string bytes = StoredTensors(folder / "model.safetensors").Bytes(layer.name + ".weight");
    at::Tensor weight = at::empty({layer.out_features, layer.in_features}, at::kFloat);
    EXPECT_EQ(bytes.size(), weight.nbytes());
    std::memcpy(weight.data_ptr(), bytes.data(), std::min(bytes.size(), weight.nbytes()));
    return weight;
  };
  EXPECT_THAT(ExporterFaults(*MakeExporter("dense"), "dense", trial_), ElementsAre());
}

// Code bytes and scales of 4 bits in one file, with room for one mistake.
class RawCodes : public Exporter {
 public:
  std::string ExplainUnsupported(const ExportModel& model) const override {
    for (const ExportLayer& layer : model.layers) {
      if (layer.linear.activation) return "its inputs are rounded.";
      if (layer.linear.bits != 4) return "it has no 4 bits.";
    }
    return model.kv_cache != nullptr ? "its keys and values are rounded." : "";
  }
  void Export(const fs::path&, const ExportModel& model, const fs::path& folder) const override {
    if (const std::string why = ExplainUnsupported(model); !why.empty()) throw Error(ErrorKind::kUnsupported, why);
    std::ofstream file(folder / "codes", std::ios::binary);
    for (const auto& [shape, linear] : model.layers) {
      Write(file, linear.codes);
      Write(file, linear.scales);
      Write(file, linear.zeros);
    }
    for (const auto& [name, value] : model.other_weights) Write(file, value);
  }

 protected:
  static void Write(std::ofstream& file, const at::Tensor& tensor) {
    file.write(static_cast<const char*>(tensor.contiguous().data_ptr()), static_cast<std::streamsize>(tensor.nbytes()));
  }
};
// Writes what `Change` makes of a model.
template <class Change>
class Loses : public RawCodes {
  std::string ExplainUnsupported(const ExportModel& model) const override {
    return RawCodes::ExplainUnsupported(Change()(model));
  }
  void Export(const fs::path& checkpoint, const ExportModel& model, const fs::path& folder) const override {
    RawCodes::Export(checkpoint, Change()(model), folder);
  }
};
struct KvCacheLost {
  ExportModel operator()(ExportModel model) const { return model.kv_cache = nullptr, model; }
};
struct OthersLost {
  ExportModel operator()(ExportModel model) const { return model.other_weights = {}, model; }
};
class LastLayerLost : public RawCodes {
  void Export(const fs::path& checkpoint, const ExportModel& model, const fs::path& folder) const override {
    RawCodes::Export(checkpoint, model, folder);
    const auto last = model.layers.back().linear.codes.nbytes() + model.layers.back().linear.scales.nbytes() +
                      model.layers.back().linear.zeros.nbytes();
    size_t others = 0;
    for (const auto& [name, value] : model.other_weights) others += value.nbytes();
    fs::resize_file(folder / "codes", fs::file_size(folder / "codes") - last - others);
  }
};
class InputsLost : public RawCodes {
  std::string ExplainUnsupported(const ExportModel& model) const override {
    return model.layers[0].linear.bits != 4 ? "it has no 4 bits." : model.kv_cache != nullptr ? "no cache." : "";
  }
};
class RefusesSilently : public RawCodes {
  void Export(const fs::path&, const ExportModel&, const fs::path& folder) const override {
    std::ofstream(folder / "codes") << "all";
  }
};
class RefusesLate : public RawCodes {
  void Export(const fs::path&, const ExportModel&, const fs::path&) const override {
    throw Error(ErrorKind::kUnsupported, "too late.");
  }
};
class WritesTheCallsNumber : public RawCodes {
  void Export(const fs::path& checkpoint, const ExportModel& model, const fs::path& folder) const override {
    RawCodes::Export(checkpoint, model, folder);
    std::ofstream(folder / "written") << ++calls_;
  }
  mutable int calls_ = 0;
};
class SpoilsItsInput : public RawCodes {
  void Export(const fs::path& checkpoint, const ExportModel& model, const fs::path& folder) const override {
    RawCodes::Export(checkpoint, model, folder);
    at::Tensor(model.layers[0].linear.codes).zero_();
  }
};
class RefusesAll : public RawCodes {
 public:
  std::string ExplainUnsupported(const ExportModel&) const override { return "never."; }
};

TEST_F(ExporterKit, NamesWhatAnExporterGetsWrong) {
  for (const char* name : {"first", "second"}) {
    trial_.summary.linears.push_back({.name = name, .block = 0, .in_features = 64, .out_features = 8});
  }
  trial_.other_weight.emplace("norm", at::full({64}, 1.5F));
  const auto faults = [&](const Exporter& exporter) { return ExporterFaults(exporter, "e", trial_); };
  const std::string where = "exporter 'e': ";
  EXPECT_THAT(faults(RawCodes()), ElementsAre());
  EXPECT_THAT(faults(Loses<KvCacheLost>()),
              ElementsAre(where + "the rounding of keys and values to 8 bits is lost: it writes the same bytes as "
                                  "without, and does not refuse it."));
  EXPECT_THAT(faults(Loses<OthersLost>()), ElementsAre(HasSubstr("the changed weight 'norm' is lost")));
  EXPECT_THAT(faults(LastLayerLost()),
              ElementsAre(HasSubstr("another code of 'second' is lost"), HasSubstr("another scale of 'second' is lost"),
                          HasSubstr("the changed weight 'norm' is lost")));
  EXPECT_THAT(faults(InputsLost()), ElementsAre(HasSubstr("the rounding of inputs to 8 bits is lost")));
  EXPECT_THAT(faults(RefusesSilently()), Contains(HasSubstr("ExplainUnsupported says 'it has no 4 bits.', and Export "
                                                            "does it.")));
  EXPECT_THAT(faults(RefusesLate()), Contains(HasSubstr("ExplainUnsupported is empty, and Export says 'too late.'.")));
  EXPECT_THAT(faults(WritesTheCallsNumber()), Contains(HasSubstr("it writes other bytes the second time.")));
  EXPECT_THAT(faults(SpoilsItsInput()), Contains(where + "it changed the codes that it was given."));
  EXPECT_THAT(faults(RefusesAll()), ElementsAre(where + "it can write none of the grids that were tried: never."));
}

// A reader that takes codes for other numbers than they are.
TEST_F(ExporterKit, ComparesWhatIsRead) {
  trial_.summary.linears.push_back({.name = "only", .block = 0, .in_features = 64, .out_features = 8});
  trial_.read = [](const fs::path& folder, const LinearShape& layer) {
    std::ifstream file(folder / "codes", std::ios::binary);
    at::Tensor codes = at::empty({layer.out_features, layer.in_features}, at::kByte);
    file.read(static_cast<char*>(codes.data_ptr()), static_cast<std::streamsize>(codes.nbytes()));
    return codes.to(at::kFloat);
  };
  EXPECT_THAT(ExporterFaults(RawCodes(), "e", trial_),
              Contains(HasSubstr("what is read of 'only' is not what its codes say.")));
}

}  // namespace
}  // namespace bitlaw
