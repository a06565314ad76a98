#include "my_grid.h"

#include <cstdio>

#include "bitlaw/testing/grid_conformance.h"

int main() {
  const MyGrid grid(MyGrid::Schema().Resolve(bitlaw::Value(), "grid 'my_grid'"));
  int faults = 0;
  for (const std::string& fault : bitlaw::testing::GridFaults(grid, "my_grid")) {
    faults += std::fprintf(stderr, "%s\n", fault.c_str()) > 0;
  }

  // The largest of these is 2.
  const float group[] = {0.1F, -2.0F, 0.7F};
  float scale = 0, zero = -1;
  grid.FindGroups(group, 1, 3, 3, &scale, &zero);
  if (scale != 2.0F || zero != 0) faults += std::fprintf(stderr, "scale %g, zero %g\n", scale, zero) > 0;
  return faults == 0 ? 0 : 1;
}
