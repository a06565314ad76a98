#include "quantize/kept_codes.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "bitlaw/sdk/machine/torch_threads.h"

namespace bitlaw {
namespace {

// Layers that wait to be digested and taken: on a device, where their copy waits too, and on the host.
constexpr size_t kMostWaitingOnDevice = 8, kMostWaiting = 2;

std::array<at::Tensor*, 7> TensorsOf(QuantizedLinear& linear) {
  return {&linear.codes,     &linear.scales, &linear.zeros,      &linear.group_index,
          &linear.row_index, &linear.levels, &linear.input_scale};
}

void AddTensor(Digest& digest, const at::Tensor& tensor) {
  if (!tensor.defined()) return;
  const at::Tensor flat = tensor.cpu().contiguous();
  digest.Add(flat.data_ptr(), flat.nbytes());
}

// What a grid of integers with a scale a token, or a symmetric static one, does not have.
void AddMore(Digest& digest, const ActivationGrid& grid) {
  if (grid.format != InputFormat::kInteger) {
    digest.Add(fmt::format("format {} divisor {}\n", Name(grid.format), grid.scale_divisor));
  }
  if (grid.group_size != 0) digest.Add(fmt::format("groups of {}\n", grid.group_size));
  if (grid.static_zero != 0) digest.Add(fmt::format("zero {}\n", grid.static_zero));
  if (grid.scale_rule != MxScale::kFloor) digest.Add(fmt::format("scale_rule {}\n", Name(grid.scale_rule)));
}

void AddInputs(Digest& digest, const ActivationGrid& grid) {
  digest.Add(fmt::format("activation {} {} {} {}\n", grid.bits, grid.symmetric, grid.per_token, grid.static_scale));
  AddMore(digest, grid);
}

void AddKv(Digest& digest, const char* name, const KvGrid& grid) {
  digest.Add(fmt::format("kv {} {} {}\n", name, grid.numbers.bits, grid.numbers.symmetric));
  AddMore(digest, grid.numbers);
  if (!grid.is_static()) return;
  digest.Add(fmt::format("per {}\n", Name(grid.scale_of)));
  for (const KvBlockScales& block : grid.blocks) AddTensor(digest, block.scales), AddTensor(digest, block.lows);
}

}  // namespace

void DropTensors(QuantizedLinear& linear) {
  for (at::Tensor* tensor : TensorsOf(linear)) tensor->reset();
}

void CodesDigest::Add(const QuantizedLayer& layer) {
  const QuantizedLinear& q = layer.linear;
  digest_.Add(fmt::format("{} [{}, {}] bits {} symmetric {} group_size {} scales {} input_scale {}\n", layer.shape.name,
                          layer.shape.out_features, layer.shape.in_features, q.bits, q.symmetric, q.group_size,
                          q.scale_dtype, q.input_scale.defined()));
  if (q.activation) AddInputs(digest_, *q.activation);
  for (const at::Tensor& tensor : {q.codes, q.scales, q.zeros, q.group_index, q.input_scale}) AddTensor(digest_, tensor);
  if (q.scale_divisor != 1.0F) digest_.Add(fmt::format("scale_divisor {}\n", q.scale_divisor));
  if (q.has_real_zeros()) digest_.Add("real zeros\n");
  if (q.row_index.defined()) {
    digest_.Add(fmt::format("row_index, {} rows\n", q.scales.size(0)));
    AddTensor(digest_, q.row_index);
  }
  if (q.levels.defined()) {
    digest_.Add(fmt::format("levels {}\n", q.levels.numel()));
    AddTensor(digest_, q.levels);
  }
}

std::string CodesDigest::Finish(const QuantizedModel& model) {
  for (const auto& [name, weight] : model.other_weights) {
    digest_.Add(fmt::format("other {} {}\n", name, weight.numel()));
    AddTensor(digest_, weight.to(at::kFloat));
  }
  for (const LinearShape& layer : model.skipped) digest_.Add(fmt::format("skipped {}\n", layer.name));
  for (const auto& [name, grid] : model.inputs) {
    digest_.Add(fmt::format("inputs of {}\n", name));
    AddInputs(digest_, grid);
  }
  for (const auto& [name, weight] : model.model_weights) {
    digest_.Add(fmt::format("model {} {}\n", name, weight.numel()));
    AddTensor(digest_, weight.to(at::kFloat));
  }
  for (const auto& [place, rotation] : model.rotations) {
    digest_.Add(fmt::format("rotation {} {}\n", place, rotation.Name()));
    for (const at::Tensor& tensor : {rotation.signs(), rotation.matrix()}) {
      if (tensor.defined()) AddTensor(digest_, tensor);
    }
  }
  for (const auto& [name, grid] : {std::pair("keys", model.kv_cache.keys), {"values", model.kv_cache.values}}) {
    if (grid) AddKv(digest_, name, *grid);
  }
  if (model.kv_cache.keys_before_rotation) digest_.Add(std::string("keys before the rotation\n"));
  return digest_.Hex();
}

std::string DigestOfCodes(const QuantizedModel& model) {
  CodesDigest digest;
  for (const QuantizedLayer& layer : model.layers) digest.Add(layer);
  return digest.Finish(model);
}

struct KeptCodes::Copier {
  struct Waiting {
    QuantizedLayer layer;
    std::optional<c10::Event> written;  // On a device: after what fills its tensors.
  };

