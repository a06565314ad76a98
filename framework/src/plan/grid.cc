#include "plan/grid.h"

#include <algorithm>
#include <limits>

#include "bitlaw/base/error.h"
#include "spec/quantize/cell_filter.h"
#include "spec/study_reader.h"

namespace bitlaw {
namespace {

// A spec with more cells is a slip of the pen; the largest published sweep has a few hundred. A cell takes about 1.5
// kB.
constexpr size_t kMaxCells = 100'000;

size_t FieldIndex(const OptionSchema& schema, std::string_view name) {
  for (size_t i = 0; i < schema.fields().size(); ++i)
    if (schema.fields()[i].name == name) return i;
  throw InternalError("a grid has the axis '" + std::string(name) + "', which its schema lacks");
}

}  // namespace

CalibrationSpec CalibrationFrom(const Value& resolved) {
  const Options options{resolved};
  return {options.String("corpus"), options.Int("sequences"), options.Int("tokens"),
          static_cast<uint64_t>(options.Int("seed"))};
}

Grid::Grid(const QuantizeSpec& entry, const OptionSchema& schema) : entry_(entry), schema_(schema) {
  for (const auto& group : entry.axes) {
    groups_.emplace_back();
    for (const GridAxis& axis : group) {
      Axis resolved;
      resolved.is_calibration = axis.name.starts_with(kCalibrationPrefix);
      const std::string name = axis.name.substr(resolved.is_calibration ? kCalibrationPrefix.size() : 0);
      const OptionSchema& own_schema = resolved.is_calibration ? CalibrationSchema() : schema;
      resolved.field = FieldIndex(own_schema, name);
      resolved.values = axis.resolved;
      axis_names_.push_back(axis.name);
      groups_.back().push_back(std::move(resolved));
    }
  }
  base_ = entry.first.map();
  FindFreeDefaults();
  if (!entry.calibration_fixed.is_null()) calibration_ = entry.first_calibration.map();
}

// Options that no one gave, whose default another option decides.
void Grid::FindFreeDefaults() {
  for (size_t i = 0; i < schema_.fields().size(); ++i) {
    const OptionField& field = schema_.fields()[i];
    if (field.default_by.empty() || entry_.fixed.Find(field.name) != nullptr) continue;
    const bool is_axis = std::any_of(groups_.begin(), groups_.end(), [&](const std::vector<Axis>& group) {
      return std::any_of(group.begin(), group.end(),
                         [&](const Axis& axis) { return !axis.is_calibration && axis.field == i; });
    });
    if (!is_axis) free_defaults_.push_back(i);
  }
}

void Grid::SetFreeDefaults(Value& options) const {
  for (const size_t i : free_defaults_) {
    const OptionField& field = schema_.fields()[i];
    options.AsMap()[i].second =
        OptionSchema::ResolveOne(field, OptionSchema::DefaultOf(field, options), entry_.component, nullptr);
  }
}

void Grid::ForEach(const std::function<void(const Cell&)>& visit) {
  size_t cells = 1, numbers = 1;
  for (const auto& group : groups_) {
    const size_t length = group.front().values.size();
    if (cells > kMaxCells / length) {
      const std::string where = entry_.mark.Text();
      throw Error(ErrorKind::kBudget, (where.empty() ? "" : where + ": ") + "this entry stands for more than " +
                                          std::to_string(kMaxCells) + " cells. Shorten its lists.");
    }
    cells *= length;
    numbers *= length;
  }
  combinations_.clear();
  combination_of_.assign(numbers, std::numeric_limits<size_t>::max());
  left_out_ = 0;
  const CellFilter filter(entry_, schema_);
  std::vector<size_t> position(groups_.size(), 0);
  for (size_t i = 0; i < cells; ++i) {
    Cell cell{CombinationAt(position), CalibrationAt(position)};
    if (filter.keeps_all() ||
        filter.Keeps(combinations_[cell.combination].map(), cell.calibration ? &*cell.calibration : nullptr)) {
      visit(cell);
    } else {
      ++left_out_;
    }
    for (size_t group = groups_.size(); group-- > 0;) {
      if (++position[group] < groups_[group].front().values.size()) break;
      position[group] = 0;
    }
  }
}

size_t Grid::CombinationAt(const std::vector<size_t>& position) {
  size_t number = 0;
  for (size_t group = 0; group < groups_.size(); ++group) {
    bool has_option = false;
    for (const Axis& axis : groups_[group]) has_option |= !axis.is_calibration;
    number = number * groups_[group].front().values.size() + (has_option ? position[group] : 0);
  }
  size_t& known = combination_of_[number];
  if (known != std::numeric_limits<size_t>::max()) return known;
  Value options = base_;
  for (size_t group = 0; group < groups_.size(); ++group) {
    for (const Axis& axis : groups_[group]) {
      if (!axis.is_calibration) options.AsMap()[axis.field].second = axis.values[position[group]];
    }
  }
  SetFreeDefaults(options);
  known = combinations_.size();
  combinations_.emplace_back(std::move(options));
  return known;
}

std::optional<CalibrationSpec> Grid::CalibrationAt(const std::vector<size_t>& position) const {
  if (calibration_.is_null()) return std::nullopt;
  Value resolved = calibration_;
  for (size_t group = 0; group < groups_.size(); ++group) {
    for (const Axis& axis : groups_[group]) {
      if (axis.is_calibration) resolved.AsMap()[axis.field].second = axis.values[position[group]];
    }
  }
  return CalibrationFrom(resolved);
}

std::vector<std::pair<std::string, std::vector<Value>>> Grid::values() const {
  std::vector<std::pair<std::string, std::vector<Value>>> values;
  auto add = [&](const Value& map, const std::string& prefix) {
    if (!map.is_map()) return;
    for (const auto& [name, value] : map.AsMap()) values.push_back({prefix + name, {value}});
  };
  add(base_, "");
  const size_t first_calibration = values.size();
  add(calibration_, std::string(kCalibrationPrefix));
  for (const auto& group : groups_) {
    for (const Axis& axis : group) {
      values[axis.is_calibration ? first_calibration + axis.field : axis.field].second = axis.values;
    }
  }
  for (const size_t i : free_defaults_) {
    const size_t choice = FieldIndex(schema_, schema_.fields()[i].default_by);
    std::vector<Value> own;
    for (const Value& value : values[choice].second) {
      Value options = base_;
      options.AsMap()[choice].second = value;
      SetFreeDefaults(options);
      const Value& found = options.AsMap()[i].second;
      if (std::find(own.begin(), own.end(), found) == own.end()) own.push_back(found);
    }
    values[i].second = std::move(own);
  }
  return values;
}

}  // namespace bitlaw
