#include <algorithm>
#include <cctype>
#include <optional>

#include "bitlaw/sdk/text/unicode_text.h"
#include "import/lm_eval_reader.h"

namespace bitlaw {

void LmEvalReader::Choices() {
  const Value* value = Given("doc_to_choice");
  if (value == nullptr) {
    Add(root_, "no doc_to_choice", "there is no doc_to_choice.");
    return;
  }
  Value::List texts;
  const auto literals = [&](const auto& entries, const auto& of) {
    for (const auto& entry : entries) {
      const Value& text = of(entry);
      if (!text.is_string()) {
        Add(text, "doc_to_choice",
            "the choice " + text.Text() + " is " + std::string(Article(text.type())) + ", where a text is needed.");
        return;
      }
      texts.emplace_back(LiteralTemplate(text.AsString()));
      literal_choices_.push_back(text.AsString());
    }
    Set("choices", texts);
  };
  if (value->is_list()) {
    literals(value->AsList(), [](const Value& entry) -> const Value& { return entry; });
  } else if (value->is_map()) {
    literals(value->AsMap(), [](const auto& entry) -> const Value& { return entry.second; });
  } else if (IsColumn(*value) && !IsLmEvalFunction(*value)) {
    Set("choices_field", value->AsString());
  } else {
    WithTemplate("doc_to_choice", [&](const JinjaTemplate& jinja) {
      const JinjaNode* node = jinja.OnlyExpression();
      if (node != nullptr && node->kind == JinjaNode::Kind::kList) {
        for (const JinjaNode& entry : node->parts) texts.emplace_back(jinja.Translated(entry));
        Set("choices", texts);
      } else if (node != nullptr && jinja.Path(*node)) {
        Set("choices_field", *jinja.Path(*node));
      } else {
        Add(*value, "Jinja expression", "doc_to_choice is neither a field nor a list of texts: " + value->Text() + ".");
      }
    });
  }
}

void LmEvalReader::RightChoice() {
  const Value* value = Given("doc_to_target");
  if (value == nullptr) {
    Add(root_, "no doc_to_target", "there is no doc_to_target.");
    return;
  }
  if (value->is_int()) {
    Set("answer", std::to_string(value->AsInt()));
    return;
  }
  if (IsColumn(*value) && !IsLmEvalFunction(*value)) {
    Set("answer_field", value->AsString());
    Set("answer_form", "index_or_text");
    return;
  }
  if (!value->is_string()) {
    Add(*value, "doc_to_target",
        "doc_to_target is " + std::string(Article(value->type())) + ", where a template is needed.");
    return;
  }
  WithTemplate("doc_to_target", [&](const JinjaTemplate& jinja) {
    const JinjaNode* node = jinja.OnlyExpression();
    if (node != nullptr && node->kind == JinjaNode::Kind::kCall && node->text == "index" && node->parts.size() == 2) {
      IndexIn(jinja, *node, *value);
      return;
    }
    // ['A', 'B'][label], where these are the choices
    if (node != nullptr && node->kind == JinjaNode::Kind::kLookup) {
      LookUp(jinja, *node);
      return;
    }
    // label|int and label|int - 1
    bool is_from_1 = false;
    if (node != nullptr && node->kind == JinjaNode::Kind::kSum && node->text == "-" && node->parts[1].text == "1") {
      is_from_1 = true;
      node = &node->parts[0];
    }
    if (node != nullptr && node->kind == JinjaNode::Kind::kFilter && node->text == "int" && node->parts.size() == 1) {
      Set("answer", jinja.Translated(node->parts[0]));
      Set("answer_form", is_from_1 ? "index_from_1" : "index");
      return;
    }
    if (is_from_1) {
      Set("answer", jinja.Translated(*node));
      Set("answer_form", "index_from_1");
      return;
    }
    Set("answer", jinja.Translated());
    Set("answer_form", "index_or_text");
  });
}

void LmEvalReader::LookUp(const JinjaTemplate& jinja, const JinjaNode& node) {
  std::vector<std::string> texts;
  for (const JinjaNode& entry : node.parts[0].parts) texts.push_back(entry.text);
  const JinjaNode* index = &node.parts[1];
  const bool is_from_1 = index->kind == JinjaNode::Kind::kSum && index->text == "-" && index->parts[1].text == "1";
  if (is_from_1) index = &index->parts[0];
  if (texts != literal_choices_) {
    // Texts of another list, which the harness looks for among the choices.
    Set("answer", jinja.Translated(node));
    Set("answer_form", "index_or_text");
    return;
  }
  Set("answer", jinja.Translated(*index));
  Set("answer_form", is_from_1 ? "index_from_1" : "index");
}

void LmEvalReader::IndexIn(const JinjaTemplate& jinja, const JinjaNode& call, const Value& value) {
  const JinjaNode& list = call.parts[0];
  Set("answer", jinja.Translated(call.parts[1]));
  if (const auto path = jinja.Path(list)) {
    Set("labels_field", *path);
    Set("answer_form", "letter");
    return;
  }
  std::vector<std::string> labels;
  if (list.kind == JinjaNode::Kind::kText) {
    for (const char c : list.text) labels.emplace_back(1, c);
  }
  for (const JinjaNode& entry : list.parts) labels.push_back(entry.kind == JinjaNode::Kind::kText ? entry.text : "");
  const auto are = [&](const std::function<std::string(int)>& label) {
    for (size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] != label(static_cast<int>(i))) return false;
    }
    return !labels.empty() && labels.size() <= 26;
  };
  const bool own_labels = task_.options.Find("choices") == nullptr;
  if (are([](int i) { return ChoiceLetter(i); }) && !own_labels) {
    Set("answer_form", "letter");
  } else if (are([](int i) { return ChoiceLetter(i); }) && task_.options.Find("choices_field") != nullptr &&
             task_.options.Find("choices_field")->AsString().find('.') == std::string::npos) {
    Set("answer_form", "letter");
  } else if (are([](int i) { return std::to_string(i); })) {
    Set("answer_form", "index");
  } else if (are([](int i) { return std::to_string(i + 1); })) {
    Set("answer_form", "index_from_1");
  } else if (labels == literal_choices_) {
    Set("answer_form", "text");
  } else {
    Add(value, "Jinja expression",
        "doc_to_target looks up labels that are neither a field nor A, B, ... nor 0, 1, ... nor 1, 2, ...: " +
            value.Text() + ".");
  }
}

