#include <algorithm>

#include "bitlaw/api/factor.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

const std::vector<Factor>& StandardFactors() {
  using enum FactorRole;
  static const std::vector<Factor> kFactors = {
      {"N", "", "weights", "Parameters without input embedding and untied output head.", kScale, {}, {}},
      {"N_active", "", "weights", "Those of N that work for one token; N of a dense model.", kScale, {}, {}},
      {"parameters_total", "", "weights", "All parameters.", kScale, {}, {}},
      {"layers", "", "", "Transformer blocks.", kScale, {}, {}},
      {"hidden_size", "", "", "Width of the hidden state.", kScale, {}, {}},
      {"vocab_size", "V", "tokens", "Size of the vocabulary.", kOther, {}, {}},
      {"kv_values",
       "",
       "",
       "Keys and values that a cache keeps of one token, over all layers; windows, which keep fewer, are not counted.",
       kOther,
       {},
       {}},
      {"experts", "E", "", "Experts of a layer of experts; 1 of a dense model.", kScale, {}, {}},
      {"experts_active", "", "", "Experts that a token is routed to; 1 of a dense model.", kScale, {}, {}},
      {"D", "", "tokens", "Tokens that the unquantized model was trained on.", kScale, {}, {}},
      {"B", "", "bits", "Requested width of a weight code, mean over quantizable weights.", kPrecision, {}, 16},
      {"bits_effective",
       "",
       "bits",
       "Bits a quantizable weight, of a rounded embedding or head too, with scales, zero points "
       "and group index.",
       kPrecision,
       {},
       16},
      {"size_bytes",
       "",
       "bytes",
       "Bytes of all weights: quantized ones by bits_effective, the others in 16 bits, an untied head among them.",
       kOther,
       {},
       {}},
      {"G",
       "",
       "weights",
       "Group size asked for: neighbouring weights of a row that share a scale; 'row' is the largest "
       "C_in.",
       kGranularity,
       {},
       {}},
      {"G_min",
       "",
       "weights",
       "Smallest group size that a layer has: G, or its C_in where that is less.",
       kGranularity,
       {},
       {}},
      {"G_mean", "", "weights", "Quantizable weights a group, over all layers.", kGranularity, {}, {}},
      {"B_a", "", "bits", "Width of an activation code.", kPrecision, {}, 16},
      {"B_k", "", "bits", "Width of a code of cached keys.", kPrecision, {}, 16},
      {"B_v", "", "bits", "Width of a code of cached values.", kPrecision, {}, 16},
      {"B_embedding",
       "",
       "bits",
       "Width of a code of the input embedding, and of an output head that is the same matrix.",
       kPrecision,
       {},
       16},
      {"B_head", "", "bits", "Width of a code of the output head.", kPrecision, {}, 16},
      {"Cb", "", "sequences", "Calibration sequences.", kCalibration, {}, {}},
      {"T", "", "tokens", "Tokens of a calibration sequence.", kCalibration, {}, {}},
      {"few_shot", "", "examples", "Examples shown before each item of a task.", kOther, {}, {}},
  };
  return kFactors;
}

const Factor* FindStandardFactor(std::string_view column) {
  const std::vector<Factor>& all = StandardFactors();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Factor& factor) { return factor.column == column; });
  return found == all.end() ? nullptr : &*found;
}

Factor StandardFactor(std::string_view column, Value value) {
  const Factor* standard = FindStandardFactor(column);
  if (standard == nullptr) throw InternalError("'" + std::string(column) + "' is not one of StandardFactors()");
  Factor factor = *standard;
  factor.value = std::move(value);
  return factor;
}

}  // namespace bitlaw
