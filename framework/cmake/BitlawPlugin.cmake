# bitlaw_add_plugin(<name> [TENSOR] SOURCES <file>...)
#
# Builds a bitlaw plugin: a shared library that exports a fingerprint, a manifest and a register function.
# TENSOR: the plugin uses libtorch. Inside the bitlaw tree the library lands in the build's plugin folder and is
# installed; in a tree of its own it lands in that tree's binary folder.
function(bitlaw_add_plugin name)
  cmake_parse_arguments(ARG "TENSOR" "" "SOURCES" ${ARGN})
  if(ARG_TENSOR AND NOT (TARGET bitlaw_tensor OR TARGET bitlaw::tensor))
    message(STATUS "bitlaw: plugin ${name} needs libtorch and is skipped")
    return()
  endif()
  add_library(${name} MODULE ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                                           CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
                                           DEFINE_SYMBOL "")
  if(TARGET bitlaw_core)
    target_link_libraries(${name} PRIVATE bitlaw_core)
    if(ARG_TENSOR)
      target_link_libraries(${name} PRIVATE bitlaw_tensor)
      target_precompile_headers(${name} REUSE_FROM bitlaw_torch_pch)
    endif()
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${BITLAW_PLUGIN_DIR})
    install(TARGETS ${name} LIBRARY DESTINATION ${BITLAW_INSTALL_PLUGIN_DIR})
  else()
    target_link_libraries(${name} PRIVATE bitlaw::core)
    if(ARG_TENSOR)
      target_link_libraries(${name} PRIVATE bitlaw::tensor)
    endif()
  endif()
endfunction()
