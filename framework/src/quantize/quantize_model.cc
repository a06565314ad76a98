#include "quantize/quantize_model.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <map>

#include "bitlaw/api/torch_errors.h"
#include "bitlaw/base/error.h"
#include "quantize/calibration_walk.h"
#include "quantize/clock/matrix_product_clock.h"
#include "quantize/clock/phase_clock.h"
#include "quantize/kept_codes.h"
#include "quantize/kept_statistics.h"
#include "quantize/recipe/check_recipe.h"
#include "quantize/recipe/mean_bits.h"
#include "quantize/recipe/round_tables.h"
#include "quantize/recipe/static_ranges.h"
#include "quantize/recipe/transform_model.h"

namespace bitlaw {
namespace {

// Before a Hessian of many columns is factored: the forward pass leaves holes in the heap that may be as large as that.
void ReturnFreeMemory(int64_t columns) {
  constexpr int64_t kManyColumns = 4096;  // 64 MiB; to take pages anew costs thousands of times less than the factor.
  if (columns >= kManyColumns) malloc_trim(0);
}

// One walk over the blocks of a model.
class BlockWalk {
 public:
  BlockWalk(Model& model, const QuantizeRecipe& recipe, const TokenSequences* calibration,
            const QuantizeSettings& settings, const QuantizeCallback& callback, QuantizedModel& result)
      : model_(model),
        device_(model.compute().device),
        recipe_(recipe),
        quantizer_(*recipe.quantizer),
        activations_(recipe.activations),
        sequential_(recipe.sequential),
        experts_(recipe.experts),
        needs_(quantizer_.needs()),
        settings_(settings),
        callback_(callback),
        result_(result),
        clock_(device_),
        codes_(device_, settings.take_codes) {
    needs_.range |= activations_ && activations_->is_static();
    for (const LinearShape& layer : model.summary().linears) {
      if (Skips(recipe, layer.name)) result_.skipped.push_back(layer);
    }
    if (!needs_.any()) return;
    CheckCalibration(model.summary(), calibration);
    const bool shows_all = experts_.policy == ExpertPolicy::kAllExperts;
    if (sequential_ == SequentialUnit::kNone && settings.kept != nullptr) {
      kept_ = settings.kept;
      const std::string key = settings.kept_key + (needs_.second_moment_float64 ? " float64" : "") +
                              NameOf(needs_, recipe, model.summary()) + (shows_all ? " all_experts" : "");
      if (kept_->Has(key)) return;
      kept_->Begin(key);
    }
    walk_.emplace(model, *calibration, settings.batch_tokens, result.times);
    walk_->SetNeeds(needs_);
    if (recipe.skips) walk_->SetSkips(recipe.skips);
    if (shows_all) walk_->ShowAllToExperts();
  }

  void Run() {
    if (settings_.overlaps) model_.ReadAhead(0);
    if (walk_) walk_->Embed();
    if (walk_ && needs_.cross_moment) walk_->KeepUnquantized();
    RoundTables(model_, recipe_, [this](QuantizedLayer layer) {
      codes_.Keep(layer);
      result_.layers.push_back(std::move(layer));
      layer_times_.emplace_back(0);
    });
    if (walk_ && recipe_.embeddings && sequential_ != SequentialUnit::kNone) walk_->Embed();
    // With the last block, which is not there yet, goes what was read of the embeddings. Where there were transforms all
    // blocks are there, changed.
    const bool are_changed = !result_.other_weights.empty() || !result_.rotations.empty();
    if (walk_ && !settings_.keep_blocks && !are_changed) model_.DropBlock(model_.summary().num_blocks - 1);
    for (int64_t b = 0; b < model_.summary().num_blocks; ++b) {
      blocks_done_ = b;
      Block& block = model_.block(b);
      if (settings_.overlaps && !IsLastBlock()) model_.ReadAhead(b + 1);
      FindSites(block);
      if (!walk_) {
        for (int stage = 0; stage < block.num_stages(); ++stage) QuantizeStage(block, stage);
      } else {
        switch (sequential_) {
          case SequentialUnit::kStage: WalkStages(block); break;
          case SequentialUnit::kBlock: WalkWholeBlock(block); break;
          case SequentialUnit::kNone: WalkUnquantized(block); break;
        }
      }
      sites_.clear();
      if (!settings_.keep_blocks) model_.DropBlock(b);
    }
    if (kept_ != nullptr && walk_) kept_->End();
    codes_.Finish(result_.layers);
    clock_.Settle();
    for (size_t i = 0; i < layer_times_.size(); ++i) result_.layers[i].elapsed_s = layer_times_[i];
    Summarize(recipe_, model_.summary(), result_);
  }

