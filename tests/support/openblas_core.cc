// Linked into every test: starts it again with kernels of OpenBLAS that fit the processor, as bin/bitlaw does.
#include "bitlaw/sdk/machine/openblas_core.h"

namespace {

__attribute__((constructor)) void ChooseCore(int, char** arguments, char**) { bitlaw::ChooseOpenBlasCore(arguments); }

}  // namespace
