# bitlaw_add_plugin(<name> [TENSOR] SOURCES <file>...)
#
# Builds a bitlaw plugin: a shared library that exports a fingerprint, a manifest and a register function.
# TENSOR: the plugin uses libtorch. Inside the bitlaw tree the library lands in the build's plugin folder and is skipped
# when libtorch is; in a tree of its own, after find_package(bitlaw), it lands in that tree's binary folder. In both,
# `cmake --install` puts it into <prefix>/lib/bitlaw/plugins, where a bitlaw of the same prefix finds it.
function(bitlaw_add_plugin name)
  cmake_parse_arguments(ARG "TENSOR" "" "SOURCES" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS OR NOT ARG_SOURCES)
    message(FATAL_ERROR "bitlaw_add_plugin(${name}): write bitlaw_add_plugin(<name> [TENSOR] SOURCES <file>...)")
  endif()
  if(ARG_TENSOR AND NOT (TARGET bitlaw_tensor OR TARGET bitlaw::tensor))
    if(TARGET bitlaw_core)
      message(STATUS "bitlaw: plugin ${name} needs libtorch and is skipped")
      return()
    endif()
    message(FATAL_ERROR "bitlaw_add_plugin(${name} TENSOR): this bitlaw has no component 'tensor'. "
                        "Ask for it with find_package(bitlaw COMPONENTS tensor), which says why it is missing.")
  endif()
  add_library(${name} MODULE ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                                           CXX_STANDARD 20 CXX_STANDARD_REQUIRED ON CXX_EXTENSIONS OFF
                                           DEFINE_SYMBOL "")
  target_link_libraries(${name} PRIVATE bitlaw::core)
  if(ARG_TENSOR)
    target_link_libraries(${name} PRIVATE bitlaw::tensor)
  endif()
  # A symbol that nobody defines is found by the linker rather than by the user. (Sanitizers leave theirs undefined.)
  if(NOT "${BITLAW_SANITIZE}${CMAKE_CXX_FLAGS}" MATCHES "sanitize|address|thread")
    target_link_options(${name} PRIVATE -Wl,--no-undefined)
  endif()
  if(TARGET bitlaw_core)
    if(ARG_TENSOR)
      target_precompile_headers(${name} REUSE_FROM bitlaw_torch_pch)
    endif()
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${BITLAW_PLUGIN_DIR})
    # Whoever builds the program gets plugins of the same headers: a fingerprint does not see every change of layout.
    if(NOT TARGET bitlaw_plugins)
      add_custom_target(bitlaw_plugins)
    endif()
    add_dependencies(bitlaw_plugins ${name})
  endif()
  # Linked with its final search path: one that is to be changed by the installation ends in an empty entry, which the
  # loader reads as the working directory. The program has bitlaw's libraries loaded before any plugin.
  set_target_properties(${name} PROPERTIES INSTALL_RPATH "${BITLAW_PLUGIN_INSTALL_RPATH}" BUILD_WITH_INSTALL_RPATH ON)
  install(TARGETS ${name} LIBRARY DESTINATION ${BITLAW_INSTALL_PLUGIN_DIR})
endfunction()
