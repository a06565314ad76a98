#include "bitlaw/api/transform.h"

#include "bitlaw/base/error.h"

namespace bitlaw {

std::string Transform::ExplainUnsupportedModel(const ModelSummary& model) const {
  std::string first;
  for (const SiteShape& site : SitesOf(model)) {
    std::string reason = ExplainUnsupported(site);
    if (reason.empty()) return "";
    if (first.empty()) first = std::move(reason);
  }
  return first.empty() ? "the model has no linear layers" : first;
}

void Transform::ApplyToModel(Model&) const {
  throw InternalError("a transform was applied to a model as a whole that is applied to sites");
}

}  // namespace bitlaw