  Copier(const at::Device& given_device, CodesDigest& given_digest,
         const std::function<void(QuantizedLayer&)>& given_take)
      : device(given_device),
        digest(given_digest),
        take(given_take),
        streams(given_device.is_cpu() ? nullptr : std::make_unique<c10::impl::VirtualGuardImpl>(given_device.type())),
        thread([this] { Run(); }) {}

  void Run() {
    try {
      const OneThread alone;  // Of the tensor library: the walk has the others.
      std::optional<c10::StreamGuard> guard;
      if (streams) guard.emplace(streams->getStreamFromGlobalPool(device));
      for (;;) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return has_ended || !waiting.empty(); });
        if (waiting.empty()) return;
        Waiting next = std::move(waiting.front());
        waiting.pop_front();
        changed.notify_all();
        lock.unlock();
        if (next.written) next.written->block(guard->current_stream());
        for (at::Tensor* tensor : TensorsOf(next.layer.linear)) {
          if (tensor->defined()) *tensor = tensor->cpu();  // Waits for the copy: the device's memory is free after it.
        }
        digest.Add(next.layer);
        if (take) take(next.layer);
        copied.push_back(std::move(next.layer.linear));
      }
    } catch (...) {
      const std::scoped_lock lock(mutex);
      failure = std::current_exception();
      waiting.clear();
      changed.notify_all();
    }
  }

  void End() {
    {
      const std::scoped_lock lock(mutex);
      has_ended = true;
      changed.notify_all();
    }
    if (thread.joinable()) thread.join();
  }

  const at::Device device;
  CodesDigest& digest;
  const std::function<void(QuantizedLayer&)>& take;
  const std::unique_ptr<const c10::impl::VirtualGuardImpl> streams;  // Null on the host.
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Waiting> waiting;
  std::vector<QuantizedLinear> copied;
  std::exception_ptr failure;
  bool has_ended = false;
  std::thread thread;  // The last member: it uses the others.
};

KeptCodes::KeptCodes(const at::Device& device, const std::function<void(QuantizedLayer&)>& take)
    : take_(take), copier_(std::make_unique<Copier>(device, digest_, take_)) {}

KeptCodes::~KeptCodes() { copier_->End(); }

void KeptCodes::Keep(QuantizedLayer& layer) {
  Copier::Waiting next{layer, std::nullopt};
  if (copier_->streams) {
    next.written.emplace(copier_->device.type());
    next.written->record(copier_->streams->getStream(copier_->device));
  }
  DropTensors(layer.linear);
  std::unique_lock lock(copier_->mutex);
  const size_t most = copier_->streams ? kMostWaitingOnDevice : kMostWaiting;
  copier_->changed.wait(lock, [&] { return copier_->waiting.size() < most || copier_->failure; });
  if (copier_->failure) std::rethrow_exception(copier_->failure);
  copier_->waiting.push_back(std::move(next));
  copier_->changed.notify_all();
}

void KeptCodes::Finish(std::vector<QuantizedLayer>& layers) {
  copier_->End();
  if (copier_->failure) std::rethrow_exception(copier_->failure);
  for (size_t i = 0; i < layers.size(); ++i) layers[i].linear = std::move(copier_->copied.at(i));
}

}  // namespace bitlaw
