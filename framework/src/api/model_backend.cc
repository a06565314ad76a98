#include "bitlaw/api/model_backend.h"

namespace bitlaw {

std::vector<SiteShape> SitesOf(const ModelSummary& summary) {
  if (!summary.sites.empty()) return summary.sites;
  std::vector<SiteShape> sites;
  for (const LinearShape& linear : summary.linears) {
    sites.push_back({linear.name, linear.block, {linear}, "", linear.is_expert});
  }
  return sites;
}

}  // namespace bitlaw
