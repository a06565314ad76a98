#include "import/data_recipe.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/text/data_text.h"
#include "bitlaw/sdk/text/template.h"
#include "bitlaw/sdk/text/text_pattern.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "spec/study_spec.h"

namespace bitlaw {

namespace {

const std::vector<std::string> kForms = {"copy", "list", "text", "whole", "marked", "each", "json"};

[[noreturn]] void Fail(const Value& at, const std::string& what) {
  throw Error(ErrorKind::kSpec, at.mark().Text() + ": " + what);
}

// One field of a recipe, ready to be made of rows.
class FieldRecipe {
 public:
  FieldRecipe(std::string name, const Value& spec) : name_(std::move(name)) {
    if (spec.is_string()) {
      form_ = "text";
      templates_.emplace_back(spec.AsString(), spec.mark());
      return;
    }
    if (!spec.is_map())
      Fail(spec, "'" + name_ + "' is " + std::string(Article(spec.type())) + ", where a template or a map is needed.");
    for (const auto& [key, value] : spec.AsMap()) {
      if (std::find(kForms.begin(), kForms.end(), key) != kForms.end()) {
        if (!form_.empty()) Fail(value, "'" + name_ + "' has both '" + form_ + "' and '" + key + "'.");
        form_ = key;
        TakeForm(value);
      } else if (key == "among" && value.is_string()) {
        among_ = value.AsString();
      } else if (key == "minus" && value.is_int()) {
        minus_ = value.AsInt();
      } else if (key == "clean" && value.is_list()) {
        for (const Value& step : value.AsList()) TakeStep(step);
      } else {
        Fail(value, "'" + key + "' is no part of a field." + DidYouMean(key, kForms) + " Forms: " + JoinNames(kForms) +
                        "; among, minus and clean beside them.");
      }
    }
    if (form_.empty()) Fail(spec, "'" + name_ + "' has no form. Forms: " + JoinNames(kForms) + ".");
  }

  const std::string& name() const { return name_; }

  Value Of(const Value& row) const {
    if (form_ == "copy") return Field(row);
    if (form_ == "list") {
      Value::List texts;
      for (const Template& text : templates_) texts.emplace_back(Clean(text.Render(row)));
      return texts;
    }
    if (form_ == "each") {
      Value::List texts;
      for (const Value& text : ListAt(row, path_))
        texts.emplace_back(Clean(DataTextOf(row, text, path_, "field '" + name_ + "'")));
      return texts;
    }
    if (form_ == "marked") return Marked(row);
    const std::string text = Clean(templates_[0].Render(row));
    if (form_ == "json") return ParseJson(text, row.mark().Text());
    if (form_ == "whole") {
      const std::string_view digits = Trim(text);
      int64_t number = 0;
      const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (status != std::errc() || end != digits.data() + digits.size()) {
        Fail(row, "'" + text + "' is no whole number (field '" + name_ + "').");
      }
      return number - minus_;
    }
    if (among_.empty()) return text;
    const Value::List& list = ListAt(row, among_);
    const auto hit = std::find_if(list.begin(), list.end(),
                                  [&](const Value& entry) { return HasDataText(entry) && DataText(entry) == text; });
    if (hit == list.end()) Fail(row, "'" + text + "' is none of '" + among_ + "' (field '" + name_ + "').");
    return static_cast<int64_t>(hit - list.begin());
  }

 private:
  struct Step {
    std::optional<TextPattern> removed;
    std::string from, to;
  };

  void TakeForm(const Value& value) {
    if (form_ == "list" && value.is_list()) {
      for (const Value& text : value.AsList()) {
        if (!text.is_string())
          Fail(text, "an entry of 'list' is " + std::string(Article(text.type())) + ", where a template is needed.");
        templates_.emplace_back(text.AsString(), text.mark());
      }
      return;
    }
    if (form_ == "list" || !value.is_string()) {
      Fail(value, "'" + form_ + "' is " + std::string(Article(value.type())) + ", where " +
                      (form_ == "list" ? "a list of templates" : "a text") + " is needed.");
    }
    if (form_ == "text" || form_ == "whole" || form_ == "json") {
      templates_.emplace_back(value.AsString(), value.mark());
    } else {
      path_ = value.AsString();
    }
  }

  void TakeStep(const Value& step) {
    steps_.emplace_back();
    if (step.is_string()) {
      steps_.back().removed.emplace(step.AsString(), step.mark());
    } else if (step.is_list() && step.AsList().size() == 2 && step.AsList()[0].is_string() &&
               step.AsList()[1].is_string()) {
      steps_.back().from = step.AsList()[0].AsString();
      steps_.back().to = step.AsList()[1].AsString();
    } else {
      Fail(step, "an entry of 'clean' is neither a pattern nor a pair of texts.");
    }
  }

  std::string Clean(const std::string& text) const {
    if (steps_.empty()) return text;
    std::string cleaned(Trim(text));
    for (const Step& step : steps_) {
      cleaned = step.removed ? step.removed->RemoveFrom(cleaned) : ReplaceAll(cleaned, step.from, step.to);
    }
    return cleaned;
  }

