#include "resolve/machine.h"

#include <gtest/gtest.h>

#include "bitlaw/base/error.h"
#include "support/fixture_study.h"

namespace bitlaw {
namespace {

// A model of 8,000 weights to quantize, unquantized and at 4 and 3.5 bits a weight: codes of 4,000 and 3,500 bytes.
Plan SmallPlan(const std::filesystem::path& output) {
  Plan plan;
  plan.study.output = output;
  PlannedModel model;
  model.spec.name = "tiny";
  model.summary.parameters_total = 10'000;
  model.summary.parameters_quantizable = 8'000;
  plan.models.push_back(model);
  Trial trial;
  trial.quantizer = "none";
  trial.label = "tiny none";
  plan.trials.push_back(trial);
  trial.quantizer = "rtn";
  for (const auto& [label, bits] : {std::pair("tiny rtn bits=3", 3.5), std::pair("tiny rtn bits=4", 4.0)}) {
    trial.label = label;
    trial.bits_per_weight = bits;
    plan.trials.push_back(trial);
  }
  return plan;
}

class ThisMachine : public testing::Test {
 protected:
  std::string FaultOf(const Plan& plan, const Machine& machine, int workers = 1) const {
    Faults faults;
    CheckMachine(plan, machine, workers, faults);
    try {
      faults.ThrowIfAny();
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  }

  ScratchFolder folder_;
};

TEST_F(ThisMachine, HoldsTheCodesOfOneTrialAWorker) {
  const Plan plan = SmallPlan(folder_.path() / "out");
  Machine machine;
  machine.free_bytes = [](const auto&) { return uintmax_t{4000}; };
  EXPECT_EQ(FaultOf(plan, machine), "");
  machine.free_bytes = [](const auto&) { return uintmax_t{3999}; };
  EXPECT_EQ(FaultOf(plan, machine),
            "the output folder " + (folder_.path() / "out").string() +
                " has 0.004 MB free, and the quantized weights of one trial at a time take up to 0.004 MB (tiny rtn "
                "bits=4). Make room, or name another 'output'.");
  machine.free_bytes = [](const auto&) { return uintmax_t{7999}; };
  EXPECT_EQ(FaultOf(plan, machine, 2),
            "the output folder " + (folder_.path() / "out").string() +
                " has 0.008 MB free, and the quantized weights of 2 trials at a time take up to 0.008 MB (tiny rtn "
                "bits=4). Make room, or name another 'output'.");
  machine.free_bytes = [](const auto&) { return uintmax_t{8000}; };
  EXPECT_EQ(FaultOf(plan, machine, 9), "");  // There are two trials with codes.
}

TEST_F(ThisMachine, NeedsNoRoomForUnquantizedModels) {
  Plan plan = SmallPlan(folder_.path() / "out");
  plan.trials.resize(1);
  Machine machine;
  machine.free_bytes = [](const auto&) { return uintmax_t{0}; };
  EXPECT_EQ(FaultOf(plan, machine), "");
}

TEST_F(ThisMachine, IsAskedWithoutALeftover) {
  EXPECT_EQ(FaultOf(SmallPlan(folder_.path() / "a/b"), Machine()), "");
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(ThisMachine, HasTheDevicesOfTheStudy) {
  Plan plan = SmallPlan(folder_.path() / "out");
  Machine machine;
  machine.devices = {"cpu", "cuda:0", "cuda:1"};
  for (const char* there : {"cpu", "cuda", "cuda:1"}) {
    plan.study.devices = {{there, {}}};
    EXPECT_EQ(FaultOf(plan, machine), "") << there;
  }
  plan.study.devices = {{"cuda:1", {}}, {"cuda:2", {"s.yaml", 4, 31}}};
  EXPECT_EQ(FaultOf(plan, machine),
            "s.yaml:4:31: the device 'cuda:2' is not on this machine. Devices here: cpu, cuda:0, cuda:1. Name one of "
            "them, or run the study where it is.");
  machine.devices = {"cpu"};
  machine.why_no_card = "There is no driver.";
  EXPECT_EQ(FaultOf(plan, machine),
            "the device 'cuda:1' is not on this machine. Devices here: cpu. There is no driver. Name one of them, or run "
            "the study where it is.\n"
            "s.yaml:4:31: the device 'cuda:2' is not on this machine. Devices here: cpu. There is no driver. Name one of "
            "them, or run the study where it is.");
  machine.devices.clear();  // Not known.
  EXPECT_EQ(FaultOf(plan, machine), "");
}

TEST(ChosenWorkers, AreOneADeviceOrOneAThreadForSmallModels) {
  Plan plan = SmallPlan("/out");
  EXPECT_EQ(ChosenWorkers(plan, 2), 2);
  EXPECT_EQ(ChosenWorkers(plan, 64), 16);
  plan.study.devices = {{"cuda:0", {}}};
  plan.study.compute.device = "cuda";
  EXPECT_EQ(ChosenWorkers(plan, 8), 1);
  plan.study.devices = {{"cuda:0", {}}, {"cuda:1", {}}, {"cuda:2", {}}};
  EXPECT_EQ(ChosenWorkers(plan, 8), 3);
  plan = SmallPlan("/out");
  plan.models[0].summary.parameters_total = 20'000'001;
  EXPECT_EQ(ChosenWorkers(plan, 8), 1);
}

}  // namespace
}  // namespace bitlaw
