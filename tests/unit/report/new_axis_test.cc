// The drill of docs/reference/notation.md, "Factors": an axis that only a plugin knows is a column, a covariate, an ablation, a zone,
// a hold-out and a row of the report, and no line of the framework names it. Likewise a column of the study's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "fit/study/study_results.h"
#include "fit/table/column_map.h"
#include "formula_law.h"
#include "plan/plan.h"
#include "records/observations.h"
#include "report/study_report.h"
#include "support/fixture_study.h"
#include "support/shipped_laws.h"

namespace bitlaw {
namespace {

using testing::Contains;
using testing::Field;
using testing::HasSubstr;

// Three models by 'fixture_outliers', bits and outliers swept; a law of one line.
constexpr const char* kStudy = R"(bitlaw: 1
study: drill
models:
  - {path: a.shapes.json, columns: {D: 1.0e+9}}
  - {path: b.shapes.json, columns: {D: 4.0e+9}}
  - {path: c.shapes.json, columns: {D: 3.0e+10}}
  - {path: d.shapes.json, columns: {D: 9.0e+9}}
  - {path: e.shapes.json, columns: {D: 7.0e+10}}
  - {path: f.shapes.json, columns: {D: 2.0e+10}}
quantize:
  - {quantizer: fixture_outliers, bits: [2, 3, 4], group_size: 32, outliers: [0.0625, 0.125, 0.25]}
tasks:
  - {task: one.yaml}
map: {loss: -log(acc_adj)}
)";

class NewAxis : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasFixtureQuantizers()) GTEST_SKIP() << "the fixture quantizers need a build with libtorch";
    const int sizes[] = {64, 128, 256, 512, 768, 1024};
    for (int i = 0; i < 6; ++i) {
      folder_.Write(std::string(1, static_cast<char>('a' + i)) + ".shapes.json", ShapesOfModel(sizes[i], 2));
    }
    folder_.Write("one.yaml", "type: fixture\nstratum: KM\nquestion: '?'\n");
    study_ = ReadStudy(folder_.Write("s.yaml", kStudy), FixtureHost(), {});
    plan_ = MakePlan(study_, FixtureHost());
  }

  static std::unique_ptr<Law> LawOf(const std::string& line) {
    const Value options = ParseYaml(line, "law");
    return std::make_unique<FormulaLaw>("mine", FormulaLaw::Schema().Resolve(options, "law 'formula'"));
  }

  // What the study would record if accuracies followed a law, with small scatter.
  Table Observed(const std::function<double(const Table&, size_t)>& loss) const {
    TaskCard card;
    card.name = "one";
    card.stratum = "KM";
    card.metrics = {{"acc", MetricKind::kAccuracy, true}};
    const Table planned = PlannedObservations(plan_, {card});
    Table observed("observations");
    for (const TableColumn& column : planned.columns()) {
      TableColumn copy = column;
      for (size_t row = 0; row < planned.rows(); ++row) {
        const double accuracy = std::exp(-loss(planned, row) * (1 + 0.02 * std::sin(static_cast<double>(7 * row + 1))));
        if (column.name == "acc_adj") copy.numbers[row] = accuracy;
        if (column.name == "value") copy.numbers[row] = 0.5 + 0.5 * accuracy;
      }
      observed.Add(std::move(copy));
    }
    return observed;
  }

  StudyResults ReportOf(Table observed, std::vector<std::unique_ptr<Law>> laws) const {
    StudyResults report;
    report.description = Describe(plan_);
    report.columns = ObservationColumns(plan_);
    FitSettings settings = StudyFitSettings(Value::Map{{"bootstrap", 0}, {"permutations", 0}}, report.columns, study_.map);
    report.observations = observed;
    const Table table = MapColumns(observed, study_.map);
    report.fits = FitLaws(laws, table, settings);
    report.analysis = Analyze(laws, table, settings, report.fits);
    return report;
  }

  ScratchFolder folder_;
  StudySpec study_;
  Plan plan_;
};

