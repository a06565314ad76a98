# Precompiled headers: what many files include. No file may count on them: each includes what it uses, and builds without
# (-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON). A target can only reuse one that was made with its own flags, so there are several:
# bitlaw_core, bitlaw and the hostile plugins of the tests have their own, bitlaw_torch_pch serves bitlaw_tensor and the
# plugins, bitlaw_test_pch and bitlaw_test_torch_pch the tests.
set(BITLAW_COMMON_HEADERS
    <algorithm> <cmath> <cstdint> <filesystem> <fstream> <functional> <limits> <map> <memory> <optional> <set> <span>
    <sstream> <string> <string_view> <utility> <variant> <vector>)

# bitlaw_add_pch(<name> LIBS <lib>... HEADERS <header>...)
function(bitlaw_add_pch name)
  cmake_parse_arguments(ARG "" "" "LIBS;HEADERS" ${ARGN})
  add_library(${name} OBJECT ${CMAKE_SOURCE_DIR}/framework/src/pch.cc)
  target_link_libraries(${name} PRIVATE ${ARG_LIBS})
  target_precompile_headers(${name} PRIVATE ${BITLAW_COMMON_HEADERS} ${ARG_HEADERS})
endfunction()
