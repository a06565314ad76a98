// Expressions, templates, patterns, Unicode functions, normalized answers and text corpora.
#include <algorithm>
#include <cmath>

#include "bitlaw/base/error.h"
#include "bitlaw/sdk/expression/expression.h"
#include "bitlaw/sdk/text/template.h"
#include "bitlaw/sdk/text/text_pattern.h"
#include "bitlaw/sdk/text/unicode_text.h"
#include "fuzz/target.h"
#include "normalize.h"
#include "text_file.h"

namespace bitlaw::fuzz {
namespace {

void CompileAs(const Expression& expression, const std::vector<ExpressionVariable>& scope, ExpressionType wanted) {
  const CompiledExpression compiled = expression.Compile(scope, wanted, "column");
  const std::vector<std::string_view> texts(scope.size(), "gptq");
  for (const double x : {0.0, 0.25, 3.0, -1e300, std::nan("")}) {
    const std::vector<double> numbers(scope.size(), x);
    if (wanted == ExpressionType::kBool) {
      compiled.Truth(numbers, texts);
      continue;
    }
    std::vector<double> gradient(scope.size());
    const double plain = compiled.Number(numbers), with_gradient = compiled.Number(numbers, {}, gradient);
    Require(plain == with_gradient || (std::isnan(plain) && std::isnan(with_gradient)),
            "expression: the value is the same with and without its gradient");
    compiled.NumberExtended(numbers);
  }
}

// Input: the expression, %%%%, and for each name in turn a letter for its type (t text, b condition, else number).
void Expressions(std::string_view input) {
  const auto parts = Parts(input, 2);
  const Expression expression = Expression::Parse(std::string(parts[0]), {"law.yaml", 3, 7});
  const std::string text = expression.Text();
  const Expression again = Expression::Parse(text);
  Require(again.Text() == text, "expression: its text reads back to the same text");
  const std::vector<std::string> names = expression.names();
  Require(again.names() == names, "expression: its text has the same names");
  std::vector<ExpressionVariable> scope;
  for (size_t i = 0; i < names.size(); ++i) {
    const char letter = i < parts[1].size() ? parts[1][i] : 'n';
    scope.push_back({names[i], letter == 't'   ? ExpressionType::kText
                               : letter == 'b' ? ExpressionType::kBool
                                               : ExpressionType::kNumber});
    expression.MarkOf(names[i]);
    expression.Where(names[i]);
  }
  for (const ExpressionType wanted : {ExpressionType::kNumber, ExpressionType::kBool}) {
    try {
      CompileAs(expression, scope, wanted);
    } catch (const Error&) {
    }
  }
  const size_t parameters = (names.size() + 1) / 2;
  FindLinearForm(expression, std::span(names).first(parameters));
  if (names.size() >= 2) {
    const std::pair<std::string, std::string> change[] = {{names[0], "renamed"}};
    const Expression renamed = expression.Rename(change);
    Require(Expression::Parse(renamed.Text()).Text() == renamed.Text(), "expression: renamed, its text reads back");
  }
}

// Input: the template, %%%%, an item as JSON.
void Templates(std::string_view input) {
  const auto parts = Parts(input, 2);
  const Template parsed(parts[0], {"task.yaml", 2, 9});
  Value item = ParseJson(parts[1], "item");
  if (!item.is_map()) return;
  item.set_mark({"items.jsonl", 1, 1});
  for (const std::string& field : parsed.fields()) {
    Require(parsed.Uses(field), "template: it uses its fields");
    try {
      FindField(item, field, "option 'answer'");
    } catch (const Error&) {
    }
  }
  parsed.Render(item);
}

// Input: the pattern, %%%%, a text.
void Patterns(std::string_view input) {
  const auto parts = Parts(input, 2);
  const TextPattern pattern(parts[0], {"task.yaml", 2, 9});
  const auto matches = pattern.FindAll(parts[1]);
  Require(matches.size() <= parts[1].size() * 2 + 1, "pattern: matches of a text are no more than its places");
  size_t bytes = 0;
  for (const auto& groups : matches) bytes += groups.empty() ? 0 : groups[0].size();
  Require(bytes <= parts[1].size() * (parts[1].size() + 1), "pattern: matches lie within the text");
  Require(pattern.RemoveFrom(parts[1]).size() <= parts[1].size(), "pattern: removing makes a text no longer");
}

void UnicodeText(std::string_view input) {
  size_t at = 0;
  int64_t characters = 0;
  for (; at < input.size(); ++characters) at += ClassifyCharacter(input, at).size_bytes;
  Require(at == input.size(), "text: characters tile it");
  Require(CountCharacters(input) == characters, "text: the characters that are counted are those that are classified");
  const std::string_view trimmed = Trim(input);
  Require(Trim(trimmed) == trimmed && TrimLeft(TrimRight(input)) == trimmed, "text: trimming twice is trimming");
  const std::string collapsed = CollapseSpace(input);
  Require(CollapseSpace(collapsed) == collapsed, "text: collapsing twice is collapsing");
  Require(CountSplitWords(input) >= 1, "text: a text has one piece at least");
  ToUpper(input), Capitalize(input);
  const bool is_valid = FindInvalidUtf8(input) == std::string_view::npos;
  Require((FindInvalidUtf8(ToLower(input)) == std::string_view::npos) == is_valid,
          "text: letter case leaves valid UTF-8 valid");
}

// Input: an answer, %%%%, an accepted answer.
void Answers(std::string_view input) {
  const auto parts = Parts(input, 2);
  for (const char* way : {"none", "lower", "punctuation", "harness", "harness_articles", "squad", "math"}) {
    const std::string answer = NormalizeAnswer(parts[0], way);
    const double f1 = TokenF1(answer, NormalizeAnswer(parts[1], way));
    Require(f1 >= 0 && f1 <= 1, "answers: f1 is between 0 and 1");
  }
  SameNumber(parts[0], parts[1]);
}

// Input: 't' for .txt or anything for .jsonl, then the file.
void CorpusFile(std::string_view input) {
  if (input.empty()) return;
  const bool is_text = input[0] == 't';
  const TextFile file(WriteScratch(is_text ? "corpus.txt" : "corpus.jsonl", input.substr(1)), "text");
  for (int64_t i = 0; i < std::min<int64_t>(file.num_documents(), 100); ++i) {
    Require(file.size_bytes(i) >= 0 && FindInvalidUtf8(file.Text(i)) == std::string_view::npos,
            "corpus: a document is UTF-8");
  }
}

const Register kExpressions("expression", Expressions);
const Register kTemplates("template", Templates);
const Register kPatterns("pattern", Patterns);
const Register kUnicodeText("unicode_text", UnicodeText);
const Register kAnswers("answer", Answers);
const Register kCorpusFile("corpus_file", CorpusFile);

}  // namespace
}  // namespace bitlaw::fuzz
