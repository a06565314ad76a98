#include "bitlaw/sdk/text/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "task_test_support.h"

namespace bitlaw {
namespace {

using testing::ErrorOf;

Value Item() {
  Value item = ParseJson(R"({"question": " Who? ", "choices": ["ant", "Bee"], "answer": 1, "price": 0.5, "sure": true,
                             "note": null, "of": {"subject": "high_school"}, "gap": "The _ ran to _."})",
                         "test");
  item.set_mark({"items.jsonl", 12, 1});
  return item;
}

std::string Rendered(const std::string& text) { return Template(text, {"task.yaml", 9, 9}).Render(Item()); }
std::string ParseFault(const std::string& text) {
  return ErrorOf([&] { Template(text, {"task.yaml", 9, 9}); });
}
std::string RenderFault(const std::string& text) {
  return ErrorOf([&] { Rendered(text); });
}

TEST(Template, PutsFieldsIntoText) {
  EXPECT_EQ(Rendered("Q:{{question}}A: {{choices[1]}} {{ of.subject }}"), "Q: Who? A: Bee high_school");
  EXPECT_EQ(Rendered("{{answer}} {{price}} {{sure}}"), "1 0.5 true");
  EXPECT_EQ(Rendered("no field, { single } braces }} and {{'{{'}}"), "no field, { single } braces }} and {{");
}

TEST(Template, AppliesFiltersFromLeftToRight) {
  EXPECT_EQ(Rendered("{{question|trim|upper}}"), "WHO?");
  EXPECT_EQ(Rendered("{{question|trim_left}}|{{question|trim_right}}"), "Who? | Who?");
  EXPECT_EQ(Rendered("{{choices[1]|lower}} {{choices|last|upper}} {{choices|first|capitalize}}"), "bee BEE Ant");
  EXPECT_EQ(Rendered("{{answer|letter}}"), "B");
  EXPECT_EQ(Rendered("{{answer|pick:'no','yes'}} {{answer|pick_from_1:'one'}}"), "yes one");
  EXPECT_EQ(Rendered("{{of.subject|replace:'_',' '}}"), "high school");
  EXPECT_EQ(Rendered("{{gap|before:'_'}}cat{{gap|after:'_'|trim_right}}"), "The cat ran to _.");
  EXPECT_EQ(Rendered("{{gap|before_last:' '}}|{{gap|after_last:' '}}|{{gap|after:' '}}"), "The _ ran to|_.|_ ran to _.");
  EXPECT_EQ(Rendered("{{choices|join:\", \"}}"), "ant, Bee");
  EXPECT_EQ(Rendered("{{choices|lettered}}"), "A. ant\nB. Bee");
  EXPECT_EQ(Rendered("{{choices|join:'\\n\\''}}"), "ant\n'Bee");
}

TEST(Template, PicksNoTextThatIsNotThere) {
  EXPECT_EQ(RenderFault("{{answer|pick:'a'}}"),
            "items.jsonl:12:1: filter 'pick' has 1 texts, and none with number 1 (template {{answer|pick:'a'}}).");
  EXPECT_EQ(Template("{{n|pick:'a'}}", {}).Render(ParseJson(R"({"n": 0})", "t")), "a");
  EXPECT_EQ(ErrorOf([&] { Template("{{n|pick_from_1:'a'}}", {}).Render(ParseJson(R"({"n": 0})", "t")); }),
            "filter 'pick_from_1' has 1 texts, and none with number 0 (template {{n|pick_from_1:'a'}}).");
  EXPECT_EQ(
      RenderFault("{{choices[0]|pick:'a'}}"),
      "items.jsonl:12:1: filter 'pick' got a string, where an integer is needed (template {{choices[0]|pick:'a'}}).");
  EXPECT_EQ(ParseFault("{{answer|pick}}"), "task.yaml:9:9: filter 'pick' has 0 texts after it. It takes 1 or more.");
}

TEST(Template, HasAtMostSixtyFourFiltersInARow) {
  const auto trims = [](int count) {
    std::string text = "{{question";
    for (int i = 0; i < count; ++i) text += "|trim";
    return text + "}}";
  };
  EXPECT_EQ(Rendered(trims(64)), "Who?");
  EXPECT_EQ(ParseFault(trims(65)),
            "task.yaml:9:9: an expression has more than 64 filters. Use fewer, or change the data.");
}

TEST(Template, StopsBeforeATextGrowsWithoutBound) {
  // 2^28 bytes, if nothing stopped it at 2^24.
  std::string text = "{{'a'";
  for (int i = 0; i < 28; ++i) text += "|replace:'a','aa'";
  EXPECT_THAT(RenderFault(text + "}}"),
              ::testing::StartsWith("items.jsonl:12:1: filter 'replace' makes a text of more than 16777216 bytes, which is "
                                    "the limit (template {{'a'|replace"));
  std::string many = "{{'a'";
  for (int i = 0; i < 23; ++i) many += "|replace:'a','aa'";
  many += "}}";
  EXPECT_EQ(RenderFault(many + many + many),
            "items.jsonl:12:1: a template makes a text of more than 16777216 bytes, which is the limit.");
}

