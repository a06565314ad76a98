#include "bitlaw/sdk/expression/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "bitlaw/base/error.h"
#include "bitlaw/base/rng.h"

namespace bitlaw {
namespace {

const double kNaN = std::numeric_limits<double>::quiet_NaN();

double Value(const std::string& text, const std::vector<std::string>& names = {},
             const std::vector<double>& values = {}) {
  return Expression::Parse(text).Compile(names).Number(values);
}

std::string FaultOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSpec);
    return error.what();
  }
  return "(no error)";
}

TEST(Expression, BindsPowersTighterThanSignsAndToTheRight) {
  EXPECT_EQ(Value("-2^2"), -4);
  EXPECT_EQ(Value("2^3^2"), 512);
  EXPECT_EQ(Value("2^-1"), 0.5);
  EXPECT_EQ(Value("8 / 4 / 2"), 1);
  EXPECT_EQ(Value("8 - 4 - 2"), 2);
  EXPECT_EQ(Value("2 + 3 * 4"), 14);
  EXPECT_EQ(Value("(2 + 3) * 4"), 20);
  EXPECT_EQ(Value("--3"), 3);
  EXPECT_EQ(Value("1.5e1 + .5"), 15.5);
}

TEST(Expression, ComputesEachFunction) {
  EXPECT_DOUBLE_EQ(Value("log(exp(2))"), 2);
  EXPECT_EQ(Value("log2(8)"), 3);
  EXPECT_DOUBLE_EQ(Value("log10(0.001)"), -3);
  EXPECT_EQ(Value("sqrt(9)"), 3);
  EXPECT_EQ(Value("abs(-2)"), 2);
  EXPECT_EQ(Value("min(3, 1, 2)"), 1);
  EXPECT_EQ(Value("max(3, 1, 2)"), 3);
  EXPECT_EQ(Value("pow(2, 10)"), 1024);
  EXPECT_DOUBLE_EQ(Value("tanh(0.5)"), std::tanh(0.5));
  EXPECT_DOUBLE_EQ(Value("sin(0.5) + cos(0.25) + atan(2)"), std::sin(0.5) + std::cos(0.25) + std::atan(2.0));
  EXPECT_DOUBLE_EQ(Value("sigmoid(0.5)"), 1 / (1 + std::exp(-0.5)));
  EXPECT_EQ(Value("sigmoid(-1000)"), 0);
  EXPECT_DOUBLE_EQ(Value("logit(0.25)"), std::log(1.0 / 3));
}

