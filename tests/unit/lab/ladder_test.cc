// What the table of the shipped models must show for studies of them to say anything.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace bitlaw::lab {
namespace {

using Cells = std::vector<std::string>;

Cells CellsOf(const std::string& line) {
  Cells cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, '|');) {
    cell.erase(0, cell.find_first_not_of(' '));
    cell.erase(cell.find_last_not_of(' ') + 1);
    cells.push_back(cell);
  }
  if (!cells.empty()) cells.erase(cells.begin());  // Before the first bar.
  return cells;
}

struct Ladder {
  Cells columns;
  std::map<std::string, std::map<std::string, double>> models;  // By name, then by column: per cent.

  Ladder() {
    std::ifstream page(BITLAW_SOURCE_DIR "/examples/knowledge-lab/models/README.md");
    for (std::string line; std::getline(page, line);) {
      const Cells cells = CellsOf(line);
      if (line.starts_with("| model |")) columns = cells;
      if (!line.starts_with("| lab-")) continue;
      for (size_t i = 1; i < cells.size(); ++i) models[cells[0]][columns.at(i)] = std::stod(cells[i]);
    }
  }

  // The models of a family, the smallest first.
  Cells Of(const std::string& family) const {
    Cells names;
    for (const auto& [name, row] : models)
      if (name.starts_with("lab-" + family)) names.push_back(name);
    const auto size = [&](const std::string& name) { return models.at(name).at("N"); };
    std::sort(names.begin(), names.end(), [&](const auto& a, const auto& b) { return size(a) < size(b); });
    return names;
  }
};

bool IsChoice(const std::string& task) { return task == "recall" || task == "decline" || task == "swap"; }

TEST(LabLadder, EveryTaskOfEveryModelLiesBetweenChanceAndItsCeiling) {
  const Ladder ladder;
  ASSERT_EQ(ladder.models.size(), 12u);
  ASSERT_EQ(ladder.columns.size(), 6u + 13u);
  for (const auto& [model, row] : ladder.models) {
    for (size_t i = 6; i < ladder.columns.size(); ++i) {
      const std::string& task = ladder.columns[i];
      EXPECT_GE(row.at(task), IsChoice(task) ? 35 : 10) << model << " " << task;
      EXPECT_LE(row.at(task), 95) << model << " " << task;
    }
  }
}

// Of chains single skills come or do not come, so that rungs beside each other may be alike: two standard errors.
TEST(LabLadder, EveryStratumRisesWithTheSizeOfTheModel) {
  const Ladder ladder;
  for (const char* family : {"qwen3", "llama"}) {
    const Cells models = ladder.Of(family);
    ASSERT_GE(models.size(), 3u);
    for (const std::string stratum : {"KM", "KA", "KR"}) {
      for (size_t i = 1; i < models.size(); ++i) {
        EXPECT_GT(ladder.models.at(models[i]).at(stratum),
                  ladder.models.at(models[i - 1]).at(stratum) - (stratum == "KR" ? 2 : 0))
            << stratum << " of " << models[i];
      }
      EXPECT_GT(ladder.models.at(models.back()).at(stratum), ladder.models.at(models.front()).at(stratum) + 3);
    }
  }
  const Cells mixtures = ladder.Of("moe");
  ASSERT_GE(mixtures.size(), 3u);
  for (const std::string stratum : {"KM", "KA", "KR"})
    EXPECT_GT(ladder.models.at(mixtures.back()).at(stratum), ladder.models.at(mixtures.front()).at(stratum) + 2);
}

}  // namespace
}  // namespace bitlaw::lab
