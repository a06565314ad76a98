#include "bitlaw/sdk/checkpoint/tensor_to_write.h"

#include <ATen/ATen.h>

#include <utility>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/checkpoint/packed_codes.h"

namespace bitlaw {
namespace {

constexpr const char* kHead = "lm_head.weight";

std::string BytesOf(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.cpu().contiguous();
  return {static_cast<const char*>(flat.data_ptr()), flat.nbytes()};
}

}  // namespace

std::string SafetensorsDtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble: return "F64";
    case at::kFloat: return "F32";
    case at::kHalf: return "F16";
    case at::kBFloat16: return "BF16";
    case at::kLong: return "I64";
    case at::kInt: return "I32";
    case at::kShort: return "I16";
    case at::kChar: return "I8";
    case at::kByte: return "U8";
    case at::kBool: return "BOOL";
    default: throw InternalError(std::string("no safetensors file names the dtype ") + at::toString(dtype));
  }
}

TensorToWrite WriteTensor(std::string name, const at::Tensor& tensor) {
  return {std::move(name), SafetensorsDtype(tensor.scalar_type()), tensor.sizes().vec(),
          [tensor] { return BytesOf(tensor); }};
}

TensorToWrite WriteLater(std::string name, at::ScalarType dtype, at::IntArrayRef shape,
                         std::function<at::Tensor()> make) {
  return {std::move(name), SafetensorsDtype(dtype), shape.vec(),
          [dtype, make = std::move(make)] { return BytesOf(make().to(dtype)); }};
}

at::Tensor PackedRows(const at::Tensor& codes, int bits) {
  const at::Tensor host = codes.cpu().contiguous();
  const int64_t rows = host.size(0), columns = host.size(1);
  std::string words = PackRowsInWords({host.data_ptr<uint8_t>(), static_cast<size_t>(host.numel())}, columns, bits);
  return at::from_blob(words.data(), {rows, (columns * bits + 31) / 32}, at::kInt).clone();
}

HfExport BeginHfExport(const Exporter& exporter, const std::string& name, const std::filesystem::path& checkpoint,
                       const ExportModel& model) {
  for (const std::string& why : {ExplainExport(exporter, model), HfExport::ExplainUnsupported(checkpoint)}) {
    if (!why.empty()) throw Error(ErrorKind::kUnsupported, "exporter '" + name + "': " + why);
  }
  HfExport out(checkpoint);
  for (const auto& [weight, value] : model.other_weights) {
    if (weight == kHead) {
      // Of a tied pair that a transform untied: readers look for a head of its own.
      if (out.from().Find(kHead) == nullptr) {
        out.Add(WriteTensor(kHead, value));
      } else {
        out.Replace(weight, {WriteTensor("weight", value)});
      }
      out.SetConfig("tie_word_embeddings", false);
      continue;
    }
    out.Replace(weight, {WriteTensor(weight.substr(weight.rfind('.') + 1), value)});
  }
  return out;
}

}  // namespace bitlaw