TEST(Template, LocalNamesGoBeforeTheItems) {
  Value locals;
  locals.Set("choice", "ant");
  locals.Set("question", "What?");
  EXPECT_EQ(Template("{{question}} {{choice}}", {}).Render(Item(), locals), "What? ant");
}

TEST(Template, KnowsItsFields) {
  const Template text("{{a}}{{b.c}}{{a|trim}}{{'x'}}", {});
  EXPECT_EQ(text.fields(), (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(text.Uses("b"));
  EXPECT_FALSE(text.Uses("c"));
}

TEST(Template, PointsToTheItemThatLacksAField) {
  EXPECT_EQ(RenderFault("{{qestion}}"),
            "items.jsonl:12:1: the item has no field 'qestion'. Did you mean 'question'? Fields: answer, choices, gap, "
            "note, of, price, question, sure (template {{qestion}}).");
  EXPECT_EQ(RenderFault("{{of.subjct|trim}}"),
            "items.jsonl:12:1: 'of' has no field 'subjct'. Did you mean 'subject'? Fields: subject (template "
            "{{of.subjct|trim}}).");
  EXPECT_EQ(RenderFault("{{choices[2]}}"),
            "items.jsonl:12:1: 'choices' has 2 entries, so there is no [2] (template {{choices[2]}}).");
  EXPECT_EQ(RenderFault("{{question[0]}}"),
            "items.jsonl:12:1: 'question' is a string, not a list (template {{question[0]}}).");
}

TEST(Template, RefusesValuesThatAreNoText) {
  EXPECT_EQ(RenderFault("{{note}}"), "items.jsonl:12:1: the value is null, where a text is needed (template {{note}}).");
  EXPECT_EQ(RenderFault("{{choices|trim}}"),
            "items.jsonl:12:1: the value is a list, where a text is needed (template {{choices|trim}}).");
  EXPECT_EQ(RenderFault("{{question|first}}"),
            "items.jsonl:12:1: filter 'first' got a string, where a list is needed (template {{question|first}}).");
  EXPECT_EQ(RenderFault("{{question|before:'#'}}"),
            "items.jsonl:12:1: '#' does not occur in ' Who? ' (template {{question|before:'#'}}).");
  EXPECT_EQ(RenderFault("{{question|letter}}"),
            "items.jsonl:12:1: filter 'letter' got a string, where an integer is needed (template {{question|letter}}).");
}

TEST(Template, PointsToItselfWhenItIsMalformed) {
  EXPECT_EQ(ParseFault("{{question"),
            "task.yaml:9:9: 'question' is followed by the end of the text. An expression is field|filter|filter between "
            "{{ and }}. Write {{'{{'}} for literal braces.");
  EXPECT_EQ(ParseFault("{{}}"),
            "task.yaml:9:9: a field name is missing before '}}'. Write {{field}} or {{field|filter}}.");
  EXPECT_EQ(ParseFault("{{a|tirm}}"),
            "task.yaml:9:9: 'tirm' is no filter. Did you mean 'trim'? Filters: trim, trim_left, trim_right, lower, upper, "
            "capitalize, before, after, before_last, after_last, replace, letter, pick, pick_from_1, first, last, join, lettered.");
  EXPECT_EQ(ParseFault("{{a|replace:'x'}}"), "task.yaml:9:9: filter 'replace' has 1 texts after it. It takes 2.");
  EXPECT_EQ(ParseFault("{{a[x]}}"),
            "task.yaml:9:9: a list index is missing after '[' before 'x]}}'. Write {{choices[0]}}: a number from 0.");
  EXPECT_EQ(ParseFault("{{a|join:', }}"), "task.yaml:9:9: a quoted text is not closed by '.");
  EXPECT_EQ(ParseFault("{{'\\q'}}"),
            "task.yaml:9:9: '\\q' is no escape of a quoted text. Escapes: \\n \\t \\\\ \\' \\\".");
}

TEST(FindField, SaysWhoAsked) {
  const Value item = Item();
  EXPECT_EQ(FindField(item, "of.subject", "option 'x'").AsString(), "high_school");
  EXPECT_EQ(ErrorOf([&] { FindField(item, "answr", "option 'answer_field'"); }),
            "items.jsonl:12:1: the item has no field 'answr'. Did you mean 'answer'? Fields: answer, choices, gap, note, "
            "of, price, question, sure (option 'answer_field').");
}

}  // namespace
}  // namespace bitlaw
