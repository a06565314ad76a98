#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "records/table.h"

// Studies whose truth is a law, for those who predict and recommend.

namespace bitlaw {

/// One setting of bits of one model.
struct LawRow {
  std::string model;
  double size, bits, acc_adj, standard_error, items;
};

/// Adds the columns model, N, B, acc_adj, standard_error, chance (0) and items.
inline void AddLawRows(const std::vector<LawRow>& rows, Table& table) {
  std::vector<std::string> model;
  std::vector<double> n, b, accuracy, error, items;
  for (const LawRow& row : rows) {
    model.push_back(row.model), n.push_back(row.size), b.push_back(row.bits);
    accuracy.push_back(row.acc_adj), error.push_back(row.standard_error), items.push_back(row.items);
  }
  table.AddTexts("model", model), table.AddNumbers("N", n), table.AddNumbers("B", b),
      table.AddNumbers("acc_adj", accuracy);
  table.AddNumbers("standard_error", error), table.AddNumbers("chance", std::vector<double>(rows.size(), 0.0));
  table.AddNumbers("items", items);
}

/// Of models a to e.
inline constexpr double kSizes[] = {1e6, 2e6, 4e6, 8e6, 16e6};
/// The accuracy of a model of n weights at so many bits.
inline double Truth(const std::string& stratum, double n, double bits) {
  return stratum == "KM" ? std::exp(-600 * std::pow(n, -0.4) * std::pow(std::log2(bits), -0.3))
                         : std::exp(-900 * std::pow(n, -0.45) * std::pow(std::log2(bits), -0.5));
}
/// Bytes of weights.
inline double SizeOf(double n, double bits) { return n * (bits + (bits < 16 ? 0.25 : 0)) / 8 + 1000; }

/// Observations of a world that is the law: models a to e at 16 bits (none), 2, 3, 4 and 8 (rtn), one task in each of
/// KM and KR, where `is_recorded(model, bits)`; accuracies are the truth and off(model, bits).
inline Table World(
    const std::function<bool(const std::string&, double)>& is_recorded,
    const std::function<double(const std::string&, double)>& off = [](const std::string&, double) { return 0.0; }) {
  std::vector<LawRow> rows;
  std::vector<std::string> trial, label, quantizer, task, stratum;
  std::vector<double> effective, size, value, baseline;
  for (size_t m = 0; m < 5; ++m) {
    const std::string name(1, static_cast<char>('a' + m));
    for (const double bits : {16.0, 2.0, 3.0, 4.0, 8.0}) {
      if (!is_recorded(name, bits)) continue;
      for (const char* where : {"KM", "KR"}) {
        const std::string shown = std::to_string(static_cast<int>(bits));
        rows.push_back({name, kSizes[m], bits, Truth(where, kSizes[m], bits) + off(name, bits), 0.01, 1000});
        trial.push_back(name + shown), label.push_back(name + " bits=" + shown);
        quantizer.emplace_back(bits == 16 ? "none" : "rtn");
        task.push_back(std::string("task_") + where), stratum.emplace_back(where);
        effective.push_back(bits < 16 ? bits + 0.25 : 16), size.push_back(SizeOf(kSizes[m], bits));
        value.push_back(rows.back().acc_adj), baseline.push_back(Truth(where, kSizes[m], 16));
      }
    }
  }
  Table table("world");
  AddLawRows(rows, table);
  table.AddTexts("trial", trial), table.AddTexts("label", label), table.AddTexts("quantizer", quantizer);
  table.AddTexts("task", task), table.AddTexts("stratum", stratum);
  table.AddTexts("metric_kind", std::vector<std::string>(rows.size(), "accuracy"));
  table.AddNumbers("bits_effective", effective), table.AddNumbers("size_bytes", size);
  table.AddNumbers("kv_values", std::vector<double>(rows.size(), 512));
  table.AddNumbers("value", value), table.AddNumbers("primary", std::vector<double>(rows.size(), 1));
  table.AddNumbers("baseline_value", baseline);
  return table;
}
inline bool All(const std::string&, double) { return true; }

/// The label of the best of all configurations of at most so many bytes, by the law itself.
inline std::string BestByTruth(double most_bytes, double weight_km, double weight_kr) {
  std::string best;
  double most = -1;
  for (size_t m = 0; m < 5; ++m) {
    for (const double bits : {16.0, 2.0, 3.0, 4.0, 8.0}) {
      const double score = weight_km * Truth("KM", kSizes[m], bits) + weight_kr * Truth("KR", kSizes[m], bits);
      if (SizeOf(kSizes[m], bits) > most_bytes || score <= most) continue;
      most = score;
      best = std::string(1, static_cast<char>('a' + m)) + " bits=" + std::to_string(static_cast<int>(bits));
    }
  }
  return best;
}

}  // namespace bitlaw
