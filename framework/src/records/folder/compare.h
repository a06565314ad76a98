#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitlaw/base/export.h"
#include "bitlaw/base/value.h"
#include "records/folder/check.h"
#include "records/record_store.h"

namespace bitlaw {

/// An entry of two maps that is not the same in both, maps within maps as dotted names; null where one lacks it.
struct BITLAW_EXPORT EntryDifference {
  std::string name;  ///< "plugins.bitlaw.gptq.digest"
  Value then, now;
};
BITLAW_EXPORT std::vector<EntryDifference> Differences(const Value& then, const Value& now);

/// One metric of a task, twice.
struct BITLAW_EXPORT MetricComparison {
  std::string name;
  double then = 0, now = 0, standard_error = 0;
  size_t items = 0;               ///< Whose value differs.
  double largest_difference = 0;  ///< Of an item's value.
  bool operator==(const MetricComparison&) const = default;
};

/// A record beside the one that the same trial gave when it was run again.
struct BITLAW_EXPORT RecordComparison {
  std::vector<EntryDifference> key;   ///< What determines the numbers and was not the same.
  std::string codes_then, codes_now;  ///< SHA-256; "" of an unquantized model.
  std::vector<MetricComparison> metrics;
  size_t items = 0;                          ///< In both, by id.
  size_t items_in_one = 0;                   ///< In one of both.
  std::vector<std::string> different_items;  ///< Ids, in order, of those that differ in any way.
  double largest_nats = 0;                   ///< Difference of a loglikelihood.
  std::vector<std::string> layers;           ///< Of quantizations: whose bits or fallback differ.
  std::vector<EntryDifference> provenance;   ///< Of the timings, without times, memory and dates.

  /// Metrics, items, codes and layers are the same to the last bit.
  bool is_equal() const;
};

/// Compares two whole records of the same kind with their timings. Error(kIo) for records that cannot be read.
BITLAW_EXPORT RecordComparison CompareRecords(const RecordStore& then, const std::string& digest_then,
                                              const RecordStore& now, const std::string& digest_now);

}  // namespace bitlaw
