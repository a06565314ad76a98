#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "bitlaw/base/export.h"

namespace bitlaw {

/// A symbol that dlsym would find.
struct BITLAW_EXPORT ExportedSymbol {
  std::string name;
  bool is_function = false;  ///< Otherwise an object: data.
  uint64_t size_bytes = 0;   ///< As the linker noted it.
};

/// The defined, visible symbols whose names begin with `prefix` in a shared library's dynamic symbol table, read as
/// plain bytes: no code of the library runs and nothing is mapped. Stripping a library keeps this table.
///
/// Every offset and size in the file is checked against the file's length before it is used, so a file that is cut
/// off, is something else, or lies about itself costs an Error and no memory beyond its own size. The loadable
/// segments are checked too, because dlopen maps a file that was cut off and dies when it touches the missing pages.
///
/// Errors   Error(kIo) if the file cannot be read; Error(kPlugin) if it is no shared library of this machine.
/// Source   System V ABI, Edition 4.1 with the ELF-64 Object File Format, version 1.5.
BITLAW_EXPORT std::vector<ExportedSymbol> ReadExportedSymbols(const std::filesystem::path& path,
                                                              std::string_view prefix);

}  // namespace bitlaw
