#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bitlaw/base/digest.h"
#include "quantize/quantize_model.h"

namespace bitlaw {

/// QuantizedModel::codes_digest, layer after layer.
class CodesDigest {
 public:
  void Add(const QuantizedLayer& layer);
  /// With what else of the model stands in the digest. Once.
  std::string Finish(const QuantizedModel& model);

 private:
  Digest digest_;
};

/// Brings the codes of layers into their digest and to whoever takes them, beside the work on the layers that follow: on
/// a thread of its own. From a device that thread copies them to the host first, on a stream of its own.
class KeptCodes {
 public:
  /// `take`: QuantizeSettings::take_codes; outlives this.
  KeptCodes(const at::Device& device, const std::function<void(QuantizedLayer&)>& take);
  ~KeptCodes();
  KeptCodes(const KeptCodes&) = delete;
  KeptCodes& operator=(const KeptCodes&) = delete;

  /// Takes the tensors of `layer`. A few layers may wait at a time; then this waits too.
  void Keep(QuantizedLayer& layer);

  /// Gives the tensors that were not taken back to `layers`, those that were kept in their order, on the host. Throws
  /// what the thread threw.
  void Finish(std::vector<QuantizedLayer>& layers);

  /// What Finish() has seen.
  CodesDigest& digest() { return digest_; }

 private:
  struct Copier;
  CodesDigest digest_;
  const std::function<void(QuantizedLayer&)>& take_;
  std::unique_ptr<Copier> copier_;
};

}  // namespace bitlaw