// scipy.stats.norm 1.17.1: cdf(1.5), cdf(-8), ppf(.975), ppf(1e-10).
TEST(Expression, HasTheNormalDistributionAndItsQuantile) {
  EXPECT_DOUBLE_EQ(Value("normal_cdf(1.5)"), 0.9331927987311419);
  EXPECT_NEAR(Value("normal_cdf(-8)") / 6.22096057427178e-16, 1, 1e-13);
  EXPECT_DOUBLE_EQ(Value("probit(0.975)"), 1.959963984540054);
  EXPECT_DOUBLE_EQ(Value("probit(1e-10)"), -6.361340902404056);
  EXPECT_EQ(Value("probit(0.5)"), 0);
  EXPECT_EQ(Value("probit(1)"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(Value("normal_cdf(probit(0))"), 0);
  EXPECT_TRUE(std::isnan(Value("probit(1.01)")));
  EXPECT_TRUE(std::isnan(Value("probit(-0.01)")));
  EXPECT_NEAR(static_cast<double>(Expression::Parse("probit(x)").Compile(std::vector<std::string>{"x"}).NumberExtended(std::vector{0.9})),
              1.2815515655446004, 1e-15);
}

TEST(Expression, CountsConditionsAsOneOrZeroWhereANumberIsNeeded) {
  EXPECT_EQ(Value("(B == 3) * 2 + (B > 2)", {"B"}, {3}), 3);
  EXPECT_EQ(Value("B > 5", {"B"}, {3}), 0);
  EXPECT_EQ(Value("(B > 2) == 1", {"B"}, {3}), 1);
  EXPECT_EQ(Value("B == 3", {"B"}, {kNaN}), 0);
  std::vector<double> slope(1);
  const std::vector<std::string> scope = {"c", "B"};
  const std::vector<double> c = {0.5}, b = {3};
  EXPECT_DOUBLE_EQ(Expression::Parse("exp(c * (B == 3))").Compile(scope).Number(c, b, slope), std::exp(0.5));
  EXPECT_DOUBLE_EQ(slope[0], std::exp(0.5));
}

TEST(Expression, ChoosesBetweenBranches) {
  EXPECT_EQ(Value("if(B < 4, 10, 20)", {"B"}, {3}), 10);
  EXPECT_EQ(Value("if(B < 4, 10, 20)", {"B"}, {4}), 20);
  EXPECT_EQ(Value("if(x > 0, log(x), 0)", {"x"}, {-1}), 0);  // The other branch is NaN.
  EXPECT_EQ(Value("if(missing(x), 7, x)", {"x"}, {kNaN}), 7);
  std::vector<double> slopes(2);
  const std::vector<std::string> scope = {"a", "b", "x"};
  const std::vector<double> theta = {2, 5}, x = {-1};
  EXPECT_EQ(Expression::Parse("if(x > 0, a * log(x), 3 * b)").Compile(scope).Number(theta, x, slopes), 15);
  EXPECT_EQ(slopes, (std::vector<double>{0, 3}));
  EXPECT_EQ(Expression::Parse("if(a, 1, 2)").Text(), "if(a, 1, 2)");
  EXPECT_EQ(FaultOf([] { Value("if(B, 1, 2)", {"B"}, {1}); }),
            "'if' at character 1 of 'if(B, 1, 2)' needs a condition, but 'B' is a number.");
  EXPECT_EQ(FaultOf([] { Value("if(1 < 2, 'a', 2)"); }),
            "'if' at character 1 of 'if(1 < 2, 'a', 2)' needs a number, but 'a' is a text.");
}

TEST(Expression, ReadsNamesInBackquotes) {
  EXPECT_EQ(Value("`Training FLOP` / (6 * `Model Size`)", {"Training FLOP", "Model Size"}, {12, 2}), 1);
  EXPECT_EQ(Value("`acc,none` + `100%` + `a``b` + `N`", {"acc,none", "100%", "a`b", "N"}, {1, 2, 3, 4}), 10);
  EXPECT_EQ(Value("`true` + `and`", {"true", "and"}, {1, 2}), 3);
  EXPECT_THAT(Expression::Parse("`a b` * N").names(), testing::ElementsAre("a b", "N"));
  EXPECT_EQ(Expression::Parse("`a b`*`N`^`not` + `true`").Text(), "`a b` * N^`not` + `true`");
  EXPECT_EQ(FaultOf([] { Expression::Parse("`a b"); }), "the name at character 1 of '`a b' has no closing quote.");
  EXPECT_EQ(FaultOf([] { Expression::Parse("``"); }), "'``' at character 1 of '``' is a name without a character.");
  for (const std::string name : {"N", "acc,none", "Model Size", "a`b", "or", "100%", "calibration.sequences", "é"}) {
    EXPECT_EQ(Expression::Parse(QuotedName(name)).names(), std::vector<std::string>{name});
    EXPECT_EQ(UnquotedName(" " + QuotedName(name) + " "), name);
  }
  EXPECT_EQ(UnquotedName("`a` + `b`"), "`a` + `b`");
}

TEST(Expression, LiftsComparisonsWithTextsOutOfAFormula) {
  std::vector<std::string> tests;
  const Expression lifted = Expression::Parse("A * exp(c * (method == 'gptq') + d * ('a b' != kind)) * N + (method=='gptq')")
                                .LiftTextTests(tests);
  EXPECT_THAT(tests, testing::ElementsAre("method == 'gptq'", "'a b' != kind"));
  EXPECT_THAT(lifted.names(), testing::ElementsAre("A", "c", "method == 'gptq'", "d", "'a b' != kind", "N"));
  EXPECT_EQ(lifted.Compile(lifted.names()).Number(std::vector<double>{2, 1, 0, 1, 0, 3}), 6);
}

TEST(Expression, IsNaNOutsideADomainRatherThanAnError) {
  EXPECT_TRUE(std::isnan(Value("log(x)", {"x"}, {-1})));
  EXPECT_TRUE(std::isnan(Value("max(x, 1)", {"x"}, {kNaN})));
  EXPECT_TRUE(std::isnan(Value("(-8)^0.5")));
}

TEST(Expression, GivesTheExactGradientOfEveryOperation) {
  const std::vector<std::string> names = {"a", "b", "x"};
  const std::vector<double> x = {1.7};
  for (const char* text : {"a * x^b", "a + b * x", "a - x / b", "a^b", "pow(x, a - b)", "exp(-a * x) / b", "log(a + b)",
                           "log2(a) * log10(b)", "sqrt(a * b)", "abs(b - a)", "min(a, b) + max(a * b, x)",
                           "tanh(a - b)", "sin(a * b) + cos(a - b) * atan(b)", "sigmoid(a * x - b)", "logit(0.3 * a)",
                           "normal_cdf(a * x - b)", "probit(0.3 * a + 0.1 * b)",
                           "a * a * a - -b", "(a + b)^2 / (a + b)^3", "a * x^-b + a * x^-b"}) {
    const CompiledExpression compiled = Expression::Parse(text).Compile(names);
    const std::vector<double> theta = {0.8, 1.3};
    std::vector<double> gradient(2);
    const double value = compiled.Number(theta, x, gradient);
    EXPECT_EQ(value, compiled.Number(theta, x, {})) << text;
    for (size_t j = 0; j < 2; ++j) {
      const double h = 1e-5;
      auto up = theta, down = theta;
      up[j] += h;
      down[j] -= h;
      const double difference = (compiled.Number(up, x, {}) - compiled.Number(down, x, {})) / (2 * h);
      EXPECT_NEAR(gradient[j], difference, 1e-8 * std::max(1.0, std::fabs(difference))) << text << " by " << names[j];
    }
  }
}

TEST(Expression, GradientOfAPowerIsFiniteAtBaseZero) {
  const std::vector<std::string> names = {"a", "b"};
  std::vector<double> gradient(2);
  const std::vector<double> at = {0, 2};
  EXPECT_EQ(Expression::Parse("a^b").Compile(names).Number(at, {}, gradient), 0);
  EXPECT_EQ(gradient, (std::vector<double>{0, 0}));
  EXPECT_EQ(Expression::Parse("a^1").Compile(names).Number(at, {}, gradient), 0);
  EXPECT_EQ(gradient, (std::vector<double>{1, 0}));
}

class Filters : public ::testing::Test {
 protected:
  bool Holds(const std::string& text, double bits, const char* quantizer, bool symmetric = true) const {
    const std::vector<ExpressionVariable> scope = {
        {"bits", ExpressionType::kNumber}, {"quantizer", ExpressionType::kText}, {"symmetric", ExpressionType::kBool}};
    const std::vector<double> numbers = {bits, kNaN, symmetric ? 1.0 : 0.0};
    const std::vector<std::string_view> texts = {"", quantizer, ""};
    return Expression::Parse(text).Compile(scope, ExpressionType::kBool, "axis").Truth(numbers, texts);
  }
};

TEST_F(Filters, CompareNumbersTextsAndTruthValues) {
  EXPECT_TRUE(Holds("quantizer == 'gptq' and bits >= 3", 3, "gptq"));
  EXPECT_FALSE(Holds("quantizer == 'gptq' and bits >= 3", 3, "rtn"));
  EXPECT_TRUE(Holds("quantizer != \"gptq\" or bits < 3", 4, "rtn"));
  EXPECT_TRUE(Holds("not symmetric or bits == 4", 4, "rtn"));
  EXPECT_FALSE(Holds("not (symmetric == true)", 4, "rtn"));
  EXPECT_TRUE(Holds("bits > 2 and bits <= 4 and bits != 3", 4, "rtn"));
  EXPECT_TRUE(Holds("true", 4, "rtn"));
}

TEST_F(Filters, AreFalseOnMissingValuesAndCanAskForThem) {
  EXPECT_FALSE(Holds("bits == 4", kNaN, ""));
  EXPECT_FALSE(Holds("bits != 4", kNaN, ""));
  EXPECT_FALSE(Holds("quantizer != 'gptq'", 4, ""));
  EXPECT_TRUE(Holds("missing(bits) and missing(quantizer)", kNaN, ""));
  EXPECT_FALSE(Holds("missing(bits)", 4, ""));
}

TEST(ExpressionErrors, PointAtTheCharacterAndSayWhatToDo) {
  const SourceMark mark{"laws/a.yaml", 3, 10};
  const std::vector<std::string> names = {"A", "N", "alpha"};
  EXPECT_EQ(
      FaultOf([&] { Expression::Parse("A * Nn^alpha", mark).Compile(names, "parameter or column"); }),
      "laws/a.yaml:3:14: 'Nn' at character 5 of 'A * Nn^alpha' is not a known parameter or column. Did you mean 'N'? "
      "Known: A, N, alpha.");
  EXPECT_EQ(FaultOf([&] { Expression::Parse("A ** 2", mark); }),
            "laws/a.yaml:3:12: '**' at character 3 of 'A ** 2' is not an operator of this language. Use ^ for powers.");
  EXPECT_EQ(
      FaultOf([&] { Expression::Parse("lg2(N)"); }),
      "'lg2' at character 1 of 'lg2(N)' is not a function. Did you mean 'log2'? Functions: log, log2, log10, exp, "
      "sqrt, abs, min, max, tanh, sin, cos, atan, sigmoid, logit, normal_cdf, probit, pow, missing, if.");
  // By the name that another language has for it, however far that is from ours.
  for (const auto& [theirs, ours] :
       {std::pair{"power", "pow"}, {"logistic", "sigmoid"}, {"ln", "log"}, {"powr", "pow"}, {"pnorm", "normal_cdf"},
        {"qnorm", "probit"}})
    EXPECT_THAT(FaultOf([&, name = theirs] { Expression::Parse(std::string(name) + "(N, 2)"); }),
                testing::HasSubstr(std::string(" is not a function. Did you mean '") + ours + "'? Functions: "));
  EXPECT_EQ(FaultOf([&] { Expression::Parse("pow(2)"); }),
            "'pow' at character 1 of 'pow(2)' is called with 1 argument; it takes 2.");
  EXPECT_EQ(FaultOf([&] { Expression::Parse("(1 + 2"); }), "'(' at character 1 of '(1 + 2' is not closed.");
  EXPECT_EQ(
      FaultOf([&] { Expression::Parse("1 +"); }),
      "the end at character 4 of '1 +' stands where a value is needed. Values are numbers, names, function calls and "
      "(...).");
  EXPECT_EQ(FaultOf([&] { Expression::Parse("2N"); }),
            "'2N' at character 1 of '2N' is neither a number nor a name. Write products with *, as in 2 * N.");
  EXPECT_EQ(FaultOf([&] { Expression::Parse("2 <= N <= 4"); }),
            "'<=' at character 8 of '2 <= N <= 4' follows another comparison. Write a < b and b < c.");
  EXPECT_EQ(FaultOf([&] { Expression::Parse(""); }), "the expression is empty.");
  EXPECT_EQ(FaultOf([&] { Expression::Parse("1e999"); }),
            "'1e999' at character 1 of '1e999' is a number outside the range of double.");
}

TEST(ExpressionErrors, NameBothTypesOfAMismatch) {
  const std::vector<ExpressionVariable> scope = {{"quantizer", ExpressionType::kText},
                                                 {"bits", ExpressionType::kNumber}};
  EXPECT_EQ(FaultOf([&] { Expression::Parse("quantizer == 3").Compile(scope, ExpressionType::kBool); }),
            "'==' at character 11 of 'quantizer == 3' needs a text, but '3' is a number.");
  EXPECT_EQ(FaultOf([&] { Expression::Parse("bits + 1").Compile(scope, ExpressionType::kBool); }),
            "'bits + 1' is a number, but a condition is needed here.");
  EXPECT_EQ(FaultOf([&] { Expression::Parse("bits and true").Compile(scope, ExpressionType::kBool); }),
            "'and' at character 6 of 'bits and true' needs a condition, but 'bits' is a number.");
}

TEST(ExpressionErrors, StopDeepNestingAndGiantTextsBeforeTheStackDoes) {
  EXPECT_THAT(FaultOf([&] { Expression::Parse(std::string(5000, '(') + "1" + std::string(5000, ')')); }),
              ::testing::HasSubstr("is nested more than 200 levels deep."));
  std::string sum = "1";
  for (int i = 0; i < 5000; ++i) sum += "+x";
  EXPECT_THAT(FaultOf([&] { Expression::Parse(sum); }), ::testing::HasSubstr("has more than 2000 parts."));
  std::string long_sum = "1";
  for (int i = 0; i < 300; ++i) long_sum += "+x/" + std::to_string(i + 2);
  EXPECT_EQ(FaultOf([&] { Expression::Parse(long_sum).Compile(std::vector<std::string>{"x"}); }),
            "the expression has more than 400 operations. Simplify it.");
}

TEST(Expression, PrintsWhatParsesToTheSameExpression) {
  for (const char* text : {"A * N^alpha * log2(B)^beta", "a - (b - c)", "a / (b * c)", "(a + b) * c", "(-a)^2", "-a^2",
                           "a^-b", "(a^b)^c", "a^b^c", "min(a, b, -c)", "a < b and (b < c or not c == a)",
                           "q == 'it''s'", "2^(a * b)", "a * -b", "1e-05 * a"}) {
    EXPECT_EQ(Expression::Parse(text).Text(), text);
  }
}

TEST(Expression, RenamesColumnsOnly) {
  const std::vector<std::pair<std::string, std::string>> names = {{"N", "params"}, {"log2", "x"}};
  EXPECT_EQ(Expression::Parse("A * N^a * log2(N)").Rename(names).Text(), "A * params^a * log2(params)");
}

TEST(Expression, ListsNamesInOrderOfFirstUse) {
  EXPECT_EQ(Expression::Parse("b^a + calibration.sequences * log(b)").names(),
            (std::vector<std::string>{"b", "a", "calibration.sequences"}));
}

std::string FormText(const std::string& formula, const std::vector<std::string>& parameters) {
  const auto form = FindLinearForm(Expression::Parse(formula), parameters);
  if (!form) return "none";
  std::string text = form->of_log ? "ln f =" : "f =";
  for (const auto& term : form->terms) {
    text += (term.is_log ? " [ln " : " [") + parameters[term.parameter] + "] " + term.feature.Text() + ";";
  }
  if (form->offset) text += " offset " + form->offset->Text();
  return text;
}

TEST(LinearForm, IsFoundForProductsOfPowers) {
  EXPECT_EQ(FormText("A * N^alpha * log2(B)^beta * log2(Cb)^gamma * G^delta", {"A", "alpha", "beta", "gamma", "delta"}),
            "ln f = [ln A] 1; [alpha] log(N); [beta] log(log2(B)); [gamma] log(log2(Cb)); [delta] log(G);");
  EXPECT_EQ(FormText("k * D^b / (N^a * P^c)", {"k", "a", "b", "c"}),
            "ln f = [ln k] 1; [a] -log(N); [b] log(D); [c] -log(P);");
  EXPECT_EQ(FormText("A * exp(-k * B) * sqrt(N)", {"A", "k"}), "ln f = [ln A] 1; [k] -B; offset log(sqrt(N))");
  EXPECT_EQ(FormText("A * N^(alpha + g * log(E))", {"A", "alpha", "g"}),
            "ln f = [ln A] 1; [alpha] log(N); [g] log(N) * log(E);");
}

TEST(LinearForm, IsFoundForSums) {
  EXPECT_EQ(FormText("a + b * log(N) - c / B", {"a", "b", "c"}), "f = [a] 1; [b] log(N); [c] -1 / B;");
  EXPECT_EQ(FormText("b * x + 3", {"b"}), "f = [b] x; offset 3");
}

TEST(LinearForm, IsNotClaimedWhereThereIsNone) {
  EXPECT_EQ(FormText("E + A * N^-a", {"E", "A", "a"}), "none");
  EXPECT_EQ(FormText("A * exp(-B / g)", {"A", "g"}), "none");
  EXPECT_EQ(FormText("A * N^A", {"A"}), "none");  // One parameter in two roles.
  EXPECT_EQ(FormText("-A * N^a", {"A", "a"}), "none");
  EXPECT_EQ(FormText("A * N^a", {"A", "a", "unused"}), "none");
  EXPECT_EQ(FormText("a^b", {"a", "b"}), "none");
}

TEST(LinearForm, ReproducesTheFormulaAtRandomPoints) {
  const std::vector<std::string> parameters = {"A", "alpha", "g"};
  const std::vector<std::string> covariates = {"N", "B"};
  const Expression formula = Expression::Parse("A^2 * (3 * N)^(alpha / B) * exp(g * log2(B) - 1) / sqrt(B)");
  const auto form = FindLinearForm(formula, parameters);
  ASSERT_TRUE(form.has_value());
  const std::vector<std::string> scope = {"A", "alpha", "g", "N", "B"};
  const CompiledExpression compiled = formula.Compile(scope);
  Rng rng(1);
  for (int i = 0; i < 20; ++i) {
    const std::vector<double> theta = {0.5 + rng.Uniform(), rng.Normal(), rng.Normal()};
    const std::vector<double> x = {1 + rng.Uniform(), 2 + rng.Uniform()};
    double sum = form->offset ? form->offset->Compile(covariates).Number(x) : 0;
    for (const auto& term : form->terms) {
      sum += (term.is_log ? std::log(theta[term.parameter]) : theta[term.parameter]) *
             term.feature.Compile(covariates).Number(x);
    }
    EXPECT_NEAR(sum, std::log(compiled.Number(theta, x, {})), 1e-12);
  }
}

}  // namespace
}  // namespace bitlaw
