#include "my_task.h"

#include <cstdio>
#include <memory>

#include "bitlaw/testing/task_conformance.h"

int main() {
  const auto make = [] {
    return std::make_unique<MyTask>(MyTask::Schema().Resolve(bitlaw::Value(), "task 'my_task'"),
                                    bitlaw::TaskContext{"my_task", {}});
  };
  int faults = 0;
  for (const std::string& fault : bitlaw::testing::TaskFaults(make, "my_task")) {
    faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
  }

  // The second item, word for word.
  const auto items = make()->Items();
  const auto& ask = std::get<bitlaw::LoglikelihoodRequest>(items[1].requests[0]);
  if (ask.context != "bB..bB..b" || ask.continuation != "B") {
    faults += std::fprintf(stderr, "it asks for '%s' after '%s'\n", ask.continuation.c_str(), ask.context.c_str()) > 0;
  }
  return faults == 0 ? 0 : 1;
}
