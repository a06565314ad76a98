#include "support/shipped_laws.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "bitlaw/sdk/expression/expression.h"
#include "bitlaw/testing/law_conformance.h"
#include "gaussian_capacity_law.h"

namespace bitlaw {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReadText(const fs::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::unique_ptr<Law> Open(const std::string& name) {
  const Value file = ShippedLawFile(name);
  if (file.Find("type") == nullptr) return ShippedLaw(name);
  EXPECT_EQ(file.Find("type")->AsString(), "gaussian_capacity") << name;
  return MakeGaussianCapacityLaw(name);
}

std::string Trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \n"), end = text.find_last_not_of(" \n");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

std::string OneLine(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const char one = c == '\n' ? ' ' : c;
    if (one != ' ' || (!out.empty() && out.back() != ' ')) out += one;
  }
  return Trim(out);
}

// The sections of configs/laws/README.md by the name in their heading.
std::map<std::string, std::string> Sections() {
  std::map<std::string, std::string> sections;
  std::istringstream text(ReadText(std::string(BITLAW_SOURCE_DIR) + "/configs/laws/README.md"));
  std::string line, name;
  while (std::getline(text, line)) {
    if (line.rfind("#", 0) == 0) name.clear();
    if (line.rfind("## `", 0) == 0) name = line.substr(4, line.find('`', 4) - 4);
    if (!name.empty()) sections[name] += line + "\n";
  }
  return sections;
}

// The cells of the table row whose first cell is `symbol`; empty if there is none.
std::vector<std::string> RowOf(const std::string& section, const std::string& symbol) {
  const size_t at = section.find("\n| `" + symbol + "` |");
  if (at == std::string::npos) return {};
  std::istringstream row(section.substr(at + 3, section.find('\n', at + 1) - at - 3));
  std::vector<std::string> cells;
  std::string cell;
  while (std::getline(row, cell, '|')) cells.push_back(Trim(cell));
  return cells;
}

TEST(LawReadme, HasASectionForEveryLawFileAndNoOther) {
  std::set<std::string> described;
  for (const auto& [name, section] : Sections()) described.insert(name);
  const std::vector<std::string> names = ShippedLawNames();
  EXPECT_EQ(described, std::set<std::string>(names.begin(), names.end()));
}

TEST(LawReadme, SaysOfEveryLawWhatItsFileSays) {
  for (const auto& [name, section] : Sections()) {
    SCOPED_TRACE(name);
    const auto law = Open(name);
    const Value file = ShippedLawFile(name);
    const size_t code = section.find("\n    ");
    ASSERT_NE(code, std::string::npos);
    const Value* formula = file.Find("formula");
    const std::string written = OneLine(section.substr(code, section.find("\n\n", code) - code));
    EXPECT_EQ(written,
              law->response() + " = " + OneLine(formula == nullptr ? law->formula_text() : formula->AsString()));
    for (const LawParameter& parameter : law->parameters()) {
      const auto cells = RowOf(section, parameter.name);
      ASSERT_EQ(cells.size(), 4u) << parameter.name;
      EXPECT_FALSE(cells[1].empty()) << parameter.name;
      EXPECT_EQ(cells[2], parameter.unit) << parameter.name;
      if (std::isnan(parameter.published)) {
        EXPECT_EQ(cells[3], "-") << parameter.name;
      } else {
        EXPECT_EQ(std::stod(cells[3]), parameter.published) << parameter.name;
      }
    }
    for (const std::string& covariate : law->covariates()) {
      const auto cells = RowOf(section, covariate);
      ASSERT_EQ(cells.size(), 4u) << covariate;
      EXPECT_FALSE(cells[1].empty()) << covariate;
    }
    for (const char* part : {"**Source.** ", "**Published.** ", "**Use.** ", "\n    bitlaw fit "}) {
      EXPECT_THAT(section, HasSubstr(part));
    }
    const size_t example = section.find("\n    bitlaw fit ");
    EXPECT_THAT(section.substr(example, section.find('\n', example + 1) - example), HasSubstr("--law " + name));
    // A source that the file cites by its arXiv number is cited in the section too.
    for (size_t at = law->citation().find("arXiv "); at != std::string::npos;
         at = law->citation().find("arXiv ", at + 1)) {
      EXPECT_THAT(section, HasSubstr(law->citation().substr(at + 6, 10)));
    }
  }
}

TEST(LawReadme, HasAPageForEveryLawPlugin) {
  size_t plugins = 0;
  for (const auto& entry : fs::directory_iterator(std::string(BITLAW_SOURCE_DIR) + "/plugins/laws")) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(ReadText(entry.path() / "README.md").rfind("# law/" + name + "\n", 0), 0u) << name;
    ++plugins;
  }
  EXPECT_EQ(plugins, 2u);
}

