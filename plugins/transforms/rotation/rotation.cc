#include "rotation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "bitlaw/api/model.h"
#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"
#include "bitlaw/sdk/machine/torch_threads.h"
#include "turn_weights.h"

namespace bitlaw {
namespace {

using Weights = std::map<std::string, at::Tensor>;

// What was `weight + offset` once its factors are in the readers.
at::Tensor UnitNorm(const at::Tensor& weight, double offset) { return at::ones_like(weight).sub_(offset); }

// Turns what `ports` names, `others` being the other weights of that part of the model, by name. Returns the latter
// changed.
Weights TurnStream(const StreamPorts& ports, const Weights& others, const Rotation& rotation) {
  Weights changed;
  for (const StreamPorts::Reader& reader : ports.readers) {
    const at::Tensor& norm = others.at(reader.norm);
    const at::Tensor factors = norm.to(at::kDouble).add(reader.norm_offset);  // [D]
    for (Linear* linear : reader.linears) {
      linear->Replace(TurnedReader(linear->weight(), rotation, factors), linear->bias());
    }
    for (const std::string& name : reader.matrices) changed[name] = TurnedReader(others.at(name), rotation, factors);
    changed[reader.norm] = UnitNorm(norm, reader.norm_offset);
  }
  for (Linear* linear : ports.writers) {
    const at::Tensor& bias = linear->bias();
    linear->Replace(TurnedWriter(linear->weight(), rotation), bias.defined() ? TurnedWriter(bias, rotation) : bias);
  }
  for (const std::string& name : ports.rows) changed[name] = TurnedReader(others.at(name), rotation);
  return changed;
}

void TurnHeads(const AttentionHeads& heads, const Rotation& rotation) {
  const at::Tensor& bias = heads.values->bias();
  heads.values->Replace(TurnedWriter(heads.values->weight(), rotation),
                        bias.defined() ? TurnedWriter(bias, rotation) : bias);
  heads.output->Replace(TurnedReader(heads.output->weight(), rotation), heads.output->bias());
}

template <class Part>
Weights OtherWeightsOf(Part& part) {
  Weights weights;
  for (auto& [name, weight] : part.other_weights()) weights[name] = weight;
  return weights;
}

at::Tensor RandomOrthogonal(int64_t width, Rng rng) {
  const OneThread alone;
  at::Tensor normal = at::empty({width, width}, at::kDouble);
  std::generate_n(normal.data_ptr<double>(), normal.numel(), [&] { return rng.Normal(); });
  const auto [q, r] = at::linalg_qr(normal);
  return q * r.diagonal().sign();
}

at::Tensor RandomSigns(int64_t width, Rng rng) {
  at::Tensor signs = at::empty({width}, at::kFloat);
  std::generate_n(signs.data_ptr<float>(), width, [&] { return rng.Below(2) == 0 ? 1.0F : -1.0F; });
  return signs;
}

}  // namespace

OptionSchema RotationTransform::Schema() {
  OptionSchema schema;
  schema.Bool("residual").Default(true).Doc("R1: the residual stream. Norms are folded, the head is untied.");
  schema.Bool("heads").Default(true).Doc("R2: each value head, within v_proj and o_proj.");
  schema.Bool("keys").Default(false).Doc("R3: queries and keys of each head after rotary positions, in each pass.");
  schema.Bool("down_inputs").Default(true).Doc("R4: inputs of down projections, in each pass.");
  schema.Bool("out_inputs").Default(false).Doc("Inputs of o_proj, all heads together, in each pass.");
  schema.Choice("matrix", {"hadamard", "any", "orthogonal"})
      .Default("hadamard")
      .Doc(
          "hadamard: Hadamard matrices, and models without one of a width are refused; any: a random orthogonal one "
          "there; "
          "orthogonal: that everywhere.");
  schema.Choice("signs", {"none", "residual", "all"})
      .Default("residual")
      .Doc("Which Hadamard matrices have random signs before them.");
  schema.Int("seed").Range(0, int64_t{1} << 53).Default(0).Doc("Of random signs and of random orthogonal matrices.");
  return schema;
}

RotationTransform::Settings RotationTransform::SettingsFrom(const Options& options) {
  const std::string &matrix = options.String("matrix"), &signs = options.String("signs");
  return {.residual = options.Bool("residual"),
          .heads = options.Bool("heads"),
          .keys = options.Bool("keys"),
          .down_inputs = options.Bool("down_inputs"),
          .out_inputs = options.Bool("out_inputs"),
          .matrix = matrix == "hadamard" ? Matrix::kHadamard
                    : matrix == "any"    ? Matrix::kAny
                                         : Matrix::kOrthogonal,
          .signs = signs == "none"       ? Signs::kNone
                   : signs == "residual" ? Signs::kResidual
                                         : Signs::kAll,
          .seed = static_cast<uint64_t>(options.Int("seed"))};
}

RotationTransform::RotationTransform(Settings settings) : settings_(settings) {
  if (settings.residual || settings.heads || settings.keys || settings.down_inputs || settings.out_inputs) return;
  throw Error(ErrorKind::kSpec,
              "transform 'rotation': residual, heads, keys, down_inputs and out_inputs are all false, so that nothing "
              "would be turned. Set one of them, or leave the transform out.");
}

std::string RotationTransform::ExplainUnsupported(const SiteShape&) const {
  return "it turns the model as a whole, not a site";
}

bool RotationTransform::IsOrthogonal(int64_t width) const {
  return settings_.matrix == Matrix::kOrthogonal ||
         (settings_.matrix == Matrix::kAny && Rotation::HadamardBase(width) == 0);
}

bool RotationTransform::IsSigned(Part part) const {
  return settings_.signs == Signs::kAll || (settings_.signs == Signs::kResidual && part == Part::kResidual);
}

std::string RotationTransform::OptionOf(Part part) {
  switch (part) {
    case Part::kResidual: return "residual";
    case Part::kHeads: return "heads";
    case Part::kKeys: return "keys";
    case Part::kDownInputs: return "down_inputs";
    case Part::kOutInputs: return "out_inputs";
  }
  throw InternalError("transform 'rotation' has no such part");
}

std::string RotationTransform::ExplainWidth(const Turn& turn) const {
  if (turn.width > 0 && (settings_.matrix != Matrix::kHadamard || Rotation::HadamardBase(turn.width) != 0)) return "";
  const std::string option = OptionOf(turn.part);
  return option + ": no Hadamard matrix of order " + std::to_string(turn.width) +
         " is known here (k 2^m, k by Paley's constructions up to 1024). Set matrix: any for a random orthogonal one, "
         "or " +
         option + ": false";
}

std::string RotationTransform::ExplainUnsupportedModel(const ModelSummary& model) const {
  std::string why;
  const auto say = [&](const char* option, const std::string& reason) {
    if (!reason.empty()) why += (why.empty() ? "" : "; ") + std::string(option) + ": " + reason;
  };
  const BasisChanges& bases = model.bases;
  if (settings_.residual) say("residual", bases.residual.empty() ? "" : bases.residual + ". Set residual: false");
  if (settings_.heads) say("heads", bases.heads.empty() ? "" : bases.heads + ". Set heads: false");
  if (settings_.keys) say("keys", bases.keys.empty() ? "" : bases.keys + ". Set keys: false");
  for (const auto& [is_wanted, option, role] :
       {std::tuple(settings_.down_inputs, "down_inputs", SiteRole::kFeedForwardOut),
        std::tuple(settings_.out_inputs, "out_inputs", SiteRole::kAttentionOut)}) {
    if (!is_wanted) continue;
    const bool has_any = std::any_of(model.sites.begin(), model.sites.end(), [&, role = role](const SiteShape& site) {
      return site.role == role && site.rotates_online;
    });
    if (!has_any) say(option, std::string(BasisChanges::kNotSaid) + ". Set " + option + ": false");
  }
  if (!why.empty()) return why;
  for (const Turn& turn : TurnsOf(model)) {
    if (std::string reason = ExplainWidth(turn); !reason.empty()) return reason;
  }
  return "";
}

// One of each part and width.
std::vector<RotationTransform::Turn> RotationTransform::TurnsOf(const ModelSummary& model) const {
  std::vector<Turn> turns;
  const auto add = [&](const Turn& added) {
    const auto found = std::find_if(turns.begin(), turns.end(), [&](const Turn& turn) {
      return turn.part == added.part && turn.width == added.width && turn.stride == added.stride;
    });
    if (found != turns.end()) {
      found->times += added.times;
      found->routed += added.routed;
    } else {
      turns.push_back(added);
    }
  };
  if (settings_.residual) add({Part::kResidual, model.hidden_size, 1, 0});
  if (settings_.heads) add({Part::kHeads, model.head_dim, 1, 0});
  for (const SiteShape& site : model.sites) {
    if (settings_.keys && site.role == SiteRole::kAttentionIn && site.readers.size() >= 2) {
      const int64_t channels = site.readers[0].out_features + site.readers[1].out_features;  // Of q and k.
      add({Part::kKeys, model.head_dim, 1, channels / std::max<int64_t>(1, model.head_dim)});
    }
    if (settings_.down_inputs && site.role == SiteRole::kFeedForwardOut) {
      add({Part::kDownInputs, site.in_features(), 1, 1, site.is_expert ? 1 : 0});
    }
    if (settings_.out_inputs && site.role == SiteRole::kAttentionOut) add(OutTurn(site, model.head_dim));
  }
  return turns;
}

// All of the input, or over heads what a rotation of each head leaves.
RotationTransform::Turn RotationTransform::OutTurn(const SiteShape& site, int64_t head_dim) const {
  const int64_t apart = settings_.heads ? std::max<int64_t>(1, head_dim) : 1;
  return {Part::kOutInputs, site.in_features() / apart, apart, 1};
}

std::string RotationTransform::NameOf(const Turn& turn) const {
  const std::string apart = turn.stride == 1 ? "" : " apart " + std::to_string(turn.stride);
  if (IsOrthogonal(turn.width)) return "orthogonal " + std::to_string(turn.width) + apart;
  return (IsSigned(turn.part) ? "signed " : "") + Rotation::Hadamard(turn.width).Name() + apart;
}

// The embedding's parameters are those of both where they are not one matrix.
int64_t RotationTransform::added_weights(const ModelSummary& model) const {
  const int64_t head = model.vocab_size * model.hidden_size;
  return settings_.residual && model.parameters_embedding == head ? head : 0;
}

std::vector<Factor> RotationTransform::factors(const ModelSummary& model) const {
  int64_t experts = 1, active = 1;
  for (const Factor& factor : model.factors) {
    if (factor.column == "experts" && factor.value.is_int()) experts = factor.value.AsInt();
    if (factor.column == "experts_active" && factor.value.is_int()) active = factor.value.AsInt();
  }
  std::string text;
  int64_t operations = 0;
  for (const Turn& turn : TurnsOf(model)) {
    text += (text.empty() ? "" : ", ") + OptionOf(turn.part) + " " + NameOf(turn);
    const int64_t times = turn.times - turn.routed + turn.routed * active / experts;
    const int64_t each =
        IsOrthogonal(turn.width) ? turn.width * turn.width : Rotation::Hadamard(turn.width).Operations();
    operations += times * turn.stride * each;
  }
  Factor rotation, online;
  rotation.column = "rotation";
  rotation.doc = "What was turned, by which matrix.";
  rotation.value = text;
  online.column = "online_operations";
  online.unit = "operations a token";
  online.doc = "Additions, or multiplications by a matrix that is not Hadamard, that rotations take in each pass.";
  online.value = operations;
  online.anchor = int64_t{0};
  return {rotation, online};
}

Rotation RotationTransform::Make(const Turn& turn) const {
  const Rng rng = Rng(settings_.seed).Fork(static_cast<uint64_t>(turn.part));
  if (IsOrthogonal(turn.width)) return Rotation::OfMatrix(RandomOrthogonal(turn.width, rng)).Strided(turn.stride);
  const at::Tensor signs = IsSigned(turn.part) ? RandomSigns(turn.width, rng) : at::Tensor();
  return Rotation::Hadamard(turn.width, signs).Strided(turn.stride);
}

void RotationTransform::Apply(const Site& site, const LayerCalibration&) const {
  throw InternalError("transform 'rotation', " + site.shape.name + ": it was applied to a site");
}

void RotationTransform::ApplyToModel(Model& model) const {
  const ModelSummary& summary = model.summary();
  if (const std::string why = ExplainUnsupportedModel(summary); !why.empty()) {
    throw InternalError("transform 'rotation', " + summary.name + ": " + why);
  }
  WithTorchErrors("transform 'rotation', " + summary.name, [&] {
    const at::NoGradGuard no_grad;
    const at::Device device(model.compute().device);
    std::map<std::tuple<Part, int64_t, int64_t>, Rotation> made;
    const auto rotation = [&](const Turn& turn) -> const Rotation& {
      const auto key = std::tuple(turn.part, turn.width, turn.stride);
      const auto found = made.find(key);
      return found != made.end() ? found->second : made.emplace(key, Make(turn).On(device)).first->second;
    };
    const Turn stream = {Part::kResidual, summary.hidden_size};
    if (settings_.residual) {
      for (const auto& [name, weight] : TurnStream(model.stream(), OtherWeightsOf(model), rotation(stream))) {
        model.SetOtherWeight(name, weight);
      }
    }
    for (int64_t b = 0; b < summary.num_blocks; ++b) {
      Block& block = model.block(b);
      if (settings_.residual) {
        for (const auto& [name, weight] : TurnStream(block.stream(), OtherWeightsOf(block), rotation(stream))) {
          block.SetOtherWeight(name, weight);
        }
      }
      const AttentionHeads heads = block.heads();
      if (settings_.heads) TurnHeads(heads, rotation({Part::kHeads, heads.head_dim}));
      if (settings_.keys) block.RotateOnline(heads.keys_place, rotation({Part::kKeys, heads.head_dim}));
      for (const Site& site : block.sites()) {
        const bool is_down = settings_.down_inputs && site.shape.role == SiteRole::kFeedForwardOut;
        const bool is_out = settings_.out_inputs && site.shape.role == SiteRole::kAttentionOut;
        if (!is_down && !is_out) continue;
        const Rotation& turn =
            rotation(is_down ? Turn{Part::kDownInputs, site.shape.in_features()} : OutTurn(site.shape, heads.head_dim));
        for (Linear* reader : site.readers) reader->Replace(TurnedReader(reader->weight(), turn), reader->bias());
        block.RotateOnline(site.shape.name, turn);
      }
    }
  });
}

}  // namespace bitlaw
