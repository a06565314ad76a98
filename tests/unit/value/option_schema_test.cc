#include "bitlaw/api/option_schema.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "bitlaw/api/model_backend.h"
#include "bitlaw/base/error.h"

namespace bitlaw {
namespace {

OptionSchema Schema() {
  OptionSchema schema;
  schema.Int("bits").Range(2, 8).Unit("bits").Doc("Width of one weight code.");
  schema.Int("group_size").Min(1).Word("row", -1).Default(128).Unit("weights").Doc("Weights that share a scale.");
  schema.Real("damp").Above(0).Below(1).Default(0.01).Doc("Fraction of mean(diag H) added to H.");
  schema.Choice("order", {"plain", "act"}).Default("plain").Doc("Order of columns.");
  schema.Bool("symmetric").Default(false).Doc("Zero point in the middle.");
  schema.Path("cache").Optional().Doc("Where to keep it.");
  OptionField layer;
  layer.type = OptionType::kString;
  schema.List("layers", layer).Optional().MinItems(1).Doc("Only these.");
  return schema;
}

Value At(Value value, int line, int column) {
  value.set_mark({"g.yaml", line, column});
  value.set_key_mark(line, 3);
  return value;
}

std::string FaultOf(const OptionSchema& schema, const Value& given) {
  try {
    schema.Resolve(given, "quantizer 'gptq'");
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSpec);
    return error.what();
  }
  return "accepted";
}

Value Given(const std::string& key, Value value) {
  Value given;
  given.Set("bits", 4);
  given.Set(key, std::move(value));
  return given;
}

TEST(OptionSchema, FillsInDefaultsAndNormalizes) {
  const Options options = Schema().Resolve(Given("group_size", "row"), "quantizer 'gptq'");
  EXPECT_EQ(options.Int("bits"), 4);
  EXPECT_EQ(options.Int("group_size"), -1);
  EXPECT_EQ(options.Real("damp"), 0.01);
  EXPECT_EQ(options.String("order"), "plain");
  EXPECT_FALSE(options.Bool("symmetric"));
  EXPECT_FALSE(options.Has("cache"));
  EXPECT_EQ(options.CanonicalJson(),
            R"({"bits":4,"cache":null,"damp":0.01,"group_size":-1,"layers":null,"order":"plain","symmetric":false})");
}

TEST(OptionSchema, TreatsNullAsNotGivenOnlyWhereAnOptionMayBeAbsent) {
  EXPECT_FALSE(Schema().Resolve(Given("cache", Value()), "q").Has("cache"));
  EXPECT_EQ(FaultOf(Schema(), Given("damp", At(Value(), 4, 9))),
            "g.yaml:4:9: quantizer 'gptq': damp is null. It must be a number above 0.0 and below 1.0.");
}

TEST(OptionSchema, ReportsEveryFaultInOneError) {
  Value given;
  given.Set("bit", At(4, 9, 8));
  given.Set("group_size", At(0, 10, 15));
  given.Set("damp", At("x", 11, 9));
  given = At(given, 9, 3);
  EXPECT_EQ(FaultOf(Schema(), given),
            "g.yaml:9:3: 'bit' is not an option of quantizer 'gptq'. Did you mean 'bits'? Options: bits, group_size, "
            "damp, order, symmetric, cache, layers.\n"
            "g.yaml:9:3: quantizer 'gptq': 'bits' is missing. It must be an integer from 2 to 8.\n"
            "g.yaml:10:15: quantizer 'gptq': group_size = 0 is out of range. It must be an integer of at least 1 or "
            "'row'.\n"
            "g.yaml:11:9: quantizer 'gptq': damp = 'x' is a string. It must be a number above 0.0 and below 1.0.");
}

TEST(OptionSchema, RefusesWrongTypesRangesAndNaN) {
  EXPECT_EQ(FaultOf(Schema(), Given("bits", 4.0)),
            "quantizer 'gptq': bits = 4.0 is a real number. It must be an integer from 2 to 8.");
  EXPECT_EQ(FaultOf(Schema(), Given("bits", 9)),
            "quantizer 'gptq': bits = 9 is out of range. It must be an integer from 2 to 8.");
  EXPECT_EQ(FaultOf(Schema(), Given("damp", std::nan(""))),
            "quantizer 'gptq': damp = nan is not a number. It must be a number above 0.0 and below 1.0.");
  EXPECT_EQ(FaultOf(Schema(), Given("damp", 0)),
            "quantizer 'gptq': damp = 0 is out of range. It must be a number above 0.0 and below 1.0.");
  EXPECT_EQ(FaultOf(Schema(), Given("symmetric", "yes")),
            "quantizer 'gptq': symmetric = 'yes' is a string. It must be true or false.");
  EXPECT_EQ(FaultOf(Schema(), Given("order", "acts")),
            "quantizer 'gptq': order = 'acts' is none of the choices. It must be one of plain, act. Did you mean "
            "'act'?");
  EXPECT_EQ(FaultOf(Schema(), Given("group_size", "rows")),
            "quantizer 'gptq': group_size = 'rows' is a string. It must be an integer of at least 1 or 'row'. Did you "
            "mean 'row'?");
  EXPECT_EQ(FaultOf(Schema(), Given("layers", Value::List{})),
            "quantizer 'gptq': layers = [] is too short. It must be a list of at least 1, each item a string.");
  EXPECT_EQ(FaultOf(Schema(), Given("layers", Value::List{"a", 3})),
            "quantizer 'gptq': layers[1] = 3 is an integer. It must be a string.");
  EXPECT_EQ(FaultOf(Schema(), Value(3)),
            "the options of quantizer 'gptq' are an integer. They must be a map. Options: bits, group_size, damp, "
            "order, symmetric, cache, layers.");
}

TEST(OptionSchema, RefusesInfinityUnlessABoundAdmitsIt) {
  OptionSchema schema;
  schema.Real("open").Default(0);
  schema.Real("bounded").Range(0, INFINITY).Default(1);
  Value given;
  given.Set("open", INFINITY);
  EXPECT_EQ(FaultOf(schema, given), "quantizer 'gptq': open = inf is out of range. It must be a number.");
  given.Set("open", 1);
  given.Set("bounded", INFINITY);
  EXPECT_EQ(schema.Resolve(given, "q").Real("bounded"), INFINITY);
}

TEST(OptionSchema, ChecksGroupsAndNamedGroups) {
  OptionSchema inner;
  inner.Real("min").Optional();
  inner.Real("start").Default(1);
  OptionSchema schema;
  schema.GroupMap("parameters", inner);
  schema.Group("search", inner);
  Value alpha;
  alpha.Set("min", 0);
  Value parameters;
  parameters.Set("A", alpha);
  parameters.Set("beta", Value());
  Value given;
  given.Set("parameters", parameters);
  const Options options = schema.Resolve(given, "law 'x'");
  const auto groups = options.GroupMap("parameters");
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].first, "A");
  EXPECT_EQ(groups[0].second.Real("min"), 0.0);
  EXPECT_FALSE(groups[1].second.Has("min"));
  EXPECT_EQ(options.Group("search").Real("start"), 1.0);

  parameters.Set("beta", Given("minn", 1));
  parameters.Set("gamma", 3);
  given.Set("parameters", parameters);
  EXPECT_EQ(FaultOf(schema, given),
            "'bits' is not an option of 'parameters.beta' of quantizer 'gptq'. Options: min, start.\n"
            "'minn' is not an option of 'parameters.beta' of quantizer 'gptq'. Did you mean 'min'? Options: min, "
            "start.\n"
            "quantizer 'gptq': parameters.gamma = 3 is an integer. It must be a map with the keys min, start.");
}

