#include "my_exporter.h"

#include <memory>

#include "bitlaw/api/plugin.h"

namespace {

void Register(bitlaw::Registrar& registrar) {
  registrar.Add<bitlaw::Exporter>({"my_exporter", "Bytes of codes and scales, and a table of shapes.", /*source=*/""},
                                  MyExporter::Schema(),
                                  [](const bitlaw::Options& options) { return std::make_unique<MyExporter>(options); });
}

}  // namespace

BITLAW_PLUGIN("local.my_exporter", "0.1.0", "Apache-2.0", "An exporter: my_exporter.", Register)
