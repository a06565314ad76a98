#include "bitlaw/testing/model_conformance.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <set>

#include "bitlaw/api/model.h"
#include "bitlaw/base/error.h"
#include "testing/fault_list.h"

namespace bitlaw::testing {
namespace {

/// What is wrong with what a backend says of a checkpoint without reading a weight.
void SummaryFaults(const ModelSummary& summary, FaultList& fault) {
  if (summary.name.empty() || summary.architecture.empty()) fault("its summary has no name or no architecture.");
  if (summary.num_blocks < 1 || summary.hidden_size < 1 || summary.vocab_size < 1 || summary.max_positions < 1) {
    fault("its summary has a size that is not positive: blocks " + std::to_string(summary.num_blocks) +
          ", hidden size " + std::to_string(summary.hidden_size) + ", vocabulary " +
          std::to_string(summary.vocab_size) + ", positions " + std::to_string(summary.max_positions) + ".");
  }
  int64_t quantizable = 0, block = 0;
  std::set<std::string> names;
  for (const LinearShape& layer : summary.linears) {
    quantizable += layer.in_features * layer.out_features;
    if (layer.name.empty() || !names.insert(layer.name).second)
      fault("layer '" + layer.name + "' has no name or is there twice.");
    if (layer.block < block || layer.block >= summary.num_blocks) {
      fault("layer '" + layer.name + "' is of block " + std::to_string(layer.block) +
            ", out of order or beyond the last.");
    }
    block = layer.block;
  }
  if (quantizable != summary.parameters_quantizable) {
    fault("parameters_quantizable is " + std::to_string(summary.parameters_quantizable) + ", and its layers have " +
          std::to_string(quantizable) + " weights.");
  }
  if (summary.parameters_active > summary.parameters_total || summary.parameters_embedding > summary.parameters_total ||
      quantizable > summary.parameters_non_embedding()) {
    fault("a part of its parameters is more than all of them.");
  }
  std::vector<std::string> readers, layers;
  for (const SiteShape& site : SitesOf(summary)) {
    for (const LinearShape& reader : site.readers) readers.push_back(reader.name);
  }
  for (const LinearShape& layer : summary.linears) layers.push_back(layer.name);
  if (std::sort(readers.begin(), readers.end()), std::sort(layers.begin(), layers.end()); readers != layers) {
    fault("the readers of its sites are not its layers, each once.");
  }
  for (const LinearShape& table : summary.tables) {
    if (table.block != -1) fault("table '" + table.name + "' is of block " + std::to_string(table.block) + ", not -1.");
  }
  if (summary.rounds_kv_cache && summary.head_dim < 1) fault("it rounds keys and values and does not say head_dim.");
  for (const Factor& factor : summary.factors) {
    if (const std::string why = ExplainFactor(factor); !why.empty()) fault("factor '" + factor.column + "': " + why);
  }
}

void TokenizerFaults(const Tokenizer& tokenizer, const Tokenizer& other, int64_t model_vocabulary,
                            FaultList& fault) {
  if (tokenizer.digest().empty() || tokenizer.digest() != other.digest()) {
    fault("its tokenizer's digest is empty, or another one the second time.");
  }
  if (tokenizer.vocab_size() > model_vocabulary) {
    fault("its tokenizer has " + std::to_string(tokenizer.vocab_size()) + " tokens, and the model " +
          std::to_string(model_vocabulary) + ".");
  }
  const std::string text = "Two and 3 are 5, d\xC3\xA9j\xC3\xA0 vu.\n";
  std::vector<int32_t> ids = tokenizer.Encode(text, true);
  if (ids.empty()) fault("its tokenizer has no token for a text.");
  if (ids != tokenizer.Encode(text, true) || ids != other.Encode(text, true)) {
    fault("its tokenizer gives other tokens the second time.");
  }
  for (const auto& special : {tokenizer.bos_id(), tokenizer.eos_id()}) {
    if (special) ids.push_back(*special);
  }
  for (const int32_t id : tokenizer.stop_ids()) ids.push_back(id);
  for (const int32_t id : ids) {
    if (id >= 0 && id < model_vocabulary) continue;
    fault("its tokenizer has the id " + std::to_string(id) + ", and the model " + std::to_string(model_vocabulary) +
          " tokens.");
    break;
  }
}

/// [B, T, V] float64 of texts from their beginnings.
at::Tensor LogitsOf(Model& model, const at::Tensor& tokens) {
  return model.Logits(model.Forward(tokens, {})).to(at::kDouble);
}

/// Logits of two texts [2, T] whose first `shared` tokens are the same, read as a parent and two children of a cache.
at::Tensor ForkedLogits(Model& model, const at::Tensor& texts, int64_t shared) {
  const int64_t length = texts.size(1), rest = length - shared;
  KvCache cache(model.summary().num_blocks, shared + 2 * rest);
  const int64_t parent = *cache.Add(KvCache::kNoParent, shared);
  const int64_t first = *cache.Add(parent, rest), second = *cache.Add(parent, rest);
  const std::vector<TokenRun> begin = {{parent, shared}}, ends = {{first, rest}, {second, rest}};
  const at::Tensor head =
      model.Logits(model.Forward(texts.narrow(0, 0, 1).narrow(1, 0, shared), {.cache = &cache, .runs = begin}));
  const at::Tensor tail = model.Logits(
      model.Forward(texts.narrow(1, shared, rest).reshape({1, 2 * rest}), {.cache = &cache, .runs = ends}));
  const at::Tensor halves = tail.reshape({2, rest, tail.size(-1)});                      // [2, T - shared, V]
  return at::cat({head.expand({2, shared, head.size(-1)}), halves}, 1).to(at::kDouble);  // [2, T, V]
}

/// Logits of one text [T], token by token through a cache, [T, V].
at::Tensor LogitsByToken(Model& model, const at::Tensor& text) {
  KvCache cache(model.summary().num_blocks, text.size(0));
  const TokenRun run{*cache.Add(KvCache::kNoParent, text.size(0)), 1};
  std::vector<at::Tensor> logits;
  for (int64_t t = 0; t < text.size(0); ++t) {
    logits.push_back(
        model.Logits(model.Forward(text.narrow(0, t, 1).unsqueeze(0), {.cache = &cache, .runs = {&run, 1}}))[0]);
  }
  return at::cat(logits).to(at::kDouble);
}

/// What the blocks are against the summary: layers, shapes, sites, what observers see.
void BlockFaults(Model& model, const ModelSummary& summary, const at::Tensor& tokens, FaultList& fault) {
  std::vector<std::string> planned, found, planned_sites, own_sites;
  for (const LinearShape& layer : summary.linears) planned.push_back(layer.name);
  for (const SiteShape& site : SitesOf(summary)) planned_sites.push_back(site.name + " from " + site.producer);
  at::Tensor hidden = model.Embed(tokens);
  if (hidden.dim() != 3 || hidden.size(2) != summary.hidden_size) fault("Embed() does not give [B, T, hidden_size].");
  for (int64_t b = 0; b < summary.num_blocks; ++b) {
    Block& block = model.block(b);
    for (const Site& site : block.sites()) own_sites.push_back(site.shape.name + " from " + site.shape.producer);
    BlockState state;
    state.residual = hidden;
    for (int stage = 0; stage <= block.num_stages(); ++stage) {
      std::set<const Linear*> seen;
      block.Step(stage, state, ForwardContext{}, [&](std::span<Linear* const> readers, const at::Tensor& input) {
        for (const Linear* reader : readers) {
          if (!seen.insert(reader).second)
            fault("'" + reader->shape().name + "' is shown its input twice in one step.");
          if (input.size(-1) == reader->shape().in_features) continue;
          fault("'" + reader->shape().name + "' has " + std::to_string(reader->shape().in_features) +
                " inputs and is shown " + std::to_string(input.size(-1)) + ".");
        }
      });
      if (stage == block.num_stages()) break;
      for (const Linear* linear : block.stage_linears(stage)) {
        const LinearShape& shape = linear->shape();
        found.push_back(shape.name);
        if (linear->weight().size(0) != shape.out_features || linear->weight().size(1) != shape.in_features) {
          fault("the weight of '" + shape.name + "' has another shape than the summary's.");
        }
        if (!seen.contains(linear) && !shape.is_expert)
          fault("no observer is shown the input of '" + shape.name + "'.");
      }
    }
    hidden = state.residual;
  }
  if (found != planned) fault("its blocks have other layers, or another order of them, than its summary.");
  if (own_sites != planned_sites) fault("its blocks have other sites than its summary.");
}

}  // namespace

std::vector<std::string> ModelFaults(const ModelBackend& backend, const std::string& name,
                                     const std::filesystem::path& path, double tolerance) {
  namespace fs = std::filesystem;
  const at::NoGradGuard no_grad;
  FaultList fault("model '" + name + "'");
  fault.Try([&] {
    if (!backend.Claims(path)) fault("it does not claim its own checkpoint.");
    if (backend.Claims(path.parent_path() / "no_such_file.of_no_format")) fault("it claims a path that is not there.");
    if (const std::string why = backend.ExplainUnsupported(path); !why.empty()) {
      fault("it cannot open the checkpoint: " + why);
      return;
    }
    const ModelSummary summary = backend.Inspect(path);
    SummaryFaults(summary, fault);
    const std::vector<fs::path> files = backend.Files(path);
    if (files.empty()) fault("no file determines its numbers.");
    for (const fs::path& file : files) {
      if (!fs::is_regular_file(file)) fault("'" + file.filename().string() + "', of its files, is not there.");
    }
    TokenizerFaults(*backend.OpenTokenizer(path), *backend.OpenTokenizer(path), summary.vocab_size, fault);
    try {
      backend.Open(path.parent_path() / ("no_such_" + path.filename().string()),
                   {.dtype = Dtype::kFloat32, .device = "cpu"});
      fault("it opens a checkpoint that is not there.");
    } catch (const Error&) {
    }
    try {
      backend.Open(path, {.dtype = Dtype::kFloat32, .device = "cuda:99"});
      fault("asked for a device that is not there, it opens the model on another.");
    } catch (const Error&) {
    }

    const ComputeSetting compute{.dtype = Dtype::kFloat32, .device = "cpu"};
    const std::unique_ptr<Model> model = backend.Open(path, compute);
    if (model->compute().dtype != compute.dtype || model->compute().device != compute.device) {
      fault("asked for float32 on the CPU, it computes otherwise.");
    }
    const int64_t length = std::min<int64_t>(10, summary.max_positions);
    at::Tensor tokens = at::randint(0, std::min(summary.vocab_size, model->tokenizer().vocab_size()), {2, length},
                                    at::detail::createCPUGenerator(5), at::kLong);
    const int64_t shared = length / 2;
    tokens.select(0, 1).narrow(0, 0, shared).copy_(tokens.select(0, 0).narrow(0, 0, shared));
    BlockFaults(*model, summary, tokens, fault);

    const at::Tensor logits = LogitsOf(*model, tokens);  // [2, T, V]
    if (logits.sizes() != at::IntArrayRef({2, length, summary.vocab_size})) {
      fault("its logits are not [B, T, vocab_size].");
      return;
    }
    if (!at::isfinite(logits).all().item<bool>()) {
      fault("its logits are not finite.");
      return;
    }
    const double size = logits.abs().max().item<double>();
    const auto differ = [&](const at::Tensor& a, const at::Tensor& b) {
      return !((a - b).abs().max().item<double>() <= tolerance * size);
    };
    if (!at::equal(LogitsOf(*model, tokens), logits)) fault("it gives other logits the second time.");
    if (!at::equal(LogitsOf(*backend.Open(path, compute), tokens), logits))
      fault("opened again, it gives other logits.");
    if (differ(LogitsOf(*model, tokens.narrow(0, 1, 1))[0], logits[1]))
      fault("a text alone has other logits than in a batch.");
    at::Tensor changed = tokens.clone();
    changed.select(1, length - 1).add_(1).remainder_(summary.vocab_size);
    const at::Tensor after = LogitsOf(*model, changed);
    if (differ(after.narrow(1, 0, length - 1), logits.narrow(1, 0, length - 1)))
      fault("logits depend on later tokens.");
    if (!differ(after.narrow(1, length - 1, 1), logits.narrow(1, length - 1, 1)))
      fault("logits do not depend on their own token.");
    if (differ(LogitsByToken(*model, tokens[0]), logits[0]))
      fault("token by token through a cache the logits are others.");
    if (differ(ForkedLogits(*model, tokens, shared), logits))
      fault("as two branches of one text the logits are others.");

    for (int64_t b = 0; b < summary.num_blocks; ++b) {
      for (int stage = 0; stage < model->block(b).num_stages(); ++stage) {
        for (size_t i = 0; i < model->block(b).stage_linears(stage).size(); ++i) {
          Linear& linear = *model->block(b).stage_linears(stage)[i];
          const std::string layer = linear.shape().name;
          if (linear.shape().is_expert) continue;  // No token may be routed to it.
          linear.Replace(linear.weight().neg(), linear.bias());
          if (!differ(LogitsOf(*model, tokens), logits))
            fault("another weight of '" + layer + "' changes no logit.");
          model->DropBlock(b);
        }
      }
    }
    if (!at::equal(LogitsOf(*model, tokens), logits))
      fault("blocks that were dropped do not come back as they were.");
    model->DropBlock(0);
    model->ReadAhead(0);
    if (!at::equal(LogitsOf(*model, tokens), logits)) fault("a block that was read ahead is another one.");
    for (int64_t b = 0; b < summary.num_blocks; ++b) {
      for (const Site& site : model->block(b).sites()) {
        if (site.producer != nullptr) site.Fold(at::full({site.producer->channels().max().item<int64_t>() + 1}, 2.0F));
      }
    }
    if (differ(LogitsOf(*model, tokens), logits))
      fault("scales that are folded into producers and readers change the logits.");

    if (summary.rounds_kv_cache) {
      const std::unique_ptr<Model> rounded = backend.Open(path, compute);
      KvCacheGrid grid;
      grid.keys.emplace().numbers.bits = 3;
      grid.values.emplace().numbers.bits = 3;
      rounded->RoundKvCache(grid);
      const at::Tensor coarse = LogitsOf(*rounded, tokens);
      if (!differ(coarse, logits)) fault("keys and values of 3 bits leave the logits as they were.");
      if (differ(LogitsByToken(*rounded, tokens[0]), coarse[0])) {
        fault("with rounded keys and values the logits are others token by token through a cache.");
      }
    }
    try {
      const std::unique_ptr<Model> half = backend.Open(path, {.dtype = Dtype::kBFloat16, .device = "cpu"});
      const at::Tensor half_logits = half->Logits(half->Forward(tokens, {}));
      if (half->compute().dtype != Dtype::kBFloat16 || half_logits.scalar_type() != at::kBFloat16) {
        fault("asked for bfloat16, it computes otherwise and does not refuse.");
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kUnsupported)
        fault("opened in bfloat16 it throws '" + std::string(error.what()) + "'.");
    }
  });
  return fault.all();
}

}  // namespace bitlaw::testing