TEST(OptionSchema, ResolvesPathsAgainstTheFileThatHoldsThem) {
  Value path("data/a.txt");
  path.set_mark({"/studies/x/s.yaml", 2, 3});
  EXPECT_EQ(Schema().Resolve(Given("cache", path), "q").String("cache"), "/studies/x/data/a.txt");
  path = Value("/abs/../b");
  EXPECT_EQ(Schema().Resolve(Given("cache", path), "q").String("cache"), "/b");
}

TEST(OptionSchema, ExpandsEnvironmentVariablesInPathsOnly) {
  ::setenv("BITLAW_TEST_FOLDER", "/here", 1);
  ::unsetenv("BITLAW_TEST_UNSET");
  EXPECT_EQ(Schema().Resolve(Given("cache", "${BITLAW_TEST_FOLDER}/x"), "q").String("cache"), "/here/x");
  EXPECT_EQ(FaultOf(Schema(), Given("cache", "${BITLAW_TEST_UNSET}/x")),
            "quantizer 'gptq': cache = '${BITLAW_TEST_UNSET}/x' needs the environment variable BITLAW_TEST_UNSET, which "
            "is not set. Set it, or write the path out.");
  EXPECT_EQ(Schema().Resolve(Given("layers", Value::List{"${BITLAW_TEST_FOLDER}"}), "q").Strings("layers")[0],
            "${BITLAW_TEST_FOLDER}");
}

TEST(OptionSchema, TellsAxesFromListValues) {
  const OptionSchema schema = Schema();
  EXPECT_TRUE(OptionSchema::IsAxis(*schema.Find("bits"), Value::List{2, 3}));
  EXPECT_FALSE(OptionSchema::IsAxis(*schema.Find("bits"), 2));
  EXPECT_FALSE(OptionSchema::IsAxis(*schema.Find("layers"), Value::List{"a", "b"}));
  EXPECT_TRUE(OptionSchema::IsAxis(*schema.Find("layers"), Value::List{Value::List{"a"}, Value::List{"b"}}));
}

TEST(OptionSchema, ResolvesOneValueOfAnAxis) {
  const OptionSchema schema = Schema();
  std::vector<std::string> faults;
  EXPECT_TRUE(OptionSchema::ResolveOne(*schema.Find("group_size"), "row", "q", &faults) == Value(-1));
  EXPECT_TRUE(faults.empty());
  OptionSchema::ResolveOne(*schema.Find("bits"), At(1, 2, 5), "quantizer 'gptq'", &faults);
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0], "g.yaml:2:5: quantizer 'gptq': bits = 1 is out of range. It must be an integer from 2 to 8.");
  EXPECT_THROW(OptionSchema::ResolveOne(*schema.Find("bits"), 1, "q", nullptr), Error);
}

