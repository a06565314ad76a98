#include "spec/figures/figure_options.h"

#include <algorithm>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "spec/decoder.h"

namespace bitlaw {

namespace {

bool IsOfFile(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

FigureOptions ReadOne(const Value& entry, size_t place) {
  const Options options = FigureSchema().Resolve(entry, "figures[" + std::to_string(place) + "]");
  FigureOptions figure;
  figure.mark = entry.mark();
  const auto text = [&](const char* key) { return options.Has(key) ? options.String(key) : std::string(); };
  figure.name = text("name"), figure.title = text("title");
  figure.x = text("x"), figure.y = text("y");
  figure.colour = text("colour"), figure.facet = text("facet"), figure.where = text("where");
  figure.of_tasks = options.String("points") == "tasks";
  figure.x_scale = options.String("x_scale"), figure.y_scale = options.String("y_scale");
  if (figure.title.empty()) figure.title = figure.y + " over " + figure.x;
  return figure;
}

}  // namespace

const OptionSchema& FigureSchema() {
  static const OptionSchema schema = [] {
    OptionSchema s;
    s.String("name").Doc("Of its files: letters, digits, '_' and '-'.");
    s.String("title").Optional().Doc("Default: '<y> over <x>'.");
    s.String("x").Doc("Column or expression of numbers.");
    s.String("y").Doc("Column or expression of numbers.");
    s.String("colour").Optional().Doc("Column or expression: a colour and mark for each of its values.");
    s.String("facet").Optional().Doc("Column or expression: a panel for each of its values.");
    s.String("where").Optional().Doc("Condition: the points that are shown.");
    s.Choice("points", {"strata", "tasks"})
        .Default("strata")
        .Doc("A trial's mean over a stratum, or a trial on a task.");
    s.Choice("x_scale", {"linear", "log2", "log10"}).Default("linear").Doc("Of the axis.");
    s.Choice("y_scale", {"linear", "log2", "log10"}).Default("linear").Doc("Of the axis.");
    return s;
  }();
  return schema;
}

std::vector<FigureOptions> ReadFigureOptions(const Value& given) {
  std::vector<FigureOptions> figures;
  if (given.is_null()) return figures;
  Faults faults;
  if (!given.is_list()) {
    faults.Add(given.mark(), "'figures' is not a list. Each entry is a map with name, x and y.");
    faults.ThrowIfAny();
  }
  for (size_t i = 0; i < given.AsList().size(); ++i) {
    const Value& entry = given.AsList()[i];
    FigureOptions figure;
    try {
      figure = ReadOne(entry, i);
    } catch (const Error& error) {
      faults.AddError(error);
      continue;
    }
    if (figure.name.empty() || !std::all_of(figure.name.begin(), figure.name.end(), IsOfFile))
      faults.Add(entry.Find("name")->mark(), "figures[" + std::to_string(i) + "].name = '" + figure.name +
                                                 "' is no name of a file. Use letters, digits, '_' and '-'.");
    for (const FigureOptions& other : figures) {
      if (other.name == figure.name)
        faults.Add(entry.Find("name")->mark(),
                   "two figures have the name '" + figure.name + "'. Their files would be the same.");
    }
    for (const char* key : {"x", "y", "colour", "facet", "where"}) {
      const Value* text = entry.Find(key);
      if (text == nullptr || !text->is_string()) continue;
      try {
        Expression::Parse(text->AsString(), text->mark());
      } catch (const Error& error) {
        faults.AddError(error);
      }
    }
    figures.push_back(std::move(figure));
  }
  faults.ThrowIfAny();
  return figures;
}

}  // namespace bitlaw
