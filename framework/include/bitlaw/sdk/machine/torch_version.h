#pragma once

#include <torch/version.h>

/// Whether the libtorch that this is compiled for is of that version or a later one.
#define BITLAW_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))