  CodesDigest& digest() { return codes_.digest(); }

 private:
  void WalkStages(Block& block) {
    if (needs_.cross_moment) walk_->StepUnquantized(block, 0);
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      walk_->Step(block, stage, /*observes=*/true);
      // With this stage's weights as they were.
      if (needs_.cross_moment) walk_->StepUnquantized(block, stage + 1);
      QuantizeStage(block, stage);
    }
    if (IsLastBlock()) return;  // Nothing reads its output.
    walk_->Step(block, block.num_stages(), /*observes=*/false);
  }

  void WalkWholeBlock(Block& block) {
    for (int stage = 0; needs_.cross_moment && stage <= block.num_stages(); ++stage)
      walk_->StepUnquantized(block, stage);
    walk_->Observe(block);
    for (int stage = 0; stage < block.num_stages(); ++stage) QuantizeStage(block, stage);
    if (!IsLastBlock()) walk_->Forward(block);
  }

  // The sequences go on through the block as it was.
  void WalkUnquantized(Block& block) {
    for (int stage = 0; stage < block.num_stages(); ++stage) walk_->Step(block, stage, /*observes=*/true);
    if (!IsLastBlock()) walk_->Step(block, block.num_stages(), /*observes=*/false);
    if (kept_ != nullptr) {
      for (const Site& site : sites_) {
        const Linear& reader = *site.readers.front();
        kept_->Keep(site.readers, walk_->StatisticsOf(reader), walk_->RoutedTokens(reader));
      }
    }
    for (int stage = 0; stage < block.num_stages(); ++stage) QuantizeStage(block, stage);
  }

  bool IsLastBlock() const { return blocks_done_ + 1 == model_.summary().num_blocks; }

  const LayerCalibration& CalibrationOf(const Linear& linear) {
    static const LayerCalibration kNone;
    const LayerCalibration* const kept = kept_ == nullptr ? nullptr : kept_->Find(linear.shape().name);
    if (kept != nullptr) return *kept;
    return walk_ ? walk_->StatisticsOf(linear) : kNone;
  }

  int64_t RoutedTokens(const Linear& linear) const {
    if (walk_) return walk_->RoutedTokens(linear);
    return kept_ == nullptr ? 0 : kept_->RoutedTokens(linear.shape().name);
  }

  // Whether the recipe says what becomes of an expert to which as few tokens were routed as to this site's.
  bool IsBelowMinimum(const Site& site) const {
    const bool has_minimum = experts_.policy == ExpertPolicy::kFail || experts_.policy == ExpertPolicy::kRtn;
    return has_minimum && site.shape.is_expert && quantizer_.needs().any() &&
           RoutedTokens(*site.readers.front()) < experts_.minimum_tokens;
  }

  void RefuseBelowMinimum(std::span<const Site* const> sites) const {
    if (experts_.policy != ExpertPolicy::kFail) return;
    const Site* least = nullptr;
    int64_t experts = 0, below = 0;
    for (const Site* site : sites) {
      if (!site->shape.is_expert) continue;
      ++experts;
      if (!IsBelowMinimum(*site)) continue;
      ++below;
      if (least == nullptr || RoutedTokens(*site->readers.front()) < RoutedTokens(*least->readers.front())) {
        least = site;
      }
    }
    if (least == nullptr) return;
    throw Error(ErrorKind::kNumerical,
                fmt::format("block {}: {} of {} experts got fewer calibration tokens than experts.minimum_tokens = {}, "
                            "the fewest {} with {}. Use more calibration sequences, or experts.policy rtn or "
                            "all_experts, which the record will name.",
                            blocks_done_, below, experts, experts_.minimum_tokens, least->shape.name,
                            RoutedTokens(*least->readers.front())));
  }

