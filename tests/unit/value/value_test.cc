#include "bitlaw/base/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

std::string FaultOf(const std::string& text) {
  try {
    ParseJson(text, "x.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kIo);
    return error.what();
  }
  return "accepted";
}

TEST(CanonicalJson, SortsKeysAndWritesNoSpaces) {
  Value value;
  value.Set("b", Value::List{1, "x", Value(), true});
  value.Set("a", 0.5);
  EXPECT_EQ(value.CanonicalJson(), R"({"a":0.5,"b":[1,"x",null,true]})");
}

TEST(CanonicalJson, TellsIntegersFromReals) {
  EXPECT_EQ(Value(1).CanonicalJson(), "1");
  EXPECT_EQ(Value(1.0).CanonicalJson(), "1.0");
  EXPECT_FALSE(Value(1) == Value(1.0));
}

TEST(CanonicalJson, WritesRealsInTheShortestFormThatReadsBack) {
  EXPECT_EQ(Value(0.1).CanonicalJson(), "0.1");
  EXPECT_EQ(Value(1e22).CanonicalJson(), "1e+22");
  EXPECT_EQ(Value(-0.0).CanonicalJson(), "-0.0");
  for (const double value : {1.0 / 3, 5e-324, std::numeric_limits<double>::max(), 123456789.125}) {
    EXPECT_EQ(ParseJson(Value(value).CanonicalJson(), "x").AsReal(), value);
  }
}

TEST(CanonicalJson, RefusesWhatJsonHasNoNumberFor) {
  EXPECT_THROW(Value(std::nan("")).CanonicalJson(), InternalError);
  EXPECT_THROW(Value(-INFINITY).CanonicalJson(), InternalError);
}

TEST(CanonicalJson, EscapesControlCharactersAndRepairsInvalidUtf8) {
  EXPECT_EQ(Value(std::string("a\"\\\n\t\x01")).CanonicalJson(), R"("a\"\\\n\t\u0001")");
  EXPECT_EQ(Value("ab\x7F" "c\xC3\xA4" "d\xFF" "e").CanonicalJson(), "\"ab\\u007fc\xC3\xA4" "d\xEF\xBF\xBD" "e\"");
  EXPECT_EQ(Value("\xC3\xA4").CanonicalJson(), "\"\xC3\xA4\"");
  EXPECT_EQ(Value("\xC0\x80").CanonicalJson(), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");         // overlong
  EXPECT_EQ(Value("\xED\xA0\x80").CanonicalJson().size(), 2 + 3 * 3u);                   // lone surrogate
}

TEST(PrettyJson, IndentsByTwoAndKeepsTheOrderOfKeys) {
  Value value;
  value.Set("z", 1);
  value.Set("a", Value::List{1, 2});
  Value inner;
  inner.Set("k", "v");
  value.Set("list", Value::List{inner});
  value.Set("empty", Value::Map{});
  EXPECT_EQ(PrettyJson(value),
            "{\n  \"z\": 1,\n  \"a\": [1, 2],\n  \"list\": [\n    {\n      \"k\": \"v\"\n    }\n  ],\n  \"empty\": {}\n}\n");
  EXPECT_TRUE(ParseJson(PrettyJson(value), "x") == value);
}

TEST(ParseJson, KeepsTypes) {
  const Value value = ParseJson(R"({"i":7,"r":7.0,"big":18446744073709551615,"n":null,"s":"\u00e4","l":[false]})", "x");
  EXPECT_EQ(value.Find("i")->AsInt(), 7);
  EXPECT_EQ(value.Find("r")->type(), Value::Type::kReal);
  EXPECT_EQ(value.Find("big")->AsReal(), 18446744073709551615.0);
  EXPECT_TRUE(value.Find("n")->is_null());
  EXPECT_EQ(value.Find("s")->AsString(), "\xC3\xA4");
  EXPECT_FALSE(value.Find("l")->AsList()[0].AsBool());
  EXPECT_EQ(value.Find("absent"), nullptr);
}

TEST(ParseJson, NamesTheByteOfAFault) {
  EXPECT_THAT(FaultOf("{\"a\": 1,}"), ::testing::StartsWith("x.json: not JSON at byte 9: syntax error"));
  EXPECT_THAT(FaultOf(""), ::testing::StartsWith("x.json: not JSON at byte 1: syntax error"));
  EXPECT_THAT(FaultOf("1 2"), ::testing::StartsWith("x.json: not JSON at byte 3: syntax error"));
  EXPECT_THAT(FaultOf("1e999"), ::testing::StartsWith("x.json: not JSON at byte 5: number overflow"));
  EXPECT_THAT(FaultOf("\"\xFF\""), ::testing::StartsWith("x.json: not JSON at byte 2: syntax error"));
}

TEST(ParseJson, RefusesDuplicateKeys) {
  EXPECT_EQ(FaultOf(R"({"a":1,"b":2,"a":3})"),
            "x.json: not JSON at byte 19: the object that ends here has the key 'a' twice.");
  std::string many;
  for (char c = 'a'; c <= 'z'; ++c) many += std::string("\"") + c + "\":1,";
  EXPECT_TRUE(ParseJson("{" + many + "\"aa\":2}", "x").is_map());
  EXPECT_THAT(FaultOf("{" + many + "\"c\":2}"), ::testing::EndsWith("has the key 'c' twice."));
}

TEST(ParseJson, RefusesDeepNesting) {
  EXPECT_TRUE(ParseJson(std::string(512, '[') + std::string(512, ']'), "x").is_list());
  EXPECT_EQ(FaultOf(std::string(100000, '[')), "x.json: not JSON at byte 513: nested deeper than 512 levels.");
}

TEST(Value, ReadsAsOnlyWhatItIs) {
  EXPECT_EQ(Value(3).AsReal(), 3.0);
  Value text("abc");
  text.set_mark({"f.yaml", 3, 7});
  try {
    text.AsInt();
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_STREQ(error.what(), "f.yaml:3:7: a Value was read as an integer but it is a string");
  }
}

TEST(Value, ComparesMapsWithoutOrderAndWithoutMarks) {
  Value a, b;
  a.Set("x", 1);
  a.Set("y", 2);
  b.Set("y", 2);
  b.Set("x", 1);
  b.set_mark({"f", 1, 1});
  EXPECT_TRUE(a == b);
  b.Set("x", 3);
  EXPECT_FALSE(a == b);
}

TEST(Value, CopiesAreIndependent) {
  Value first;
  first.Set("list", Value::List{1});
  Value second = first;
  second.AsMap()[0].second.AsList().push_back(2);
  second.Set("more", true);
  EXPECT_EQ(first.Text(), "{list: [1]}");
  EXPECT_EQ(second.Text(), "{list: [1, 2], more: true}");
  first.Set("list", 3);
  EXPECT_EQ(second.Text(), "{list: [1, 2], more: true}");
}

TEST(Value, PrintsForPeople) {
  Value map;
  map.Set("a", Value::List{2, 0.01, "abc", true, Value()});
  EXPECT_EQ(map.Text(), "{a: [2, 0.01, 'abc', true, null]}");
}

}  // namespace
}  // namespace bitlaw
