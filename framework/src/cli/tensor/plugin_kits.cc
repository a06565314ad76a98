#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <memory>

#include "base/files/scratch_folder.h"
#include "bitlaw/api/exporter.h"
#include "bitlaw/api/model.h"
#include "bitlaw/api/quantizer.h"
#include "bitlaw/api/transform.h"
#include "bitlaw/base/error.h"
#include "bitlaw/testing/exporter_conformance.h"
#include "bitlaw/testing/grid_conformance.h"
#include "bitlaw/testing/model_conformance.h"
#include "bitlaw/testing/quantizer_conformance.h"
#include "bitlaw/testing/small_decoder.h"
#include "bitlaw/testing/transform_conformance.h"
#include "cli/plugins/kit_arguments.h"
#include "cli/tensor/model_argument.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;

const ComputeSetting kFloat32OnCpu{.dtype = Dtype::kFloat32, .device = "cpu"};

LinearShape Shape(const std::string& name, int64_t inputs, int64_t outputs) {
  LinearShape shape;
  shape.name = name;
  shape.in_features = inputs;
  shape.out_features = outputs;
  return shape;
}

KitOutcome ModelKit(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  if (arguments.model.empty()) {
    throw Error(ErrorKind::kSpec, component.full_name() +
                                      ": a model backend is tried with a checkpoint. Name a small one "
                                      "of its format with --model.");
  }
  return {{"ModelFaults (bitlaw/testing/model_conformance.h): summary, files, tokenizer, layers, logits, cache, "
           "blocks, of " +
           arguments.model.string()},
          {},
          testing::ModelFaults(*host.MakeModelBackend(component.info.name, arguments.options), component.info.name,
                               fs::absolute(arguments.model))};
}

KitOutcome QuantizerKit(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  const auto make = [&] { return host.MakeQuantizer(component.info.name, arguments.options); };
  const std::vector<LinearShape> shapes = {Shape("square", 128, 128), Shape("wide", 256, 64), Shape("small", 32, 4)};
  std::string why;
  for (const LinearShape& shape : shapes) {
    why = make()->ExplainUnsupported(shape);
    if (!why.empty()) continue;
    return {{"QuantizerFaults (bitlaw/testing/quantizer_conformance.h): support, results, untouched inputs, same "
             "bytes, sites, of "
             "layers of 128 x 128, 64 x 256 and 4 x 32 weights"},
            {},
            testing::QuantizerFaults(make, component.info.name, shapes)};
  }
  return {{},
          {"QuantizerFaults (bitlaw/testing/quantizer_conformance.h), for no layer to try it on"},
          {"quantizer '" + component.info.name + "': it does none of the layers that were tried: " + why}};
}

KitOutcome TransformKit(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  const std::unique_ptr<Transform> transform = host.MakeTransform(component.info.name, arguments.options);
  // What searches for scales that rounding hurts least is told what rounds.
  std::unique_ptr<Quantizer> rounds;
  for (const std::string& name : host.Names(ComponentKind::kQuantizer)) {
    if (name != "rtn") continue;
    const OptionSchema& schema = host.Find(ComponentKind::kQuantizer, name).schema;
    rounds = host.MakeQuantizer(name, schema.Resolve(Value(Value::Map{{"bits", 3}, {"group_size", 16}}), "rtn"));
  }
  transform->TakeQuantizer(rounds.get());
  const auto open = [&]() -> std::unique_ptr<Model> {
    if (arguments.model.empty()) return testing::OpenSmallDecoder();
    return OpenModelArgument(host, arguments.model, "", kFloat32OnCpu).model;
  };
  const ModelSummary summary = open()->summary();
  if (const std::string why = transform->is_of_whole_model() ? transform->ExplainUnsupportedModel(summary) : "";
      !why.empty()) {
    throw Error(ErrorKind::kUnsupported, component.full_name() + ": " + why + ". Name another model with --model.");
  }
  const at::Tensor tokens =
      at::randint(0, summary.vocab_size, {2, 12}, at::detail::createCPUGenerator(2), at::kLong);  // [B, T]
  // Rotated weights are rounded to float32 once more.
  const double tolerance = transform->is_of_whole_model() ? 1e-4 : 1e-5;
  const std::string model = arguments.model.empty() ? "a small decoder of random weights" : arguments.model.string();
  return {
      {"TransformFaults (bitlaw/testing/transform_conformance.h): the same logits from changed weights, the same bytes "
       "twice, sites, of " +
       model},
      {},
      testing::TransformFaults(*transform, component.info.name, open, tokens, tolerance)};
}

KitOutcome ExporterKit(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  const ScratchFolder folder("kit");
  testing::ExporterTrial trial;
  trial.checkpoint = arguments.model.empty() ? arguments.lab_model : fs::absolute(arguments.model);
  const OpenedModel opened = OpenModelArgument(host, trial.checkpoint, "", kFloat32OnCpu);
  trial.summary = opened.model->summary();
  trial.folder = folder.path();
  const auto others = opened.model->block(0).other_weights();
  if (!others.empty()) trial.other_weight.emplace(others.front().first, others.front().second * 1.5);
  return {
      {"ExporterFaults (bitlaw/testing/exporter_conformance.h): support, files, codes, what changes them, a reader's "
       "weights, "
       "of " +
       trial.checkpoint.string()},
      {},
      testing::ExporterFaults(*host.MakeExporter(component.info.name, arguments.options), component.info.name, trial)};
}

}  // namespace

KitOutcome RunTensorKits(const PluginHost& host, const Component& component, const KitArguments& arguments) {
  switch (component.kind) {
    case ComponentKind::kModel: return ModelKit(host, component, arguments);
    case ComponentKind::kQuantizer: return QuantizerKit(host, component, arguments);
    case ComponentKind::kTransform: return TransformKit(host, component, arguments);
    case ComponentKind::kExporter: return ExporterKit(host, component, arguments);
    case ComponentKind::kGrid:
      return {{"GridFaults (bitlaw/testing/grid_conformance.h): levels, parameters, codes, effective bits, of groups "
               "alone and "
               "of tensors"},
              {},
              testing::GridFaults(*host.MakeGrid(component.info.name, arguments.options), component.info.name)};
    default: throw InternalError("no kit for " + component.full_name());
  }
}

}  // namespace bitlaw