  void RoundToNearest(const Site& site) {
    std::vector<at::Tensor> weights;
    for (const Linear* reader : site.readers) weights.push_back(reader->weight());
    std::vector<QuantizedLinear> rounded(site.readers.size());
    PhaseClock::Span span = clock_.Begin();
    quantizer_.RoundToNearest(site.shape, weights, rounded);
    clock_.End(span);
    CheckCount(site, rounded.size());
    weights.clear();
    for (size_t i = 0; i < rounded.size(); ++i) {
      QuantizedLayer layer;
      layer.shape = site.shape.readers[i];
      layer.linear = std::move(rounded[i]);
      layer.linear.fallback = QuantizeFallback::kRoundToNearest;
      Install(*site.readers[i], std::move(layer), span, site.readers.size());
    }
  }

  // The block's sites, stage by stage; each linear layer of a stage must be read at one of them.
  void FindSites(Block& block) {
    sites_ = block.sites();
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      std::vector<const Linear*> expected, named;
      for (const Linear* linear : block.stage_linears(stage)) expected.push_back(linear);
      for (const Site& site : sites_) {
        if (site.stage == stage) named.insert(named.end(), site.readers.begin(), site.readers.end());
      }
      if (named != expected) {
        throw InternalError(fmt::format("{}: the sites of block {} do not read the linear layers of stage {} in their "
                                        "order",
                                        model_.summary().name, blocks_done_, stage));
      }
    }
    if (recipe_.skips) LeaveSkipped();
  }

  void LeaveSkipped() {
    for (Site& site : sites_) {
      std::erase_if(site.readers, [&](const Linear* reader) { return recipe_.skips(reader->shape().name); });
      std::erase_if(site.shape.readers, [&](const LinearShape& reader) { return recipe_.skips(reader.name); });
    }
    std::erase_if(sites_, [](const Site& site) { return site.readers.empty(); });
  }

  void QuantizeStage(Block& block, int stage) {
    std::vector<const Site*> sites;
    for (const Site& site : sites_) {
      if (site.stage == stage) sites.push_back(&site);
    }
    RefuseBelowMinimum(sites);
    for (std::span<const Site* const> left(sites); !left.empty();) {
      if (IsBelowMinimum(*left.front())) {
        RoundToNearest(*left.front());
        left = left.subspan(1);
        continue;
      }
      size_t alike = 1;
      while (alike < left.size() && AreAlike(left.front()->shape, left[alike]->shape) &&
             !IsBelowMinimum(*left[alike])) {
        ++alike;
      }
      size_t done = alike > 1 && settings_.overlaps ? QuantizeTogether(left.first(alike)) : 0;
      if (done == 0) {
        QuantizeSite(*left.front());
        done = 1;
      }
      left = left.subspan(done);
    }
    if (walk_) walk_->Forget(block.stage_linears(stage));
  }

  static bool AreAlike(const SiteShape& a, const SiteShape& b) {
    return std::equal(a.readers.begin(), a.readers.end(), b.readers.begin(), b.readers.end(),
                      [](const LinearShape& x, const LinearShape& y) {
                        return x.in_features == y.in_features && x.out_features == y.out_features;
                      });
  }

  // As many of these sites as the quantizer takes at once; how many those are.
  size_t QuantizeTogether(std::span<const Site* const> sites) {
    std::vector<std::vector<at::Tensor>> weights;
    std::vector<SiteInput> inputs;
    std::vector<std::vector<QuantizedLinear>> results;
    for (const Site* site : sites) {
      weights.emplace_back();
      for (const Linear* reader : site->readers) weights.back().push_back(reader->weight());
      inputs.push_back({&site->shape, weights.back(), &SharedCalibration(*site)});
      results.emplace_back(site->readers.size());
    }
    PhaseClock::Span together = clock_.Begin();
    const size_t done = quantizer_.QuantizeAlike(inputs, results);
    clock_.End(together);
    if (done > sites.size()) {
      throw InternalError(fmt::format("{}: the quantizer says that it took {} sites of {}", sites.front()->shape.name,
                                      done, sites.size()));
    }
    weights.clear();
    for (size_t s = 0; s < done; ++s) {
      CheckCount(*sites[s], results[s].size());
      for (size_t i = 0; i < results[s].size(); ++i) {
        QuantizedLayer layer;
        layer.shape = sites[s]->shape.readers[i];
        layer.linear = std::move(results[s][i]);
        Install(*sites[s]->readers[i], std::move(layer), together, done * results[s].size());
      }
    }
    return done;
  }

