#include "my_task.h"

#include <memory>

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Task>({"my_task", "Letters that were seen before.", /*source=*/""}, MyTask::Schema(),
                              [](const bitlaw::Options& options, const bitlaw::TaskContext& context) {
                                return std::make_unique<MyTask>(options, context);
                              });
}

}  // namespace

BITLAW_PLUGIN("local.my_task", "0.1.0", "Apache-2.0", "A task: my_task.", Register)
