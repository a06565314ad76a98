// A study whose recipes have every part, from its file to its table.
#include <gmock/gmock.h>

#include "study_fixture.h"

namespace bitlaw {
namespace {

using testing::HasSubstr;

class RecipeStudy : public StudyFolder {};

TEST_F(RecipeStudy, EveryPartIsDoneAndIsAColumn) {
  const auto study = WriteStudy(R"(  - none
  - {quantizer: rtn, bits: 4, group_size: 16}
  - quantizer: gptq
    transforms: [[], [{transform: smooth_scale, alpha: 0.5}]]
    weights: {grid: nf4, group_size: 16}
    activations: {bits: 8}
    kv_cache: {value_bits: 4}
    calibration: {sequences: 2, tokens: 32}
  - {quantizer: keep, activations: {bits: [6, 4]}}
)",
                                "[endings]");
  const ProgramEnd end = RunStudy(study, "out");
  ASSERT_EQ(end.exit_code, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("e2e: 6 of 6 trials complete, 6 tasks scored now"));
  const std::string table = FilesOf("out").at("observations.csv");
  EXPECT_THAT(table.substr(0, table.find('\n')), HasSubstr("activations.bits"));
  EXPECT_THAT(table, HasSubstr("tiny gptq transforms=smooth_scale"));
  EXPECT_THAT(table, HasSubstr("tiny keep activations.bits=4"));

  // Nothing is done twice, and a flat study finds what the recipe's study recorded of the same trial.
  const ProgramEnd again = RunStudy(study, "out");
  EXPECT_THAT(again.out, HasSubstr("e2e: 6 of 6 trials complete, 0 tasks scored now"));
  const ProgramEnd flat =
      RunStudy(WriteStudy("  - {quantizer: rtn, weights: {grid: uniform, bits: 4, group_size: 16}}\n", "[endings]"), "out");
  EXPECT_THAT(flat.out, HasSubstr("e2e: 2 of 2 trials complete, 0 tasks scored now")) << flat.err;
}

}  // namespace
}  // namespace bitlaw