struct Range {
  double low, high;
};

// Where each law is tried: parameters that have a published value within 5 % of it, others in `parameters`; covariates
// in the ranges below. Trends are written "N-": the response never rises with N. Limits are expressions.
struct Domain {
  std::map<std::string, Range> parameters;
  std::vector<std::string> trends;
  struct Limit {
    std::vector<std::pair<std::string, double>> at;
    std::string expected;
  };
  std::vector<Limit> limits;
};

const std::map<std::string, Range>& CovariateRanges() {
  static const std::map<std::string, Range> ranges = {
      {"N", {1e8, 1e11}}, {"B", {2.5, 8}},           {"G", {16, 1024}},
      {"Cb", {4, 1024}},  {"D", {1e9, 1e12}},        {"P", {3, 8}},
      {"B_a", {3, 8}},    {"P_w", {3, 8}},           {"P_a", {4, 8}},
      {"P_kv", {3, 8}},   {"score_dense", {0.3, 0.9}}, {"r", {0, 0.7}},
      {"e_bits", {1, 5}}, {"m_bits", {1, 7}},        {"block", {16, 512}},
      {"Qr", {0, 1}},     {"Qb", {16, 1024}},        {"granularity", {1, 32}},
      {"E", {1, 64}},     {"N_active", {1e8, 1e10}}, {"S", {0, 0.9}},
      {"U", {1e8, 1e10}}, {"N_nv", {3e7, 3e9}},      {"V", {4096, 1e5}},
      {"d", {512, 4096}}, {"H", {1e9, 1e12}},        {"bits_effective", {2.2, 8.5}},
      {"T", {64, 4096}},  {"steps", {1, 16}},        {"baseline_acc_adj", {0.3, 0.95}},
      {"baseline_bits_per_byte", {0.5, 2}},          {"baseline_answer_characters", {4, 40}},
      // Small, so that there is more than one token per byte.
      {"parameters_total", {1e7, 1e8}}};
  return ranges;
}

// Of an anchored law with this amplitude and exponent of precision.
std::map<std::string, Range> Anchored(Range amplitude, Range precision, const std::map<std::string, Range>& more = {}) {
  std::map<std::string, Range> ranges = {
      {"c", amplitude}, {"a", {-0.4, -0.3}}, {"k", precision}, {"g", {-0.8, -0.4}}, {"d", {0.3, 0.6}}};
  ranges.insert(more.begin(), more.end());
  return ranges;
}
const std::vector<std::string> kAnchoredTrends = {"baseline_acc_adj+", "N+", "B+", "Cb+", "G-"};

