#include "plan/model_headers.h"

#include <algorithm>

#include "bitlaw/api/tokenizer.h"
#include "bitlaw/base/digest.h"
#include "bitlaw/base/error.h"
#include "bitlaw/base/value.h"

namespace bitlaw {

void RequireSupported(const ModelBackend& backend, const std::filesystem::path& path) {
  const std::string reason = backend.ExplainUnsupported(path);
  if (reason.empty()) return;
  // A broken file says so itself, with its own kind of error; what is only not supported keeps the reason.
  try {
    backend.Inspect(path);
    backend.OpenTokenizer(path);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUnsupported) throw;
  }
  throw Error(ErrorKind::kUnsupported, reason.find(path.string()) == std::string::npos
                                           ? path.string() + ": " + reason
                                           : reason);
}

std::string HeadersDigest(const ModelSummary& summary, const std::vector<std::filesystem::path>& files) {
  Value headers;
  headers.Set("architecture", summary.architecture);
  headers.Set("baseline_note", summary.baseline_note);
  headers.Set("hidden_size", summary.hidden_size);
  headers.Set("max_positions", summary.max_positions);
  headers.Set("num_blocks", summary.num_blocks);
  headers.Set("parameters_active", summary.parameters_active);
  headers.Set("parameters_embedding", summary.parameters_embedding);
  headers.Set("parameters_quantizable", summary.parameters_quantizable);
  headers.Set("parameters_total", summary.parameters_total);
  headers.Set("stored_dtype", summary.stored_dtype);
  headers.Set("vocab_size", summary.vocab_size);
  Value::List linears, sizes;
  for (const LinearShape& layer : summary.linears) {
    linears.push_back(Value::List{layer.name, static_cast<int64_t>(layer.block), layer.in_features, layer.out_features,
                                  layer.is_expert});
  }
  for (const auto& file : files) sizes.push_back(static_cast<int64_t>(std::filesystem::file_size(file)));
  headers.Set("linears", std::move(linears));
  headers.Set("file_sizes", std::move(sizes));
  return DigestOf(headers.CanonicalJson());
}

void CheckOriginals(const std::vector<PlannedModel>& models, Faults& faults) {
  std::vector<std::string> names;
  for (const PlannedModel& model : models) names.push_back(model.spec.name);
  for (const PlannedModel& model : models) {
    const ModelSpec& spec = model.spec;
    if (spec.original.empty()) continue;
    const std::string who = "model '" + spec.name + "'";
    const auto original = std::find(names.begin(), names.end(), spec.original);
    if (original == names.end()) {
      faults.Add(spec.mark, who + " has the original '" + spec.original + "', which is no model of the study." +
                                DidYouMean(spec.original, names) + " Its models: " + JoinNames(names) + ".");
    } else if (!model.summary.stored_quantization) {
      faults.Add(spec.mark, who + " has an original, and its weights are not quantized. Leave 'original' out.");
    } else if (models[static_cast<size_t>(original - names.begin())].summary.stored_quantization) {
      faults.Add(spec.mark, "the original of " + who + ", '" + spec.original +
                                "', is quantized itself. Name the model that it was made from.");
    }
  }
}

}  // namespace bitlaw