TEST_F(NewAxis, OfAPluginGoesThroughToTheReport) {
  // 16 bits have outliers of their own accord nowhere: the unquantized model has no value and is not fitted.
  const Table observed = Observed([](const Table& t, size_t row) {
    const double outliers = t.Numbers("outliers")[row];
    if (std::isnan(outliers)) return 0.05;
    return 40 * std::pow(t.Numbers("N")[row], -0.35) * std::pow(std::log2(t.Numbers("B")[row]), -1.2) *
           std::pow(1 + outliers, -3);
  });
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(LawOf("{formula: 'A * N^alpha * log2(B)^beta * (1 + outliers)^delta', "
                       "parameters: {A: {min: 0}, alpha: {}, beta: {}, delta: {}}}"));
  const StudyResults report = ReportOf(observed, std::move(laws));

  // A covariate: the planted exponents come back.
  ASSERT_EQ(report.fits.fits.size(), 1u);
  const LawFit& fit = report.fits.fits[0];
  ASSERT_TRUE(fit.ols.has_value()) << fit.why_no_ols;
  EXPECT_NEAR(fit.ols->theta()[1], -0.35, 0.02);
  EXPECT_NEAR(fit.ols->theta()[3], -3, 0.2);

  // Nulls of scale and precision, an ablation, a zone and a hold-out.
  std::vector<std::string> nulls;
  for (const LawFit& null : fit.nulls) nulls.push_back(null.law);
  EXPECT_THAT(nulls, Contains("f(N)"));
  EXPECT_THAT(nulls, Contains("f(B)"));
  EXPECT_THAT(nulls, Contains("f(N,B)"));
  ASSERT_EQ(report.analysis.laws.size(), 1u);
  const LawAnalysis& analysis = report.analysis.laws[0];
  EXPECT_THAT(analysis.ablations, Contains(Field(&Ablation::factors, "N, B, outliers")));
  EXPECT_THAT(analysis.zones, Contains(Field(&Zone::name, "B == 2")));
  EXPECT_THAT(analysis.zones, Contains(Field(&Zone::name, "outliers == 0.25")));
  EXPECT_THAT(analysis.validation, Contains(Field(&ValidationResult::scheme, "hold out B == 2")));
  EXPECT_THAT(analysis.validation, Contains(Field(&ValidationResult::scheme, "hold out outliers == 0.25")));

  // Rows of the report.
  const std::string text = RenderText(StudyDocument(report));
  EXPECT_THAT(text, HasSubstr("0.0625, 0.125, 0.25"));
  EXPECT_THAT(text, HasSubstr("quantizer 'fixture_outliers'"));
  EXPECT_THAT(text, HasSubstr("hold out outliers == 0.25"));
  // A scale of the study's own stands among the models' sizes.
  EXPECT_THAT(report.description.models[5].scale, Contains(std::pair<std::string, double>("D", 2e10)));
  EXPECT_THAT(StudyDocument(report).sections[1].tables[0].header, Contains("D"));
}

TEST_F(NewAxis, KeepsItsRoleWhereOnlyFilesAreLeft) {
  const std::vector<ObservationColumn> columns =
      ReadColumns(WriteColumns(ObservationColumns(plan_)), "columns.json");
  const FitSettings settings = StudyFitSettings(Value(), columns, study_.map);
  EXPECT_TRUE(settings.roles.IsDeclared("outliers"));
  EXPECT_EQ(settings.roles.Of("D"), FactorRole::kScale);
  EXPECT_EQ(settings.roles.Of("bits_effective"), FactorRole::kPrecision);
}

TEST_F(NewAxis, OfTheStudyFitsAShippedLaw) {
  // L = E + A / N^alpha + B / D^beta of the loss in nats that `map` makes of accuracies.
  const Table observed = Observed([](const Table& t, size_t row) {
    return 0.1 + 12 / std::pow(t.Numbers("N")[row], 0.4) + 900 / std::pow(t.Numbers("D")[row], 0.4);
  });
  std::vector<std::unique_ptr<Law>> laws;
  laws.push_back(ShippedLaw("chinchilla"));
  const StudyResults report = ReportOf(observed, std::move(laws));
  ASSERT_EQ(report.fits.fits.size(), 1u);
  EXPECT_EQ(report.fits.fits[0].unusable, "");
  ASSERT_FALSE(report.fits.fits[0].Methods().empty());
  EXPECT_GT(report.fits.fits[0].Methods()[0]->quality.r2, 0.99);
  // D is known as a factor of scale.
  EXPECT_THAT(report.analysis.laws.at(0).validation, Contains(Field(&ValidationResult::scheme, "hold out D == 7e+10")));
}

TEST(NewAxisNames, StandNowhereInTheFramework) {
  for (const char* folder : {"/framework", "/plugins"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(std::string(BITLAW_SOURCE_DIR) + folder)) {
      const auto ending = entry.path().extension();
      if (ending != ".cc" && ending != ".h") continue;
      std::ifstream file(entry.path());
      const std::string text(std::istreambuf_iterator<char>(file), {});
      EXPECT_EQ(text.find("\"outliers\""), std::string::npos) << entry.path();
    }
  }
}

}  // namespace
}  // namespace bitlaw