  static void CheckCount(const Site& site, size_t results) {
    if (results == site.readers.size()) return;
    throw InternalError(fmt::format("{}: the quantizer gave {} layers for {} readers", site.shape.name, results,
                                    site.readers.size()));
  }

  const LayerCalibration& SharedCalibration(const Site& site) {
    const LayerCalibration& calibration = CalibrationOf(*site.readers.front());
    for (const Linear* reader : site.readers) {
      if (&CalibrationOf(*reader) != &calibration) {
        throw InternalError(site.shape.name + ": its block showed the readers different inputs");
      }
    }
    return calibration;
  }

  void QuantizeSite(const Site& site) {
    const LayerCalibration& calibration = SharedCalibration(site);
    if (walk_ && device_.is_cpu()) ReturnFreeMemory(site.shape.in_features());
    std::vector<at::Tensor> weights;
    for (const Linear* reader : site.readers) weights.push_back(reader->weight());
    std::vector<QuantizedLinear> together(site.readers.size());
    PhaseClock::Span span = clock_.Begin();
    const bool are_together = quantizer_.QuantizeSite(site.shape, weights, calibration, together);
    clock_.End(span);
    if (are_together) CheckCount(site, together.size());
    for (size_t i = 0; i < site.readers.size(); ++i) {
      QuantizedLayer layer;
      layer.shape = site.shape.readers[i];
      if (are_together) {
        layer.linear = std::move(together[i]);
      } else {
        span = clock_.Begin();
        layer.linear = quantizer_.Quantize(layer.shape, weights[i], calibration);
        clock_.End(span);
      }
      weights[i].reset();
      Install(*site.readers[i], std::move(layer), span, are_together ? site.readers.size() : 1);
    }
  }

  // `span`: what the quantizer took for this layer and others, `sharers` of them in all.
  void Install(Linear& linear, QuantizedLayer layer, const PhaseClock::Span& span, size_t sharers) {
    layer.bits_requested = quantizer_.BitsRequested(layer.shape);
    layer.bits_per_weight = quantizer_.BitsPerWeight(layer.shape);
    if (layer.linear.fallback != QuantizeFallback::kNone && !settings_.allow_fallback) {
      throw Error(ErrorKind::kNumerical,
                  fmt::format("{}: the quantizer fell back ({}). A study counts such layers only with allow_fallback: "
                              "true. Allow it, or change the options so that none is needed.",
                              layer.shape.name, Name(layer.linear.fallback)));
    }
    if (activations_ && layer.linear.activation) {
      throw Error(ErrorKind::kUnsupported, layer.shape.name + ": the quantizer rounds activations itself. Leave "
                                                              "'activations' out.");
    }
    if (activations_) layer.linear.activation = InputGridOf(linear, layer.linear);
    if (layer.shape.is_expert && quantizer_.needs().any()) {
      layer.linear.diagnostics.emplace_back("routed_tokens", static_cast<double>(RoutedTokens(linear)));
    }
    {
      const Timed timed(clock_, result_.times.install_s);
      linear.Install(layer.linear);
    }
    codes_.Keep(layer);
    result_.layers.push_back(std::move(layer));
    const double share = 1.0 / static_cast<double>(sharers);
    clock_.Add(span, share, layer_times_.emplace_back(0));
    clock_.Add(span, share, result_.times.quantize_s);
    if (callback_) Report();
  }

  // A static grid covers what this layer read of the calibration set, at this point of the walk.
  ActivationGrid InputGridOf(const Linear& linear, const QuantizedLinear& quantized) {
    if (!activations_->is_static()) return *activations_;
    return GridOver(*activations_, CalibrationOf(linear), quantized.input_scale, linear.shape().name);
  }

  void Report() const {
    QuantizeProgress progress;
    progress.layers_done = static_cast<int64_t>(result_.layers.size());
    progress.layers_total = static_cast<int64_t>(ExpectedLayers(recipe_, model_.summary()).size());
    progress.layer = result_.layers.back().shape.name;
    progress.elapsed_s = SecondsSince(start_);
    const int64_t left = progress.layers_total - progress.layers_done;
    progress.remaining_s = progress.elapsed_s * static_cast<double>(left) / static_cast<double>(progress.layers_done);
    callback_(progress);
  }

