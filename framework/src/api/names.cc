#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

std::string_view Name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat32: return "float32";
    case Dtype::kBFloat16: return "bfloat16";
  }
  throw InternalError("Dtype out of range");
}

Dtype ParseDtype(std::string_view name) {
  if (name == Name(Dtype::kFloat32)) return Dtype::kFloat32;
  if (name == Name(Dtype::kBFloat16)) return Dtype::kBFloat16;
  throw Error(ErrorKind::kSpec, "'" + std::string(name) + "' is not a compute dtype. Use float32 or bfloat16.");
}

}  // namespace bitlaw