const std::map<std::string, Domain>& Domains() {
  const Range amplitude = {500, 1500}, size = {-0.4, -0.3}, bits = {-1.3, -0.9}, samples = {-0.05, -0.02},
              group = {0.05, 0.1};
  static const std::map<std::string, Domain> domains = {
      {"stratified_power",
       {{{"A", amplitude}, {"alpha", size}, {"beta", bits}, {"gamma", samples}, {"delta", group}},
        {"N-", "B-", "Cb-", "G+"},
        {{{{"B", 2}, {"Cb", 2}, {"G", 1}}, "A * N^alpha"}}}},
      {"anchored_logistic",
       {Anchored({9, 12}, {2, 3}), kAnchoredTrends, {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_exponential",
       {Anchored({9, 12}, {2, 3}), kAnchoredTrends, {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_probit",
       {Anchored({9, 12}, {2, 3}, {{"s", {1, 3}}}),
        kAnchoredTrends,
        {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "normal_cdf(-s)"}}}},
      {"anchored_logistic_uniform",
       {Anchored({8, 10}, {2, 3}), kAnchoredTrends, {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_exponential_uniform",
       {Anchored({8, 10}, {2, 3}), kAnchoredTrends, {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_probit_uniform",
       {Anchored({8, 10}, {2, 3}, {{"s", {1, 3}}}),
        kAnchoredTrends,
        {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "normal_cdf(-s)"}}}},
      {"anchored_logistic_bits",
       {Anchored({9, 12}, {4, 6}), kAnchoredTrends, {{{{"B", 1e30}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_exponential_bits",
       {Anchored({9, 12}, {4, 6}), kAnchoredTrends, {{{{"B", 1e30}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_probit_bits",
       {Anchored({9, 12}, {4, 6}, {{"s", {1, 3}}}),
        kAnchoredTrends,
        {{{{"B", 1e30}}, "baseline_acc_adj"}, {{{"B", 0}}, "normal_cdf(-s)"}}}},
      {"anchored_logistic_log2_bits",
       {Anchored({7, 9}, {4, 6}), kAnchoredTrends, {{{{"B", 1e300}}, "baseline_acc_adj"}, {{{"B", 1}}, "0"}}}},
      {"anchored_logistic_exp_bits",
       {Anchored({9, 12}, {0.8, 1.2}), kAnchoredTrends, {{{{"B", 60}}, "baseline_acc_adj"}}}},
      {"anchored_logistic_effective_bits",
       {Anchored({9, 12}, {2, 3}),
        {"baseline_acc_adj+", "N+", "bits_effective+", "Cb+"},
        {{{{"bits_effective", 60}}, "baseline_acc_adj"}, {{{"bits_effective", 0}}, "0"}}}},
      {"anchored_logistic_steps",
       {Anchored({9, 12}, {2, 3}, {{"t", {0.8, 1.2}}}),
        {"baseline_acc_adj+", "N+", "B+", "Cb+", "G-", "steps-"},
        {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_logistic_tokens",
       {Anchored({9, 12}, {2, 3}),
        {"baseline_acc_adj+", "N+", "B+", "Cb+", "G-", "T+"},
        {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"anchored_logistic_data",
       {Anchored({3, 5}, {2, 3}, {{"e", {0.2, 0.4}}}),
        {"baseline_acc_adj+", "N+", "B+", "Cb+", "G-", "D-"},
        {{{{"B", 60}}, "baseline_acc_adj"}, {{{"B", 0}}, "0"}}}},
      {"kl_power", {Anchored({6, 8}, {1.8, 2.2}), {"N-", "B-", "Cb-", "G+"}, {{{{"B", 200}}, "0"}}}},
      {"added_bits_power", {Anchored({6, 8}, {1.8, 2.2}), {"N-", "B-", "Cb-", "G+"}, {{{{"B", 200}}, "0"}}}},
      {"anchored_bits",
       {Anchored({6, 8}, {1.8, 2.2}),
        {"baseline_bits_per_byte+", "N-", "B-", "Cb-", "G+"},
        {{{{"B", 200}}, "baseline_bits_per_byte"}}}},
      {"answer_length",
       {{{"A", {20, 60}}, {"a", {-0.2, -0.1}}, {"k", {1.5, 2.5}}},
        {"baseline_answer_characters+", "N-", "B-"},
        {{{{"B", 200}}, "baseline_answer_characters"}}}},
      {"power_n", {{{"A", amplitude}, {"alpha", size}}, {"N-"}, {{{{"N", 1}}, "A"}, {{{"N", 1e300}}, "0"}}}},
      {"power_n_b", {{{"A", amplitude}, {"alpha", size}, {"beta", bits}}, {"N-", "B-"}, {{{{"B", 2}}, "A * N^alpha"}}}},
      {"power_n_b_g",
       {{{"A", amplitude}, {"alpha", size}, {"beta", bits}, {"delta", group}},
        {"N-", "B-", "G+"},
        {{{{"B", 2}, {"G", 1}}, "A * N^alpha"}}}},
      {"within_model",
       {{{"A", {0.5, 2}}, {"beta", bits}, {"gamma", samples}, {"delta", group}},
        {"B-", "Cb-", "G+"},
        {{{{"B", 2}, {"Cb", 2}, {"G", 1}}, "A"}}}},
      {"accuracy_effective_bits",
       {{{"C", {0.01, 0.02}}, {"a", {0.1, 0.2}}, {"b", {0.02, 0.05}}, {"c", {-0.1, -0.05}}, {"d", {0.3, 0.6}}},
        {"N+", "Cb+", "G-", "bits_effective+"},
        {{{{"bits_effective", 2}, {"Cb", 2}, {"G", 1}}, "C * N^a"}}}},
      {"exponential_bits",
       {{{"A", amplitude}, {"alpha", size}, {"k", {0.2, 0.6}}, {"delta", group}},
        {"N-", "B-", "G+"},
        {{{{"B", 1e4}}, "0"}, {{{"B", 0}, {"G", 1}}, "A * N^alpha"}}}},
      {"inverse_bits",
       {{{"A", amplitude}, {"alpha", size}, {"gamma", {0.8, 2}}, {"delta", group}},
        {"N-", "B-", "G+"},
        {{{{"B", 1}, {"G", 1}}, "A * N^alpha"}, {{{"B", 1e300}}, "0"}}}},
      {"effective_capacity",
       {{{"A", amplitude}, {"alpha", size}, {"g", {0.8, 3}}, {"delta", group}},
        {"N-", "B-", "G+"},
        {{{{"B", 1e4}}, "A * N^alpha * G^delta"}}}},
      {"gaussian_capacity",
       {{{"A", amplitude}, {"alpha", size}, {"kappa", {5, 30}}, {"delta", group}},
        {"N-", "B-", "G+"},
        {{{{"B", 200}}, "A * N^alpha * G^delta"}}}},
      {"log_group",
       {{{"A", amplitude}, {"alpha", size}, {"beta", bits}, {"c", {0.2, 2}}, {"delta", {0.2, 0.6}}},
        {"N-", "B-", "Cb-", "G+"},
        {{{{"Cb", 1e300}, {"G", 2}}, "A * N^alpha * log2(B)^beta"}}}},
      {"additive",
       {{{"A", amplitude}, {"alpha", {0.3, 0.4}}, {"C", {20, 60}}, {"eta", {0.01, 0.1}}, {"g", {0.6, 1.5}}},
        {"N-", "B-"},
        {{{{"B", 1e4}}, "A * N^-alpha"}}}},
      {"weight_activation",
       {{{"A", amplitude},
         {"alpha", size},
         {"C_w", {20, 60}},
         {"g_w", {0.6, 1}},
         {"C_a", {20, 60}},
         {"g_a", {1.2, 2}},
         {"eta", {-0.1, -0.01}}},
        {"N-", "B-", "B_a-"},
        {{{{"B", 1e4}, {"B_a", 1e4}}, "A * N^alpha"}, {{{"B_a", 1e4}}, "A * N^alpha + C_w * exp(-B / g_w) * N^eta"}}}},
      {"weight_activation_joint",
       {{{"A", amplitude},
         {"alpha", size},
         {"C_w", {20, 60}},
         {"g_w", {0.6, 1}},
         {"C_a", {20, 60}},
         {"g_a", {1.2, 2}},
         {"C_wa", {500, 1500}},
         {"eta", {-0.1, -0.01}}},
        {"N-", "B-", "B_a-"},
        {{{{"B", 1e4}, {"B_a", 1e4}}, "A * N^alpha"},
         {{{"B", 0}, {"B_a", 1e4}}, "A * N^alpha + C_w * N^eta"},
         {{{"B", 0}, {"B_a", 0}}, "A * N^alpha + (C_w + C_a + C_wa) * N^eta"}}}},
      {"weight_activation_capacity",
       {{{"A", amplitude}, {"alpha", size}, {"g_w", {0.8, 3}}, {"g_a", {0.8, 3}}},
        {"N-", "B-", "B_a-"},
        {{{{"B", 1e4}, {"B_a", 1e4}}, "A * N^alpha"}, {{{"B", 1e4}}, "A * (N * (1 - exp(-B_a / g_a)))^alpha"}}}},
      {"weight_activation_width",
       {{{"A", amplitude},
         {"alpha", size},
         {"C", {100, 300}},
         {"eta", {-0.1, -0.01}},
         {"c", {0.3, 0.8}},
         {"g", {0.4, 0.8}}},
        {"N-", "B-", "B_a-"},
        {{{{"B", 1e300}, {"B_a", 1e300}}, "A * N^alpha"},
         {{{"B_a", 1e300}}, "A * N^alpha + C * N^eta * exp(-B / g)"}}}},
      {"weight_activation_power",
       {{{"A", amplitude}, {"alpha", size}, {"beta", bits}, {"beta_a", bits}},
        {"N-", "B-", "B_a-"},
        {{{{"B", 2}, {"B_a", 2}}, "A * N^alpha"}}}},
      {"sigmoid_threshold",
       {{{"high", {0.5, 0.9}}, {"s", {1, 3}}, {"b0", {10, 12}}, {"kappa", {0.7, 0.9}}},
        {"N+", "B+"},
        {{{{"B", 1e3}}, "high"}, {{{"B", -1e3}}, "0"}}}},
      {"broken_power",
       {{{"a", {0.05, 0.1}},
         {"b", {200, 500}},
         {"c0", {0.25, 0.35}},
         {"c1", {0.3, 0.6}},
         {"d1", {1e9, 5e9}},
         {"f1", {0.2, 0.4}},
         {"beta", bits}},
        {"N-", "B-"},
        {{{{"N", 1e300}, {"B", 2}}, "a"}}}},
      {"k_bit",
       {{{"low", {0.2, 0.3}}, {"high", {0.7, 0.9}}, {"s", {1, 3}}, {"m", {9.5, 10.5}}},
        {"N+", "bits_effective+"},
        {{{{"bits_effective", 1e300}}, "high"}, {{{"bits_effective", 1e-300}}, "low"}}}},
      {"two_step",
       {{{"floor", {0.2, 0.3}},
         {"ceiling", {0.7, 0.9}},
         {"L0", {2, 3}},
         {"A", {500, 900}},
         {"alpha", {0.24, 0.3}},
         {"C", {20, 40}},
         {"g", {0.6, 1.2}}},
        {"N+", "B+"},
        {{{{"N", 1e300}, {"B", 1e4}}, "floor + (ceiling - floor) * sigmoid(L0)"}}}},
      {"chinchilla",
       {{},
        {"N-", "D-"},
        {{{{"N", 1e300}, {"D", 1e300}}, "E"},
         {{{"D", 1e300}}, "E + A * N^-alpha"},
         {{{"N", 1}, {"D", 1}}, "E + A + B"}}}},
      {"data_constrained",
       {{},
        {"N-", "D-", "U-"},
        // With as many unique tokens as wanted it is Chinchilla's; with many passes the data come to (1 + R_D) U.
        {{{{"U", 1e300}, {"D", 1e14}}, "E + A * N^-alpha + B * D^-alpha"},
         {{{"N", 1e6}, {"D", 1e16}}, "E + A * N^-alpha + B * (U * (1 + R_D))^-alpha"}}}},
      {"vocabulary", {{}, {"N_nv-", "d-", "H-"}, {{{{"N_nv", 1e300}, {"d", 1e300}, {"H", 1e300}}, "-E"}}}},
      {"downstream_power",
       {{{"A", amplitude}, {"alpha", {0.3, 0.4}}, {"B", {2000, 9000}}, {"beta", {0.3, 0.4}}},
        {"N-", "D-"},
        {{{{"D", 1e300}}, "A / N^alpha"}, {{{"N", 1e300}}, "B / D^beta"}}}},
      {"precision_post_training", {{}, {"N-", "D+", "P-"}, {{{{"P", 1e4}}, "0"}}}},
      {"precision_effective_parameters",
       {{},
        {"N-", "D-", "P_w-", "P_a-", "P_kv-"},
        {{{{"P_w", 1e4}, {"P_a", 1e4}, {"P_kv", 1e4}}, "A * N^-alpha + B * D^-alpha + E"}}}},
      {"qid", {{}, {"N-", "D+", "P-"}, {{{{"P", 1e300}}, "0"}, {{{"N", 1}, {"D", 1}, {"P", 1}}, "k"}}}},
      {"qat_group", {{}, {"N-", "D+", "G+"}, {{{{"N", 1}, {"D", 1}, {"G", 2}}, "k"}}}},
      {"qat_fraction",
       {{},
        {"parameters_total-", "D+", "B-"},
        {{{{"D", 1e300}, {"parameters_total", 1}, {"B", 8}}, "exp(-a / (300 * log(10)))"}}}},
      {"float_format",
       {{},
        {"N-", "e_bits-", "m_bits-", "block+"},
        {{{{"m_bits", 1e300}}, "n / N^alpha + d / D^beta + eps"}, {{{"block", 1}}, "n / N^alpha + d / D^beta + eps"}}}},
      {"mixed_ratio",
       {{{"k", {5, 20}}, {"alpha", {0.2, 0.4}}, {"b", {1, 3}}, {"c", {0.1, 0.4}}},
        {"N-", "Qr+", "Qb+"},
        {{{{"Qr", 0}, {"Qb", 1}}, "k * N^-alpha"}}}},
      {"compression_multiplier",
       {{{"P0", {0.9, 1.1}}}, {"score_dense+", "r-"}, {{{{"r", 0}}, "P0 * score_dense"}, {{{"r", 1}}, "0"}}}},
      {"moe_joint",
       {{},
        {"N_active-", "D-"},
        // One expert counts as E_start, ever more as E_max.
        {{{{"E", 1}},
          "a * E_start^delta * N_active^(alpha + gamma * log(E_start)) + b * E_start^omega * D^(beta + zeta * "
          "log(E_start)) + c"},
         {{{"E", 1e300}},
          "a * E_max^delta * N_active^(alpha + gamma * log(E_max)) + b * E_max^omega * D^(beta + zeta * log(E_max)) + "
          "c"}}}},
      {"moe_granularity",
       {{},
        {"N-", "D-", "granularity-"},
        {{{{"N", 1e300}, {"D", 1e300}}, "c"}, {{{"granularity", 1e300}}, "c + a / N^alpha + b / D^beta"}}}},
      {"moe_routed",
       {{}, {"N-", "E-"}, {{{{"E", 1}}, "a * log10(N) + b * log10(E_start) + c * log10(N) * log10(E_start) + d"}}}},
      {"moe_sparsity", {{}, {"N-", "D-"}, {{{{"S", 0}}, "a / N^alpha + b / D^beta + c + d / N^gamma + e"}}}}};
  return domains;
}

testing::LawDomain DomainOf(const Law& law, const Domain& given) {
  testing::LawDomain domain;
  std::vector<std::string> scope;
  for (const LawParameter& parameter : law.parameters()) {
    scope.push_back(parameter.name);
    const auto found = given.parameters.find(parameter.name);
    const bool is_given = found != given.parameters.end();
    EXPECT_TRUE(is_given || !std::isnan(parameter.published)) << law.name() << ": " << parameter.name;
    const double about = parameter.published;
    domain.theta_low.push_back(is_given ? found->second.low : about - 0.05 * std::fabs(about));
    domain.theta_high.push_back(is_given ? found->second.high : about + 0.05 * std::fabs(about));
  }
  for (const std::string& covariate : law.covariates()) {
    scope.push_back(covariate);
    const auto found = CovariateRanges().find(covariate);
    EXPECT_TRUE(found != CovariateRanges().end()) << law.name() << ": " << covariate;
    domain.x_low.push_back(found->second.low);
    domain.x_high.push_back(found->second.high);
  }
  for (const std::string& trend : given.trends)
    domain.trends.push_back({trend.substr(0, trend.size() - 1), trend.back() == '+' ? 1 : -1});
  for (const Domain::Limit& limit : given.limits) {
    const CompiledExpression expected = Expression::Parse(limit.expected).Compile(scope);
    domain.limits.push_back(
        {limit.at, limit.expected, [expected](std::span<const double> theta, std::span<const double> x) {
           std::vector<double> all(theta.begin(), theta.end());
           all.insert(all.end(), x.begin(), x.end());
           return expected.Number(all);
         }});
  }
  return domain;
}

TEST(LawConformance, HasADomainForEveryShippedLaw) {
  for (const std::string& name : ShippedLawNames()) {
    const auto found = Domains().find(name);
    ASSERT_NE(found, Domains().end()) << name;
    EXPECT_FALSE(found->second.trends.empty()) << name;
    EXPECT_FALSE(found->second.limits.empty()) << name;
  }
  EXPECT_EQ(Domains().size(), ShippedLawNames().size());
}

class EveryShippedLaw : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryShippedLaw, KeepsItsPromises) {
  const auto law = Open(GetParam());
  const testing::LawDomain domain = DomainOf(*law, Domains().at(GetParam()));
  EXPECT_THAT(testing::LawFaults(*law, domain), ElementsAre());
  EXPECT_THAT(testing::LimitFaults(*law, domain), ElementsAre());
  EXPECT_THAT(testing::RecoveryFaults(*law, domain), ElementsAre());
}

INSTANTIATE_TEST_SUITE_P(LawConformance, EveryShippedLaw, ::testing::ValuesIn(ShippedLawNames()),
                         [](const auto& info) { return info.param; });

// The row of a law in the table of docs/laws.md, "What each law needs of a study"; "" if it has none.
std::string RowOfNeeds(const std::string& law) {
  const std::string text = ReadText(std::string(BITLAW_SOURCE_DIR) + "/docs/laws.md");
  const size_t begin = text.find("\n| `" + law + "` | ", text.find("## What each law needs of a study"));
  return begin == std::string::npos ? "" : text.substr(begin + 1, text.find('\n', begin + 1) - begin - 1);
}

TEST(ShippedLaws, HaveTheColumnsThatTheyNeedInTheDocs) {
  for (const std::string& name : ShippedLawNames()) {
    const std::string row = RowOfNeeds(name);
    ASSERT_FALSE(row.empty()) << name;
    if (ShippedLawFile(name).Find("type") != nullptr) continue;  // Of a plugin that is not linked here.
    const auto law = ShippedLaw(name);
    std::vector<std::string> columns(law->covariates().begin(), law->covariates().end());
    for (const std::string& one : Expression::Parse(law->response()).names()) columns.push_back(one);
    const std::string listed = row.substr(row.find(" | "), row.find(" | ", row.find(" | ") + 3) - row.find(" | "));
    size_t needed = 0;
    for (const std::string& column : std::set<std::string>(columns.begin(), columns.end())) {
      if (column == "acc_adj") continue;
      EXPECT_NE(listed.find("`" + column + "`"), std::string::npos) << name << " needs " << column << ": " << row;
      ++needed;
    }
    EXPECT_EQ(static_cast<size_t>(std::count(listed.begin(), listed.end(), '`')), 2 * needed) << row;
  }
}

}  // namespace
}  // namespace bitlaw
