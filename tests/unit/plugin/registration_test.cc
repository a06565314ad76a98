#include "plugin/registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitlaw {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(SchemaFaults, AreNoneForASoundSchema) {
  OptionSchema schema;
  schema.Int("bits").Range(2, 8).Default(4).Doc("Width.");
  schema.Int("group_size").Min(1).Word("row", -1).Default("row").Doc("Group.");
  schema.Choice("order", {"natural", "by_diagonal"}).Default("natural").Doc("Order.");
  schema.Real("damp").Above(0).Below(1).Optional().Doc("Damping.");
  EXPECT_THAT(SchemaFaults(schema, "quantizer/x"), IsEmpty());
}

TEST(SchemaFaults, NameAMalformedOption) {
  OptionSchema schema;
  schema.Int("Group Size").Default(4);
  EXPECT_THAT(
      SchemaFaults(schema, "quantizer/x"),
      ElementsAre("quantizer/x: 'Group Size' is no name for an option. Names are lower-case letters, digits and "
                  "underscores, a letter first."));
}

TEST(SchemaFaults, NameADefaultByWhatIsNoChoiceBeforeIt) {
  OptionSchema schema;
  schema.Bool("first").Default(true).DefaultBy("preset", {{"a", false}});
  schema.Choice("preset", {"a", "b"}).Default("a");
  schema.Bool("second").Default(true).DefaultBy("preset", {{"c", false}});
  schema.Bool("third").Default(true).DefaultBy("preset", {{"b", 3}});
  EXPECT_THAT(
      SchemaFaults(schema, "quantizer/x"),
      ElementsAre("quantizer/x: option 'first' has its default by 'preset'. Both must have a default, and that one must "
                  "be a choice that stands before it.",
                  "quantizer/x: option 'second' has a default where 'preset' is 'c', which is none of its choices.",
                  "quantizer/x: the default of an option breaks its own rule: third = 3 is an integer. It must be true "
                  "or false."));
}

TEST(SchemaFaults, NameARangeOnWhatIsNoNumber) {
  OptionSchema schema;
  schema.String("path").Min(1).Optional();
  EXPECT_THAT(SchemaFaults(schema, "law/x"), ElementsAre("law/x: option 'path' has a range but is no number."));
}

TEST(SchemaFaults, NameAnOpenRangeOfOnePoint) {
  OptionSchema schema;
  schema.Real("damp").Above(1).Below(1).Optional();
  EXPECT_THAT(SchemaFaults(schema, "law/x"), ElementsAre("law/x: option 'damp' has an empty range."));
}

TEST(SchemaFaults, NameChoicesThatAreNone) {
  OptionSchema schema;
  schema.Choice("order", {}).Optional();
  schema.Choice("rule", {"a", "a", ""}).Optional();
  EXPECT_THAT(SchemaFaults(schema, "law/x"), ElementsAre("law/x: option 'order' is a choice among nothing.",
                                                         "law/x: option 'rule' lists the choice 'a' twice.",
                                                         "law/x: option 'rule' has an empty choice."));
}

TEST(SchemaFaults, NameWordsOnWhatIsNoInteger) {
  OptionSchema schema;
  schema.Real("damp").Word("auto", -1).Optional();
  EXPECT_THAT(SchemaFaults(schema, "law/x"),
              ElementsAre("law/x: option 'damp' has words for numbers but is no integer."));
}

TEST(SchemaFaults, ReachIntoGroupsAndLists) {
  OptionSchema inner;
  inner.Int("min").Range(0, 1).Default(2);
  OptionField element;
  element.type = OptionType::kChoice;
  OptionSchema schema;
  schema.Group("bounds", inner).Optional();
  schema.List("orders", element).Optional();
  schema.Group("nothing", OptionSchema()).Optional();
  EXPECT_THAT(
      SchemaFaults(schema, "law/x"),
      ElementsAre("law/x: the default of an option breaks its own rule: bounds.min = 2 is out of range. It must be "
                  "an integer from 0 to 1.",
                  "law/x: option 'orders[]' is a choice among nothing.",
                  "law/x: option 'nothing' is a group without options."));
}

TEST(Identifier, IsLowerCaseWithALetterFirst) {
  for (const char* good : {"a", "gptq", "int8_v2"}) EXPECT_TRUE(IsIdentifier(good)) << good;
  for (const char* bad : {"", "4bit", "_a", "GPTQ", "a-b", "a b", "\xc3\xa4"}) EXPECT_FALSE(IsIdentifier(bad)) << bad;
}

}  // namespace
}  // namespace bitlaw