  Model& model_;
  const at::Device device_;
  const QuantizeRecipe& recipe_;
  const Quantizer& quantizer_;
  const std::optional<ActivationGrid>& activations_;
  const SequentialUnit sequential_;
  const ExpertCalibration experts_;
  CalibrationNeeds needs_;  ///< The quantizer's, and those of static inputs.
  const QuantizeSettings& settings_;
  const QuantizeCallback& callback_;
  QuantizedModel& result_;
  const Clock::time_point start_ = Clock::now();
  int64_t blocks_done_ = 0;
  KeptStatistics* kept_ = nullptr;
  std::optional<CalibrationWalk> walk_;  ///< Only if the quantizer needs statistics that are not kept.
  std::vector<Site> sites_;              ///< Of the current block.
  PhaseClock clock_;
  std::deque<double> layer_times_;  ///< Of each layer of the result, where the clock adds to them.
  KeptCodes codes_;
};

// Weights stay as they are; every layer's inputs are rounded.
void RoundActivations(Model& model, const ActivationGrid& grid) {
  for (int64_t b = 0; b < model.summary().num_blocks; ++b) {
    Block& block = model.block(b);
    for (int stage = 0; stage < block.num_stages(); ++stage) {
      for (Linear* linear : block.stage_linears(stage)) linear->RoundInputs(grid);
    }
  }
}

}  // namespace

double QuantizedLayer::diagnostic(std::string_view name) const {
  for (const auto& [key, value] : linear.diagnostics) {
    if (key == name) return value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

QuantizedModel QuantizeModel(Model& model, const QuantizeRecipe& recipe, const TokenSequences* calibration,
                             const QuantizeSettings& settings, const QuantizeCallback& callback) {
  if (const auto& stored = model.summary().stored_quantization) {
    throw Error(ErrorKind::kUnsupported, model.summary().name + ": its weights are quantized already (" + stored->method +
                                             "), and nothing is quantized twice. Use the original checkpoint.");
  }
  CheckSupported(model, recipe);
  return WithTorchErrors(model.summary().name, [&] {
    const at::NoGradGuard no_grad;
    QuantizedModel result;
    CodesDigest digest;
    {
      const MatrixProductClock products;
      const at::Device device(model.compute().device);
      const Clock::time_point start = Clock::now();
      if (!recipe.transforms.empty()) {
        TransformModel(model, recipe.transforms, calibration, settings.batch_tokens, result.times,
                       recipe.experts.policy == ExpertPolicy::kAllExperts, recipe.skips);
        result.other_weights = OtherWeights(model, recipe.skips);
        result.model_weights = model.changed_weights();
        result.rotations = OnlineRotations(model);
      }
      const bool rounds_kv_cache = recipe.kv_cache.any();
      const bool sees_it = recipe.quantizer == nullptr || recipe.sequential != SequentialUnit::kNone;
      const bool drops_blocks = !settings.keep_blocks && recipe.transforms.empty();  // Those keep what they changed.
      result.kv_cache =
          WithStaticScales(recipe.kv_cache, model, calibration, settings, drops_blocks, result.times);
      if (rounds_kv_cache && sees_it) model.RoundKvCache(result.kv_cache);
      if (recipe.quantizer != nullptr) {
        BlockWalk walk(model, recipe, calibration, settings, callback, result);
        walk.Run();
        digest = std::move(walk.digest());
        if (rounds_kv_cache && !sees_it) model.RoundKvCache(result.kv_cache);
      } else {
        // Blocks that are not kept are rounded when they are read again (WithInstalledBlocks).
        if (recipe.activations && recipe.activations->is_static()) {
          result.inputs = RoundInputsStatically(*recipe.activations, model, calibration, settings, result.times);
        } else if (recipe.activations && settings.keep_blocks) {
          RoundActivations(model, *recipe.activations);
        }
        result.bits_requested = result.bits_effective = kUnquantizedBits;
      }
      WaitForDevice(device);
      result.times.total_s = SecondsSince(start);
      if (device.is_cpu()) result.times.matrix_product_s = products.seconds();
    }
    result.codes_digest = digest.Finish(result);
    return result;
  });
}

QuantizedModel QuantizeModel(Model& model, const Quantizer& quantizer, const TokenSequences* calibration,
                             const QuantizeSettings& settings, const QuantizeCallback& callback) {
  QuantizeRecipe recipe;
  recipe.quantizer = &quantizer;
  return QuantizeModel(model, recipe, calibration, settings, callback);
}

}  // namespace bitlaw
