#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "bitlaw/api/model.h"

namespace bitlaw {

/// The largest of |ours - theirs| / max(|theirs|, rms of the row) over every number of the golden.
inline double LargestRelativeError(Model& model, const nlohmann::json& golden) {
  double largest = 0.0;
  for (const nlohmann::json& prompt : golden.at("prompts")) {
    const auto ids = prompt.at("ids").get<std::vector<int64_t>>();
    const at::Tensor logits =
        model.Logits(model.Forward(at::tensor(ids).view({1, -1}), {}))[0].to(at::kDouble).contiguous();  // [T, V]
    const auto positions = prompt.at("positions").get<std::vector<int64_t>>();
    for (size_t p = 0; p < positions.size(); ++p) {
      const at::Tensor row = logits[positions[p]];
      const double rms = prompt.at("rms")[p].get<double>();
      const auto compare = [&](double ours, double theirs) {
        EXPECT_TRUE(std::isfinite(ours));
        largest = std::max(largest, std::abs(ours - theirs) / std::max(std::abs(theirs), rms));
      };
      const auto compare_at = [&](const nlohmann::json& columns, const nlohmann::json& values) {
        for (size_t c = 0; c < columns.size(); ++c) {
          compare(row[columns[c].get<int64_t>()].item<double>(), values[c].get<double>());
        }
      };
      compare_at(prompt.at("columns"), prompt.at("logits")[p]);
      compare(row.logsumexp(0).item<double>(), prompt.at("log_sum_exp")[p].get<double>());
      if (prompt.contains("top_ids")) compare_at(prompt.at("top_ids")[p], prompt.at("top_logits")[p]);
    }
  }
  return largest;
}

}  // namespace bitlaw