std::string LmEvalReader::Target() {
  if (Given("doc_to_target") == nullptr) Add(root_, "no doc_to_target", "there is no doc_to_target.");
  return TextOf("doc_to_target");
}

void LmEvalReader::Answers() {
  if (const Value* choices = Given("doc_to_choice"))
    Add(*choices, "generated choices", "doc_to_choice of a generated answer has no counterpart here.");
  const Value* value = Given("doc_to_target");
  if (value != nullptr && IsColumn(*value) && !IsLmEvalFunction(*value)) {
    Set("answers_field", value->AsString());
    return;
  }
  std::optional<std::string> path;
  WithTemplate("doc_to_target", [&](const JinjaTemplate& jinja) {
    if (const JinjaNode* node = jinja.OnlyExpression()) path = jinja.Path(*node);
  });
  path ? Set("answers_field", *path) : Set("answer", Target());
}

void LmEvalReader::Rolling() {
  const Value* value = Given("doc_to_target");
  std::optional<std::string> field;
  if (value != nullptr && IsColumn(*value)) field = value->AsString();
  WithTemplate("doc_to_target", [&](const JinjaTemplate& jinja) {
    if (const JinjaNode* node = jinja.OnlyExpression()) field = jinja.Path(*node);
  });
  if (!field && value != nullptr && !IsLmEvalFunction(*value))
    Add(*value, "Jinja expression", "doc_to_target of a rolling text is no field: " + value->Text() + ".");
  if (value == nullptr) Add(root_, "no doc_to_target", "there is no doc_to_target.");
  if (field && *field != "text") Set("text_field", *field);
  Set("convention", "rolling");
  Metrics({"word_perplexity", "byte_perplexity", "bits_per_byte"}, {});
}

}  // namespace bitlaw
