#include "fit/table/accuracy_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/math/special_functions/beta.hpp>
#include <cmath>

#include "api/chance_adjusted.h"
#include "bitlaw/base/error.h"

namespace bitlaw {

namespace {

const TableColumn* NumberColumn(const Table& table, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const TableColumn* column = table.Find(name);
    if (column != nullptr && !column->is_text) return column;
  }
  return nullptr;
}

[[noreturn]] void Refuse(const Table& table, const TableColumn& column, size_t row, const std::string& what) {
  throw Error(ErrorKind::kIo, fmt::format("{}: {} = {} {}", table.Place(column, row), column.name,
                                          ShortestText(column.numbers[row]), what));
}

}  // namespace

void CheckAccuracies(const Table& table) {
  const TableColumn* chance = NumberColumn(table, {"chance"});
  const TableColumn* total = NumberColumn(table, {"total", "items"});
  const TableColumn* correct = total == nullptr ? nullptr : NumberColumn(table, {"correct"});
  // Without chance only such counts are looked at, of which acc_adj may have been made by hand.
  if (chance == nullptr && correct == nullptr) return;
  const TableColumn* accuracy =
      correct != nullptr || chance == nullptr ? nullptr : NumberColumn(table, {"value", "acc"});
  if (total == nullptr && table.Find("acc_adj") != nullptr) return;
  const TableColumn *primary = table.Find("primary"), *kind = table.Find("metric_kind");
  for (size_t row = 0; row < table.rows(); ++row) {
    if (primary != nullptr && !table.Flag(*primary, row, true)) continue;
    if (kind != nullptr) {
      const std::string name = table.CellText(*kind, row);
      if (!name.empty() && name != "accuracy") continue;
    }
    if (chance != nullptr && (chance->numbers[row] < 0 || chance->numbers[row] >= 1))
      Refuse(table, *chance, row, "is not a share in [0, 1). Write what guessing scores as a fraction: 0.25.");
    if (total != nullptr && (total->numbers[row] < 0 || std::isinf(total->numbers[row])))
      Refuse(table, *total, row, "is not a number of items: it must be finite and not negative.");
    if (correct != nullptr) {
      if (correct->numbers[row] < 0) Refuse(table, *correct, row, "is negative: a count of correct answers is not.");
      if (correct->numbers[row] > total->numbers[row])
        Refuse(table, *correct, row, fmt::format("is more than {} = {}. No more items can be correct than there are.",
                                                 total->name, ShortestText(total->numbers[row])));
    }
    if (accuracy != nullptr && (accuracy->numbers[row] < 0 || accuracy->numbers[row] > 1)) {
      Refuse(table, *accuracy, row,
             fmt::format("is not an accuracy in [0, 1]. Divide percentages by 100: --map '{}={}/100'.", accuracy->name,
                         accuracy->name));
    }
  }
}

std::string ExplainImpossibleAccuracy(double acc_adj, double chance) {
  if (std::isinf(acc_adj)) return "acc_adj is not finite";
  if (acc_adj > 1 + 1e-9) return "impossible accuracy (acc_adj > 1)";
  if (std::isnan(chance) ? acc_adj < -1 : AccuracyOf(acc_adj, chance) < -1e-9)
    return std::isnan(chance) ? "impossible accuracy (acc_adj < -1, of a chance level above a half)"
                              : "impossible accuracy (chance + (1 - chance) acc_adj < 0)";
  return "";
}

double GuessTail(double correct, double total, double chance) {
  if (!(total > 0) || !(correct >= 0) || !(chance > 0) || !(chance < 1) || correct >= chance * total) return 1;
  return boost::math::ibeta(total - correct, correct + 1, 1 - chance);
}

}  // namespace bitlaw