  const Value& Field(const Value& row) const { return FindField(row, path_, "field '" + name_ + "'"); }

  const Value::List& ListAt(const Value& row, const std::string& path) const {
    const Value& list = FindField(row, path, "field '" + name_ + "'");
    if (!list.is_list())
      Fail(row, "'" + path + "' is " + std::string(Article(list.type())) + ", where a list is needed (field '" + name_ +
                    "').");
    return list.AsList();
  }

  Value Marked(const Value& row) const {
    const Value::List& list = ListAt(row, path_);
    const auto is_marked = [](const Value& entry) { return entry == Value(1) || entry == Value(true); };
    if (std::count_if(list.begin(), list.end(), is_marked) != 1) {
      Fail(row, "'" + path_ + "' marks " + std::to_string(std::count_if(list.begin(), list.end(), is_marked)) +
                    " entries, where one is needed (field '" + name_ + "').");
    }
    return static_cast<int64_t>(std::find_if(list.begin(), list.end(), is_marked) - list.begin());
  }

  std::string name_, form_, path_, among_;
  int64_t minus_ = 0;
  std::vector<Template> templates_;
  std::vector<Step> steps_;
};

std::vector<FieldRecipe> FieldsOf(const DataRecipe& recipe) {
  std::vector<FieldRecipe> fields;
  for (const auto& [name, spec] : recipe.fields.AsMap()) fields.emplace_back(name, spec);
  return fields;
}

DataRecipe ReadRecipe(const std::string& file, const Value& entry) {
  DataRecipe recipe;
  recipe.file = file;
  if (!entry.is_map())
    Fail(entry, "'" + file + "' is " + std::string(Article(entry.type())) + ", where a map is needed.");
  const std::map<std::string, std::string*> texts = {
      {"dataset", &recipe.source.dataset}, {"config", &recipe.source.config}, {"split", &recipe.source.split}};
  for (const auto& [key, value] : entry.AsMap()) {
    const auto text = texts.find(key);
    if (text != texts.end() && value.is_string()) {
      *text->second = value.AsString();
    } else if (key == "fields" && value.is_map()) {
      recipe.fields = value;
    } else if (key == "lines" && value.is_string()) {
      recipe.lines = value;
    } else if (key == "quoted" && value.is_bool()) {
      recipe.quoted = value.AsBool();
    } else {
      Fail(value,
           "'" + key +
               "' is no part of a source, or not of its type. Parts: dataset, config, split, quoted, fields or lines.");
    }
  }
  if (recipe.source.dataset.empty() || recipe.source.split.empty())
    Fail(entry, "'" + file + "' lacks dataset or split.");
  if (recipe.fields.is_null() == recipe.lines.is_null()) Fail(entry, "'" + file + "' needs either fields or lines.");
  if (recipe.fields.is_map()) {
    FieldsOf(recipe);
  } else {
    Template(recipe.lines.AsString(), recipe.lines.mark());
  }
  return recipe;
}

// A row of a .tsv file with its cells as a reader of quoted fields takes them.
Value Unquoted(const Value& row) {
  if (!row.mark().file.ends_with(".tsv") && !row.mark().file.ends_with(".tsv.gz")) return row;
  Value::Map cells;
  for (const auto& [name, cell] : row.AsMap()) {
    const bool is_quoted = cell.is_string() && cell.AsString().size() >= 2 && cell.AsString().starts_with('"') &&
                           cell.AsString().ends_with('"');
    const std::string& text = is_quoted ? cell.AsString() : name;
    cells.emplace_back(
        name, is_quoted ? Value(ReplaceAll(std::string_view(text).substr(1, text.size() - 2), "\"\"", "\"")) : cell);
  }
  Value made(std::move(cells));
  made.set_mark(row.mark());
  return made;
}

}  // namespace

std::vector<DataRecipe> ReadDataRecipes(const std::filesystem::path& path) {
  const Value root = ReadYamlFile(path);
  if (!root.is_map()) Fail(root, "a map from data files to their sources is needed.");
  std::vector<DataRecipe> recipes;
  for (const auto& [file, entry] : root.AsMap()) recipes.push_back(ReadRecipe(file, entry));
  return recipes;
}

std::string MakeDataFile(const DataRecipe& recipe, const std::vector<Value>& rows) {
  std::string bytes;
  if (recipe.lines.is_string()) {
    const Template line(recipe.lines.AsString(), recipe.lines.mark());
    for (const Value& row : rows) {
      const std::string text = line.Render(row);
      bytes += text + (text.ends_with('\n') ? "" : "\n");
    }
    return bytes;
  }
  const std::vector<FieldRecipe> fields = FieldsOf(recipe);
  for (const Value& row : rows) {
    Value::Map made;
    const Value source = recipe.quoted ? Unquoted(row) : row;
    for (const FieldRecipe& field : fields) made.emplace_back(field.name(), field.Of(source));
    bytes += JsonLine(made);
  }
  return bytes;
}

}  // namespace bitlaw