TEST(OptionSchema, PrintsAHelpTable) {
  OptionSchema inner;
  inner.Real("start").Default(1).Doc("First guess.");
  OptionSchema schema;
  schema.Int("bits").Range(2, 8).Unit("bits").Doc("Code width.");
  schema.Int("group_size").Min(1).Word("row", -1).Default(-1).Doc("Group.");
  schema.Group("search", inner).Doc("Search.");
  EXPECT_EQ(schema.HelpText(),
            "option      type   unit  range     default   meaning\n"
            "bits        int    bits  2..8      required  Code width.\n"
            "group_size  int          >= 1|row  row       Group.\n"
            "search      group                            Search.\n"
            "  start     real                   1         First guess.\n");
}

OptionSchema SchemaWithPreset() {
  OptionSchema schema;
  schema.Choice("preset", {"now", "then"}).Default("now").Doc("Defaults.");
  schema.Bool("act_order").Default(true).DefaultBy("preset", {{"then", false}}).Doc("Order.");
  schema.Int("group").Word("row", -1).Min(1).Default(8).DefaultBy("preset", {{"then", "row"}}).Doc("Group.");
  return schema;
}

TEST(OptionSchema, TakesDefaultsFromAChoice) {
  const auto resolved = [](const Value& given) { return SchemaWithPreset().Resolve(given, "q").CanonicalJson(); };
  EXPECT_EQ(resolved(Value()), R"({"act_order":true,"group":8,"preset":"now"})");
  EXPECT_EQ(resolved(Value::Map{{"preset", "then"}}), R"({"act_order":false,"group":-1,"preset":"then"})");
  EXPECT_EQ(resolved(Value::Map{{"act_order", true}, {"preset", "then"}}),
            R"({"act_order":true,"group":-1,"preset":"then"})");
  EXPECT_EQ(SchemaWithPreset().HelpText(),
            "option     type    unit  range     default            meaning\n"
            "preset     choice        now|then  now                Defaults.\n"
            "act_order  bool                    true, then: false  Order.\n"
            "group      int           >= 1|row  8, then: row       Group.\n");
}

TEST(OptionSchema, WritesLineEndsInsideOfADefaultAsEscapes) {
  OptionSchema schema;
  schema.String("separator").Default("\n\n\t").Doc("Between shots.");
  EXPECT_EQ(schema.HelpText(),
            "option     type    unit  range  default  meaning\n"
            "separator  string               \\n\\n\\t   Between shots.\n");
}

TEST(OptionSchema, TakesOneTextForAListOfIt) {
  OptionField file;
  file.type = OptionType::kString;
  OptionSchema schema;
  schema.List("files", file).OrSingle().MinItems(1).Doc("Read in turn.");
  const auto resolved = [&](Value given) {
    Value map;
    map.Set("files", std::move(given));
    return schema.Resolve(map, "quantizer 'gptq'").Strings("files");
  };
  EXPECT_EQ(resolved("a"), std::vector<std::string>{"a"});
  EXPECT_EQ(resolved(Value::List{"a", "b"}), (std::vector<std::string>{"a", "b"}));
  Value map;
  map.Set("files", 3);
  EXPECT_EQ(FaultOf(schema, map),
            "quantizer 'gptq': files = 3 is an integer. It must be a string or a list of at least 1, each item a string.");
  EXPECT_EQ(schema.HelpText(),
            "option  type                      unit  range            default   meaning\n"
            "files   string or list of string        1 or more items  required  Read in turn.\n");
}

TEST(OptionSchema, RefusesTheSameOptionTwice) {
  OptionSchema schema;
  schema.Int("bits");
  EXPECT_THROW(schema.Real("bits"), InternalError);
}

TEST(Options, GiveListsByTheTypeOfTheirElements) {
  const Options options(Value::Map{{"damps", Value::List{0.5, 2}}, {"sizes", Value::List{32, 64}}});
  EXPECT_EQ(options.Reals("damps"), (std::vector<double>{0.5, 2}));
  EXPECT_EQ(options.Ints("sizes"), (std::vector<int64_t>{32, 64}));
}

TEST(Options, RefuseToBeReadAsWhatTheyAreNot) {
  const Options options = Schema().Resolve(Given("damp", 0.5), "q");
  EXPECT_THROW(options.Int("absent"), InternalError);
  EXPECT_THROW(options.Int("damp"), InternalError);
}

TEST(Dtype, ReadsItsOwnNames) {
  EXPECT_EQ(ParseDtype(Name(Dtype::kBFloat16)), Dtype::kBFloat16);
  try {
    ParseDtype("float16");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "'float16' is not a compute dtype. Use float32 or bfloat16.");
  }
}

}  // namespace
}  // namespace bitlaw
